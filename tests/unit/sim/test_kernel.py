import math
import random

import msgspec

from duravip.cluster.effects import ReleaseAddress, RenewAddresses, TakeAddress
from duravip.cluster.inputs import (
    AddressAdded,
    AddressAddFailed,
    AddressesLost,
    AddressesRenewed,
    AddressLapsed,
    AddressRemoved,
    AddressRemoveFailed,
)
from duravip.model import Address
from duravip.sim.clock import Clock
from duravip.sim.kernel import EXPIRY_SLACK_S, Answer, Customer, Kernel, Temper

X, Y = Address("192.0.2.1"), Address("192.0.2.2")


def take(address: Address) -> TakeAddress:
    return TakeAddress(address=address, interface="eth0", prefix=32)


def release(address: Address) -> ReleaseAddress:
    return ReleaseAddress(address=address, interface="eth0", prefix=32)


class Bench:
    """A kernel with one process."""

    def __init__(self, temper: Temper | None = None) -> None:
        self.clock = Clock(1)
        self.changes: list[tuple[Address, bool]] = []
        self.answers: list[Answer] = []
        self.kernel = Kernel(self.clock, random.Random(1), lambda *change: self.changes.append(change), self.now)
        if temper is not None:
            self.kernel.temper = temper
        self.customer = Customer(self.answers.append)
        self.kernel.serve(self.customer)

    def now(self) -> float:
        return self.clock.now

    def run(self, for_s: float = 100.0) -> None:
        self.clock.run_until(self.clock.now + for_s)

    def in_kernel(self) -> None:
        """Until an order was handed over and is not carried out yet."""
        while not self.kernel._in_kernel:
            self.clock.run_until(self.clock.next_at() or 0.0)


def test_an_order_takes_time_and_is_answered_afterwards() -> None:
    bench = Bench()
    bench.kernel.order(take(X))
    assert bench.kernel.present == set()
    assert bench.kernel.may_have(X)
    assert not bench.kernel.may_have(Y)
    bench.run()
    assert bench.kernel.present == {X}
    assert bench.answers == [AddressAdded(address=X)]
    assert bench.kernel.idle()


def test_orders_for_one_address_are_carried_out_in_the_order_given() -> None:
    bench = Bench()
    for order in (take(X), release(X), take(X)):
        bench.kernel.order(order)
    bench.run()
    assert bench.changes == [(X, True), (X, False), (X, True)]


def test_a_removal_goes_before_additions_that_wait() -> None:
    bench = Bench()
    bench.kernel.order(take(X))
    bench.run()
    for number in range(3, 9):
        bench.kernel.order(take(Address(f"192.0.2.{number}")))
    bench.kernel.order(release(X))
    bench.run()
    assert bench.changes[1] == (X, False)


def test_removing_what_is_not_there_is_success_and_changes_nothing() -> None:
    bench = Bench()
    bench.kernel.order(release(X))
    bench.run()
    assert bench.answers == [AddressRemoved(address=X)]
    assert bench.changes == []


def test_a_failed_order_may_or_may_not_have_had_its_effect() -> None:
    bench = Bench(Temper(failure=1.0))
    outcomes = set()
    for _ in range(40):
        bench.kernel.order(take(X))
        bench.run()
        outcomes.add(X in bench.kernel.present)
        bench.kernel.order(release(X))
        bench.run()
    assert outcomes == {True, False}
    assert {type(answer) for answer in bench.answers} == {AddressAddFailed, AddressRemoveFailed}


def test_what_was_not_handed_over_dies_with_the_process() -> None:
    bench = Bench()
    bench.kernel.order(take(X))
    bench.customer.alive = False
    bench.run()
    assert bench.kernel.present == set()


def test_what_was_handed_over_is_carried_out_after_the_process_has_died_and_answers_nobody() -> None:
    bench = Bench()
    bench.kernel.order(take(X))
    bench.in_kernel()
    bench.customer.alive = False
    bench.run()
    assert bench.kernel.present == {X}
    assert bench.answers == []


def test_a_purge_waits_for_what_was_handed_over_and_leaves_nothing() -> None:
    bench = Bench()
    bench.kernel.order(take(Y))
    bench.run()
    bench.kernel.order(take(X))
    bench.in_kernel()
    bench.customer.alive = False
    clean: list[frozenset[Address]] = []
    bench.kernel.purge(lambda: clean.append(frozenset(bench.kernel.present)))
    assert bench.kernel.present == {Y}
    bench.run()
    assert clean == [frozenset()]
    assert bench.changes == [(Y, True), (X, True), (X, False), (Y, False)]


def test_a_new_life_gets_no_answers_to_an_older_one() -> None:
    bench = Bench()
    bench.kernel.order(take(X))
    bench.in_kernel()
    bench.customer.alive = False
    answers: list[Answer] = []
    bench.kernel.purge(lambda: bench.kernel.serve(Customer(answers.append)))
    bench.run()
    bench.kernel.order(take(Y))
    bench.run()
    assert bench.answers == []
    assert answers == [AddressAdded(address=Y)]
    assert bench.kernel.present == {Y}


def test_a_frozen_process_hands_nothing_over_until_it_runs_again() -> None:
    bench = Bench()
    bench.kernel.order(take(X))
    bench.customer.frozen = True
    bench.run()
    assert bench.kernel.present == set()
    bench.customer.frozen = False
    bench.kernel.thaw()
    bench.run()
    assert bench.kernel.present == {X}


def lease(*addresses: Address, lifetime_s: float = 10.0, not_after: float = math.inf) -> RenewAddresses:
    return RenewAddresses(addresses=addresses, lifetime_s=lifetime_s, not_after=not_after)


def mortal(address: Address) -> TakeAddress:
    return TakeAddress(address=address, interface="eth0", prefix=32, lifetime_s=10.0)


def test_an_address_that_is_not_renewed_goes_when_its_lifetime_ends_or_somewhat_later() -> None:
    bench = Bench()
    bench.kernel.order(mortal(X))
    bench.run(9.9)
    assert bench.kernel.present == {X}
    bench.run(EXPIRY_SLACK_S + 0.2)
    assert bench.kernel.present == set()


def test_a_renewed_address_stays_and_one_renewed_for_ever_stays_for_ever() -> None:
    bench = Bench()
    for address in (X, Y):
        bench.kernel.order(mortal(address))
    bench.run(5)
    bench.kernel.renew(lease(X, lifetime_s=0))
    bench.run(3)
    bench.kernel.renew(lease(Y))
    bench.run(9)
    assert bench.kernel.present == {X, Y}
    bench.run()
    assert bench.kernel.present == {X}
    assert [type(answer) for answer in bench.answers[2:]] == [AddressesRenewed] * 2 + [AddressesLost]


def test_a_renewal_puts_back_what_has_gone_before_the_process_hears_of_it_and_leaves_out_what_is_to_go() -> None:
    bench = Bench()
    for address in (X, Y):
        bench.kernel.order(mortal(address))
    bench.run(5)
    bench.kernel.order(release(X))
    bench.kernel.renew(lease(X, Y))
    while bench.kernel.present == {X, Y}:
        bench.run(0.0001)
    bench.in_kernel()
    bench.kernel.steal(Y)
    bench.customer.frozen = True
    bench.run(1)
    assert bench.kernel.present == {Y}


def test_an_address_that_somebody_takes_off_is_heard_of_once_and_not_renewed() -> None:
    bench = Bench()
    bench.kernel.order(mortal(X))
    bench.run(1)
    bench.kernel.steal(X)
    bench.kernel.steal(Y)
    assert bench.kernel.present == set()
    bench.run(1)
    assert bench.answers[1:] == [AddressesLost(addresses=(X,))]
    bench.kernel.renew(lease(X))
    bench.run(1)
    assert bench.kernel.present == set()


def test_what_is_taken_off_while_an_order_is_open_or_the_process_is_frozen_is_heard_of_afterwards() -> None:
    bench = Bench()
    bench.kernel.order(take(X))
    bench.run(1)
    bench.kernel.order(release(X))
    bench.kernel.steal(X)
    bench.run(1)
    assert AddressesLost(addresses=(X,)) not in bench.answers
    bench.kernel.order(take(X))
    bench.run(1)
    bench.customer.frozen = True
    bench.kernel.steal(X)
    bench.run(1)
    assert AddressesLost(addresses=(X,)) not in bench.answers
    bench.customer.frozen = False
    bench.kernel.thaw()
    bench.run(1)
    assert bench.answers[-1] == AddressesLost(addresses=(X,))


def test_orders_that_come_too_late_are_answered_and_not_carried_out() -> None:
    bench = Bench()
    bench.kernel.order(msgspec.structs.replace(take(X), not_after=0.0))
    bench.kernel.renew(lease(Y, not_after=0.0))
    bench.run()
    assert bench.answers == [AddressLapsed(address=X), AddressesRenewed(lapsed=True)]
    assert bench.changes == []
