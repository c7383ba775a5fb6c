"""What this node holds now: the tenure, narrowed by what the node knows of itself.

Rules of this file
- Nothing is held after a stall or an expulsion until a view is installed, nor while immature, blocked or gone.
- Nothing is taken under a view that was promised away, nor while drained or leaving.
"""

from __future__ import annotations

from duravip.cluster.agreement import Agreement
from duravip.cluster.departure import Departure
from duravip.cluster.effects import Effect
from duravip.cluster.lookout import Lookout
from duravip.cluster.messages import Blocked
from duravip.cluster.standing import Standing
from duravip.cluster.succession import Succession
from duravip.cluster.tenure import Tenure


class Possession:
    """Ask `follow` after everything that may have changed something; it looks at the addresses only if it did."""

    def __init__(
        self,
        *,
        agreement: Agreement,
        standing: Standing,
        tenure: Tenure,
        departure: Departure,
        lookout: Lookout,
        succession: Succession,
    ) -> None:
        self._agreement = agreement
        self._standing = standing
        self._tenure = tenure
        self._departure = departure
        self._lookout = lookout
        self._succession = succession
        self._basis: object = None

    def follow(self, now: float) -> list[Effect]:
        """The orders and announcements that make the holdings what they should be."""
        agreed = self._succession.agreed
        if agreed is None:
            return []
        standing, tenure = self._standing, self._tenure
        may_take = self._agreement.may_take() and not standing.drained and not standing.leaving
        blocked = standing.blocked(tenure.refused(), now)
        may_hold, avoided = self._may_hold(blocked, now), self._lookout.avoided()
        narrowed = (may_hold, may_take, blocked, avoided)
        if (agreed.basis(), tenure.basis(), narrowed) == self._basis and now < tenure.deadline():
            return []
        orders = tenure.follow(agreed, may_hold=may_hold, may_take=may_take, blocked=blocked, avoided=avoided, now=now)
        self._basis = (agreed.basis(), tenure.basis(), narrowed)
        return orders

    def _may_hold(self, blocked: Blocked, now: float) -> bool:
        """Whether this node may hold anything at all, as far as it knows of itself."""
        if self._standing.leaving and (self._standing.alone or self._departure.is_forced(now)):
            return False
        return not self._standing.suspended and self._succession.is_mature() and not blocked.everything
