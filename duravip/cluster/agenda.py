"""When each of many is due: the earliest time is found without looking at all of them; and the first of a few times.

Rules of this file: what was planned before and counts no more stays in the heap until it comes to its top, or until
there is too much of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Final

from duravip.model import NodeName

SLACK: Final = 16  # entries that count no more, beside four for each name


def first_after(now: float, times: Iterable[float]) -> float:
    """The earliest of `times` that is still to come; infinity when none is."""
    first = math.inf
    for at in times:
        if now < at < first:
            first = at
    return first


class Agenda:
    """One time for each name. Times are the caller's seconds."""

    def __init__(self) -> None:
        self._at: dict[NodeName, float] = {}
        self._heap: list[tuple[float, NodeName]] = []
        self._earliest = math.inf
        self._is_known = True  # that one

    def put(self, name: NodeName, at: float) -> None:
        """It is due then, whatever was said before."""
        if self._at.get(name) == at:
            return
        self._at[name] = at
        self._is_known = False
        heappush(self._heap, (at, name))
        if len(self._heap) > 4 * len(self._at) + SLACK:
            self._heap = [(at, name) for name, at in self._at.items()]
            heapify(self._heap)

    def drop(self, name: NodeName) -> None:
        """It is not due any more."""
        self._at.pop(name, None)
        self._is_known = False

    def earliest(self) -> float:
        """Infinity when nothing is due."""
        if not self._is_known:
            self._earliest, self._is_known = self._first(), True
        return self._earliest

    def _first(self) -> float:
        heap = self._heap
        while heap:
            at, name = heap[0]
            if self._at.get(name) == at:
                return at
            heappop(heap)
        return math.inf
