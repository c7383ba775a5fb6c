"""What is wrong, where, and what to do: one value for every problem that reading a configuration can find."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from duravip.model import Origin


class Severity(enum.Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """`code` is stable: DV1xx syntax, DV2xx files, DV3xx values, DV4xx within one node, DV5xx between nodes."""

    severity: Severity
    code: str
    message: str
    origin: Origin = Origin()
    hint: str = ""
