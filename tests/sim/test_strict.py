"""Under strict ownership no schedule has two holders at any instant, and each deliberate bug is found.

To look at one: `python -m duravip.sim --ownership strict --seeds SEED --trace`.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from duravip.cluster.inputs import PacketHeard
from duravip.cluster.messages import Promise, Propose, Report
from duravip.model import NodeName, Settings, ViewId, make_table
from duravip.sim.outcome import Outcome
from duravip.sim.rehearsal import rehearse
from duravip.sim.run import run_schedule
from duravip.sim.setup import Setup
from duravip.sim.strict_bugs import STRICT_BUGS
from duravip.testing.situation import VIPS, Situation, entry
from tests.bench import simulator as bench
from tests.sim.elsewhere import schedules

SCHEDULES = int(os.environ.get("DURAVIP_SCHEDULES", "2000")) // 10
FEW = 6
NAMES = (NodeName("a"), NodeName("b"), NodeName("c"))

strictly = partial(run_schedule, ownership="strict")

# The first seed in which each deliberate bug is found.
FOUND_AT = {
    "strict-minority-owns": 0,
    "strict-no-alarm": 25,
    "strict-no-waiting-out": 0,
    "strict-mandate-from-the-answer": 72,
    "strict-waiting-for-the-alarm-alone": 1,
}


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
    plain = bench.overlapping()
    settings = structs.replace(
        bench.SETTINGS, ownership="strict", members=plain.names(), address_lifetime=18.0, view_mature_time=2.0
    )
    tables = {node.name: structs.replace(node.table, settings=settings) for node in plain.nodes}
    cluster = Setup(nodes=tuple(replace(node, table=tables[node.name]) for node in plain.nodes))
    for seed in range(FEW):
        assert rehearse(seed, setup=cluster).violations == ()


def test_who_has_promised_the_next_view_hands_nothing_over_in_this_one() -> None:
    """A member that is not in the next view would take it, and one that is was told that its holder has it. The soak
    found it (seed 24643)."""
    settings = Settings(view_mature_time=2.0, ownership="strict", members=NAMES, address_lifetime=2.0)
    situation = Situation(*NAMES, tables={name: make_table(map(entry, VIPS), settings) for name in NAMES}).booted()
    a, b, c = NAMES
    vip = next(vip for vip in VIPS if situation.holders(vip) == [c])
    process, network = situation[c].process, situation.world.network
    assert process is not None
    view = process.node.view
    assert view is not None
    held_up: list[tuple[NodeName, bytes]] = []
    send = network.send
    network.send = lambda source, datagram: held_up.append((source, datagram))  # type: ignore[method-assign]
    situation[a].move(vip, b)
    situation.run(0.005)
    network.send = send  # type: ignore[method-assign]
    coordinator = view.members[0]
    without_b = Propose(
        view=ViewId(view.id.epoch + 1, coordinator.name, coordinator.incarnation),
        members=(coordinator, process.link.me),
    )
    began = situation.now
    process.feed(PacketHeard(sender=coordinator, messages=(without_b,), path="multicast"))
    for source, datagram in held_up:
        send(source, datagram)
    situation.until(lambda: situation.holders(vip) == [], 0.05)
    situation.until(lambda: situation.holders(vip) == [b], 1.0)
    after = [(who, message) for at, who, message in situation.diary.said if at >= began]
    assert [type(message) for who, message in after if who == c][:1] == [Promise]
    assert not [message for _, message in after if isinstance(message, Report) and message.view == view.id]
    situation.mend()


@pytest.mark.long
def test_no_schedule_has_two_holders(tmp_path: Path) -> None:
    outcomes = schedules(SCHEDULES, ownership="strict", folder=tmp_path)
    assert len(outcomes) == SCHEDULES
    assert not overlaps(outcomes)
    assert sum(outcome.orders for outcome in outcomes) > 20 * SCHEDULES, "the schedules have become tame"


@pytest.mark.long
@pytest.mark.parametrize("bug", sorted(STRICT_BUGS))
def test_a_deliberate_bug_is_found_under_its_seed(bug: str) -> None:
    assert overlaps([strictly(FOUND_AT[bug], bug=bug)])
