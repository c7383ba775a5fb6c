"""The alarm: a process that sleeps past it is ended by the kernel."""

from __future__ import annotations

import math
import signal
import subprocess
import sys

from duravip.runtime.alarm import Alarm


class Timer:
    """A clock that goes on by what `held_up` says each time that it is read."""

    def __init__(self, *held_up: float) -> None:
        self.now = 100.0
        self.held_up = list(held_up)
        self.set: list[float] = []

    def clock(self) -> float:
        self.now += self.held_up.pop(0) if self.held_up else 0.0
        return self.now


def test_it_is_set_for_what_is_left_and_infinity_ends_it() -> None:
    timer = Timer()
    alarm = Alarm(clock=timer.clock, set_timer=timer.set.append)
    alarm.arm(math.inf)
    assert timer.set == []
    alarm.arm(101.5)
    alarm.arm(102.0)
    alarm.arm(math.inf)
    alarm.disarm()
    assert timer.set == [1.5, 2.0, 0.0]


def test_what_is_over_already_rings_at_once() -> None:
    timer = Timer()
    Alarm(clock=timer.clock, set_timer=timer.set.append).arm(99.0)
    assert timer.set == [1e-6]


def test_one_who_was_held_up_while_setting_it_sets_it_again() -> None:
    timer = Timer(0.0, 0.5)
    Alarm(clock=timer.clock, set_timer=timer.set.append).arm(101.0)
    assert timer.set == [1.0, 0.5]


def test_a_process_that_sleeps_past_it_is_ended_by_the_kernel_even_if_its_parent_had_the_signal_blocked() -> None:
    program = """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
signal.signal(signal.SIGALRM, signal.SIG_IGN)
from duravip.runtime.alarm import Alarm
Alarm(clock=time.monotonic).arm(time.monotonic() + 0.01)
while True:
    time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert ended.returncode == -signal.SIGALRM
