"""Whether a node that hears nobody still reaches the network of its clients: its default gateways answer, or not.

Rules of this file
- Asked is only while the node is alone in its view, under the policy `hold-if-gateway`; what was heard before that
  counts for nothing.
- An interface counts as reached for SILENT_S after each answer of a default gateway on it. One that has no default
  gateway has nobody to answer.
- Until answers to the first questions may have come (SILENT_S) what is held is kept, and nothing is taken.

Source: the tracked scripts of VRRP implementations, which ping a gateway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from duravip.cluster.addresses import NOTHING, AddressSet
from duravip.cluster.agenda import first_after
from duravip.cluster.effects import AskGateways
from duravip.model import Address, VipEntry

HOLD_IF_GATEWAY: Final = "hold-if-gateway"
ASK_S: Final = 0.25
SILENT_S: Final = 1.0  # four questions


@dataclass(slots=True)
class _Isolation:
    """`since` is set by the first question. `unplaced`: the VIPs without a Topology where one was heard."""

    since: float = math.inf
    ask_at: float = -math.inf
    heard_at: dict[str, float] = field(default_factory=dict)
    unplaced: dict[str, frozenset[Address]] = field(default_factory=dict)
    judged: object | None = None

    def is_over(self, now: float) -> bool:
        """Whether who has not answered does not answer."""
        return now >= self.since + SILENT_S


class Gateways:
    """`silent`: what belongs where no gateway answers, and may not be here. `unknown`: what may be kept, and not taken,
    as long as that is not known. `reaches_none`: no gateway answers on any interface."""

    def __init__(self, on_isolation: str) -> None:
        self._asks = on_isolation == HOLD_IF_GATEWAY
        self._isolation: _Isolation | None = None
        self.silent = NOTHING
        self.unknown = NOTHING
        self.reaches_none = False

    def installed(self, *, alone: bool) -> None:
        """A view begins. `alone`: this node is its only member."""
        if not (alone and self._asks):
            self._isolation, self.silent, self.unknown, self.reaches_none = None, NOTHING, NOTHING, False
        elif self._isolation is None:
            self._isolation = _Isolation()

    def matter(self) -> bool:
        """Whether the node is alone, under the policy that goes by them."""
        return self._isolation is not None

    def is_unasked(self) -> bool:
        """Whether the node is alone, and has not asked yet: nothing may be taken."""
        return self._isolation is not None and self._isolation.since == math.inf

    def answered(self, interface: str, unplaced: Iterable[Address], now: float) -> None:
        """`unplaced`: the VIPs without a Topology that belong there."""
        if self._isolation is not None:
            self._isolation.heard_at[interface] = now
            self._isolation.unplaced[interface] = frozenset(unplaced)

    def watch(self, now: float) -> list[AskGateways]:
        """Asks when it is time to."""
        isolation = self._isolation
        if isolation is None:
            return []
        isolation.since = min(isolation.since, now)
        if now < isolation.ask_at:
            return []
        isolation.ask_at = now + ASK_S
        return [AskGateways()]

    def deadline(self, now: float) -> float:
        """When, after `now`, time alone changes something; `now`, when nothing was asked yet."""
        isolation = self._isolation
        if isolation is None:
            return math.inf
        if self.is_unasked():
            return now
        silences = [at + SILENT_S for at in (isolation.since, *isolation.heard_at.values())]
        return first_after(now, [isolation.ask_at, *silences])

    def judge(self, vips: Iterable[VipEntry], now: float, *, basis: object) -> None:
        """Works out what of `vips` may be here, if `basis` (which they follow from) or who answers has changed."""
        isolation = self._isolation
        if isolation is None:
            return
        reached = {interface for interface, at in isolation.heard_at.items() if now < at + SILENT_S}
        judged = basis, reached, isolation.is_over(now)
        if judged == isolation.judged:
            return
        isolation.judged = judged
        unplaced = frozenset().union(*(isolation.unplaced[interface] for interface in reached))
        out_of_reach = AddressSet(
            vip.address
            for vip in vips
            if not (vip.address in unplaced if vip.interface is None else vip.interface in reached)
        )
        is_known = isolation.is_over(now)
        self.silent, self.unknown = (out_of_reach, NOTHING) if is_known else (NOTHING, out_of_reach)
        self.reaches_none = is_known and not reached
