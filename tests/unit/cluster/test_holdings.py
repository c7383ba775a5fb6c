from __future__ import annotations

import pytest

from duravip.cluster.effects import ReleaseAddress, TakeAddress
from duravip.cluster.holdings import MOVES, RELEASE_RETRY_S, Holdings, HoldState
from duravip.errors import ImpossibleTransitionError
from duravip.model import Address, VipEntry

X = Address("10.0.0.1")
Y = Address("10.0.0.2")
ENTRIES = {address: VipEntry(address=address, interface="eth0") for address in (X, Y)}


def only(address: Address) -> dict[Address, VipEntry]:
    return {address: ENTRIES[address]}


def test_removals_are_ordered_before_acquisitions() -> None:
    holdings = Holdings()
    holdings.reconcile(only(Y), only(Y), 0.0)
    orders = holdings.reconcile(only(X), only(X), 1.0)
    assert [type(order) for order in orders] == [ReleaseAddress, TakeAddress]


def test_a_claim_stands_from_the_order_to_take_until_the_kernel_acknowledged_the_removal() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    assert X in holdings.held()
    holdings.added(X)
    holdings.reconcile({}, {}, 1.0)
    assert X in holdings
    assert X in holdings.releasing()
    assert X not in holdings.held()
    assert holdings.removed(X)
    assert X not in holdings


def test_an_address_on_its_way_out_is_taken_again_only_when_it_is_gone() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    holdings.reconcile({}, {}, 0.1)
    assert holdings.reconcile(only(X), only(X), 0.2) == []
    holdings.removed(X)
    assert [type(order) for order in holdings.reconcile(only(X), only(X), 0.4)] == [TakeAddress]


def test_the_answer_to_a_take_that_was_revoked_changes_nothing() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    holdings.reconcile({}, {}, 0.1)
    assert not holdings.added(X)
    assert holdings.state(X) is HoldState.RELEASING


def test_an_order_to_take_that_came_too_late_leaves_nothing_behind_and_may_be_given_again() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    holdings.lapsed(X)
    assert X not in holdings
    assert [type(order) for order in holdings.reconcile(only(X), only(X), 1.0)] == [TakeAddress]
    holdings.reconcile({}, {}, 1.1)
    holdings.lapsed(X)
    assert X in holdings.releasing()


def test_a_failed_removal_is_ordered_again_and_the_claim_stands_meanwhile() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    holdings.reconcile({}, {}, 1.0)
    holdings.remove_failed(X, 1.1)
    assert holdings.reconcile({}, {}, 1.2) == []
    assert holdings.deadline() == pytest.approx(1.1 + RELEASE_RETRY_S)
    assert [type(order) for order in holdings.reconcile({}, {}, 1.1 + RELEASE_RETRY_S)] == [ReleaseAddress]
    assert X in holdings.releasing()


def test_an_address_that_belongs_elsewhere_now_is_taken_off_first() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    holdings.added(X)
    moved = {X: VipEntry(address=X, interface="eth1")}
    (order,) = holdings.reconcile(moved, moved, 1.0)
    assert order == ReleaseAddress(address=X, interface="eth0", prefix=32)


def test_what_the_kernel_has_lost_is_not_here_unless_it_was_given_up_anyway() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    assert not holdings.lost(X)
    holdings.added(X)
    assert holdings.lost(X)
    assert X not in holdings
    assert [type(order) for order in holdings.reconcile(only(X), only(X), 0.3)] == [TakeAddress]
    holdings.reconcile({}, {}, 0.4)
    assert not holdings.lost(X)
    assert X in holdings.releasing()


def test_what_somebody_else_put_on_is_a_claim_until_the_kernel_has_taken_it_off() -> None:
    holdings = Holdings()
    assert holdings.stray(X, "eth7", 24) == ReleaseAddress(address=X, interface="eth7", prefix=24)
    assert X in holdings.releasing()
    assert holdings.stray(X, "eth7", 24) is None
    assert holdings.reconcile(only(X), only(X), 0.2) == []
    assert not holdings.removed(X), "it was never held"
    assert X not in holdings
    assert X not in holdings


def test_an_address_that_is_held_and_also_elsewhere_is_given_up_everywhere() -> None:
    holdings = Holdings()
    holdings.reconcile(only(X), only(X), 0.0)
    assert holdings.stray(X, "eth7", 32) is None
    holdings.added(X)
    assert holdings.stray(X, "eth7", 32) == ReleaseAddress(address=X, interface="eth0", prefix=32)
    assert X in holdings.releasing()


@pytest.mark.parametrize("to", [None, HoldState.HELD])
def test_a_move_that_the_table_does_not_have_is_our_bug(to: HoldState | None) -> None:
    assert to not in MOVES[None]
    with pytest.raises(ImpossibleTransitionError):
        Holdings()._move(X, to, 0.0)
