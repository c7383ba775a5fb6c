"""What a node makes of the kernel's answers, and what it tells of its renewals."""

from __future__ import annotations

import pytest

from duravip import events
from duravip.cluster.addresses import AddressSet
from duravip.cluster.effects import Effect, Publish, RenewAddresses
from duravip.cluster.inputs import AddressAdded, AddressAddFailed, AddressesRenewed
from duravip.cluster.kernel_word import KernelWord
from duravip.cluster.lease import FAILURES
from duravip.cluster.parameters import Parameters
from duravip.cluster.tenure import BLOCK_S, MAX_BLOCK_S, Tenure
from duravip.model import Address, Incarnation, NodeName, VipEntry

X, Y = Address("10.0.0.1"), Address("10.0.0.2")
LIFETIME_S, DEAR_S = 9.0, 0.5


class Stage:
    """A node that holds both addresses, with a lifetime; `now` is of the test's own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tenure = Tenure(Parameters(name=NodeName("a"), incarnation=Incarnation(1, 1)))
        self.word = KernelWord(self.tenure)
        self.tenure.lease.settle(LIFETIME_S, self.now)
        entries = {address: VipEntry(address=address, interface="eth0") for address in (X, Y)}
        self.tenure.holdings.reconcile({}, entries, self.now)
        for address in entries:
            self.word.answered(AddressAdded(address=address), self.now)

    def renewal(self, *, took_s: float = 0.0, failed: tuple[tuple[Address, str], ...] = ()) -> list[events.Event]:
        """One pass, when it is due; what is told of it."""
        self.now = self.tenure.lease.deadline()
        effects = self.word.renewals(self.now)
        assert [order.addresses for order in effects if isinstance(order, RenewAddresses)] == [(X, Y)]
        return told(effects + self.word.renewed(AddressesRenewed(took_s=took_s, failed=failed), self.now))


def told(effects: list[Effect]) -> list[events.Event]:
    return [effect.event for effect in effects if isinstance(effect, Publish)]


def test_a_lifetime_that_is_stretched_because_a_pass_is_dear_is_told_once_and_again_when_it_is_as_configured() -> None:
    stage = Stage()
    assert stage.renewal() == []
    assert [stage.renewal(took_s=DEAR_S) for _ in range(2)] == [[], []], "one slow pass is no reason"
    stretched = events.LifetimeStretched(
        lifetime_s=30.0,
        configured_s=LIFETIME_S,
        pass_s=DEAR_S,
        addresses=2,  # 0.5 s are 5 % of a third of it
    )
    assert stage.renewal(took_s=DEAR_S) == [stretched]
    assert stage.renewal() == []
    assert stage.renewal() == [
        events.LifetimeStretched(lifetime_s=LIFETIME_S, configured_s=LIFETIME_S, pass_s=0.0, addresses=2)
    ]


def test_an_address_that_the_kernel_does_not_renew_is_told_with_its_reason_and_is_not_eligible_here() -> None:
    stage = Stage()
    for _ in range(FAILURES - 1):
        assert stage.renewal(failed=((X, "no such device"),)) == []
    assert stage.tenure.refused() == AddressSet()
    assert stage.renewal(failed=((X, "no such device"),)) == [
        events.AddressFailed(address=X, error="no such device"),
    ]
    assert stage.tenure.refused() == AddressSet([X])


def test_an_address_that_the_kernel_refuses_is_not_eligible_here_for_longer_each_time_and_others_are() -> None:
    stage = Stage()
    failed = AddressAddFailed(address=X, error="permission denied")
    ends = []
    for _ in range(10):
        assert told(stage.word.answered(failed, 0.0)) == [events.AddressFailed(address=X, error="permission denied")]
        assert stage.tenure.refused() == AddressSet([X])
        ends.append(stage.tenure.deadline())
    assert ends[:3] == [BLOCK_S, 2 * BLOCK_S, 4 * BLOCK_S]
    assert ends[-1] == pytest.approx(MAX_BLOCK_S)
