from __future__ import annotations

import os
import subprocess
import sys

import pytest

from duravip.runtime.priority import NICENESS

ASK = """
import os, threading
from duravip.runtime.priority import come_first
{before}
def say():
    print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, sep=",")
go = threading.Event()
early = threading.Thread(target=lambda: (go.wait(), say()))
early.start()
come_first()
say()
thread = threading.Thread(target=say)
thread.start()
thread.join()
go.set()
early.join()
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")


def asked(before: str = "") -> list[tuple[int, int, int]]:
    """Niceness, scheduling policy and real-time priority: of the thread that asks, one started then, and one that
    runs already."""
    said = subprocess.run([sys.executable, "-c", ASK.format(before=before)], capture_output=True, text=True, check=True)
    assert not said.stderr
    return [
        (int(n), int(policy), int(priority)) for n, policy, priority in (row.split(",") for row in said.stdout.split())
    ]


@as_root
def test_a_daemon_goes_before_others_and_its_event_loop_before_its_threads() -> None:
    assert asked() == [(NICENESS, os.SCHED_RR, 2), (NICENESS, os.SCHED_RR, 1), (os.nice(0), os.SCHED_RR, 2)]


@as_root
def test_where_there_is_no_real_time_a_daemon_is_the_least_nice() -> None:
    """As in a container whose cgroup has no share of it."""
    refuse = "def refuse(*_): raise PermissionError\nos.sched_setscheduler = refuse"
    assert asked(refuse) == [*[(NICENESS, os.SCHED_OTHER, 0)] * 2, (os.nice(0), os.SCHED_OTHER, 0)]


@as_root
def test_real_time_priority_that_was_given_from_outside_is_kept() -> None:
    given = "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(7))"
    assert asked(given) == [(os.nice(0), os.SCHED_FIFO, 7)] * 3


@as_root
def test_who_may_not_go_before_others_runs_all_the_same() -> None:
    assert asked("os.setgid(65534); os.setuid(65534)") == [(os.nice(0), os.SCHED_OTHER, 0)] * 3
