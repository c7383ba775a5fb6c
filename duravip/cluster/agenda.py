"""When each of many is due: the earliest time is found without looking at all of them; and the first of a few times.

Rules of this file: what is put off, as mostly, is planned anew when its old time is the earliest; what was planned
before and counts no more stays in the heap until it comes to its top, or until there is too much of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heapify, heappop, heappush, heapreplace
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
        self._planned: dict[NodeName, float] = {}  # which entry of the heap counts: never later than that
        self._heap: list[tuple[float, NodeName]] = []
        self._earliest = math.inf
        self._is_known = True  # that one

    def put(self, name: NodeName, at: float) -> None:
        """It is due then, whatever was said before."""
        self._at[name] = at
        self._is_known = False
        planned = self._planned.get(name)
        if planned is not None and planned <= at:
            return
        self._planned[name] = at
        heappush(self._heap, (at, name))
        if len(self._heap) > 4 * len(self._at) + SLACK:
            self._heap = [(at, name) for name, at in self._at.items()]
            self._planned = dict(self._at)
            heapify(self._heap)

    def drop(self, name: NodeName) -> None:
        """It is not due any more."""
        self._at.pop(name, None)
        self._planned.pop(name, None)
        self._is_known = False

    def earliest(self) -> float:
        """Infinity when nothing is due."""
        if not self._is_known:
            self._earliest, self._is_known = self._first(), True
        return self._earliest

    def _first(self) -> float:
        heap = self._heap
        while heap:
            planned, name = heap[0]
            if self._planned.get(name) != planned:
                heappop(heap)
                continue
            at = self._at[name]
            if at == planned:
                return at
            self._planned[name] = at
            heapreplace(heap, (at, name))
        return math.inf
