"""A notifier that appends each event to a file, as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import trio

from duravip.config.options import Kind, Option
from duravip.events import Stamped
from duravip.plugin.api import Notifier, NotifierKind, hookimpl

OPTIONS = (
    Option(name="path", kind=Kind.TEXT, required=True, doc="The file; it is made when missing, and never cut."),
    Option(name="events", kind=Kind.TEXTS, default=("*",), doc="Which events: globs over their ids."),
)


class JsonLines:
    def __init__(self, path: str) -> None:
        self._path = path

    async def notify(self, stamped: Stamped) -> None:
        line = json.dumps(stamped.to_json_object(), default=str) + "\n"
        async with await trio.open_file(self._path, "a", encoding="utf-8") as file:
            await file.write(line)


def open_notifier(name: str, options: Mapping[str, Any]) -> Notifier:
    return JsonLines(options["path"])


@hookimpl
def duravip_notifiers() -> Sequence[NotifierKind]:
    return [NotifierKind(name="jsonlines", options=OPTIONS, open=open_notifier)]
