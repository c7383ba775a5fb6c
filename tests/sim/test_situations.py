"""Bad moments, one by one, in the simulated world: each named by the rule that it tries.

Heartbeats every 0.1 s, failure_timeout 0.35 s, maturity after 2 s, fair network, well-behaved kernels.
"""

from __future__ import annotations

import msgspec
import pytest

from duravip.cluster.delivery import Delivery
from duravip.cluster.effects import Deliberate, Effect, Publish, ReleaseAddress, Send, TakeAddress
from duravip.cluster.election import HANDOVERS_AT_ONCE
from duravip.cluster.inputs import AnnounceRequested, Input, MoveRequested, PacketHeard, Ticked
from duravip.cluster.messages import (
    Assigned,
    DrainAsked,
    Heartbeat,
    Leave,
    Numbered,
    Propose,
    Report,
    TableChosen,
    TableChunk,
)
from duravip.cluster.node import Node
from duravip.cluster.parameters import MANY_VIPS
from duravip.cluster.tenure import TAKEN_AT_ONCE
from duravip.events import Disagreement, Expelled, NameTaken, NodeSuspected, OwnerElected, Stalled, ViewInstalled
from duravip.model import Address, Flag, NodeName, Settings, canonical_address
from duravip.sim.host import Host
from duravip.sim.network import Weather
from duravip.sim.world import World
from duravip.testing.situation import VIPS, Situation, entry, table


def test_l1_the_vips_of_a_node_that_dies_are_held_again_within_detection_and_two_round_trips() -> None:
    situation = Situation("a", "b", "c").booted()
    situation["c"].crash()
    situation["c"].kernel.present.clear()
    assert situation.until(situation.all_held_once, 1.0) <= 0.35
    situation.mend()


def test_l5_a_node_that_dies_moves_only_its_own_vips() -> None:
    situation = Situation("a", "b", "c").booted()
    before = {vip: situation.holders(vip) for vip in VIPS}
    situation["b"].crash()
    situation["b"].kernel.present.clear()
    situation.run(1.5)
    assert all(situation.holders(vip) == before[vip] for vip in VIPS if before[vip] != ["b"])


def test_l6_one_cause_makes_one_view_even_when_three_of_seven_die_together() -> None:
    situation = Situation(*"abcdefg").booted()
    before = situation.now
    for name in "ceg":
        situation[name].crash()
        situation[name].kernel.present.clear()
    situation.run(3.0)
    views = {event.members for who, event in situation.seen(ViewInstalled, before) if who == "a"}
    assert views == {("a", "b", "d", "f")}


def test_the_coordinators_death_is_survived_like_any_other() -> None:
    situation = Situation("a", "b", "c").booted()
    situation["a"].crash()
    situation["a"].kernel.present.clear()
    assert situation.until(situation.all_held_once, 1.0) <= 0.4
    situation.mend()


def test_rule_9_after_a_stall_a_node_holds_nothing_until_a_view_and_accuses_nobody() -> None:
    situation = Situation("a", "b", "c").booted()
    situation["c"].freeze()
    situation.run(2.0)
    thawed = situation.now
    situation["c"].thaw()
    situation.run(0.001)
    assert ("c", "membership.stalled") in [(who, event.id) for who, event in situation.seen(Stalled, thawed)]
    taken = situation.until(situation.all_held_once, 1.0)
    assert taken < 0.2
    assert [who for who, _ in situation.seen(NodeSuspected, thawed) if who == "c"] == []
    situation.mend()


def test_rule_9_a_node_that_was_stopped_and_hears_nobody_lets_go_before_it_has_a_view_of_its_own() -> None:
    situation = Situation("a", "b", "c").booted()
    situation["c"].freeze()
    situation.run(2.0)
    situation.world.network.split([["a", "b"], ["c"]])
    thawed = situation.now
    situation["c"].thaw()
    assert situation["c"].kernel.present
    situation.until(lambda: not situation["c"].kernel.present, 0.1)
    assert situation.seen(ViewInstalled, thawed) == []
    situation.mend()


def test_rule_9_a_node_that_was_stopped_and_whose_machine_slept_beside_has_been_away_for_both() -> None:
    """Found by random schedules: neither was as long as the failure time-out, and the node went on in a view that had
    gone on without it."""
    situation = Situation("a", "b", "c").booted()
    situation["c"].freeze()
    situation.run(0.22)
    situation["c"].suspend()
    situation["c"].thaw()  # when the machine runs again
    situation.run(0.22)
    view = situation["a"].node.view  # type: ignore[union-attr]
    assert view is not None
    assert [member.name for member in view.members] == ["a", "b"]
    awake = situation.now
    situation["c"].resume()
    assert [who for who, _ in situation.seen(Stalled, awake)] == ["c"]
    situation.until(lambda: not situation["c"].kernel.present, 0.1)
    situation.mend()


def test_rule_9_when_all_were_stopped_at_once_nobody_takes_everything() -> None:
    situation = Situation("a", "b", "c").booted()
    for host in situation.world.hosts.values():
        host.freeze()
    situation.run(2.0)
    for host in situation.world.hosts.values():
        host.thaw()
    for _ in range(300):
        situation.run(0.001)
        assert all(len(situation.holders(vip)) <= 1 for vip in VIPS)
    situation.mend()


def test_rule_9_a_frozen_node_loses_its_addresses_when_their_lifetime_ends_and_does_not_put_them_back() -> None:
    situation = Situation("a", "b", "c").booted()
    had = set(situation["c"].kernel.present)
    assert had
    situation["c"].freeze()
    situation.run(6.5)  # two thirds of the lifetime: it was renewed at most a third of it before
    assert situation["c"].kernel.present == had
    situation.run(6.0)
    assert situation["c"].kernel.present == set()
    assert all(situation.holders(vip) for vip in VIPS)
    situation["c"].thaw()
    situation.until(lambda: situation["c"].kernel.present != set(), 15.0)
    situation.mend()


def test_a_node_that_runs_on_before_the_lifetime_ended_renews_nothing_until_it_is_in_a_view_again() -> None:
    situation = Situation("a", "b", "c").booted()
    situation["c"].freeze()
    situation.run(9.0)
    thawed = situation.now
    situation["c"].thaw()
    situation.until(lambda: bool(situation.seen(ViewInstalled, thawed)), 2.0)
    assert [at for at, who in situation.diary.renewed if who == "c" and at >= thawed] == []
    situation.mend()
    assert situation.diary.renewed[-1][0] > thawed + 4.0


def test_an_order_to_take_is_good_for_a_failure_time_out_and_no_longer() -> None:
    situation = Situation("a", "b", "c").booted()
    assert {address for address, _ in situation.diary.taken} == set(VIPS)
    assert [good_for_s for _, good_for_s in situation.diary.taken] == [pytest.approx(0.35, abs=0.01)] * len(VIPS)


def test_the_coordinators_lifetime_is_in_force_for_all_and_0_is_for_ever() -> None:
    mortal, immortal = table(), msgspec.structs.replace(table(), settings=Settings(address_lifetime=0.0))
    situation = Situation("a", "b", "c", tables={"a": immortal, "b": mortal, "c": mortal})
    situation.start()
    situation.run(20.0)
    assert all(situation.holders(vip) for vip in VIPS)
    assert situation.diary.renewed == []
    had = set(situation["c"].kernel.present)
    situation["c"].freeze()
    situation.run(20.0)
    assert situation["c"].kernel.present == had != set()


def test_rule_9_what_was_known_of_links_before_a_stall_counts_no_more_after_it() -> None:
    situation = Situation("a", "b", "c").booted()
    situation.world.network.split([["a", "b"], ["c"]])
    situation.run(0.2)
    situation["c"].freeze()
    situation.run(1.0)
    situation.world.network.heal()
    situation.run(2.0)
    old = set(situation["c"].kernel.present)
    situation["c"].thaw()
    for _ in range(300):
        situation.run(0.001)
        assert situation["c"].kernel.present <= old, "it takes nothing"
        old &= situation["c"].kernel.present
    assert not old, "and lets go of what it had"
    situation.mend()


def test_a_merge_has_one_owner_again_within_two_heartbeats_and_the_winner_announces_again() -> None:
    situation = Situation("a", "b", "c").booted()
    situation.world.network.split([["a"], ["b", "c"]])
    situation.run(2.0)
    assert all(len(situation.holders(vip)) == 2 for vip in VIPS)
    kept = {vip: next(h for h in situation.holders(vip) if h != "a") for vip in VIPS}
    healed = situation.now
    situation.world.network.heal()
    gone: dict[Address, float] = {}

    def the_loser_has_let_go() -> bool:
        gone.update({vip: situation.now for vip in VIPS if vip not in gone and "a" not in situation.holders(vip)})
        return len(gone) == len(VIPS)

    assert situation.until(the_loser_has_let_go, 1.0) <= 0.2
    situation.run(0.1)
    assert {vip: situation.holders(vip)[0] for vip in VIPS} == kept, "the side with more members keeps them"
    for vip in VIPS:
        said = [at - healed for at, who, address in situation.diary.announced if (who, address) == (kept[vip], vip)]
        assert max(said) >= gone[vip] - healed - 0.001, "when the rival had gone, not only when that was decided"
    situation.mend()


def test_rule_7_of_two_that_do_not_hear_each_other_one_stays_out_and_nothing_is_held_twice() -> None:
    situation = Situation("a", "b", "c").booted()
    situation.world.network.cut(NodeName("b"), NodeName("c"))
    situation.world.network.cut(NodeName("c"), NodeName("b"))
    situation.run(3.0)
    assert situation["a"].node is not None
    assert situation["a"].node.view is not None
    assert situation["a"].node.view.names() == ("a", "b")
    assert situation.all_held_once()
    assert situation["c"].kernel.present == set()
    situation.mend()


def test_l6_a_node_that_is_heard_by_one_only_does_not_flap_the_view() -> None:
    situation = Situation("a", "b", "c").booted()
    situation.world.network.cut(NodeName("a"), NodeName("b"))
    situation.run(2.0)
    calm = situation.now
    situation.run(5.0)
    assert situation.seen(ViewInstalled, calm) == []
    assert situation.all_held_once()
    situation.mend()


def test_rule_8_a_deaf_nodes_vips_are_left_to_it_by_those_that_hear_it() -> None:
    situation = Situation("a", "b", "c").booted()
    for name in "ac":
        situation.world.network.cut(NodeName(name), NodeName("b"))
    situation.run(3.0)
    assert all(situation.holders(vip) == ["b"] for vip in VIPS)
    situation.mend()


def test_one_that_the_others_left_behind_lets_go_as_soon_as_it_hears_so() -> None:
    situation = Situation("a", "b", "c").booted()
    for name in "ab":
        situation.world.network.cut(NodeName("c"), NodeName(name))  # c hears, and is not heard
    began = situation.now
    situation.run(1.0)
    expelled = [at - began for at, who, event in situation.diary.events if isinstance(event, Expelled) and who == "c"]
    assert expelled
    assert expelled[0] <= 0.5
    assert situation["c"].kernel.present == set()
    assert situation.all_held_once()
    situation.mend()


def test_a_planned_leave_hands_over_inside_the_view_before_it_says_leave() -> None:
    situation = Situation("a", "b", "c").booted()
    leaver = situation["b"]
    mine = set(leaver.kernel.present)
    assert mine
    began = situation.now
    leaver.leave()
    situation.until(lambda: not leaver.kernel.present, 1.0)
    gap = situation.until(situation.all_held_once, 1.0)
    assert gap < 0.02
    situation.run(0.1)
    leaves = [at for at, who, message in situation.diary.said if isinstance(message, Leave) and who == "b"]
    assert len(leaves) == 3
    assert max(leaves) - min(leaves) < 0.006
    proposals = [at for at, _, message in situation.diary.said if isinstance(message, Propose) and at >= began]
    assert min(proposals) > min(leaves)
    situation.mend()


def test_who_hears_of_the_view_that_its_leaving_makes_was_not_expelled_from_it() -> None:
    situation = Situation("a", "b").booted()
    situation.world.network.weather = Weather(delay_s=0.000_02)  # the new view is there before the last LEAVE is said
    began = situation.now
    situation["b"].leave()
    situation.run(0.5)
    leaves = [at for at, _, message in situation.diary.said if isinstance(message, Leave)]
    installed = [at for at, _, event in situation.diary.events if isinstance(event, ViewInstalled) and at >= began]
    assert installed[0] < max(leaves)
    assert situation.seen(Expelled, began) == []
    situation.mend()


def test_rule_10_a_restart_that_nobody_noticed_starts_clean_and_owns_nothing_before_its_time() -> None:
    situation = Situation("a", "b", "c").booted()
    situation["b"].crash()
    situation["b"].start()
    situation.run(1.0)
    assert situation["b"].kernel.present == set()
    assert situation.all_held_once()
    situation.run(6.0)
    assert situation["b"].kernel.present
    situation.mend()


def test_l3_a_preferred_owner_that_comes_back_gets_its_vip_when_the_view_is_mature_and_not_before() -> None:
    wants_c = table(*(entry(vip, preference="c") for vip in VIPS))
    situation = Situation("a", "b", "c", tables=dict.fromkeys("abc", wants_c)).booted()
    assert all(situation.holders(vip) == ["c"] for vip in VIPS)
    situation["c"].crash()
    situation["c"].kernel.present.clear()
    situation.run(3.0)
    situation["c"].start()
    situation.run(1.8)
    assert situation["c"].kernel.present == set()
    situation.run(3.0)
    assert all(situation.holders(vip) == ["c"] for vip in VIPS)
    situation.mend()


def test_a_binding_name_that_differs_on_a_joiner_takes_the_vip_off_everywhere_until_it_is_mended() -> None:
    odd = table(*(entry(vip, binding="other" if vip == VIPS[0] else "") for vip in VIPS))
    situation = Situation("a", "b", "c", tables={"c": odd})
    situation.start("a", "b")
    situation.run(4.0)
    assert len(situation.holders(VIPS[0])) == 1
    (holder,) = situation.holders(VIPS[0])
    situation.start("c")
    situation.until(lambda: not situation.holders(VIPS[0]), 2.0)
    for name in "abc":
        node = situation[name].node
        assert node is not None
    situation.run(6.0)
    assert situation.holders(VIPS[0]) == []
    node = situation["a"].node
    assert node is not None
    assert Flag.BROKEN in node.landscape.flags[VIPS[0]]
    situation["c"].leave()
    situation.run(0.5)
    assert situation.holders(VIPS[0]) == [holder], "the last holder counts as holder"


def test_a_node_alone_owns_its_table_under_hold_and_nothing_under_release() -> None:
    for policy, expected in (("hold", set(VIPS)), ("release", set())):
        situation = Situation("a", "b", on_isolation=policy).booted()
        situation.world.network.split([["a"], ["b"]])
        situation.run(3.0)
        assert situation["a"].kernel.present == expected
        situation.mend()


def test_a_boot_beside_it_does_not_delay_the_takeover_from_a_node_that_dies() -> None:
    situation = Situation("a", "b", "c")
    situation.start("b", "c")
    situation.run(4.0)
    situation["a"].start()
    situation.run(0.1)
    situation["c"].crash()
    situation["c"].kernel.present.clear()
    assert situation.until(situation.all_held_once, 1.0) <= 0.35


def test_of_two_daemons_with_one_name_the_one_with_the_smaller_incarnation_holds_nothing() -> None:
    situation = Situation("a", "b").booted()
    twin = World(2, observer=situation.diary)  # only its host is used, on the first world's network and clock
    twin.clock, twin.network = situation.world.clock, situation.world.network
    copy = twin.add_host(NodeName("a"), table(), heartbeat_interval_s=0.1, failure_timeout_s=0.35)
    # The network knows receivers by name: let both have what comes for "a".
    receivers = situation.world.network._receivers
    receivers[NodeName("a'")] = receivers[NodeName("a")]
    receivers[NodeName("a")] = situation["a"]._receive
    copy.network = _Renamed(situation.world.network)
    copy._starts = 7
    copy.start()
    situation.run(6.0)
    taken = situation.seen(NameTaken)
    assert taken
    old, new = situation["a"].kernel.present, copy.kernel.present
    assert not (old and new), "one of the two holds nothing"
    assert old | new | situation["b"].kernel.present == set(VIPS)


class _Renamed:
    """A network on which a host's own name is not its port's."""

    def __init__(self, network: object) -> None:
        self._network = network

    def send(self, source: NodeName, datagram: bytes) -> None:
        self._network.send(NodeName("a'"), datagram)  # type: ignore[attr-defined]


@pytest.mark.parametrize("loss", [0.01])
def test_one_percent_loss_makes_no_false_view_in_the_default_profile(loss: float) -> None:
    from duravip.sim.network import Weather

    situation = Situation("a", "b", "c").booted()
    situation.world.network.weather = Weather(loss=loss)
    began = situation.now
    situation.run(120.0)
    assert situation.seen(ViewInstalled, began) == []


def moved(situation: Situation, through: str, address: Address, node: str | None) -> None:
    process = situation[through].process
    assert process is not None
    process.feed(MoveRequested(address=address, node=NodeName(node) if node else None))


@pytest.mark.parametrize("through", ["a", "b"])
def test_a_move_asked_anywhere_is_done_without_two_holders_and_stays_against_balance(through: str) -> None:
    situation = Situation("a", "b", "c").booted()
    target = next(name for name in "abc" if situation.holders(VIPS[0]) != [name])
    moved(situation, through, VIPS[0], target)
    for _ in range(200):
        situation.run(0.001)
        assert len(situation.holders(VIPS[0])) <= 1
    assert situation.holders(VIPS[0]) == [target]
    situation.run(5.0)
    assert situation.holders(VIPS[0]) == [target]
    for host in situation.world.hosts.values():
        assert host.node is not None
        assert host.node.pins() == {VIPS[0]: target}  # type: ignore[attr-defined]
    situation.mend()


def test_a_pin_survives_the_coordinator_and_ends_with_its_node() -> None:
    situation = Situation("a", "b", "c").booted()
    moved(situation, "b", VIPS[0], "c")
    situation.run(1.0)
    situation["a"].crash()
    situation["a"].kernel.present.clear()
    situation.run(4.0)
    assert situation.holders(VIPS[0]) == ["c"]
    node = situation["b"].node
    assert node is not None
    assert node.pins() == {VIPS[0]: "c"}  # type: ignore[attr-defined]
    situation["c"].leave()
    situation.run(1.0)
    assert situation.holders(VIPS[0]) == ["b"]
    assert node.pins() == {}  # type: ignore[attr-defined]


def test_a_pin_that_is_taken_back_lets_the_preference_speak_again() -> None:
    wants_c = table(*(entry(vip, preference="c") for vip in VIPS))
    situation = Situation("a", "b", "c", tables=dict.fromkeys("abc", wants_c)).booted()
    moved(situation, "a", VIPS[0], "b")
    situation.run(0.5)
    assert situation.holders(VIPS[0]) == ["b"]
    moved(situation, "c", VIPS[0], None)
    situation.run(0.5)
    assert situation.holders(VIPS[0]) == ["c"]
    situation.mend()


def test_what_cannot_be_moved_is_refused_in_words_and_changes_nothing() -> None:
    situation = Situation("a", "b", "c").booted()
    node = situation["a"].node
    assert isinstance(node, Node)
    strange = canonical_address("198.51.100.1")
    assert node.why_not_move(strange, NodeName("b")) == "198.51.100.1 is in nobody's table"
    assert node.why_not_move(VIPS[0], NodeName("z")) == "z is no member of the view; its members are a, b, c"
    situation["b"].drain(True)
    situation.run(0.5)
    assert node.why_not_move(VIPS[0], NodeName("b")) == "b drained"
    before = situation.holders(VIPS[0])
    moved(situation, "a", VIPS[0], "b")
    situation.run(12.0)
    assert situation.holders(VIPS[0]) == before


def test_any_node_can_be_drained_through_any_other_until_it_is_asked_back() -> None:
    situation = Situation("a", "b", "c").booted()
    assert ["b"] in [situation.holders(vip) for vip in VIPS]
    situation["c"].ask_drain(NodeName("b"), drained=True, force=False)
    situation.until(lambda: situation["b"].drained and situation.all_held_once(), 1.0)
    situation.run(1.0)
    assert ["b"] not in [situation.holders(vip) for vip in VIPS]
    situation["c"].ask_drain(NodeName("b"), drained=False, force=True)
    situation.until(lambda: not situation["b"].drained, 1.0)
    situation.mend()
    assert ["b"] in [situation.holders(vip) for vip in VIPS]


def test_a_drain_that_was_numbered_and_did_not_reach_its_node_is_asked_again_in_the_next_view() -> None:
    situation = Situation("a", "b", "c").booted()
    situation.world.network.cut(NodeName("a"), NodeName("b"))
    situation["c"].ask_drain(NodeName("b"), drained=True, force=False)

    def is_numbered() -> bool:
        return any(isinstance(m, Numbered) and isinstance(m.body, DrainAsked) for _, _, m in situation.diary.said)

    situation.until(is_numbered, 0.1)
    situation.run(0.02)
    situation["a"].crash()
    situation.world.network.heal()
    situation.run(2.0)
    assert situation["b"].drained
    situation.mend()


def test_what_was_broken_while_its_last_holder_was_drained_is_held_at_once_when_it_is_mended() -> None:
    many = [canonical_address(f"198.51.100.{number}") for number in range(1, 251)]
    good, odd = (table(*(entry(vip, binding=binding) for vip in (*VIPS, *many))) for binding in ("one", "other"))
    situation = Situation("a", "b", tables={"a": good, "b": good}).booted()
    assert sum(situation.holders(vip) == ["b"] for vip in many) > 100
    situation["b"].reload(odd)
    situation.until(lambda: not any(situation.holders(vip) for vip in many), 1.0)
    situation["b"].drain(True)
    situation.run(0.5)
    situation["b"].reload(good)
    mended_at = situation.now
    situation.until(lambda: all(situation.holders(vip) == ["a"] for vip in many), 1.5)
    given = [
        (group.decision.owner, len(group.addresses))
        for at, _, said in situation.diary.said
        if at >= mended_at and isinstance(said, Numbered) and isinstance(said.body, Assigned)
        for group in said.body.groups
    ]
    assert {owner for owner, _ in given} == {"a"}, "nothing waits for a hand-over by who does not have it"
    assert sum(count for _, count in given) == len(many) + len(VIPS)
    situation.mend()


def test_announce_everywhere_makes_every_owner_announce() -> None:
    situation = Situation("a", "b", "c").booted()
    began = situation.now
    process = situation["c"].process
    assert process is not None
    process.feed(AnnounceRequested(everywhere=True))
    situation.run(0.5)
    said = {(who, address) for at, who, address in situation.diary.announced if at >= began}
    assert said == {(NodeName(situation.holders(vip)[0]), vip) for vip in VIPS}


def test_sixteen_removals_that_hang_keep_no_other_address_from_being_handed_over() -> None:
    """Hand-overs go sixteen at a time; a kernel that never answers to sixteen removals must not stop the rest."""
    many = [canonical_address(f"192.0.2.{number}") for number in range(1, 61)]
    whole = table(*(entry(vip, preference="a") for vip in many))
    situation = Situation("a", "b", tables=dict.fromkeys("ab", whole))
    situation.start()
    situation.until(lambda: all(situation.holders(vip) == ["a"] for vip in many), 10.0)
    situation.run(5.0)
    kernel = situation["a"].kernel
    stuck: set[Address] = set()
    carry_out = kernel.order

    def hang(order: TakeAddress | ReleaseAddress) -> None:
        if isinstance(order, ReleaseAddress) and (order.address in stuck or len(stuck) < HANDOVERS_AT_ONCE):
            stuck.add(order.address)
        else:
            carry_out(order)

    kernel.order = hang  # type: ignore[method-assign]
    situation["a"].drain(True)
    situation.until(lambda: all(situation.holders(vip) == ["b"] for vip in many if vip not in stuck), 3.0)
    assert len(stuck) == HANDOVERS_AT_ONCE
    assert all(situation.holders(vip) == ["a"] for vip in stuck), "nobody takes what has not been let go"
    assert situation.diary.violations == []


def test_a_drain_goes_on_where_it_was_when_a_view_changes_meanwhile() -> None:
    """The first election of a view may hand over too: it need not wait until the view is mature."""
    many = [canonical_address(f"192.0.2.{number}") for number in range(1, 61)]
    settings = Settings(view_mature_time=20.0, view_balance_interval=1.0)
    whole = msgspec.structs.replace(table(*(entry(vip, preference="b") for vip in many)), settings=settings)
    situation = Situation("a", "b", "c", tables=dict.fromkeys("abc", whole))
    situation.start()
    situation.until(lambda: all(situation.holders(vip) == ["b"] for vip in many), 50.0)
    situation.run(25.0)
    situation["b"].drain(True)
    situation.until(lambda: any(situation.holders(vip) != ["b"] for vip in many), 1.0)
    situation["c"].crash()
    situation["c"].kernel.present.clear()
    situation.until(lambda: all(situation.holders(vip) == ["a"] for vip in many), 2.0)


def test_what_was_let_go_is_taken_before_anything_is_numbered() -> None:
    situation = Situation("a", "b", "c").booted()
    turns: list[tuple[str, Input, tuple[Effect, ...]]] = []
    judge = situation.diary.handled

    def handled(host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        turns.append((str(host.name), given, effects))
        judge(host, given, effects)

    situation.diary.handled = handled
    situation["c"].leave()
    situation.run(0.5)
    answers = [
        effects
        for name, given, effects in turns
        if name == "a" and isinstance(given, PacketHeard) and any(isinstance(m, Report) for m in given.messages)
    ]
    taking = [effects for effects in answers if any(isinstance(effect, TakeAddress) for effect in effects)]
    assert taking
    said = [
        message for effects in taking for effect in effects if isinstance(effect, Send) for message in effect.messages
    ]
    assert not any(isinstance(message, Numbered) for message in said)
    situation.mend()


def test_the_members_of_a_view_beat_when_its_first_one_does() -> None:
    situation = Situation("a", "b", "c").booted()
    situation.run(1.0)
    since = situation.now
    situation.run(2.0)
    beats = {name: [] for name in "abc"}
    for at, who, message in situation.diary.said:
        if at > since and isinstance(message, Heartbeat):
            beats[str(who)].append(at)
    for follower in "bc":
        late_s = [min(at - pace for pace in beats["a"] if pace <= at) for at in beats[follower][1:]]
        assert max(late_s) < 0.005
    assert all(19 <= len(said) <= 21 for said in beats.values())


def test_many_addresses_are_taken_over_in_several_turns_and_given_back() -> None:
    many = [canonical_address(f"198.51.{100 + number // 250}.{1 + number % 250}") for number in range(MANY_VIPS + 200)]
    situation = Situation("a", "b", tables=dict.fromkeys("ab", table(*(entry(vip) for vip in (*VIPS, *many))))).booted()
    longest: dict[str, int] = {}
    judge = situation.diary.handled

    def handled(host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        taken = sum(isinstance(effect, TakeAddress) for effect in effects)
        longest[host.name] = max(longest.get(host.name, 0), taken)
        judge(host, given, effects)

    situation.diary.handled = handled
    situation["b"].crash()
    situation["b"].kernel.present.clear()
    situation.until(lambda: all(situation.holders(vip) == ["a"] for vip in many), 3.0)
    assert longest["a"] == TAKEN_AT_ONCE
    situation["b"].start()
    situation.run(4.0)  # it comes back, and is given some
    assert sum(situation.holders(vip) == ["b"] for vip in many) > 10
    assert situation.diary.violations == []


def test_where_many_addresses_are_lost_in_a_merge_telling_of_it_is_a_turn_of_its_own() -> None:
    many = [canonical_address(f"198.51.{100 + number // 250}.{1 + number % 250}") for number in range(MANY_VIPS + 200)]
    situation = Situation("a", "b", tables=dict.fromkeys("ab", table(*(entry(vip) for vip in (*VIPS, *many))))).booted()
    situation.world.network.split(["a", "b"])
    situation.until(lambda: all(situation.holders(vip) == ["a", "b"] for vip in many), 3.0)
    given_up: list[int] = []  # by each turn of "b"
    told: list[int] = []
    judge = situation.diary.handled

    def handled(host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        if host.name == "b":
            given_up.append(sum(isinstance(effect, ReleaseAddress) for effect in effects))
            elected = [one for one in effects if isinstance(one, Publish) and isinstance(one.event, OwnerElected)]
            told.append(len(elected))
        judge(host, given, effects)

    situation.diary.handled = handled
    situation.world.network.heal()
    situation.until(lambda: all(situation.holders(vip) == ["a"] for vip in many), 3.0)
    turn = given_up.index(max(given_up))
    assert given_up[turn] >= len(many)
    assert told[turn : turn + 2] == [0, given_up[turn]], "at once, but not with it"
    assert situation.diary.violations == []


def test_what_is_assigned_among_many_is_checked_in_a_turn_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [canonical_address(f"198.51.{100 + number // 250}.{1 + number % 250}") for number in range(600)]
    situation = Situation("a", "b", tables=dict.fromkeys("ab", table(*(entry(vip) for vip in (*VIPS, *many))))).booted()
    checks: list[tuple[str, type, int]] = []  # who, after what, how many disagreements
    judge, check = situation.diary.handled, Delivery.check

    def handled(host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        if found := sum(isinstance(one, Publish) and isinstance(one.event, Disagreement) for one in effects):
            checks.append((host.name, type(given), found))
        assert not any(isinstance(one, Deliberate) and one.question.limit is None for one in effects)
        judge(host, given, effects)

    def wrongly(self: Delivery) -> list[Effect]:
        with monkeypatch.context() as patch:
            patch.setattr(self, "_answer_of", lambda question: {})
            return check(self)

    situation.diary.handled = handled
    situation["a"].drain(True)
    situation.run(1.0)
    assert not checks, "they agree"
    monkeypatch.setattr(Delivery, "check", wrongly)
    situation["a"].drain(False)
    situation.run(0.2)
    situation["a"].move(many[0], NodeName("a"))
    situation.run(0.2)
    assert checks
    assert {(who, given) for who, given, _ in checks} == {("b", Ticked)}


def test_a_long_table_that_comes_its_coming_into_force_and_the_election_are_turns_of_their_own() -> None:
    many = [canonical_address(f"198.51.{100 + number // 250}.{1 + number % 250}") for number in range(MANY_VIPS)]
    situation = Situation("a", "b", tables=dict.fromkeys("ab", table(*(entry(vip) for vip in (*VIPS, *many))))).booted()
    turns: list[tuple[bool, list[type]]] = []  # of the coordinator: whether the table came in it, and what it numbered
    judge = situation.diary.handled

    def handled(host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        if host.name == "a":
            comes = isinstance(given, PacketHeard) and any(isinstance(one, TableChunk) for one in given.messages)
            said = [message for effect in effects if isinstance(effect, Send) for message in effect.messages]
            turns.append((comes, [type(message.body) for message in said if isinstance(message, Numbered)]))
        judge(host, given, effects)

    situation.diary.handled = handled
    situation["b"].reload(table(*(entry(vip) for vip in (*VIPS, *many[1:]))))
    situation.run(4.0)
    assert all(not numbered for comes, numbered in turns if comes)
    heavy = [kind for _, numbered in turns for kind in numbered if kind in (TableChosen, Assigned)]
    assert any(comes for comes, _ in turns)
    assert TableChosen in heavy
    assert all(sum(kind in (TableChosen, Assigned) for kind in numbered) <= 1 for _, numbered in turns)
    situation.mend()
