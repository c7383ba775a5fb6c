"""Virtual time, the queue of what happens next, reproducible chance, and a digest of all that happened.

Rules of this file: nothing reads a real clock or the system's randomness. What is planned for the same time happens
in the order it was planned.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable

Action = Callable[[], None]


class Clock:
    """`now` is virtual seconds since the start."""

    def __init__(self, seed: int | str) -> None:
        self.now = 0.0
        self.seed = seed
        self._queue: list[tuple[float, int, Action]] = []
        self._planned = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def random(self, purpose: str) -> random.Random:
        """A source of chance of its own, so that one part's use of it does not shift another's."""
        return random.Random(f"{self.seed}/{purpose}")  # noqa: S311 (reproducible is the point)

    def at(self, when: float, action: Action) -> None:
        self._planned += 1
        heapq.heappush(self._queue, (when if when > self.now else self.now, self._planned, action))

    def after(self, delay_s: float, action: Action) -> None:
        self.at(self.now + delay_s, action)

    def next_at(self) -> float | None:
        """When something happens next."""
        return self._queue[0][0] if self._queue else None

    def run_until(self, end: float) -> None:
        """Everything up to and including `end` happens."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= end:
            self.now, _, action = pop(queue)
            action()
        self.now = end

    def note(self, what: bytes) -> None:
        """Makes `what`, and the time, part of the digest."""
        self._hash.update(b"%r" % self.now)
        self._hash.update(what)

    def digest(self) -> str:
        return self._hash.hexdigest()
