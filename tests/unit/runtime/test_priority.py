from __future__ import annotations

import os
import subprocess
import sys

import pytest

from duravip.runtime.priority import NICENESS

ASK = """
import os
from duravip.runtime.priority import come_first
{before}
come_first()
print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0))
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")


def asked(before: str = "") -> tuple[int, int]:
    """Niceness and scheduling policy."""
    said = subprocess.run([sys.executable, "-c", ASK.format(before=before)], capture_output=True, text=True, check=True)
    assert not said.stderr
    niceness, policy = said.stdout.split()
    return int(niceness), int(policy)


@as_root
def test_a_daemon_goes_before_others() -> None:
    assert asked() == (NICENESS, os.SCHED_RR)


@as_root
def test_where_there_is_no_real_time_a_daemon_is_the_least_nice() -> None:
    """As in a container whose cgroup has no share of it."""
    refuse = "def refuse(*_): raise PermissionError\nos.sched_setscheduler = refuse"
    assert asked(refuse) == (NICENESS, os.SCHED_OTHER)


@as_root
def test_real_time_priority_that_was_given_from_outside_is_kept() -> None:
    assert asked("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(7))") == (os.nice(0), os.SCHED_FIFO)


@as_root
def test_who_may_not_go_before_others_runs_all_the_same() -> None:
    assert asked("os.setgid(65534); os.setuid(65534)") == (os.nice(0), os.SCHED_OTHER)
