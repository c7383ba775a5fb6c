"""What this node knows of itself, whatever the group agrees: what keeps it from owning, and what it declares.

A reason is lasting when the next view will not end it; after a stall or an expulsion a node owns nothing only until a
view is installed, so a promise for that view does not mention it.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final

from duravip.cluster.addresses import AddressSet
from duravip.cluster.gateways import Gateways
from duravip.cluster.messages import Blocked, MemberStatus, Prepared
from duravip.cluster.parameters import Parameters
from duravip.cluster.shadow import NO_SHADOW
from duravip.model import NodeName, TableDigest

NAMESAKE_TIMEOUTS: Final = 10.0  # failure time-outs after which a namesake that was heard counts as gone


class Standing:
    """`external`: what the host cannot own. `unreachable`: what belongs on interfaces that are down. `claimed`: what it
    leaves to strangers on the network. `suspended`: nothing until a view is installed. `expelled`: the others went on
    without this node, and its maturity is lost. `leaving`: it has been asked to go. `alone`: it is the only member of
    its view; `gateways`: who is asked then, by a policy that goes by that. `gone`: who has left, of those that may have
    had something under `strict` ownership."""

    DERIVED: ClassVar = ("_blocked", "_blocked_basis")  # from the rest: no part of the state

    def __init__(self, parameters: Parameters) -> None:
        self._name = parameters.name
        self._weight = parameters.weight
        self._releases = parameters.on_isolation == "release"
        self._namesake_s = NAMESAKE_TIMEOUTS * parameters.failure_timeout_s
        self._namesake_until = -math.inf
        self.external = Blocked()
        self.unreachable = AddressSet()
        self.claimed = AddressSet()
        self.shadow = NO_SHADOW
        self.drained = parameters.drained
        self.suspended = False
        self.expelled = False
        self.leaving = False
        self.alone = False
        self.gateways = Gateways(parameters.on_isolation)
        self.gone: tuple[NodeName, ...] = ()
        self._blocked = Blocked()
        self._blocked_basis: object = None

    def on_install(self, *, alone: bool) -> None:
        self.suspended, self.expelled, self.alone = False, False, alone
        self.gateways.installed(alone=alone)

    def on_namesake(self, now: float) -> bool:
        """Another daemon with this node's name and a greater incarnation was heard; True when that is news."""
        news = now >= self._namesake_until
        self._namesake_until = now + self._namesake_s
        return news

    def has_namesake(self, now: float) -> bool:
        return now < self._namesake_until

    def is_isolated(self) -> bool:
        """Alone, under a policy that owns nothing then."""
        return self.alone and (self._releases or self.gateways.reaches_none)

    def blocked(self, refused: AddressSet, now: float) -> Blocked:
        """What it may not own now; the same object as long as nothing has changed. `refused`: by the kernel."""
        basis = (
            refused,
            self.external,
            self.unreachable,
            self.claimed,
            self.shadow,
            self.suspended,
            self.alone,
            self.gateways.silent,
            self.gateways.reaches_none,
            now < self._namesake_until,
        )
        if basis != self._blocked_basis:
            self._blocked, self._blocked_basis = self._blocks(refused, now), basis
        return self._blocked

    def _blocks(self, refused: AddressSet, now: float) -> Blocked:
        lasting = self.lasting_blocks(refused, now)
        if self.suspended:
            return Blocked("stalled or expelled", lasting.addresses, lasting.claimed)
        if self.is_isolated():
            why = "isolated" if self._releases else "isolated, and no default gateway answers"
            return Blocked(lasting.everything or why, lasting.addresses, lasting.claimed)
        silent = self.gateways.silent
        return Blocked(lasting.everything, lasting.addresses | silent, lasting.claimed) if len(silent) else lasting

    def lasting_blocks(self, refused: AddressSet, now: float) -> Blocked:
        """What it may not own in the next view either."""
        everything = self.external.everything
        if self.has_namesake(now):
            everything = f"another node calls itself {self._name}"
        addresses = self.external.addresses
        if len(refused) or len(self.shadow.given_up) or len(self.unreachable):
            addresses = addresses | refused | self.shadow.given_up | self.unreachable
        return Blocked(everything, addresses, self.claimed)

    def status(
        self, table: TableDigest, has: tuple[TableDigest, ...], blocked: Blocked, prepared: Prepared | None
    ) -> MemberStatus:
        """What it declares: `table` is the one it wants in force, `has` what it has the content of, `prepared` what it
        would switch to with all others."""
        return MemberStatus(
            table=table,
            has=has,
            drained=self.drained,
            leaving=self.leaving,
            blocked=blocked,
            weight=self._weight,
            prepared=prepared,
            gone=self.gone,
        )
