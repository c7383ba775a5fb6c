"""Two thousand random schedules break no promise; the same seed is the same run; deliberate bugs are found.

To look at one: `python -m duravip.sim --seeds SEED --trace`.
"""

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from duravip.sim.bugs import BUGS
from duravip.sim.run import run_schedule

pytestmark = pytest.mark.long

SCHEDULES = int(os.environ.get("DURAVIP_SCHEDULES", "2000"))
CORES = len(os.sched_getaffinity(0))

# Where each deliberate bug was found, and by which rule.
FOUND_AT = {
    "no-release-before-a-move": (1, "S1"),
    "merge-forgets-claims": (3, "S1"),
    "broken-stays": (0, "S2"),
    "older-view": (67, "S1"),
}
SEEDS_TRIED = 200  # from there on, should the core's behaviour have shifted


def test_no_schedule_breaks_a_promise() -> None:
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        outcomes = list(pool.map(run_schedule, range(SCHEDULES), chunksize=5))
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


def test_every_deliberate_bug_is_replayed() -> None:
    assert set(FOUND_AT) == set(BUGS)


@pytest.mark.parametrize("bug", FOUND_AT)
def test_a_deliberate_bug_is_found(bug: str) -> None:
    first, rule = FOUND_AT[bug]
    for outcome in map(partial(run_schedule, bug=bug), range(first, first + SEEDS_TRIED)):
        if rule in {violation.rule for violation in outcome.violations}:
            assert rule not in {violation.rule for violation in run_schedule(outcome.seed).violations}
            return
    pytest.fail(f"nobody noticed {bug} in {SEEDS_TRIED} schedules")
