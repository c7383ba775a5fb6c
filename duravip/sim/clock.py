"""Virtual time, the queue of what happens next, reproducible chance, and a digest of all that happened; and the clock
of one machine, which is another one's only nearly.

Rules of this file: nothing reads a real clock or the system's randomness. What is planned for the same time happens
in the order it was planned.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable
from functools import partial
from typing import Final

Action = Callable[[], None]
NOTES_AT_ONCE: Final = 512  # are made part of the digest
_STAMP: Final = struct.Struct("<d")


class Clock:
    """`now` is virtual seconds since the start."""

    def __init__(self, seed: int | str) -> None:
        self.now = 0.0
        self.seed = seed
        # As long as there are some hundreds, quicker than a heap: numbers compare faster than tuples, and nothing is
        # compared to take one out.
        self._due: list[float] = []  # the times, negated, in ascending order: what happens next is last
        self._actions: list[Action] = []  # likewise
        self._hash = hashlib.blake2b(digest_size=16)
        self._noted: list[bytes] = []
        self._stamped_at = self.now
        self._stamp = _STAMP.pack(self.now)

    def random(self, purpose: str) -> random.Random:
        """A source of chance of its own, so that one part's use of it does not shift another's."""
        return random.Random(f"{self.seed}/{purpose}")  # noqa: S311 (reproducible is the point)

    def at(self, when: float, action: Action) -> None:
        due = -when if when > self.now else -self.now
        planned, place, end = self._due, 0, len(self._due)
        while place < end:  # as `bisect_left`: compiled, in a quarter of its instructions
            middle = (place + end) // 2
            if planned[middle] < due:
                place = middle + 1
            else:
                end = middle
        planned.insert(place, due)
        self._actions.insert(place, action)

    def lasting(self, shown_s: float) -> float:
        """As `MachineClock.lasting`."""
        return shown_s

    def after(self, delay_s: float, action: Action) -> None:
        self.at(self.now + delay_s, action)

    def next_at(self) -> float | None:
        """When something happens next."""
        return -self._due[-1] if self._due else None

    def run_until(self, end: float) -> None:
        """Everything up to and including `end` happens."""
        due, actions = self._due, self._actions
        while due and due[-1] >= -end:
            self.now = -due.pop()
            actions.pop()()
        self.now = end

    def stop(self) -> None:
        """Nothing of what is planned happens any more."""
        self._due.clear()
        self._actions.clear()

    def note(self, what: bytes) -> None:
        """Makes `what`, and the time, part of the digest."""
        if self.now != self._stamped_at:
            self._stamped_at, self._stamp = self.now, _STAMP.pack(self.now)
        self._noted.append(self._stamp)
        self._noted.append(what)
        if len(self._noted) >= NOTES_AT_ONCE:
            self._hash_notes()

    def _hash_notes(self) -> None:
        self._hash.update(b"".join(self._noted))
        self._noted.clear()

    def digest(self) -> str:
        self._hash_notes()
        return self._hash.hexdigest()


class MachineClock:
    """A machine's monotonic clock and its kernel's timers: another offset and a slightly other rate than the world's,
    and both stand still while the machine is suspended."""

    def __init__(self, clock: Clock, *, offset: float, rate: float) -> None:
        self._clock = clock
        self._offset = offset
        self._rate = rate
        self._slept_s = 0.0  # the world's seconds, in all earlier suspensions
        self._suspended_at: float | None = None
        self._held_up: list[tuple[float, Action]] = []  # when, of the timers that would have rung meanwhile

    def now(self) -> float:
        """What it shows."""
        at = self._clock.now if self._suspended_at is None else self._suspended_at
        return self._offset + (at - self._slept_s) * self._rate

    def when(self, shown: float) -> float:
        """The world's time at which it will show that, unless the machine is suspended before; now, if it did."""
        return max(self._clock.now, (shown - self._offset) / self._rate + self._slept_s)

    def lasting(self, shown_s: float) -> float:
        """How long it lasts, in the world's seconds, until it has gone on by so much."""
        return shown_s / self._rate

    def after(self, delay_s: float, action: Action) -> None:
        """One of the kernel's timers."""
        self._clock.after(delay_s, partial(self._ring, action, self._slept_s))

    def _ring(self, action: Action, slept_s: float) -> None:
        if self._suspended_at is not None:
            self._held_up.append((self._clock.now + self._slept_s - slept_s, action))
        elif slept_s < self._slept_s:  # it was suspended since this timer was set
            self.after(self._slept_s - slept_s, action)
        else:
            action()

    @property
    def suspended(self) -> bool:
        return self._suspended_at is not None

    def suspend(self) -> None:
        """From now on everything stands still."""
        if self._suspended_at is None:
            self._suspended_at = self._clock.now

    def resume(self) -> float:
        """Goes on where it was; returns for how long it stood still."""
        if self._suspended_at is None:
            return 0.0
        began, self._suspended_at = self._suspended_at, None
        slept_s = self._clock.now - began
        self._slept_s += slept_s
        held_up, self._held_up = self._held_up, []
        for at, action in held_up:
            self.after(max(0.0, at - began), action)
        return slept_s
