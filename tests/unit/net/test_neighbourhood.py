"""Who is told, by what this host and the other members know; hostile advice stays small."""

from __future__ import annotations

import ipaddress

import pytest

from duravip.model import Address, NodeName
from duravip.net.neighbourhood import MAX_OWN, MAX_TOLD, TOLD_AGE_S, Neighbour, Neighbourhood, Seen

PEER, OTHER = NodeName("node2"), NodeName("node3")
VIP, VIP6 = Address("10.77.0.51"), Address("fd77::51")
NETWORKS = (("eth0", ipaddress.ip_network("10.77.0.0/24")), ("eth1", ipaddress.ip_network("10.78.0.0/24")))


def host(address: str, number: int) -> Neighbour:
    return Neighbour(Address(address), number.to_bytes(6, "big"))


GATEWAY, CLIENT, SIX = host("10.77.0.254", 2), host("10.77.0.4", 4), host("fd77::4", 6)


def seen(*neighbours: Neighbour, interface: str = "eth0") -> Seen:
    return Seen(neighbours=tuple((interface, one) for one in neighbours), networks=NETWORKS)


def test_as_long_as_nobody_is_known_everybody_is_told() -> None:
    neighbourhood = Neighbourhood()
    assert neighbourhood.audience(VIP, "eth0") is None
    neighbourhood.saw(seen())
    assert neighbourhood.audience(VIP, "eth0") is None


def test_those_are_told_who_are_known_on_the_interface_in_the_same_family_each_once() -> None:
    neighbourhood = Neighbourhood()
    neighbourhood.saw(seen(GATEWAY, CLIENT, host("10.77.0.5", 4), SIX))
    assert neighbourhood.audience(VIP, "eth0") == (GATEWAY.hardware_address, CLIENT.hardware_address)
    assert neighbourhood.audience(VIP6, "eth0") == (SIX.hardware_address,)
    assert neighbourhood.audience(VIP, "eth1") is None


def test_what_another_member_knows_counts_where_its_address_is_connected() -> None:
    neighbourhood = Neighbourhood()
    neighbourhood.saw(seen(GATEWAY))
    neighbourhood.heard(PEER, [CLIENT, host("10.78.0.9", 9), host("192.0.2.1", 7)], now=0.0)
    assert neighbourhood.audience(VIP, "eth0") == (GATEWAY.hardware_address, CLIENT.hardware_address)
    assert neighbourhood.audience(VIP, "eth1") == ((9).to_bytes(6, "big"),)
    assert neighbourhood.own() == (GATEWAY,)  # what others told is not told on


def test_advice_grows_old_unless_it_is_repeated() -> None:
    neighbourhood = Neighbourhood()
    neighbourhood.saw(seen())
    neighbourhood.heard(PEER, [CLIENT, GATEWAY], now=0.0)
    neighbourhood.heard(PEER, [CLIENT], now=TOLD_AGE_S)
    neighbourhood.forget_old(now=TOLD_AGE_S + 1)
    assert neighbourhood.audience(VIP, "eth0") == (CLIENT.hardware_address,)
    neighbourhood.forget_old(now=2 * TOLD_AGE_S + 1)
    assert neighbourhood.audience(VIP, "eth0") is None


def test_only_what_was_not_known_before_is_news() -> None:
    neighbourhood = Neighbourhood()
    assert neighbourhood.saw(seen(CLIENT))
    assert not neighbourhood.saw(seen(CLIENT))
    assert not neighbourhood.saw(seen())
    assert neighbourhood.saw(seen(GATEWAY))


@pytest.mark.parametrize(
    "bad",
    [
        Neighbour(Address(""), bytes.fromhex("020000000001")),
        Neighbour(Address("224.0.0.1"), bytes.fromhex("020000000001")),
        Neighbour(Address("0.0.0.0"), bytes.fromhex("020000000001")),
        Neighbour(Address("127.0.0.1"), bytes.fromhex("020000000001")),
        Neighbour(Address("10.77.0.9"), b"\xff" * 6),
        Neighbour(Address("10.77.0.9"), bytes.fromhex("01005e000001")),
        Neighbour(Address("10.77.0.9"), bytes(6)),
        Neighbour(Address("10.77.0.9"), b"\x02"),
    ],
)
def test_what_cannot_be_one_hosts_is_left_out(bad: Neighbour) -> None:
    neighbourhood = Neighbourhood()
    neighbourhood.saw(seen(bad))
    neighbourhood.heard(PEER, [bad], now=0.0)
    assert neighbourhood.own() == neighbourhood.told() == ()


def test_however_much_members_say_what_is_kept_is_bounded_and_the_newest() -> None:
    neighbourhood = Neighbourhood()
    many = [host(f"10.77.{number >> 8}.{number & 255}", 1 << 20 | number) for number in range(1, 3000)]
    neighbourhood.heard(OTHER, many, now=0.0)
    neighbourhood.heard(PEER, [CLIENT], now=1.0)
    assert len(neighbourhood.told()) == MAX_TOLD
    assert CLIENT in neighbourhood.told()
    neighbourhood.saw(seen(GATEWAY, *many))
    assert len(neighbourhood.own()) == MAX_OWN
    assert GATEWAY in neighbourhood.own()
