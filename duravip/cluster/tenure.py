"""What this node may hold, and what follows for the kernel: the agreed state, narrowed by what it knows of itself.

Rules of this file
- It takes an address when the assignment names it and nobody else's claim stands, under a view that it has not
  promised away. It keeps one as long as the assignment does not say otherwise.
- It holds nothing that is BROKEN, blocked here, or not in its own table in force; and nothing at all while `may_hold`
  is False (immature, drained out, stalled, expelled, isolated under `release`).
- Whoever wins against a rival announces when the rival has gone: clients may have believed the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from duravip.cluster.addresses import NOTHING, AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.effects import AnnounceAddress, Effect, ReleaseAddress
from duravip.cluster.flapping import Flapping
from duravip.cluster.holdings import Holdings, HoldState
from duravip.cluster.lease import Lease
from duravip.cluster.messages import Blocked, Report
from duravip.cluster.parameters import Parameters
from duravip.model import Address, Flag, NodeName, VipEntry

BLOCK_S: Final = 30.0  # an address that the kernel refused is not eligible here for so long; doubles with every refusal
MAX_BLOCK_S: Final = 3600.0
TAKEN_AT_ONCE: Final = 256  # more in the next turn, and as many announced: nothing keeps the event loop busy for long


def is_broken(agreed: AgreedState, address: Address) -> bool:
    """Whether nobody may hold it, by the tables in force."""
    flags = agreed.landscape.flags
    return address in flags and Flag.BROKEN in flags[address]


class Tenure:
    """The holdings of one node and what governs them. `former`: let go because they were BROKEN, nobody's since.
    `revision` grows when something is learnt that the agreed state does not say. `waiting`: what is not taken yet
    because it may be with somebody who is missing."""

    def __init__(self, parameters: Parameters) -> None:
        self._me = parameters.name
        self.holdings = Holdings()
        self.lease = Lease(parameters)
        self._flapping = Flapping(down_limit_s=parameters.if_down_limit_s, flap_limit=parameters.if_flap_limit)
        self.former: set[Address] = set()
        self._refused: dict[Address, float] = {}
        self._refusals: dict[Address, int] = {}
        self._released: dict[tuple[Address, NodeName], int] = {}
        self._rivalled: set[Address] = set()
        self.waiting: set[Address] = set()
        self._unsaid: list[Address] = []  # to be announced again in the next turns
        self._has_announced = False  # as many as may be, in this turn
        self._has_more = False  # to take than was taken
        self.revision = 0

    def renew(self) -> None:
        """A view was installed: claims and releases of the old one count no more."""
        self._released.clear()
        self._rivalled.clear()

    def on_report(self, sender: NodeName, report: Report) -> None:
        """A member of the view has said what it released: that counts before its number comes."""
        self.revision += len(report.released) > 0
        for address in report.released:
            key = (address, sender)
            self._released[key] = max(self._released.get(key, -1), report.as_of)

    def on_refused(self, address: Address, now: float) -> None:
        """The kernel would not add it, or not renew it."""
        times = self._refusals.get(address, 0)
        self._refusals[address] = times + 1
        self._refused[address] = now + min(MAX_BLOCK_S, BLOCK_S * 2.0 ** min(times, 20))
        self.revision += 1

    def on_added(self, address: Address, now: float) -> bool:
        """The kernel has it; False when it was given up meanwhile."""
        self._refusals.pop(address, None)
        if not self.holdings.added(address):
            return False
        self.lease.acquired((address,), now)
        return True

    def announce(self, addresses: Iterable[Address]) -> list[AnnounceAddress]:
        """Those of these that are on, once more; of very many the first ones now, the rest in the next turns."""
        held = [address for address in addresses if self.holdings.state(address) is HoldState.HELD]
        self._unsaid += held[TAKEN_AT_ONCE:]
        self._has_announced = True
        return [AnnounceAddress(address=address) for address in held[:TAKEN_AT_ONCE]]

    def announce_all(self) -> list[AnnounceAddress]:
        """Everything that is on, once more."""
        return self.announce(self.holdings.held())

    def on_lost(self, address: Address, now: float) -> bool:
        """The kernel does not have it any more; False when this node did not count on it."""
        if not self.holdings.lost(address):
            return False
        self._flapping.lost(address, now, resume_at=self.lease.resume_at)
        return True

    def on_stray(self, address: Address, interface: str, prefix: int, now: float) -> ReleaseAddress | None:
        """The kernel has it where nobody ordered it. What was held beside it goes too, and comes back as if lost."""
        held = self.holdings.state(address) is HoldState.HELD
        order = self.holdings.stray(address, interface, prefix)
        if held:
            self._flapping.lost(address, now, resume_at=self.lease.resume_at)
        return order

    def refused(self) -> AddressSet:
        """What the kernel would not have, or did not keep."""
        shunned = self._flapping.shunned()
        if not self._refused and not shunned:
            return NOTHING
        return AddressSet((*self._refused, *shunned))

    def basis(self) -> object:
        """Equal as long as nothing here has changed."""
        return self.holdings.revision, self.revision

    def deadline(self) -> float:
        if self._has_more or self._unsaid:
            return -math.inf
        earliest = min(self.holdings.deadline(), self._flapping.deadline())
        return min(earliest, *self._refused.values()) if self._refused else earliest

    def follow(
        self,
        agreed: AgreedState,
        *,
        may_hold: bool,
        may_take: bool,
        blocked: Blocked,
        avoided: AddressSet,
        waits: bool,
        now: float,
    ) -> list[Effect]:
        """The kernel orders and announcements that make the holdings what they should be. What is `avoided` is kept
        and not taken. `waits`: only what somebody brought along into the view may be taken yet."""
        for address in [address for address, until in self._refused.items() if now >= until]:
            del self._refused[address]
        self._flapping.expire(now)
        me, holdings, decisions = self._me, self.holdings, agreed.decisions
        entries = agreed.landscape.entries.get(me, {})
        broken = {address for address in agreed.landscape.flags if is_broken(agreed, address)}
        barred = broken
        if len(blocked.addresses) or len(blocked.claimed) or self._refused:
            barred = broken.union(blocked.addresses, blocked.claimed, self._refused)
        self._has_more = False
        keep: dict[Address, VipEntry] = {}
        take: dict[Address, VipEntry] = {}
        mine = set(agreed.owned(me)) if may_hold else set()
        for address in holdings if may_hold else ():
            entry = entries.get(address)
            if entry is not None and address not in barred and (address in mine or address not in decisions):
                keep[address] = entry
        if may_hold and may_take:
            self.waiting = mine - agreed.brought if waits else set()
            mine -= self.waiting
            absent = {address for address in mine if address not in holdings}
            if absent:
                absent.difference_update(barred, avoided, self._flapping.waiting())
            free = sorted(address for address in absent if address in entries and not self._has_rival(agreed, address))
            self._has_more = len(free) > TAKEN_AT_ONCE
            take = {address: entries[address] for address in free[:TAKEN_AT_ONCE]}
        self.former |= {a for a in broken if holdings.has(a)}
        lease = self.lease
        lease.settle(agreed.lifetime_s(), now, is_strict=agreed.is_strict())
        orders = self.holdings.reconcile(
            keep,
            take,
            now,
            lifetime_s=lease.lifetime_s,
            not_after=lease.not_after(now),
            must_expire=lease.is_strict,
        )
        return [*orders, *self._announce_again(agreed), *self._announce_rest()]

    def _announce_rest(self) -> list[AnnounceAddress]:
        said: list[AnnounceAddress] = []
        if not self._has_announced:
            unsaid, self._unsaid = self._unsaid, []
            said = self.announce(unsaid)
        self._has_announced = False
        return said

    def _has_rival(self, agreed: AgreedState, address: Address) -> bool:
        """Whether somebody else's claim on the address stands, as far as this node has heard."""
        claims = agreed.claims.get(address)
        if claims is None or (len(claims) == 1 and self._me in claims):
            return False
        return any(
            name != self._me and number > self._released.get((address, name), -1) for name, number in claims.items()
        )

    def _announce_again(self, agreed: AgreedState) -> list[Effect]:
        said: list[Effect] = []
        me, held = self._me, self.holdings.states(HoldState.HELD)
        claims = agreed.claims
        disputed = [a for a in held if a in claims and (len(claims[a]) > 1 or me not in claims[a])]
        if not disputed and not self._rivalled:
            return said
        for address in sorted(self._rivalled.intersection(held).union(disputed)):
            if self._has_rival(agreed, address):
                self._rivalled.add(address)
            elif address in self._rivalled:
                self._rivalled.discard(address)
                said.append(AnnounceAddress(address=address))
        return said
