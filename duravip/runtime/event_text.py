"""One event, one line of text: for the log, and for `duravip events`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENVELOPE = ("id", "incarnation", "seq", "time", "node", "view")


def fields_text(event: Mapping[str, Any]) -> str:
    """`event` is the object of contract.md section 2. Its own fields as `key=value`, values quoted where they
    would otherwise not be one word."""
    return " ".join(f"{key}={_word(value)}" for key, value in event.items() if key not in ENVELOPE)


def event_text(event: Mapping[str, Any]) -> str:
    """The id and the event's own fields."""
    return f"{event['id']} {fields_text(event)}".rstrip()


def _word(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, (list, tuple)):
        return ",".join(_item(item) for item in value) if value else "-"
    text = str(value)
    if not text or any(letter.isspace() or letter in '"=' or not letter.isprintable() for letter in text):
        return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
    return text


def _item(item: object) -> str:
    if isinstance(item, Mapping):  # evidence
        return _word(item.get("text") or " ".join(str(part) for part in item.values()))
    return _word(item)
