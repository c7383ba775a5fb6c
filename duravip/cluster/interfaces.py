"""This node's interfaces that cannot carry a VIP: without a carrier, switched off, or not there.

Rules of this file
- Down counts at once. Up counts after SETTLE_S and the failure time-out without another fall, twice as long for each
  further fall within WINDOW_S, at most MAX_SETTLE_S: a link that comes and goes interrupts its clients every time its
  VIPs come back. The time-out is for who was alone meanwhile: the kernel may ask for a neighbour's hardware address in
  vain, for a second, before the first heartbeat leaves, and who has heard nobody yet would own everything.
- An interface of which nothing was said is up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

from duravip.cluster.addresses import AddressSet
from duravip.model import Address, VipEntry

SETTLE_S: Final = 1.0  # and failure_timeout: how long a link must have been up before VIPs come back to it
MAX_SETTLE_S: Final = 30.0
WINDOW_S: Final = 60.0  # falls of a link within so long count together


def settle_s(timeout_s: float, *, falls: int) -> float:
    """How long a link must have been up that fell so often within WINDOW_S."""
    return min(MAX_SETTLE_S, (SETTLE_S + timeout_s) * 2.0 ** max(0, falls - 1))


class Interfaces:
    """`revision` grows with every change of what is out of use."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._unusable: dict[str, frozenset[Address]] = {}  # with the VIPs there that no Topology places
        self._usable_at: dict[str, float] = {}
        self._falls: dict[str, deque[float]] = {}
        self.revision = 0

    def __len__(self) -> int:
        return len(self._unusable)

    def fell(self, interface: str, unplaced: Iterable[Address], now: float) -> bool:
        """`unplaced`: the VIPs without a Topology that belong there. True when it was usable until now."""
        news = interface not in self._unusable
        if news or interface in self._usable_at:
            falls = self._falls.setdefault(interface, deque())
            falls.append(now)
            while falls[0] <= now - WINDOW_S:
                falls.popleft()
        self._usable_at.pop(interface, None)
        self._unusable[interface] = frozenset(unplaced)
        self.revision += 1
        return news

    def rose(self, interface: str, now: float) -> None:
        if interface in self._unusable and interface not in self._usable_at:
            falls = sum(at > now - WINDOW_S for at in self._falls[interface])
            self._usable_at[interface] = now + settle_s(self._timeout_s, falls=falls)

    def settled(self, now: float) -> tuple[str, ...]:
        """Those that may be used again from now on."""
        if not self._falls:
            return ()
        found = tuple(sorted(interface for interface, at in self._usable_at.items() if now >= at))
        for interface in found:
            del self._usable_at[interface], self._unusable[interface]
            self.revision += 1
        for interface in [name for name, falls in self._falls.items() if falls[-1] <= now - WINDOW_S]:
            if interface not in self._unusable:
                del self._falls[interface]
        return found

    def blocked(self, vips: Iterable[VipEntry]) -> AddressSet:
        """Those of `vips` that cannot be here now."""
        unplaced = frozenset().union(*self._unusable.values())
        return AddressSet(
            vip.address
            for vip in vips
            if (vip.address in unplaced if vip.interface is None else vip.interface in self._unusable)
        )

    def deadline(self) -> float:
        return min(self._usable_at.values()) if self._usable_at else math.inf
