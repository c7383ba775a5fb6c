from __future__ import annotations

import math

from duravip.cluster.addresses import AddressSet
from duravip.cluster.interfaces import MAX_SETTLE_S, SETTLE_S, WINDOW_S, Interfaces
from duravip.model import Address, VipEntry

X, Y, Z = (Address(f"10.0.0.{number}") for number in (1, 2, 3))
VIPS = (VipEntry(address=X, interface="eth0"), VipEntry(address=Y, interface="eth1"), VipEntry(address=Z))


def test_an_interface_that_falls_takes_its_vips_along_at_once_and_those_that_no_topology_places() -> None:
    interfaces = Interfaces(0.0)
    assert interfaces.blocked(VIPS) == AddressSet()
    assert interfaces.fell("eth0", (Z,), 0.0)
    assert interfaces.blocked(VIPS) == AddressSet([X, Z])
    assert not interfaces.fell("eth0", (), 1.0)
    assert interfaces.blocked(VIPS) == AddressSet([X])


def test_one_that_rises_is_used_again_after_a_while() -> None:
    interfaces = Interfaces(0.0)
    interfaces.fell("eth0", (), 0.0)
    interfaces.rose("eth0", 5.0)
    assert interfaces.deadline() == 5.0 + SETTLE_S
    assert interfaces.settled(5.0 + SETTLE_S / 2) == ()
    assert interfaces.blocked(VIPS) == AddressSet([X])
    assert interfaces.settled(5.0 + SETTLE_S) == ("eth0",)
    assert interfaces.blocked(VIPS) == AddressSet()
    assert interfaces.deadline() == math.inf


def test_one_that_falls_again_meanwhile_waits_anew_and_longer() -> None:
    interfaces = Interfaces(0.0)
    interfaces.fell("eth0", (), 0.0)
    interfaces.rose("eth0", 0.1)
    assert not interfaces.fell("eth0", (), 0.2)
    assert interfaces.deadline() == math.inf
    interfaces.rose("eth0", 0.3)
    assert interfaces.deadline() == 0.3 + 2 * SETTLE_S


def test_what_is_said_twice_counts_once() -> None:
    interfaces = Interfaces(0.0)
    for at in (0.0, 0.1, 0.2):
        interfaces.fell("eth0", (), at)
    interfaces.rose("eth0", 1.0)
    interfaces.rose("eth0", 1.5)
    assert interfaces.deadline() == 1.0 + SETTLE_S


def test_the_wait_has_an_end_and_falls_of_long_ago_do_not_count() -> None:
    interfaces = Interfaces(0.0)
    for number in range(20):
        interfaces.fell("eth0", (), number / 10)
        interfaces.rose("eth0", number / 10)
    assert interfaces.deadline() == 1.9 + MAX_SETTLE_S
    assert interfaces.settled(100.0) == ("eth0",)
    interfaces.fell("eth0", (), 100.0 + WINDOW_S)
    interfaces.rose("eth0", 100.0 + WINDOW_S)
    assert interfaces.deadline() == 100.0 + WINDOW_S + SETTLE_S


def test_an_interface_that_never_fell_cannot_rise() -> None:
    interfaces = Interfaces(0.0)
    interfaces.rose("eth0", 0.0)
    assert interfaces.settled(100.0) == ()


def test_a_link_that_rises_is_used_a_failure_time_out_later_so_that_others_are_heard_first() -> None:
    interfaces = Interfaces(1.2)
    interfaces.fell("eth0", (), 0.0)
    interfaces.rose("eth0", 3.0)
    assert interfaces.deadline() == 3.0 + SETTLE_S + 1.2
