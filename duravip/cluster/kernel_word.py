"""What the kernel says of addresses, and what it is asked unprompted: answers to orders, losses, strays, renewals.

Rules of this file: it brings the holdings up to date and tells the news. `tenure.follow` says what is to be held.
"""

from __future__ import annotations

from collections.abc import Container
from typing import assert_never

from duravip import events
from duravip.cluster.effects import Effect, Publish
from duravip.cluster.inputs import (
    AddressAdded,
    AddressAddFailed,
    AddressesLost,
    AddressesRenewed,
    AddressLapsed,
    AddressRemoved,
    AddressRemoveFailed,
    KernelAnswer,
    Spot,
)
from duravip.cluster.tenure import Tenure
from duravip.model import Address


class KernelWord:
    """Every method returns the effects of what it was given."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure

    def answered(self, answer: KernelAnswer, now: float) -> list[Effect]:
        """To an order."""
        address = answer.address
        holding = self._tenure.holdings.get(address)
        interface = holding.interface if holding is not None else None
        match answer:
            case AddressAdded():
                if self._tenure.on_added(address, now):
                    return _told(events.AddressAcquired(address=address, interface=interface))
            case AddressRemoved():
                if self._tenure.holdings.removed(address):
                    return _told(events.AddressReleased(address=address, interface=interface))
            case AddressAddFailed():
                self._tenure.on_refused(address, now)
                return _told(events.AddressFailed(address=address, error=answer.error))
            case AddressRemoveFailed():
                self._tenure.holdings.remove_failed(address, now)
                return _told(events.AddressFailed(address=address, error=answer.error))
            case AddressLapsed():
                self._tenure.holdings.lapsed(address)
            case _:
                assert_never(answer)
        return []

    def lost(self, given: AddressesLost, now: float) -> list[Effect]:
        """Somebody else, or the end of a lifetime, took them off."""
        effects: list[Effect] = []
        for address in given.addresses:
            holding = self._tenure.holdings.get(address)
            if holding is not None and self._tenure.on_lost(address, now):
                expired = address in given.expired
                effects += _told(events.AddressLost(address=address, interface=holding.interface, expired=expired))
        return effects

    def stray(self, spot: Spot, ours: Container[Address], now: float) -> list[Effect]:
        """Somebody put an address where nobody ordered it. `ours`: which addresses are any business of this node."""
        if spot.address not in ours:
            return []
        order = self._tenure.on_stray(spot.address, spot.interface, spot.prefix, now)
        if order is None:
            return []
        return [order, *_told(events.AddressStray(address=spot.address, interface=spot.interface))]

    def renewals(self, now: float) -> list[Effect]:
        """What of the holdings is to be renewed now."""
        lease = self._tenure.lease
        order = lease.order(self._tenure.holdings, now)
        effects: list[Effect] = [order] if order is not None else []
        if lease.is_news():
            effects += _told(
                events.LifetimeStretched(
                    lifetime_s=lease.lifetime_s,
                    configured_s=lease.configured_s,
                    pass_s=round(lease.pass_s, 6),
                    addresses=len(self._tenure.holdings),
                )
            )
        return effects

    def renewed(self, answer: AddressesRenewed, now: float) -> list[Effect]:
        """To a renewal."""
        lease = self._tenure.lease
        if answer.lapsed:
            lease.lapsed()
            return []
        errors = dict(answer.failed)
        effects: list[Effect] = []
        for address in lease.renewed(answer.took_s, errors):
            self._tenure.on_refused(address, now)
            effects += _told(events.AddressFailed(address=address, error=errors[address]))
        return effects


def _told(event: events.Event) -> list[Effect]:
    return [Publish(event=event)]
