"""A node that is alone, under the policy `hold-if-gateway`: what it may have, by who has answered it."""

from __future__ import annotations

import pytest

from duravip.cluster.effects import AskGateways
from duravip.cluster.gateways import ASK_S, HOLD_IF_GATEWAY, SILENT_S, Gateways
from duravip.model import Address, VipEntry

LEFT, RIGHT, LOOSE = (Address(f"192.0.2.{number}") for number in (1, 2, 3))
VIPS = (
    VipEntry(address=LEFT, interface="eth0"),
    VipEntry(address=RIGHT, interface="eth1"),
    VipEntry(address=LOOSE),  # no Topology places it
)


class Alone:
    """A node whose view has no other member since 0 s."""

    def __init__(self, policy: str = HOLD_IF_GATEWAY) -> None:
        self.gateways = Gateways(policy)
        self.gateways.installed(alone=True)
        self.now = 0.0
        self.asked: list[float] = []

    def until(self, end: float) -> Alone:
        """Looks whenever a deadline says so."""
        while True:
            if self._look() == [AskGateways()]:
                self.asked.append(self.now)
            following = self.gateways.deadline(self.now)
            assert following > self.now or self.gateways.is_unasked()
            if following > end:
                self.now = end
                self._look()
                return self
            self.now = following

    def _look(self) -> list[AskGateways]:
        self.gateways.judge(VIPS, self.now, basis="table")
        return self.gateways.watch(self.now)

    def hears(self, interface: str, *unplaced: Address) -> Alone:
        self.gateways.answered(interface, unplaced, self.now)
        return self.until(self.now)


@pytest.mark.parametrize("policy", ["hold", "release"])
def test_no_other_policy_asks_anybody(policy: str) -> None:
    gateways = Alone(policy).gateways
    assert gateways.watch(0.0) == []
    assert gateways.deadline(0.0) == float("inf")
    assert not gateways.is_unasked()


def test_nothing_is_taken_before_the_first_question() -> None:
    alone = Alone()
    assert alone.gateways.is_unasked()
    assert alone.gateways.deadline(0.0) == 0.0
    alone.until(0.0)
    assert not alone.gateways.is_unasked()
    assert set(alone.gateways.unknown) == {LEFT, RIGHT, LOOSE}


def test_it_asks_at_once_and_again_and_again() -> None:
    assert Alone().until(1.1).asked == pytest.approx([ASK_S * n for n in range(5)])


def test_until_the_answers_may_have_come_all_may_be_kept_and_afterwards_nothing() -> None:
    alone = Alone().until(SILENT_S - 0.01)
    assert not len(alone.gateways.silent)
    assert not alone.gateways.reaches_none
    alone.until(SILENT_S)
    assert set(alone.gateways.silent) == {LEFT, RIGHT, LOOSE}
    assert alone.gateways.reaches_none


def test_what_belongs_on_an_interface_may_be_here_while_a_gateway_answers_there() -> None:
    alone = Alone().until(0.1).hears("eth0")
    assert set(alone.gateways.unknown) == {RIGHT, LOOSE}
    alone.until(SILENT_S)
    assert set(alone.gateways.silent) == {RIGHT, LOOSE}
    assert not alone.gateways.reaches_none
    alone.hears("eth0").hears("eth1", LOOSE)
    assert not len(alone.gateways.silent)


def test_a_gateway_that_falls_silent_is_missed_after_four_questions() -> None:
    alone = Alone().until(0.1).hears("eth0").hears("eth1", LOOSE)
    alone.until(0.1 + SILENT_S - 0.01)
    assert not len(alone.gateways.silent)
    alone.until(0.1 + SILENT_S)
    assert alone.gateways.reaches_none
    alone.hears("eth1", LOOSE)
    assert set(alone.gateways.silent) == {LEFT}


def test_what_was_heard_in_company_counts_for_nothing_and_neither_does_an_older_isolation() -> None:
    alone = Alone().until(0.1).hears("eth0").hears("eth1", LOOSE)
    alone.gateways.installed(alone=False)
    assert (len(alone.gateways.silent), len(alone.gateways.unknown)) == (0, 0)
    alone.gateways.answered("eth0", (), alone.now)
    alone.gateways.installed(alone=True)
    assert alone.gateways.is_unasked()
    alone.until(0.2)
    assert set(alone.gateways.unknown) == {LEFT, RIGHT, LOOSE}


def test_another_view_of_it_alone_changes_nothing() -> None:
    alone = Alone().until(0.1).hears("eth0")
    alone.gateways.installed(alone=True)
    assert not alone.gateways.is_unasked()
    assert LEFT not in alone.until(0.2).gateways.unknown
