"""What the log is told once, however often it happens."""

from __future__ import annotations

import logging

log = logging.getLogger("duravip")


class Complaints:
    """Call it with a warning; the same one is written the first time only."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"<Complaints {len(self._said)}>"

    def __call__(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)
