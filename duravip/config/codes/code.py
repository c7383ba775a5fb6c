"""One code of the catalogue."""

from __future__ import annotations

import re
from dataclasses import dataclass

from duravip.config.diagnostics import Severity

_NEXT_FILE = re.compile(r"^--- (\S+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """`what`: the meaning in one sentence. `why`: what would happen otherwise. `mend`: what to do.

    `example`: a configuration that is reported so, of `node1.conf` unless a line `--- FILE` says otherwise; several
    files each follow such a line. Empty where a page cannot show it (a file too large, no plugin, another machine).
    `arguments`: what `check` is given beside the example's files."""

    code: str
    severity: Severity
    what: str
    why: str
    mend: str
    example: str = ""
    arguments: tuple[str, ...] = ()

    def files(self) -> dict[str, str]:
        """File name -> text, of the example."""
        pieces = _NEXT_FILE.split(self.example)
        found = {"node1.conf": pieces[0]} if pieces[0].strip() else {}
        return found | dict(zip(pieces[1::2], pieces[2::2], strict=True))


def error(code: str, what: str, *, why: str, mend: str, example: str = "", arguments: tuple[str, ...] = ()) -> Code:
    return Code(code=code, severity=Severity.ERROR, what=what, why=why, mend=mend, example=example, arguments=arguments)


def warning(code: str, what: str, *, why: str, mend: str, example: str = "", arguments: tuple[str, ...] = ()) -> Code:
    return Code(
        code=code, severity=Severity.WARNING, what=what, why=why, mend=mend, example=example, arguments=arguments
    )


def info(code: str, what: str, *, why: str, mend: str, example: str = "", arguments: tuple[str, ...] = ()) -> Code:
    return Code(code=code, severity=Severity.INFO, what=what, why=why, mend=mend, example=example, arguments=arguments)
