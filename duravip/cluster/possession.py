"""What this node holds now: the tenure, narrowed by what the node knows of itself.

Rules of this file
- Nothing is held after a stall or an expulsion until a view is installed, nor while immature, blocked or gone.
- Nothing is taken under a view that was promised away, nor while drained or leaving.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from duravip.cluster.agreement import Agreement
from duravip.cluster.departure import Departure
from duravip.cluster.detector import Detector
from duravip.cluster.effects import Effect, Publish
from duravip.cluster.lookout import Lookout
from duravip.cluster.mandate import Mandate
from duravip.cluster.messages import Blocked
from duravip.cluster.standing import Standing
from duravip.cluster.succession import Succession
from duravip.cluster.tenure import Tenure
from duravip.events import Awaited
from duravip.model import NodeName


class Possession:
    """Ask `follow` after everything that may have changed something; it looks at the addresses only if it did."""

    def __init__(
        self,
        *,
        agreement: Agreement,
        detector: Detector,
        mandate: Mandate,
        standing: Standing,
        tenure: Tenure,
        departure: Departure,
        lookout: Lookout,
        succession: Succession,
    ) -> None:
        self._agreement = agreement
        self._detector = detector
        self._mandate = mandate
        self._standing = standing
        self._tenure = tenure
        self._departure = departure
        self._lookout = lookout
        self._succession = succession
        self._basis: object = None
        self._may_hold_before = False
        self._told: object = None

    def goes_on(self, now: float) -> bool:
        """Whether the mandate says what it said when this was followed last."""
        return not self._mandate.is_strict or self._mandate.may_hold(now) == self._may_hold_before

    def confirm(self, now: float) -> tuple[Effect, ...]:
        """A beat may have been echoed by a majority."""
        if not self._mandate.is_strict:
            self._tenure.lease.until = math.inf
            return self._mandate.arm(holds=False, now=now)
        if self._agreement.may_take():
            self._mandate.confirm(self._detector.last_said_at())
        self._tenure.lease.until = self._mandate.not_after()
        return self._mandate.arm(holds=len(self._tenure.holdings) > 0, now=now)

    def follow(self, now: float, *, takes: bool = True) -> list[Effect]:
        """The orders and announcements that make the holdings what they should be. `takes`: not only by giving up."""
        armed = self.confirm(now)
        orders = self._follow(now, takes=takes)
        if not self._mandate.is_strict:
            return [*armed, *orders]
        return [*armed, *self._mandate.arm(holds=len(self._tenure.holdings) > 0, now=now), *orders]

    def _follow(self, now: float, *, takes: bool) -> list[Effect]:
        agreed = self._succession.agreed
        if agreed is None:
            return []
        standing, tenure = self._standing, self._tenure
        may_take = takes and self._agreement.may_take() and not standing.drained and not standing.leaving
        may_take = may_take and not standing.gateways.is_unasked()
        self._lookout.locate(agreed, now)
        blocked = standing.blocked(tenure.refused(), now)
        mandated = self._may_hold_before = self._mandate.may_hold(now)
        may_hold, avoided = mandated and self._may_hold(blocked, now), self._lookout.avoided()
        waits_for = self._mandate.waits_for(now)
        narrowed = (may_hold, may_take, blocked, avoided, tuple(waits_for) if waits_for else ())
        if (agreed.basis_of_addresses(), tenure.basis(), narrowed) == self._basis and now < tenure.deadline():
            return []
        orders = tenure.follow(
            agreed,
            may_hold=may_hold,
            may_take=may_take,
            blocked=blocked,
            avoided=avoided,
            waits=len(waits_for) > 0,
            now=now,
        )
        self._basis = (agreed.basis_of_addresses(), tenure.basis(), narrowed)
        return orders + self._tell(waits_for, now)

    def _tell(self, waits_for: Mapping[NodeName, float], now: float) -> list[Effect]:
        """Once for each view, and each number of addresses, that somebody is waited for."""
        addresses = len(self._tenure.waiting)
        told = (self._agreement.view, addresses)
        if not waits_for or not addresses or told == self._told:
            return []
        self._told = told
        wait_s = round(max(waits_for.values()) - now, 3)
        return [Publish(event=Awaited(names=tuple(waits_for), addresses=addresses, wait_s=wait_s))]

    def _may_hold(self, blocked: Blocked, now: float) -> bool:
        """Whether this node may hold anything at all, as far as it knows of itself."""
        if self._standing.leaving and (self._standing.alone or self._departure.is_forced(now)):
            return False
        return self._succession.is_mature() and not blocked.everything  # which says so, too, when it is suspended
