"""When a heartbeat goes out: every interval, and out of turn, a little spaced, when there is something to tell.

The first member of a view sets the pace, and the others beat when they hear it: so a node is woken once for all beats
of an interval, not once for each. Whoever does not hear it goes on by itself, LINGER_INTERVALS later than otherwise.
"""

from __future__ import annotations

import math
from typing import Final

NEWS_SPACING_INTERVALS: Final = 0.1  # heartbeat intervals between heartbeats that tell of changes
ANSWER_SPACING_INTERVALS: Final = 0.05  # between answers to probes
JOIN_INTERVALS: Final = 0.5  # since its last beat: a node beats with the one that sets the pace
LINGER_INTERVALS: Final = 0.25  # how long the others wait for that one


class Pulse:
    """`next_at`: when the next heartbeat is due."""

    def __init__(self, interval_s: float, now: float) -> None:
        self._interval_s = interval_s
        self._last_at = -math.inf
        self._follows = False  # the one that sets the pace was heard
        self.next_at = now

    def soon(self, now: float) -> None:
        """Something changed that the others should know at once."""
        self._bring_forward(now, NEWS_SPACING_INTERVALS)

    def awake(self, now: float) -> None:
        """This node was late or stopped, or its machine suspended: the others answer what it says."""
        self.next_at = now

    def answer(self, now: float) -> None:
        """Somebody asks whether this node is there."""
        self._bring_forward(now, ANSWER_SPACING_INTERVALS)

    def follow(self, now: float) -> bool:
        """The one that sets the pace beats. True when a heartbeat of this node is due with it."""
        self._follows = True
        if now >= self._last_at + JOIN_INTERVALS * self._interval_s:
            self.next_at = now
            return True
        if self.next_at == self._last_at + self._interval_s:
            self.next_at += LINGER_INTERVALS * self._interval_s
        return False

    def comes_due(self, now: float) -> bool:
        """Whether a heartbeat is to be said now; counts as said."""
        if now < self.next_at:
            return False
        self._last_at = now
        self.next_at = now + self._interval_s
        if self._follows:
            self._follows = False
            self.next_at += LINGER_INTERVALS * self._interval_s
        return True

    def _bring_forward(self, now: float, spacing_intervals: float) -> None:
        self.next_at = min(self.next_at, max(now, self._last_at + spacing_intervals * self._interval_s))
