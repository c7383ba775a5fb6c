"""Events as a page tells them beforehand, chapter by chapter, and the comparison with what a daemon told.

A chapter is a heading of the second level with a block of code in the language `events`. Each line is one event as
`duravip events` prints it, without its time and node; fields that nobody can know beforehand are left out. Lines are
in order. One that begins with `~` may come later than it stands, but not after a later line of the same address.

Rules of this file: pure; what differs is a sentence that shows the whole chapter, for people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duravip.runtime.event_text import ENVELOPE, event_text, fields_text

UNFORESEEABLE = frozenset({"node_incarnation", "silent_s", "digest", "evidence", "text"})
_CHAPTER = re.compile(r"^## (?P<title>.+?)$(?P<body>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```events\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r'(?P<key>\w+)=(?P<value>(?:"(?:[^"\\]|\\.)*"|[^\s"])+)')


@dataclass(frozen=True, slots=True)
class Line:
    """`late`: it may come later than it stands. `fields`: as text, those of UNFORESEEABLE left out."""

    id: str
    fields: Mapping[str, str]
    late: bool = False

    def is_of(self, event: Mapping[str, Any]) -> bool:
        """`event` is the object of contract.md section 2."""
        own = {key: value for key, value in event.items() if key not in UNFORESEEABLE and key not in ENVELOPE}
        told = {key: fields_text({key: value}).partition("=")[2] for key, value in own.items()}
        return event["id"] == self.id and told == self.fields


def chapters(page: str) -> dict[str, tuple[Line, ...]]:
    """Title -> lines, of every chapter that has events, in the page's order."""
    found = {chapter["title"]: _BLOCK.search(chapter["body"]) for chapter in _CHAPTER.finditer(page)}
    return {title: tuple(map(_line, block["lines"].splitlines())) for title, block in found.items() if block}


def difference(lines: Sequence[Line], events: Sequence[Mapping[str, Any]]) -> str:
    """What differs between a chapter and what was told, in words; "" when nothing does."""
    left = list(lines)
    for event in events:
        here = next((line for line in _possible(left) if line.is_of(event)), None)
        if here is None:
            return f"{event_text(event)!r} is not told here. {_whole(lines, events)}"
        left.remove(here)
    return f"{_text(left[0])!r} was not told. {_whole(lines, events)}" if left else ""


def _possible(left: Sequence[Line]) -> list[Line]:
    """Which of the lines that are left may come next."""
    found: list[Line] = []
    waiting: set[str | None] = set()
    for line in left:
        address = line.fields.get("address")
        if address is None or address not in waiting:
            found.append(line)
        if not line.late:
            break
        waiting.add(address)
    return found


def _line(text: str) -> Line:
    late = text.startswith("~ ")
    event_id, _, rest = text.removeprefix("~ ").partition(" ")
    return Line(event_id, {field["key"]: field["value"] for field in _FIELD.finditer(rest)}, late)


def _text(line: Line) -> str:
    return " ".join((line.id, *(f"{key}={value}" for key, value in line.fields.items())))


def _whole(lines: Sequence[Line], events: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(("Told beforehand:", *map(_text, lines), "Told:", *map(event_text, events)))
