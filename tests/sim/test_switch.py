"""`reload --cluster` in the simulated world: a change that must not be half done, whatever dies meanwhile.

Three or four nodes rename a Binding: while one of them has the new name and another the old, the address would be
BROKEN and nobody's.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from duravip.cluster.messages import Numbered, SwitchAbandoned, Switched
from duravip.cluster.node import Node
from duravip.events import BrokenBinding, ConfigDisagreement
from duravip.model import NodeName, Settings, canonical_address, make_table
from duravip.sim.host import Host
from duravip.sim.network import Weather
from duravip.testing.situation import VIPS, Situation, entry, table

RENAMED = table(*(entry(vip, binding="renamed" if vip == VIPS[0] else "") for vip in VIPS))

COMES = canonical_address("192.0.2.77")
RENAMED_AGAIN = table(*(entry(vip, binding="renamed" if vip in VIPS[:2] else "") for vip in VIPS))


def prepared(host: Host) -> bool:
    """Whether it has read its new file aside."""
    return isinstance(host.node, Node) and host.node._parts.switching.prepared is not None


def edited(*names: str) -> Situation:
    """A cluster that runs, with new files that nobody has read."""
    situation = Situation(*names).booted()
    for name in names:
        situation[name].table = RENAMED
    return situation


def binding_at(host: Host) -> str:
    """The name by which the node's view goes for this node; "" while the node is down."""
    if host.node is None:
        return ""
    return host.node.landscape.entries[host.name][VIPS[0]].bindings[0].value


def switched(situation: Situation, *names: str) -> Callable[[], bool]:
    return lambda: all(binding_at(situation[name]) == "renamed" for name in names)


def never_broken(situation: Situation, holder: list[str]) -> None:
    assert situation.seen(BrokenBinding) == []
    assert situation.holders(VIPS[0]) == holder
    situation.mend()


@pytest.mark.parametrize("through", ["a", "c"])
def test_all_switch_at_one_number_and_nothing_moves(through: str) -> None:
    situation = edited("a", "b", "c")
    before = {vip: situation.holders(vip) for vip in VIPS}
    situation[through].switch()
    assert situation.until(switched(situation, "a", "b", "c"), 1.5) < 1.5
    situation.run(3.0)
    assert {vip: situation.holders(vip) for vip in VIPS} == before
    numbers = {(said.view, said.number) for _, _, said in situation.diary.said if of(said, Switched)}
    assert len(numbers) == 1
    never_broken(situation, before[VIPS[0]])


def test_without_it_a_renamed_binding_is_broken_until_the_last_node_has_reloaded() -> None:
    situation = edited("a", "b", "c")
    holder = situation.holders(VIPS[0])
    for name in "ab":
        situation[name].reload(RENAMED)
        situation.run(0.5)
        assert situation.holders(VIPS[0]) == []
    situation["c"].reload(RENAMED)
    situation.run(0.5)
    assert situation.holders(VIPS[0]) == holder
    changes = [event.change for who, event in situation.seen(BrokenBinding) if who == "a" and hasattr(event, "change")]
    assert changes == ["raised", "changed", "cleared"]


def test_settings_that_all_change_together_are_no_disagreement() -> None:
    situation = edited("a", "b", "c")
    slower = make_table(table().vips, Settings(view_mature_time=3.0, view_balance_interval=1.0))
    for name in "abc":
        situation[name].table = slower
    situation["b"].switch()
    situation.run(1.5)
    nodes = [situation[name].node for name in "abc"]
    assert [node.table.settings.view_mature_time for node in nodes if isinstance(node, Node)] == [3.0] * 3
    assert situation.seen(ConfigDisagreement) == []


@pytest.mark.parametrize("moment", range(0, 60, 3))
@pytest.mark.parametrize("victim", ["a", "b", "d"])
def test_whoever_dies_in_the_middle_the_others_have_all_switched_or_none(victim: str, moment: int) -> None:
    """`a` coordinates, `b` is asked; moments from before all have read to after all have switched."""
    situation = edited("a", "b", "c", "d")
    situation["b"].switch()
    situation.run(0.01 * moment)
    situation[victim].crash()
    situation[victim].kernel.present.clear()
    situation.run(3.0)
    rest = [name for name in "abcd" if name != victim]
    names = {binding_at(situation[name]) for name in rest}
    assert len(names) == 1
    assert names == {"renamed"} or victim == "b", "who is left has asked again"
    assert situation.seen(BrokenBinding) == []
    assert len(situation.holders(VIPS[0])) == 1


@pytest.mark.parametrize("moment", range(0, 60, 6))
def test_a_node_that_the_network_loses_in_the_middle_switches_when_it_is_back(moment: int) -> None:
    situation = edited("a", "b", "c")
    situation["a"].switch()
    situation.run(0.01 * moment)
    situation.world.network.split([{NodeName("c")}, {NodeName("a"), NodeName("b")}])
    situation.run(2.0)
    assert switched(situation, "a", "b")()
    situation.world.network.heal()
    situation.run(2.0)
    if binding_at(situation["c"]) != "renamed":  # it was gone before it was asked: as if its operator had been asleep
        assert moment < 54
        situation["c"].reload(RENAMED)
        situation.run(2.0)
    assert switched(situation, "a", "b", "c")()
    situation.mend()


def test_who_was_cut_off_before_the_end_hears_of_it_after_another_switch_too() -> None:
    situation = edited("a", "b", "c")
    situation["a"].reading_s = situation["b"].reading_s = 0.01
    situation.world.network.weather = Weather(delay_s=0.005)
    situation["a"].switch()
    situation.until(lambda: prepared(situation["c"]), 1.0)
    for name in "ab":
        situation.world.network.cut(NodeName(name), NodeName("c"))  # it is heard, but hears no more
    situation.until(switched(situation, "a", "b"), 0.1)
    situation.world.network.split([["a", "b"], ["c"]])
    situation.run(1.0)
    assert not switched(situation, "c")()
    for name in "ab":
        situation[name].table = RENAMED_AGAIN
    situation["a"].switch()
    situation.run(3.0)
    situation.world.network.heal()
    situation.until(switched(situation, "c"), 3.0)


def test_when_one_cannot_read_its_file_all_keep_their_tables_and_hear_why() -> None:
    situation = edited("a", "b", "c")
    holder = situation.holders(VIPS[0])
    situation["b"].unreadable = "b.conf:3:1: error DV104: `x` has no value"
    situation["a"].switch()
    situation.run(2.0)
    assert [binding_at(situation[name]) for name in "abc"] == [f"b-{VIPS[0]}"] * 3
    refusals = {who: effect.refusal for who, effect in situation.diary.switches}
    assert refusals == dict.fromkeys("abc", "b: b.conf:3:1: error DV104: `x` has no value")
    never_broken(situation, holder)


def test_when_one_never_reads_its_file_all_keep_their_tables() -> None:
    situation = edited("a", "b", "c")
    situation["b"].reading_s = 100.0
    situation["c"].switch()
    situation.run(12.0)
    (refusal,) = {said.body.reason for _, _, said in situation.diary.said if of(said, SwitchAbandoned)}
    assert refusal == "b has not read its configuration after 10 s"
    assert binding_at(situation["a"]) != "renamed"


def test_a_reload_of_its_own_ends_what_a_node_had_prepared() -> None:
    situation = edited("a", "b", "c")
    situation["c"].reading_s = 3.0
    situation["a"].switch()
    situation.run(1.0)
    situation["b"].reload(table())
    situation.run(1.0)
    assert not switched(situation, "a")(), "b has nothing prepared any more"
    situation.run(12.0)
    assert [binding_at(situation[name]) for name in "abc"] == [f"b-{VIPS[0]}"] * 3


def of(said: object, kind: type) -> bool:
    return isinstance(said, Numbered) and isinstance(said.body, kind)


@pytest.mark.parametrize("fallen", ["a", "b"])
def test_an_address_that_comes_with_the_new_table_is_not_taken_where_the_link_is_down(fallen: str) -> None:
    """`a` coordinates: it brings the table into force and elects in one turn."""
    situation = Situation("a", "b").booted()
    situation[fallen].set_link(False)
    situation.run(1.0)
    for name in "ab":
        situation[name].table = table(*map(entry, VIPS), entry(COMES, preference=fallen))
    situation["b"].switch()
    situation.run(3.0)
    assert situation.holders(COMES) == ["b" if fallen == "a" else "a"]
    assert situation.diary.violations == [], "S3: it never had it"
