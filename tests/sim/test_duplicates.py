"""A stranger on the segment, which all nodes share in the simulated world."""

from __future__ import annotations

from duravip.cluster.node import Node
from duravip.cluster.rivals import SILENT_S, SUSPENSE_S
from duravip.events import DuplicateAddress
from duravip.model import Address, Claim
from duravip.testing.situation import VIPS, Situation

STRANGER = bytes((2, 0, 0, 0, 0, 9))


def claimed_for(situation: Situation, seconds: float, address: Address) -> None:
    """The stranger says that it has the address, every half second."""
    for _ in range(round(2 * seconds)):
        for host in situation.world.hosts.values():
            host.hear(Claim(address=address, hardware_address=STRANGER))
        situation.run(0.5)


def test_what_is_yielded_to_a_stranger_nobody_takes_until_it_has_gone() -> None:
    situation = Situation("a", "b", "c", on_duplicate="yield").booted()
    vip = VIPS[0]
    [owner] = situation.holders(vip)
    claimed_for(situation, SUSPENSE_S + 0.5, vip)
    told = situation.seen(DuplicateAddress)
    assert [(who, event.change) for who, event in told if isinstance(event, DuplicateAddress)] == [(owner, "raised")]
    claimed_for(situation, 5.0, vip)
    assert situation.holders(vip) == []
    assert all(len(situation.holders(other)) == 1 for other in VIPS[1:]), "the others stay"
    for name in "abc":
        node = situation[name].node
        assert isinstance(node, Node)
        assert f"{owner} leaves it to a stranger on the network" in node.describe(vip)
    situation.run(SILENT_S + 1.0)
    assert situation.all_held_once()
    situation.mend()


def test_what_is_defended_stays_where_it_is() -> None:
    situation = Situation("a", "b", "c", on_duplicate="defend").booted()
    before = {vip: situation.holders(vip) for vip in VIPS}
    claimed_for(situation, 25.0, VIPS[0])
    assert {vip: situation.holders(vip) for vip in VIPS} == before
    situation.mend()


def test_addresses_that_nobody_was_known_to_have_are_asked_for_first_and_no_others() -> None:
    situation = Situation("a", "b", "c", probe_before_taking=True).booted()
    asked = list(situation.diary.probed)
    assert {address for _, _, address in asked} == set(VIPS), "at the boot nobody was known to have them"
    [owner] = situation.holders(VIPS[0])
    situation[owner].crash()
    situation[owner].kernel.present.clear()
    assert situation.until(situation.all_held_once, 1.0) <= 0.4
    assert situation.diary.probed == asked, "a takeover loses no time"
    situation.mend()


def test_an_address_that_a_stranger_has_at_the_boot_is_taken_by_nobody() -> None:
    situation = Situation("a", "b", "c", probe_before_taking=True)
    situation.start()
    claimed_for(situation, 20.0, VIPS[0])
    assert not any(address == VIPS[0] for _, _, address in situation.diary.announced)
    assert situation.holders(VIPS[0]) == []
    assert all(len(situation.holders(vip)) == 1 for vip in VIPS[1:])
    situation.run(SILENT_S + 1.0)
    assert situation.all_held_once()
    situation.mend()
