"""Two thousand random schedules break no promise; the same seed is the same run; deliberate bugs are found.

To look at one: `python -m duravip.sim --seeds SEED --trace`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from duravip.sim.bugs import BUGS
from duravip.sim.run import run_schedule
from tests.sim.elsewhere import schedules

pytestmark = pytest.mark.long

SCHEDULES = int(os.environ.get("DURAVIP_SCHEDULES", "2000"))

# The first seed in which each deliberate bug is found, and the rules one of which must find it.
FOUND_AT = {
    "no-release-before-a-move": (0, {"S1"}),
    "merge-forgets-claims": (0, {"S1"}),
    "broken-stays": (4, {"S2"}),
    "ignores-epochs": (21, {"S1", "L1", "L2"}),
    "election-by-arrival": (0, {"L2"}),
    "old-leave": (29, {"L1", "L2"}),
    "renewal-after-a-stall": (2, {"S3"}),
    "accusation-after-a-stall": (101, {"L5"}),
    "replayed-heartbeat": (20, {"L1", "L2", "L6"}),
    "no-balance": (1, {"L4"}),
    "leave-too-soon": (1, {"S3"}),
    "older-view": (21, {"S1"}),
    "late-release": (31, {"S1"}),
    "reload-too-early": (116, {"S2"}),
    "last-message-lost": (497, {"L2"}),
}


def test_no_schedule_breaks_a_promise(tmp_path: Path) -> None:
    outcomes = schedules(SCHEDULES, ownership="available", folder=tmp_path)
    assert len(outcomes) == SCHEDULES
    broken = [str(outcome) for outcome in outcomes if outcome.violations]
    assert not broken, "\n".join([f"{len(broken)} schedules:", *broken[:10]])
    assert sum(outcome.views for outcome in outcomes) > 5 * SCHEDULES, "the schedules have become tame"
    assert sum(outcome.orders for outcome in outcomes) > 20 * SCHEDULES, "the schedules have become tame"


def test_the_same_seed_is_the_same_run_whatever_the_hash_seed_and_another_seed_is_another() -> None:
    program = "from duravip.sim.run import run_schedule\nfor seed in (1, 3): print(run_schedule(seed).digest)"
    here = [run_schedule(seed).digest for seed in (1, 3)]
    assert here[0] != here[1]
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == here


def test_every_deliberate_bug_is_replayed_and_was_found_within_the_schedules_of_ci() -> None:
    assert set(FOUND_AT) == set(BUGS)
    assert all(seed < 2000 for seed, _ in FOUND_AT.values())


@pytest.mark.parametrize("bug", FOUND_AT)
def test_a_deliberate_bug_is_found_under_its_seed(bug: str) -> None:
    """Should the core's behaviour have shifted: `python -m duravip.sim --bug BUG --seeds 0-1999` finds it elsewhere."""
    seed, rules = FOUND_AT[bug]
    found = rules & {violation.rule for violation in run_schedule(seed, bug=bug).violations}
    assert found
    assert not found & {violation.rule for violation in run_schedule(seed).violations}
