"""What is wrong, where, and what to do: one value for every problem that reading a configuration can find."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from duravip.model import Origin


class Severity(enum.Enum):
    """How bad it is: with an ERROR nothing starts; a WARNING is probably a mistake; an INFO is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that a diagnostic is about, and in a few words what stands there: the other definition."""

    origin: Origin
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """`code` is stable: DV1xx syntax, DV2xx files, DV3xx values, DV4xx within one node, DV5xx between nodes, DV6xx this
    machine or the running cluster; a plugin's own begin with letters of its own. `message`: what is wrong, in a
    sentence without full stop. `hint`: what to do. `related`: other places to look at, the most telling first."""

    severity: Severity
    code: str
    message: str
    origin: Origin = field(default_factory=Origin)
    hint: str = ""
    related: tuple[Related, ...] = ()


class Findings:
    """Collects diagnostics while a configuration is read; nothing stops at the first problem."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []

    def error(self, code: str, message: str, origin: Origin, hint: str = "", *related: Related) -> None:
        self._add(Severity.ERROR, code, message, origin, hint, related)

    def warning(self, code: str, message: str, origin: Origin, hint: str = "", *related: Related) -> None:
        self._add(Severity.WARNING, code, message, origin, hint, related)

    def info(self, code: str, message: str, origin: Origin, hint: str = "", *related: Related) -> None:
        self._add(Severity.INFO, code, message, origin, hint, related)

    def extend(self, found: Iterable[Diagnostic]) -> None:
        self._found += found

    def as_found(self) -> tuple[Diagnostic, ...]:
        return tuple(self._found)

    def in_text_order(self, file: str) -> tuple[Diagnostic, ...]:
        """Sorted by place: `file` first, then others as they were found; those without a line stand last, in the order
        found. Exact repetitions once."""
        unique = dict.fromkeys(self._found)
        files = {
            name: number for number, name in enumerate(dict.fromkeys((file, *(one.origin.file for one in unique))))
        }

        def place(found: Diagnostic) -> tuple[bool, int, int, int]:
            origin = found.origin
            return origin.line == 0, files[origin.file], origin.line, origin.column

        return tuple(sorted(unique, key=place))

    def _add(
        self, severity: Severity, code: str, message: str, origin: Origin, hint: str, related: tuple[Related, ...]
    ) -> None:
        self._found.append(
            Diagnostic(severity=severity, code=code, message=message, origin=origin, hint=hint, related=related)
        )


_SHOWN_CHARACTERS = 60


def shown(text: object) -> str:
    """A user's word, or a list of them, as messages quote it: on one line, printable, not longer than a message can
    bear."""
    plain = " ".join(map(str, text)) if isinstance(text, tuple) else str(text)
    if len(plain) <= _SHOWN_CHARACTERS and plain.isprintable():
        return f"`{plain}`"
    plain = "".join(char if char.isprintable() else "?" for char in plain[: _SHOWN_CHARACTERS + 1])
    if len(plain) > _SHOWN_CHARACTERS:
        plain = plain[: _SHOWN_CHARACTERS - 3] + "..."
    return f"`{plain}`"
