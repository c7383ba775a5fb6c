"""When the kernel's lifetimes of held addresses are renewed, and how long they are: the dead man's lease.

Rules of this file
- Only what is held is renewed: nothing after a stall, since everything is on its way out then. After a gap that is too
  short for a stall nothing is renewed for PAUSE_INTERVALS: it was long enough for the others to go on without this
  node, and it should hear of that first, lest it puts back what has expired.
- A pass renews everything that is held, as nearly at the same time as it can be: the kernel looks at lifetimes that end
  together once, and is more punctual. PASSES of them fit into a lifetime, so one that fails does not matter.
- A pass is cut into pieces, one with the kernel at a time, so that orders to take and to release need not wait for it.
- While a pass costs more than SHARE of its period, period and lifetime grow until it does not.
- Under `strict` ownership others count with the lifetime: it does not grow, is there from the first moment on, and
  nothing is renewed when the mandate has ended (`until`).

Theory of operation
    An address is put on with its lifetime; an IPv6 address without, because that is several times cheaper for the
    kernel, and is renewed as soon as nothing is being taken any more. Passes come every period from then on. What a
    pass costs is measured; before it was, and as long as that is more, it is estimated from the number of addresses.

Source: protocol rule 9; Gray and Cheriton, "Leases: an efficient fault-tolerant mechanism" (1989).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

from duravip.cluster.effects import RenewAddresses
from duravip.cluster.holdings import Holdings, HoldState
from duravip.cluster.parameters import Parameters
from duravip.model import Address

PASSES: Final = 3  # renewals in a lifetime
SHARE: Final = 0.05  # of its period that a pass may cost
PAUSE_INTERVALS: Final = 2.0  # heartbeat intervals without renewals after a gap
PIECE_ADDRESSES: Final = 256  # renewed by one order
IPV4_COST_S: Final = 50e-6  # of renewing one address; measured on Linux 6.18
IPV6_COST_S: Final = 0.5e-6  # times the square of their number: the kernel looks at all of them for each
TOLD_RATIO: Final = 1.2  # a lifetime that differs by less from the one told last is no news
FAILURES: Final = 2  # in a row: the kernel does not have the address any more


class Lease:
    """`lifetime_s` is what the kernel is told at present, 0 for ever; `configured_s` what the cluster wants. `pass_s`:
    what the last pass cost. `resume_at`: until then nothing is renewed, because this node did not run for a while. An
    order stays good for a failure time-out, and never after `until`. `is_strict`: others count with the lifetime."""

    def __init__(self, parameters: Parameters) -> None:
        self._renews = parameters.renews
        self._limit_s = parameters.failure_timeout_s
        self._pause_s = PAUSE_INTERVALS * parameters.heartbeat_interval_s
        self.resume_at = -math.inf
        self.until = math.inf
        self.is_strict = False
        self.configured_s = 0.0
        self.lifetime_s = 0.0
        self.pass_s = 0.0
        self._costs: deque[float] = deque(maxlen=2)
        self._next_at = math.inf
        self._fresh: dict[Address, None] = {}  # without a lifetime yet, in the order they came
        self._waiting: deque[Address] = deque()  # the rest of the pass that is under way
        self._piece: tuple[Address, ...] = ()  # with the kernel
        self._is_whole = False  # the pass under way is of everything held
        self._cost_s = 0.0  # of the pass under way, so far
        self._failures: dict[Address, int] = {}
        self._told_s = 0.0

    def settle(self, configured_s: float, now: float, *, is_strict: bool = False) -> None:
        """The lifetime that is in force. When it changes, everything is renewed at once."""
        self.is_strict = is_strict
        if not self._renews or configured_s == self.configured_s:
            return
        self.configured_s = self.lifetime_s = self._told_s = configured_s
        self._next_at = now

    def not_after(self, now: float) -> float:
        return min(now + self._limit_s, self.until)

    def excuse(self, now: float) -> None:
        """This node did not run for a while."""
        if now >= self.resume_at:
            self.resume_at = now + self._pause_s

    def acquired(self, addresses: Iterable[Address], now: float) -> None:
        """The kernel has these since now."""
        if not self.lifetime_s:
            return
        if not self.is_strict:
            self._fresh.update((address, None) for address in addresses if ":" in address)
        self._next_at = min(self._next_at, now + self._period_s())

    def order(self, holdings: Holdings, now: float) -> RenewAddresses | None:
        """What to renew now."""
        if self._piece or now < self.resume_at:
            return None
        if not self._waiting:
            self._begin(holdings, now)
        piece: list[Address] = []
        while self._waiting and len(piece) < PIECE_ADDRESSES:
            address = self._waiting.popleft()
            if holdings.state(address) is HoldState.HELD:
                piece.append(address)
        if not piece:
            return None
        self._piece = tuple(piece)
        return RenewAddresses(addresses=self._piece, lifetime_s=self.lifetime_s, not_after=self.not_after(now))

    def renewed(self, took_s: float, failed: Iterable[Address]) -> tuple[Address, ...]:
        """The kernel has answered. Returns the addresses that it refuses to renew again and again."""
        failing = set(failed)
        for address in self._piece:
            if address in failing:
                self._failures[address] = self._failures.get(address, 0) + 1
            else:
                self._failures.pop(address, None)
        self._piece = ()
        self._cost_s += took_s
        if not self._waiting and self._is_whole:
            self._costs.append(self._cost_s)
            self.pass_s = self._cost_s
        hopeless = tuple(sorted(address for address in failing if self._failures.get(address, 0) >= FAILURES))
        for address in hopeless:
            del self._failures[address]
        return hopeless

    def lapsed(self) -> None:
        """The order came too late: it is given again, if what it was about is still held."""
        self._waiting.extendleft(reversed(self._piece))
        self._piece = ()

    def is_news(self) -> bool:
        """Whether the lifetime has been stretched, or shortened again, since this was True last."""
        if self.lifetime_s == self._told_s:
            return False
        low, high = sorted((self.lifetime_s, self._told_s))
        if high <= low * TOLD_RATIO and self.lifetime_s != self.configured_s:
            return False
        self._told_s = self.lifetime_s
        return True

    def deadline(self) -> float:
        """When something is to be renewed; infinity while something is with the kernel."""
        if self._piece:
            return math.inf
        if self._waiting:
            return self.resume_at
        return max(self._next_at, self.resume_at)

    def _begin(self, holdings: Holdings, now: float) -> None:
        if now >= self._next_at:
            held = [a for a in holdings.addresses() if holdings.state(a) is HoldState.HELD]
            self._waiting.extend(held)
            self._fresh.clear()
            self._is_whole, self._cost_s = True, 0.0
            self._stretch(held)
            self._next_at = now + self._period_s() if held and self.lifetime_s else math.inf
        elif self._fresh and not holdings.is_taking():
            self._waiting.extend(self._fresh)
            self._fresh.clear()
            self._is_whole = False

    def _period_s(self) -> float:
        return self.lifetime_s / PASSES

    def _stretch(self, held: list[Address]) -> None:
        """A lifetime in whole seconds, as the kernel counts them, that leaves its passes cheap enough."""
        six = sum(":" in address for address in held)
        cost_s = max(min(self._costs, default=0.0), (len(held) - six) * IPV4_COST_S + six * six * IPV6_COST_S)
        least_s = PASSES * cost_s / SHARE if not self.is_strict else 0.0
        self.lifetime_s = float(math.ceil(max(self.configured_s, least_s))) if self.configured_s else 0.0
