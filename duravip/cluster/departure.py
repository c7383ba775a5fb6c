"""A planned leave: hand everything over inside the view, then say LEAVE, a few copies close together.

Rules of this file
- LEAVE is said only when the kernel has nothing of this node's any more, a moment later.
- The hand-over has LEAVE_LIMIT_S; what nobody took over by then is let go all the same (`is_forced`).
"""

from __future__ import annotations

import math
from typing import Final

LEAVE_LIMIT_S: Final = 2.0
LEAVE_COPIES: Final = 3
LEAVE_PAUSE_S: Final = 0.002  # after the last release: its new owner takes the address before a new view is begun
LEAVE_SPACING_S: Final = 0.0005


class Departure:
    """`asked_at` is None until the node is asked to leave."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self._said = 0
        self._next_at = math.inf

    @property
    def has_begun(self) -> bool:
        """Whether a LEAVE was said: the others may go on without this node."""
        return self._said > 0

    def ask(self, now: float) -> None:
        if self.asked_at is None:
            self.asked_at = now

    def is_forced(self, now: float) -> bool:
        return self.asked_at is not None and now >= self.asked_at + LEAVE_LIMIT_S

    def comes_due(self, now: float, *, holds: bool, is_expected: bool) -> bool:
        """Whether a LEAVE is to be said now; `deadline` is when to ask again. `holds`: the kernel may still have
        something. `is_expected`: the group still counts on this node."""
        if not self._said:
            if self.asked_at is None or holds or (is_expected and not self.is_forced(now)):
                self._next_at = math.inf
            elif self._next_at == math.inf:
                self._next_at = now + LEAVE_PAUSE_S
        return now >= self._next_at

    def say(self, now: float) -> bool:
        """One copy is said; True when it is the last."""
        self._said += 1
        self._next_at = now + LEAVE_SPACING_S
        return self._said >= LEAVE_COPIES

    def deadline(self, now: float) -> float:
        limit = self.asked_at + LEAVE_LIMIT_S if self.asked_at is not None else math.inf
        return min(self._next_at, limit if limit > now else math.inf)
