"""When each of many is due: the earliest is looked for only when somebody asks and one has changed; and the first of a
few times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from duravip.model import NodeName


def first_after(now: float, times: Iterable[float]) -> float:
    """The earliest of `times` that is still to come; infinity when none is."""
    first = math.inf
    for at in times:
        if now < at < first:
            first = at
    return first


class Agenda:
    """One time for each name, of some hundred names at most. Times are the caller's seconds."""

    def __init__(self) -> None:
        self._at: dict[NodeName, float] = {}
        self._earliest = math.inf
        self._is_known = True  # that one

    def put(self, name: NodeName, at: float) -> None:
        """It is due then, whatever was said before."""
        self._at[name] = at
        self._is_known = False

    def drop(self, name: NodeName) -> None:
        """It is not due any more."""
        self._at.pop(name, None)
        self._is_known = False

    def earliest(self) -> float:
        """Infinity when nothing is due."""
        if not self._is_known:
            self._earliest, self._is_known = min(self._at.values()) if self._at else math.inf, True
        return self._earliest
