"""How an option is declared: once, with all that `check`, `--help` and the reference page need to know of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class Kind(enum.Enum):
    """What a value may be. DURATION is seconds (float; `"250ms"`, `"5s"`, `"2m"` accepted)."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DURATION = "duration"
    ADDRESS = "address"
    TEXTS = "list of texts"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """`default` None: none. `low` and `high` are inclusive bounds for numbers. `choices` for CHOICE.
    `doc`: what it does; `trade_off`: what going up or down costs. `since`: the version that first had it."""

    name: str
    kind: Kind
    doc: str
    default: Any = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    trade_off: str = ""
    since: str = "0.1"
    in_force: bool = True
