"""Diagnostics for people: the place, what is wrong, the line itself with a mark under it, and what to do. What is said
of several files alike, as of copies, is said once, with their names.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable

import click

from duravip.config.diagnostics import Diagnostic, Severity
from duravip.config.source import UnreadableError, read_text
from duravip.model import Origin

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_WIDTH = 100  # characters of a source line that are shown
_BEFORE = 60  # of them, at most so many before the place
_RELATED = 4  # other places that are shown
_ALIKE = 3  # files of which the same is said that are named


def write_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """On stderr, in the order given; in colours on a terminal, unless NO_COLOR is set."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    if text := text_of(diagnostics, coloured=coloured):
        click.echo(text, err=True, color=coloured)


def text_of(diagnostics: Iterable[Diagnostic], *, coloured: bool = False) -> str:
    """Several lines for each, without a newline at the end."""
    sources = SourceLines()
    lines: list[str] = []
    for found, *alike in _folded(diagnostics):
        severity = found.severity.value
        if coloured:
            severity = click.style(severity, fg=_COLOURS[found.severity], bold=True)
        lines += [f"{place(found.origin)}: {severity} {found.code}: {printable(found.message)}"]
        lines += excerpt(found.origin, sources)
        for related in found.related[:_RELATED]:
            lines.append(f"    {place(related.origin)}: {printable(related.message)}")
            lines += [f"    {line}" for line in excerpt(related.origin, sources)]
        if len(found.related) > _RELATED:
            lines.append(f"    and {len(found.related) - _RELATED} more places")
        if found.hint:
            lines.append(f"    hint: {printable(found.hint)}")
        if alike:
            more = len(alike) - _ALIKE
            named = ", ".join(place(one.origin) for one in alike[:_ALIKE])
            lines.append(f"    the same: {named}" + (f" and {more} more files" if more > 0 else ""))
    return "\n".join(lines)


def _folded(diagnostics: Iterable[Diagnostic]) -> Iterable[list[Diagnostic]]:
    """Those of different files that say the same, in the order of the first."""
    found: dict[tuple[object, ...], list[Diagnostic]] = {}
    nth: Counter[tuple[object, ...]] = Counter()
    for one in diagnostics:
        said = one.code, one.severity, one.message, one.hint
        nth[said, one.origin.file] += 1
        found.setdefault((said, nth[said, one.origin.file]), []).append(one)
    return found.values()


class SourceLines:
    """The lines of the files that diagnostics point into, each file read once."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def line(self, file: str, number: int) -> str | None:
        """None when there is no such line to show. `number` counts from 1."""
        if file not in self._files:
            try:
                self._files[file] = read_text(file).split("\n") if file else []
            except UnreadableError:
                self._files[file] = []
        lines = self._files[file]
        return lines[number - 1].removesuffix("\r") if 0 < number <= len(lines) else None


def place(origin: Origin) -> str:
    text = printable(origin.file) or "duravip"
    return f"{text}:{origin.line}:{origin.column}" if origin.line else text


def excerpt(origin: Origin, sources: SourceLines) -> list[str]:
    """The line and the mark under its column; empty when there is no line."""
    line = sources.line(origin.file, origin.line)
    column = origin.column
    if line is None or not 1 <= column <= len(line) + 1:
        return []
    start = max(0, column - 1 - _BEFORE) if len(line) > _WIDTH else 0
    window = printable(line[start : start + _WIDTH])
    gap = "".join("\t" if char == "\t" else " " for char in window[: column - 1 - start])
    return [f"    {window.rstrip()}", f"    {gap}^"]


def printable(text: str) -> str:
    """Without anything that could move a terminal's cursor or that has no encoding."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)
