from __future__ import annotations

import os
import subprocess
import sys

import pytest

from duravip.runtime.priority import NICENESS

ASK = """
import os
from duravip.runtime.priority import come_first, in_background
{before}
come_first()
def say():
    print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0))
{then}
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")


def asked(before: str = "", then: str = "say()") -> list[tuple[int, int]]:
    """Niceness and scheduling policy, as often as they are said."""
    script = ASK.format(before=before, then=then)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not said.stderr
    return [(int(niceness), int(policy)) for niceness, policy in map(str.split, said.stdout.splitlines())]


@as_root
def test_a_daemon_goes_before_others() -> None:
    assert asked() == [(NICENESS, os.SCHED_RR)]


@as_root
def test_where_there_is_no_real_time_a_daemon_is_the_least_nice() -> None:
    """As in a container whose cgroup has no share of it."""
    refuse = "def refuse(*_): raise PermissionError\nos.sched_setscheduler = refuse"
    assert asked(refuse, "in_background(say)") == [(NICENESS, os.SCHED_OTHER)]


@as_root
def test_what_is_done_in_the_background_takes_its_turn_with_others() -> None:
    assert asked(then="in_background(say)\nsay()") == [(NICENESS, os.SCHED_OTHER), (NICENESS, os.SCHED_RR)]


@as_root
def test_a_job_in_the_background_that_fails_leaves_the_priority_as_it_was() -> None:
    then = "try:\n    in_background(int, 'x')\nexcept ValueError:\n    say()"
    assert asked(then=then) == [(NICENESS, os.SCHED_RR)]


@as_root
def test_real_time_priority_that_was_given_from_outside_is_kept() -> None:
    assert asked("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(7))") == [(os.nice(0), os.SCHED_FIFO)]


@as_root
def test_who_may_not_go_before_others_runs_all_the_same() -> None:
    assert asked("os.setgid(65534); os.setuid(65534)") == [(os.nice(0), os.SCHED_OTHER)]
