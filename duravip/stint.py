"""How long one thing may keep the event loop before others have their turn.

Rules of this file: nothing here waits. Whoever has a stint looks whether it is over, and gives way by itself.

Theory of operation. A number of packets, rows or frames is no bound. Each system call lets another thread take the
interpreter when one wants it, and to get it back takes half a millisecond (`runtime.daemon.SWITCH_INTERVAL_S`): to read
some notices of the kernel's has taken 6 ms, 1 of them work, while a thread was removing addresses. So what is done many
times is ended by the clock.
"""

from __future__ import annotations

import time

LONG_S = 0.001


class Stint:
    """Begins when it is made."""

    __slots__ = ("_ends_at",)

    def __init__(self) -> None:
        self._ends_at = time.monotonic() + LONG_S

    def is_over(self) -> bool:
        """Whether it has lasted LONG_S."""
        return time.monotonic() >= self._ends_at
