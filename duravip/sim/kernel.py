"""A kernel whose effects take time and fail.

Rules of this file
- An order passes three points in time: given by the node, handed to the kernel (only while its process runs), and
  carried out (whatever has become of the process meanwhile). The answer takes time too, and dies with the process.
- One order at a time. Removals first, orders for one address in the order given: as `runtime.plumber` has it.
- Addresses stay when a process dies. A new life begins with `purge`, which waits for what was handed over before.
- A failed order leaves things as they are; or the kernel did it and the failure is that nobody was told.
- Somebody may take an address off (`steal`). The process hears of that, and of a lifetime's end, some time later, and
  not while an order for the address is open: as `runtime.watching` has it.
- What comes too late (`not_after`) is not handed over. Renewing an address that has gone puts it back.
- A lifetime that is not renewed ends late (`Temper.late_s`), whether there is a process or not. IPv6 addresses are
  put on without one, unless the order says that they must expire.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from duravip.cluster.charter import CALL_S
from duravip.cluster.effects import ReleaseAddress, RenewAddresses, TakeAddress
from duravip.cluster.inputs import (
    AddressAdded,
    AddressAddFailed,
    AddressesLost,
    AddressesRenewed,
    AddressLapsed,
    AddressRemoved,
    AddressRemoveFailed,
    KernelAnswer,
)
from duravip.model import Address
from duravip.sim.clock import Clock, MachineClock

Order = TakeAddress | ReleaseAddress
Answer = KernelAnswer | AddressesRenewed | AddressesLost

EXPIRY_SLACK_S: Final = 2.5  # how late Linux may be with the end of a lifetime
LOOK_AGAIN_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """How bad a kernel is. Times are seconds: usual ones are drawn up to `usual_s`; a `slow` chance draws up to
    `slow_s` instead, for handing over, carrying out and answering alike. `failure` is a chance per order; `stop`
    one per system call that a process with an alarm is stopped right before it, for `stop_s` at most. The end of a
    lifetime comes up to `late_s` late."""

    usual_s: float = 0.002
    slow: float = 0.0
    slow_s: float = 0.6
    failure: float = 0.0
    stop: float = 0.0
    stop_s: float = 20.0
    late_s: float = EXPIRY_SLACK_S


CALM = Temper()
MOODY = Temper(slow=0.08, failure=0.02)


class Customer:
    """The process that gives orders, as its kernel sees it. `answer` is called while it is alive. `has_alarm`: one was
    set, so that it does not matter how long it stands still before a system call. `stop` makes it stand still for so
    long."""

    def __init__(self, answer: Callable[[Answer], None], stop: Callable[[float], None] = lambda for_s: None) -> None:
        self.answer = answer
        self.stop = stop
        self.alive = True
        self.frozen = False
        self.has_alarm = False


class Kernel:
    """`present` is the truth: the VIPs that are on the host's interface, with no order. `changed` is told of it.
    `local_now`: what the host's monotonic clock shows."""

    def __init__(
        self,
        clock: Clock | MachineClock,
        chance: random.Random,
        changed: Callable[[Address, bool], None],
        local_now: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._local_now = local_now
        self._random = chance
        self._changed = changed
        self.temper = CALM
        self.present: set[Address] = set()
        self._orders: dict[Address, deque[Order]] = {}
        self._removals: deque[Address] = deque()
        self._additions: deque[Address] = deque()
        self._renewals: deque[RenewAddresses] = deque()
        self._on: set[Address] = set()  # what the process knows to be on
        self._unnoticed: list[Address] = []  # gone while the process was frozen
        self._lives: dict[Address, object] = {}  # the lifetime that counts, of addresses that have one
        self.longest_lifetime_s = 0.0  # that it was given
        self._customer: Customer | None = None
        self._handing = False  # an order is with the process's worker thread
        self._calling = False  # the process has checked it, and is about to call the kernel
        self._in_kernel = False  # an order is with the kernel
        self._after: Callable[[], None] | None = None  # a purge that waits for it
        self._stopped: Callable[[], None] | None = None  # a system call before which the process was frozen

    # --- orders ---------------------------------------------------------------------------------------------

    def serve(self, customer: Customer) -> None:
        """From now on orders are this process's. Those of an earlier one that were not handed over are gone."""
        self._customer = customer
        self._orders.clear()
        self._removals.clear()
        self._additions.clear()
        self._renewals.clear()
        self._on.clear()
        self._unnoticed.clear()
        self._handing = False
        self._calling = False
        self._stopped = None

    def order(self, order: Order) -> None:
        waiting = self._orders.setdefault(order.address, deque())
        waiting.append(order)
        if len(waiting) == 1:
            self._make_ready(order)
            self._begin()

    def renew(self, order: RenewAddresses) -> None:
        self._renewals.append(order)
        self._begin()

    def thaw(self) -> None:
        """The process runs again: it hands over what it was about to, and looks around."""
        if self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped()
        self._begin()
        unnoticed, self._unnoticed = self._unnoticed, []
        for address in unnoticed:
            self._notice(address)

    def steal(self, address: Address) -> None:
        """Somebody else takes it off, if it is there."""
        if address in self.present:
            self._set(address, False)
            self._notice(address)

    def _notice(self, address: Address) -> None:
        if self._customer is not None:
            self._clock.after(self._delay(), partial(self._look, self._customer, address))

    def _look(self, customer: Customer, address: Address) -> None:
        if customer is not self._customer or not customer.alive:
            return
        if customer.frozen:
            self._unnoticed.append(address)
        elif address in self._orders or self._calling or self._in_kernel:  # the worker does one thing at a time
            self._clock.after(self._delay() + LOOK_AGAIN_S, partial(self._look, customer, address))
        elif address in self._on and address not in self.present:
            self._on.discard(address)
            customer.answer(AddressesLost(addresses=(address,)))

    def idle(self) -> bool:
        """Nothing is ordered that is not answered."""
        return not self._orders

    def may_have(self, address: Address) -> bool:
        """Whether it has the address, or has an order for it that is not answered."""
        return address in self.present or address in self._orders

    def _make_ready(self, order: Order) -> None:
        (self._removals if isinstance(order, ReleaseAddress) else self._additions).append(order.address)

    def _begin(self) -> None:
        """The worker takes up the next order, some time before it hands it over."""
        if self._handing or self._in_kernel or self._customer is None:
            return
        if not (self._removals or self._additions or self._renewals):
            return
        self._handing = True
        self._clock.after(self._delay(), partial(self._hand_over, self._customer))

    def _hand_over(self, customer: Customer) -> None:
        if customer is not self._customer or not customer.alive:
            return
        self._handing = False
        if customer.frozen:  # `thaw` begins again
            return
        if not self._removals and not self._additions:
            self._hand_over_renewal(customer, self._renewals.popleft())
            return
        address = self._removals.popleft() if self._removals else self._additions.popleft()
        order = self._orders[address][0]
        if isinstance(order, TakeAddress) and self._local_now() >= order.not_after:
            self._answer(customer, AddressLapsed(address=address))
            return
        self._about_to_call(customer, self._delay(), partial(self._carry_out, customer, order))

    def _about_to_call(self, customer: Customer, took_s: float, work: Callable[[], None]) -> None:
        """All is checked. A process with an alarm may be interrupted here too, for any time; it counts with calls that
        take CALL_S at most."""
        if not customer.has_alarm:
            self._in_kernel = True
            self._clock.after(took_s, work)
            return
        self._handing = self._calling = True
        self._clock.after(self._delay(), partial(self._call, customer, min(took_s, CALL_S), work))

    def _call(self, customer: Customer, took_s: float, work: Callable[[], None]) -> None:
        if customer is not self._customer or not customer.alive:
            return
        if self.temper.stop and self._random.random() < self.temper.stop:
            customer.stop(self.temper.stop_s * self._random.random())
        if customer.frozen:
            self._stopped = partial(self._call, customer, took_s, work)
            return
        self._handing = self._calling = False
        self._in_kernel = True
        self._clock.after(took_s, work)

    def _hand_over_renewal(self, customer: Customer, order: RenewAddresses) -> None:
        if self._local_now() >= order.not_after:
            self._answer(customer, AddressesRenewed(lapsed=True))
            return
        wanted = [address for address in order.addresses if address in self._on and address not in self._orders]
        took_s = self._delay()
        work = partial(self._carry_out_renewal, customer, wanted, order.lifetime_s, took_s)
        self._about_to_call(customer, took_s, work)

    def _carry_out_renewal(self, customer: Customer, wanted: list[Address], lifetime_s: float, took_s: float) -> None:
        self._in_kernel = False
        failed = []
        for address in wanted:
            if self._random.random() < self.temper.failure:
                failed.append((address, "no buffer space"))
            else:
                self._set(address, True)
                self._live(address, lifetime_s)
        self._close(customer, AddressesRenewed(took_s=took_s, failed=tuple(failed)))

    def _carry_out(self, customer: Customer, order: Order) -> None:
        self._in_kernel = False
        address, take = order.address, isinstance(order, TakeAddress)
        failed = self._random.random() < self.temper.failure
        if not failed or self._random.random() < 0.3:
            self._set(address, take)
            if isinstance(order, TakeAddress) and (order.must_expire or ":" not in address):
                self._live(address, order.lifetime_s)
        answer: Answer
        if take:
            answer = (
                AddressAddFailed(address=address, error="no buffer space") if failed else AddressAdded(address=address)
            )
        else:
            answer = (
                AddressRemoveFailed(address=address, error="device busy") if failed else AddressRemoved(address=address)
            )
        self._close(customer, answer)

    def _close(self, customer: Customer, answer: Answer) -> None:
        """The kernel has done its part."""
        if self._after is not None:
            self._clock.after(0.0, self._after)
            self._after = None
        if customer is self._customer and customer.alive:
            self._clock.after(self._delay(), partial(self._answer, customer, answer))

    def _answer(self, customer: Customer, answer: Answer) -> None:
        if customer is not self._customer or not customer.alive:
            return
        if not isinstance(answer, AddressesRenewed | AddressesLost):
            waiting = self._orders[answer.address]
            waiting.popleft()
            if waiting:
                self._make_ready(waiting[0])
            else:
                del self._orders[answer.address]
        if isinstance(answer, AddressAdded):
            self._on.add(answer.address)
        elif isinstance(answer, AddressRemoved | AddressRemoveFailed):
            self._on.discard(answer.address)  # what may be off must not be renewed
        self._begin()
        customer.answer(answer)

    def _live(self, address: Address, lifetime_s: float) -> None:
        """A lifetime begins."""
        self._lives.pop(address, None)
        if lifetime_s:
            life = self._lives[address] = object()
            self.longest_lifetime_s = max(self.longest_lifetime_s, lifetime_s)
            ends_in_s = self._clock.lasting(lifetime_s + self.temper.late_s * self._random.random())
            self._clock.after(ends_in_s, partial(self._expire, address, life))

    def _expire(self, address: Address, life: object) -> None:
        if self._lives.get(address) is life:
            self._set(address, False)
            self._notice(address)

    def _set(self, address: Address, present: bool) -> None:
        if present == (address in self.present):
            return
        if present:
            self.present.add(address)
        else:
            self.present.discard(address)
            self._lives.pop(address, None)
        self._changed(address, present)

    def _delay(self) -> float:
        temper = self.temper
        if temper.slow and self._random.random() < temper.slow:
            return temper.slow_s * self._random.random()
        return temper.usual_s * self._random.random()

    # --- between two lives ----------------------------------------------------------------------------------

    def purge(self, done: Callable[[], None]) -> None:
        """Takes everything off, after what was handed over before; then calls `done`. There is no customer now."""
        if self._in_kernel:
            self._after = partial(self.purge, done)
            return
        for address in sorted(self.present):
            self._set(address, False)
        self._clock.after(self._delay(), done)
