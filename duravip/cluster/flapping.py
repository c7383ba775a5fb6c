"""Addresses that others take off this node's interfaces: when each is put back, and when the node gives it up.

Rules of this file
- The first AT_ONCE losses of an address within WINDOW_S are made good at once; a later one waits for `down_limit_s`;
  the one that makes it `flap_limit` in all ends this node's claim to the address for SHUN_S.
- None is put back before `resume_at`: a node that did not run for a while may have been left out, its addresses
  expired, and it should hear of that first.
- Why an address was lost is not asked: whoever takes it off again and again is stronger than this daemon, and another
  node may be spared.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from typing import Final

from duravip.model import Address

WINDOW_S: Final = 60.0  # losses of an address within so long count together
AT_ONCE: Final = 3  # losses of an address that are made good without waiting
SHUN_S: Final = 60.0  # for so long an address that was lost too often is not eligible here


class Flapping:
    """`down_limit_s`: how long a later loss waits. `flap_limit`: losses in WINDOW_S that are too many."""

    def __init__(self, *, down_limit_s: float, flap_limit: int) -> None:
        self._down_limit_s = down_limit_s
        self._flap_limit = flap_limit
        self._losses: dict[Address, deque[float]] = {}
        self._waiting: dict[Address, float] = {}
        self._shunned: dict[Address, float] = {}

    def lost(self, address: Address, now: float, *, resume_at: float = -math.inf) -> None:
        losses = self._losses.setdefault(address, deque())
        losses.append(now)
        while losses[0] <= now - WINDOW_S:
            losses.popleft()
        if len(losses) >= self._flap_limit:
            self._shunned[address] = now + SHUN_S
            self._waiting.pop(address, None)
            del self._losses[address]
            return
        at = now + self._down_limit_s if len(losses) > AT_ONCE else now
        if max(at, resume_at) > now:
            self._waiting[address] = max(at, resume_at)

    def expire(self, now: float) -> None:
        """Forgets what is over."""
        if not self._losses and not self._waiting and not self._shunned:
            return
        for ends_at in (self._waiting, self._shunned):
            for address in [address for address, at in ends_at.items() if now >= at]:
                del ends_at[address]
        for address in [address for address, losses in self._losses.items() if losses[-1] <= now - WINDOW_S]:
            del self._losses[address]

    def waiting(self) -> Collection[Address]:
        """Not to be put back yet."""
        return self._waiting.keys()

    def shunned(self) -> Collection[Address]:
        """Not eligible here."""
        return self._shunned.keys()

    def deadline(self) -> float:
        """When an address may be put back, or is eligible again."""
        if not self._waiting and not self._shunned:
            return math.inf
        return min((*self._waiting.values(), *self._shunned.values()), default=math.inf)
