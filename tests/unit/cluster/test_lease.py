from __future__ import annotations

import math

import pytest

from duravip.cluster.effects import RenewAddresses
from duravip.cluster.holdings import Holdings
from duravip.cluster.lease import IPV6_COST_S, PASSES, PIECE_ADDRESSES, SHARE, Lease
from duravip.cluster.parameters import Parameters
from duravip.model import Address, Incarnation, NodeName, VipEntry

X, Y, SIX = Address("10.0.0.1"), Address("10.0.0.2"), Address("fd00::1")


class Tenant:
    """A lease and the holdings it is for. Orders are answered by the test."""

    def __init__(self, *held: Address, lifetime_s: float = 9.0, renews: bool = True) -> None:
        self.holdings = Holdings()
        me = Incarnation(1, 1)
        self.lease = Lease(Parameters(name=NodeName("a"), incarnation=me, renews=renews))
        self.lease.settle(lifetime_s, 0.0)
        self.lease.order(self.holdings, 0.0)
        self.take(*held)
        self.add(*held, now=0.0)

    def take(self, *addresses: Address) -> None:
        entries = {address: VipEntry(address=address, interface="eth0") for address in addresses}
        keep = {**{address: VipEntry(address=address, interface="eth0") for address in self.holdings.addresses()}}
        self.holdings.reconcile({**keep, **entries}, entries, 0.0)

    def add(self, *addresses: Address, now: float) -> None:
        for address in addresses:
            self.holdings.added(address)
        self.lease.acquired(addresses, now)

    def order(self, now: float) -> RenewAddresses | None:
        return self.lease.order(self.holdings, now)

    def passes(self, now: float, *, took_s: float = 0.0) -> list[Address]:
        """Everything that is renewed at this time, each piece answered at once."""
        renewed: list[Address] = []
        while (order := self.order(now)) is not None:
            renewed += order.addresses
            self.lease.renewed(took_s, ())
        return renewed


def test_everything_held_is_renewed_together_three_times_in_a_lifetime() -> None:
    tenant = Tenant(X, Y)
    times = []
    for tenth in range(270):
        now = tenth / 10
        if now >= tenant.lease.deadline():
            assert tenant.passes(now) == [X, Y]
            times.append(now)
    assert times == pytest.approx([3, 6, 9, 12, 15, 18, 21, 24], abs=0.11)


def test_an_order_says_for_how_long_it_is_good_and_for_how_long_it_renews() -> None:
    order = Tenant(X).order(3.0)
    assert order == RenewAddresses(addresses=(X,), lifetime_s=9.0, not_after=3.35)


def test_what_is_on_its_way_out_is_not_renewed() -> None:
    tenant = Tenant(X, Y)
    tenant.holdings.reconcile({Y: VipEntry(address=Y, interface="eth0")}, {}, 1.0)
    assert tenant.passes(3.0) == [Y]
    tenant.holdings.reconcile({}, {}, 4.0)
    assert tenant.passes(6.0) == []
    assert tenant.lease.deadline() == math.inf


def test_an_ipv6_address_gets_its_lifetime_when_nothing_is_being_taken_any_more() -> None:
    tenant = Tenant(X)
    tenant.take(Y, SIX)
    tenant.add(SIX, now=1.0)
    assert tenant.order(1.0) is None
    tenant.add(Y, now=1.1)
    assert tenant.passes(1.1) == [SIX]
    assert sorted(tenant.passes(3.0)) == [X, Y, SIX]


def test_a_lifetime_of_0_is_for_ever_and_is_never_renewed() -> None:
    tenant = Tenant(X, SIX, lifetime_s=0.0)
    assert tenant.lease.lifetime_s == 0
    assert tenant.lease.deadline() == math.inf
    assert tenant.order(100.0) is None


def test_a_machine_whose_addresses_have_no_lifetime_renews_nothing() -> None:
    tenant = Tenant(X, SIX, renews=False)
    assert tenant.lease.lifetime_s == 0
    assert tenant.order(100.0) is None


def test_a_changed_lifetime_is_for_what_is_held_already_at_once() -> None:
    tenant = Tenant(X)
    tenant.lease.settle(0.0, 1.0)
    order = tenant.order(1.0)
    assert order is not None
    assert (order.addresses, order.lifetime_s) == ((X,), 0)
    tenant.lease.renewed(0.0, ())
    tenant.lease.settle(6.0, 2.0)
    assert tenant.passes(2.0) == [X]
    assert tenant.lease.deadline() == 4.0


def test_a_pass_is_cut_into_pieces_and_one_is_with_the_kernel_at_a_time() -> None:
    many = [Address(f"10.0.{number // 250}.{number % 250}") for number in range(PIECE_ADDRESSES + 1)]
    tenant = Tenant(*many)
    first = tenant.order(3.0)
    assert first is not None
    assert len(first.addresses) == PIECE_ADDRESSES
    assert tenant.order(3.1) is None
    tenant.lease.renewed(0.1, ())
    second = tenant.order(3.1)
    assert second is not None
    assert {*first.addresses, *second.addresses} == set(many)


def test_an_order_that_came_too_late_is_given_again_for_what_is_still_held() -> None:
    tenant = Tenant(X, Y)
    tenant.order(3.0)
    tenant.holdings.reconcile({Y: VipEntry(address=Y, interface="eth0")}, {}, 5.0)
    tenant.lease.lapsed()
    order = tenant.order(5.0)
    assert order == RenewAddresses(addresses=(Y,), lifetime_s=9.0, not_after=5.35)


def test_after_a_gap_nothing_is_renewed_until_there_was_time_to_hear_the_others() -> None:
    tenant = Tenant(X)
    tenant.lease.excuse(3.0)
    tenant.lease.excuse(3.1)
    assert tenant.order(3.19) is None
    assert tenant.lease.deadline() == 3.2
    assert tenant.passes(3.2) == [X]


def test_one_failure_is_forgiven_and_two_in_a_row_are_not() -> None:
    tenant = Tenant(X, Y)
    outcomes = []
    for now, failed in ((3.0, [X]), (6.0, []), (9.0, [X]), (12.0, [X])):
        tenant.order(now)
        outcomes.append(tenant.lease.renewed(0.0, failed))
    assert outcomes == [(), (), (), (X,)]


def test_a_dear_pass_makes_the_lifetime_longer_and_a_cheap_one_shorter_again() -> None:
    tenant = Tenant(X, lifetime_s=9.0)
    assert not tenant.lease.is_news()
    now = 3.0
    for _ in range(3):
        tenant.passes(now, took_s=0.5)
        now = tenant.lease.deadline()
    assert tenant.lease.is_news()
    assert tenant.lease.lifetime_s == PASSES * 0.5 / SHARE
    assert tenant.lease.pass_s / (tenant.lease.lifetime_s / PASSES) <= SHARE
    assert not tenant.lease.is_news()
    for _ in range(2):
        tenant.passes(now)
        now = tenant.lease.deadline()
    assert tenant.lease.lifetime_s == 9.0
    assert tenant.lease.is_news()


def test_one_slow_pass_between_fast_ones_changes_nothing() -> None:
    tenant = Tenant(X)
    for now, took_s in ((3.0, 0.01), (6.0, 2.0), (9.0, 0.01), (12.0, 0.01)):
        tenant.passes(now, took_s=took_s)
    assert tenant.lease.lifetime_s == 9.0


def test_so_many_ipv6_addresses_that_a_pass_must_be_dear_have_a_long_lifetime_from_the_first_one_on() -> None:
    count = 3_000
    tenant = Tenant(*(Address(f"fd00::{number:x}") for number in range(1, count + 1)))
    order = tenant.order(3.0)
    assert order is not None
    assert order.lifetime_s == pytest.approx(PASSES * count**2 * IPV6_COST_S / SHARE, abs=1)
