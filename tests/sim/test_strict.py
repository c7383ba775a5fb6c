"""Under strict ownership no schedule has two holders at any instant, and each deliberate bug is found.

To look at one: `python -m duravip.sim --ownership strict --seeds SEED --trace`.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import pytest
from msgspec import structs

from duravip.sim.outcome import Outcome
from duravip.sim.parallel import spread
from duravip.sim.rehearsal import rehearse
from duravip.sim.run import run_schedule
from duravip.sim.setup import Setup
from duravip.sim.strict_bugs import STRICT_BUGS
from tests.bench import simulator as bench

SCHEDULES = int(os.environ.get("DURAVIP_SCHEDULES", "2000")) // 10
FEW = 6
SEEDS_TRIED = 60

strictly = partial(run_schedule, ownership="strict")

# The first seed in which each deliberate bug is found.
FOUND_AT = {**dict.fromkeys(STRICT_BUGS, 0), "strict-mandate-from-the-answer": 67, "strict-no-alarm": 25}


def overlaps(outcomes: Iterable[Outcome]) -> list[str]:
    return [str(outcome) for outcome in outcomes if "S4" in {violation.rule for violation in outcome.violations}]


def test_a_few_schedules_never_have_two_holders() -> None:
    """S4: two nodes never hold a VIP at once, whatever messages are lost or delayed, however processes are paused or
    killed, however the network is cut, given clock rates within 2 %."""
    outcomes = list(map(strictly, range(FEW)))
    assert not overlaps(outcomes)
    assert sum(outcome.orders for outcome in outcomes) > 20 * FEW, "the schedules have become tame"


def test_a_users_cluster_that_owns_strictly_breaks_no_promise_when_rehearsed() -> None:
    """As `duravip rehearse` has it: overlapping memberships, preferences and a follower."""
    plain = bench.setup()
    settings = structs.replace(
        bench.SETTINGS, ownership="strict", members=plain.names(), address_lifetime=18.0, view_mature_time=2.0
    )
    tables = {node.name: structs.replace(node.table, settings=settings) for node in plain.nodes}
    cluster = Setup(nodes=tuple(replace(node, table=tables[node.name]) for node in plain.nodes))
    for seed in range(FEW):
        assert rehearse(seed, setup=cluster).violations == ()


@pytest.mark.long
def test_no_schedule_has_two_holders() -> None:
    outcomes = list(spread(strictly, range(SCHEDULES), len(os.sched_getaffinity(0))))
    assert not overlaps(outcomes)
    assert sum(outcome.orders for outcome in outcomes) > 20 * SCHEDULES, "the schedules have become tame"


@pytest.mark.long
@pytest.mark.parametrize("bug", sorted(STRICT_BUGS))
def test_a_deliberate_bug_is_found(bug: str) -> None:
    first = FOUND_AT[bug]
    assert any(overlaps([strictly(seed, bug=bug)]) for seed in range(first, first + SEEDS_TRIED)), bug
