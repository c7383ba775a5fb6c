"""Who owned each VIP before, since this daemon began, and why that changed.

Rules of this file: bounded, in addresses and in what is remembered of each; the oldest goes first.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from duravip.events import OwnerElected, Stamped
from duravip.model import Address

MAX_CHANGES = 20  # of one address
MAX_ADDRESSES = 20_000


class History:
    def __init__(self) -> None:
        self._changes: dict[Address, deque[dict[str, Any]]] = {}

    def observe(self, stamped: Stamped) -> None:
        """Every event passes here once."""
        event = stamped.event
        if not isinstance(event, OwnerElected):
            return
        changes = self._changes.pop(event.address, None) or deque(maxlen=MAX_CHANGES)
        changes.append(
            {
                "time": stamped.time.isoformat(timespec="milliseconds"),
                "from": event.previous,
                "to": event.owner,
                "cause": event.reason,
            }
        )
        self._changes[event.address] = changes
        while len(self._changes) > MAX_ADDRESSES:
            del self._changes[next(iter(self._changes))]

    def of(self, address: Address) -> list[dict[str, Any]]:
        """The oldest first, with the keys that `explain` prints."""
        return list(self._changes.get(address, ()))
