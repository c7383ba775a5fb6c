"""What others do to a node's interfaces, in the simulated world: addresses come and go, links fall and rise."""

from __future__ import annotations

from duravip.cluster.inputs import AddressesStray, Spot
from duravip.cluster.interfaces import SETTLE_S
from duravip.events import AddressLost, AddressStray, LinkDown, LinkUp, ViewInstalled
from duravip.model import Address, canonical_address
from duravip.testing.situation import VIPS, Situation, entry, table


def test_an_address_that_somebody_takes_off_is_back_at_once_by_the_machines_order() -> None:
    situation = Situation("a", "b", "c").booted()
    owner = situation[situation.holders(VIPS[0])[0]]
    began = situation.now
    owner.kernel.steal(VIPS[0])
    assert situation.holders(VIPS[0]) == []
    assert situation.until(lambda: situation.holders(VIPS[0]) == [owner.name], 0.1) < 0.02
    [(who, lost)] = situation.seen(AddressLost, since=began)
    assert (who, lost) == (owner.name, AddressLost(address=VIPS[0], interface="eth0"))
    situation.mend()


def test_an_address_that_is_lost_again_and_again_waits_and_then_moves_and_is_back_in_its_time() -> None:
    wants_b = table(*(entry(vip, preference="b" if vip == VIPS[0] else "") for vip in VIPS))
    situation = Situation("a", "b", "c", tables=dict.fromkeys("abc", wants_b), if_flap_limit=5).booted()
    assert situation.holders(VIPS[0]) == ["b"]
    for _ in range(3):
        situation["b"].kernel.steal(VIPS[0])
        situation.until(lambda: situation.holders(VIPS[0]) == ["b"], 0.1)
    situation["b"].kernel.steal(VIPS[0])
    situation.run(3.9)
    assert situation.holders(VIPS[0]) == []
    situation.until(lambda: situation.holders(VIPS[0]) == ["b"], 0.2)
    situation["b"].kernel.steal(VIPS[0])
    situation.until(lambda: situation.holders(VIPS[0]) in (["a"], ["c"]), 0.1)
    situation.run(55.0)
    assert situation.holders(VIPS[0]) != ["b"]
    situation.run(10.0)
    assert situation.holders(VIPS[0]) == ["b"]
    situation.mend()


def test_a_suspended_node_puts_nothing_back() -> None:
    situation = Situation("a", "b", "c").booted()
    victim = next(host for host in situation.world.hosts.values() if host.kernel.present)
    stolen = sorted(victim.kernel.present)[0]
    victim.freeze()
    victim.kernel.steal(stolen)
    situation.run(3.0)
    assert len(situation.holders(stolen)) == 1
    victim.thaw()
    for _ in range(100):
        situation.run(0.001)
        assert situation.holders(stolen) != [victim.name]
    situation.mend()


def test_a_link_that_falls_moves_its_vips_without_a_time_out_and_gets_them_back_when_it_has_settled() -> None:
    wants_b = table(*(entry(vip, preference="b") for vip in VIPS))
    situation = Situation("a", "b", "c", tables=dict.fromkeys("abc", wants_b)).booted()
    began = situation.now
    situation["b"].set_link(up=False)
    assert situation.until(lambda: not situation["b"].kernel.present, 0.1) < 0.03
    situation.until(situation.all_held_once, 0.1)
    assert situation.seen(ViewInstalled, since=began) == []
    assert situation.seen(LinkDown, since=began) == [("b", LinkDown(interface="eth0"))]
    situation.run(3.0)
    situation["b"].set_link(up=True)
    situation.run(SETTLE_S + 0.35 - 0.05)
    assert not situation["b"].kernel.present
    assert situation.seen(LinkUp, since=began) == []
    situation.until(lambda: all(situation.holders(vip) == ["b"] for vip in VIPS), 0.3)
    assert situation.seen(LinkUp, since=began) == [("b", LinkUp(interface="eth0"))]
    situation.mend()


def stray(situation: Situation, name: str, address: Address, interface: str = "eth0") -> None:
    host = situation[name]
    process = host.process
    assert process is not None
    process.feed(AddressesStray(spots=(Spot(address=address, interface=interface, prefix=32),)))


def test_a_vip_that_somebody_puts_on_a_node_that_does_not_own_it_is_taken_off() -> None:
    situation = Situation("a", "b", "c").booted()
    situation["b"].drain(True)
    situation.run(0.5)
    began = situation.now
    situation["b"].kernel.present.add(VIPS[0])
    stray(situation, "b", VIPS[0])
    situation.until(lambda: not situation["b"].kernel.present, 0.1)
    assert len(situation.holders(VIPS[0])) == 1
    assert situation.seen(AddressStray, since=began) == [("b", AddressStray(address=VIPS[0], interface="eth0"))]
    situation.mend()


def test_an_address_that_is_in_no_table_of_this_node_is_left_where_it_is() -> None:
    situation = Situation("a", "b", "c").booted()
    orders = situation.diary.orders
    stray(situation, "b", canonical_address("198.51.100.1"))
    situation.run(0.5)
    assert situation.diary.orders == orders


def test_a_vip_that_is_held_and_on_another_interface_too_is_taken_off_both_and_back_on_the_right_one() -> None:
    situation = Situation("a", "b", "c").booted()
    owner = situation.holders(VIPS[0])[0]
    stray(situation, owner, VIPS[0], "eth7")
    situation.until(lambda: situation.holders(VIPS[0]) == [], 0.1)
    situation.until(lambda: situation.holders(VIPS[0]) == [owner], 0.1)
    situation.mend()
