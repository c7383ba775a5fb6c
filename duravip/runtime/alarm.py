"""The alarm that ends this process, should it sleep past its mandate: ITIMER_REAL, with the signal's default action.

Rules of this file
- It is set by the kernel's own clock, and rings whatever the process does: held up, stopped, in a system call. A
  stopped process gets the signal before its next instruction.
- Whoever is interrupted between reading the clock and setting the timer would set it too late: then it is set again.

Sources: setitimer(2), signal(7); `docs/explanation/design/0002-strict-ownership.md`.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable

import trio

LATENESS_S = 0.04  # of the alarm, at most: with the timer's own, under `cluster.charter.ALARM_S`
LEAST_S = 1e-6  # 0 would disarm it


def _set_timer(after_s: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, after_s)


class Alarm:
    """`clock` is what the machine's times are of."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = trio.current_time,
        set_timer: Callable[[float], object] = _set_timer,
    ) -> None:
        self._clock = clock
        self._set_timer = set_timer
        self._is_armed = False

    def arm(self, at: float) -> None:
        """Infinity: it does not ring."""
        if at == math.inf:
            self.disarm()
            return
        if not self._is_armed:
            self._is_armed = True
            _let_it_kill()
        while True:
            before = self._clock()
            self._set_timer(max(at - before, LEAST_S))
            if self._clock() - before < LATENESS_S:
                return

    def disarm(self) -> None:
        if self._is_armed:
            self._is_armed = False
            self._set_timer(0.0)


def _let_it_kill() -> None:
    """Whoever started this process may have had the signal ignored or blocked."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
