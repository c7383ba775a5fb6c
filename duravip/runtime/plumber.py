"""Carries the machine's kernel orders to the backend, in batches, and says what became of each.

Rules of this file
- Orders for one address are carried out in the order given, each answered once; a batch is answered before the next.
- Of what may be done next, removals come first: somebody else is waiting for them.
- An address is no longer announced from the moment its removal is ordered, and is announced as soon as the
  kernel has acknowledged it, before the machine hears of it.
- One call of the backend at a time; it is never abandoned half way, not even when the daemon is stopped.
- Renewals come last, and leave out what has gone or is to go: renewing an address would put it back.
- An address that somebody doubts is looked up when no order for it is open: what is on then, and was not put there, or
  is not on and was, is somebody else's doing. The machine hears of it, and orders what is to be done.
- An address for which the backend made an interface of its own (`net.macvlan`) is as good as gone when that is switched
  off: it is taken off there, and lost. The order that follows makes the interface ready again.
- An address that somebody has just taken off is tried for a moment if it is refused: whoever sets an interface up anew
  (NetworkManager) switches IPv6 off there meanwhile.
- Looking up takes a share of the time: whoever floods us with doubts shall not keep renewals, and so everything, off.
- What is late is not done: not here, and not by the backend, which looks again right before it asks the kernel.
- Others have their turn when this has been at it for a millisecond: what the event loop waits for the kernel's answer
  (`duravip.threads`), what is announced and what the machine makes of the answers come on top of each other.

Batches: whatever has gathered while the last one was with the kernel, but the first ones are short, so that
the first addresses are announced while the rest are still being put on.

Source: the kernel-effects rule of the protocol page (they take time and fail).
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import trio

from duravip.cluster.effects import AnnounceAddress, DefendAddress, ReleaseAddress, RenewAddresses, TakeAddress
from duravip.cluster.inputs import (
    AddressAdded,
    AddressAddFailed,
    AddressesLost,
    AddressesRenewed,
    AddressesStray,
    AddressLapsed,
    AddressRemoved,
    AddressRemoveFailed,
    Input,
    KernelAnswer,
    KernelAnswered,
    Spot,
)
from duravip.errors import BackendError
from duravip.model import Address
from duravip.plugin.api import AddressChanged, Answer, Backend, Placement, Plumbed
from duravip.runtime.foreign import in_words

FIRST_BATCH = 64
LARGEST_BATCH = 512
PIECE = 64  # addresses that are looked up, or that the machine hears of, at once: some 1.5 ms
FEW = 8  # addresses, between two looks at the clock
LONG_S = 0.001  # then others have their turn between two batches
LONGEST_S = 0.002  # and within one
REST = 3  # for so many times as long as a look-up took no other begins
LEAST_REST_S = 0.001
TRY_AGAIN_S = 0.025
TRY_FOR_S = 0.25  # since it was taken off
ANSWER_LIMIT_S = 10.0  # a kernel that takes longer is not coming back, and nobody knows what it has done

log = logging.getLogger("duravip")
_T = TypeVar("_T")

Order = TakeAddress | ReleaseAddress


class Announcing(Protocol):
    """What the plumber needs of `net.announce.Announcer`."""

    def announce(self, address: Address, interface: str) -> None: ...

    def repeat(self, address: Address, interface: str) -> None: ...

    def defend(self, address: Address, interface: str) -> None: ...

    def withdraw(self, address: Address) -> None: ...


class Plumber:
    """`answer` takes one input for the machine and returns at once."""

    def __init__(self, *, backend: Backend, announcer: Announcing, answer: Callable[[Input], None]) -> None:
        self._backend = backend
        self._announcer = announcer
        self._answer = answer
        self._orders: dict[Address, list[Order]] = {}  # every address with orders that are not answered: one or two
        self._removals: deque[Address] = deque()  # addresses whose next order is a removal
        self._additions: deque[Address] = deque()
        self._on: dict[Address, Placement] = {}  # what is on, and where
        self._apart: dict[str, set[Address]] = {}  # what is on another interface than was ordered: on one of its own
        self._lost_at: dict[Address, float] = {}  # what somebody took off, until it is on again
        self._refused: deque[tuple[float, Address]] = deque()  # when which of them is tried again
        self._given_up: set[Address] = set()  # their removal was ordered, and is not done
        self._renewals: deque[RenewAddresses] = deque()
        self._doubted: set[Address] = set()
        self._expired: set[Address] = set()  # those of the doubted that the kernel said to have dropped
        self._managed: Callable[[Address], bool] | None = None  # set: everything that it is true of is doubted
        self._rests_until = -math.inf  # no look-up begins before
        self._batch_size = FIRST_BATCH
        self._began = -math.inf  # since others had their turn, as far as is known here
        self._work = trio.Event()
        self._idle = trio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<Plumber {len(self._on)} addresses on, {self.waiting} orders waiting>"

    @property
    def waiting(self) -> int:
        """Orders that are not answered yet."""
        return sum(len(orders) for orders in self._orders.values())

    def interface_of(self, address: Address) -> str | None:
        """Where an address that we put on is; None when it is not on."""
        placement = self._on.get(address)
        return placement.interface if placement is not None else None

    def order(self, order: TakeAddress | ReleaseAddress | AnnounceAddress | DefendAddress | RenewAddresses) -> None:
        """Takes an order; returns at once."""
        if isinstance(order, RenewAddresses):
            self._renewals.append(order)
            self._begin()
            return
        address = order.address
        if isinstance(order, ReleaseAddress):
            self._announcer.withdraw(address)
            self._given_up.add(address)
        elif not isinstance(order, TakeAddress):
            interface = self.interface_of(address)
            if interface is not None and not self._removal_ordered(address):
                say = self._announcer.repeat if isinstance(order, AnnounceAddress) else self._announcer.defend
                say(address, interface)
            return
        if waiting := self._orders.get(address):
            waiting.append(order)
        else:
            self._orders[address] = [order]
            self._make_ready(order)
            self._begin()

    async def wait_idle(self) -> None:
        """Until nothing is ordered that is not done."""
        await self._idle.wait()

    def expects(self, change: AddressChanged) -> bool:
        """Whether the change is what an address's last order makes of it, answered or not."""
        orders = self._orders.get(change.address)
        spot: tuple[str | None, int] | None
        if orders:
            order = orders[-1]
            spot = None if isinstance(order, ReleaseAddress) else (order.interface, order.prefix)
        else:
            placement = self._on.get(change.address)
            spot = (placement.interface, placement.prefix) if placement is not None else None
        belongs = spot is not None and spot[0] in (None, change.interface) and spot[1] == change.prefix
        return change.present == belongs

    def doubt(self, address: Address, *, expired: bool = False) -> None:
        """It may not be as it was ordered. `expired`: the kernel has dropped it."""
        self._doubted.add(address)
        if expired:
            self._expired.add(address)
        self._work.set()

    def doubt_interface(self, interface: str) -> None:
        """It has fallen: it may be one that the backend made for an address."""
        for address in self._apart.get(interface, ()):
            self.doubt(address)

    def doubt_everything(self, managed: Callable[[Address], bool]) -> None:
        """Whatever is on, and everything that is `managed`."""
        self._managed = managed
        self._work.set()

    async def run(self) -> None:
        """Until cancelled. Raises BackendError when the kernel does not answer at all."""
        while True:
            self._began = trio.current_time()
            while await self._carry_out_one_batch():
                if self._is_long():
                    await self._give_way()
            self._batch_size = FIRST_BATCH
            if not self._refused:
                self._idle.set()
            self._work = trio.Event()
            with trio.move_on_at(min(self._next_look_up_at(), self._next_try_at())):
                await self._work.wait()

    def _is_long(self) -> bool:
        """Whether others should have their turn."""
        return trio.current_time() >= self._began + LONG_S

    async def _give_way(self) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        self._began = trio.current_time()

    def _next_look_up_at(self) -> float:
        return self._rests_until if self._doubted or self._managed else math.inf

    def _next_try_at(self) -> float:
        return self._refused[0][0] if self._refused else math.inf

    async def _carry_out_one_batch(self) -> bool:
        """False: there is nothing that may be done now."""
        while self._next_try_at() <= trio.current_time():
            self._additions.append(self._refused.popleft()[1])
        if self._removals:
            batch = _take(self._removals, LARGEST_BATCH)
            answers = await self._call(self._backend.remove, batch)
            await self._settle(batch, answers, self._removed, somebody_waits=True)
        elif self._additions:
            batch = _take(self._additions, self._batch_size)
            self._batch_size = min(self._batch_size * 2, LARGEST_BATCH)
            answers = await self._call(self._backend.add, batch)
            await self._settle(batch, answers, self._added, somebody_waits=False)
        elif (began := trio.current_time()) >= self._next_look_up_at():
            await self._look_up()
            ended = trio.current_time()
            self._rests_until = ended + max(LEAST_REST_S, REST * (ended - began))
        elif self._renewals:
            await self._renew(self._renewals.popleft())
        else:
            return False
        return True

    async def _look_up(self) -> None:
        """What the kernel has of the doubted addresses. Those that an order was given for meanwhile are asked for
        again. Others have their turn between two pieces; the machine hears of each at once."""
        doubted, self._doubted = self._doubted, set()
        expired, self._expired = self._expired, set()
        managed, self._managed = self._managed, None
        listed = await self._list()
        if dead := self._dead(listed):
            doubted.update(placement.address for placement in dead)
            await self._ask(self._backend.remove, dead)
            listed = await self._list()
        if listed is None:  # what was taken off is still to be told of
            self._doubted |= {placement.address for placement in dead}
            return
        found: dict[Address, set[tuple[str, int]]] = {}
        if managed is not None:
            doubted |= self._on.keys()
        for number, rows in enumerate(_pieces(listed)):
            if number:
                await trio.lowlevel.checkpoint()
            for row in rows:
                if row.address in doubted or (managed is not None and managed(row.address)):
                    found.setdefault(row.address, set()).add((row.interface, row.prefix))
        for number, addresses in enumerate(_pieces(tuple(doubted | found.keys()))):
            if number:
                await trio.lowlevel.checkpoint()
            self._judge(addresses, found, expired)

    async def _list(self) -> Sequence[Plumbed] | None:
        """None: the backend does not say. The next comparison asks again."""
        with trio.move_on_after(ANSWER_LIMIT_S):
            try:
                return await self._backend.list()
            except Exception as error:  # a plugin's
                log.warning("what is on the interfaces cannot be compared with what should be: %s", error)
                return None
        raise BackendError(f"the kernel has not answered for {ANSWER_LIMIT_S:g} s")

    def _dead(self, listed: Sequence[Plumbed] | None) -> list[Placement]:
        """What is on an interface of its own that somebody has switched off."""
        return [
            self._on[row.address]
            for row in listed or ()
            if row.switched_off
            and row.address in self._apart.get(row.interface, ())
            and row.interface == self.interface_of(row.address)
            and row.address not in self._orders
        ]

    def _judge(
        self, addresses: Sequence[Address], found: Mapping[Address, set[tuple[str, int]]], expired: set[Address]
    ) -> None:
        """`found`: where they are. Tells the machine which of them are lost, and which stray."""
        lost: list[Address] = []
        stray: list[Spot] = []
        for address in sorted(addresses):
            if address in self._orders:
                self._doubted.add(address)
                continue
            placement = self._on.get(address)
            ordered = {(placement.interface or "", placement.prefix)} if placement is not None else set()
            there = found.get(address, set())
            if strange := sorted(there - ordered):
                stray.append(Spot(address=address, interface=strange[0][0], prefix=strange[0][1]))
            elif there != ordered:
                self._is_off(address)
                self._announcer.withdraw(address)
                self._lost_at[address] = trio.current_time()
                lost.append(address)
        if lost:
            self._answer(AddressesLost(addresses=tuple(lost), expired=frozenset(expired.intersection(lost))))
        if stray:
            self._answer(AddressesStray(spots=tuple(stray)))

    async def _renew(self, order: RenewAddresses) -> None:
        wanted = [
            replace(self._on[address], lifetime_s=order.lifetime_s, not_after=order.not_after)
            for address in order.addresses
            if address in self._on and address not in self._orders and address not in self._given_up
        ]
        began = trio.current_time()
        answers = await self._ask(self._backend.renew, wanted)
        failed = [answer for answer in answers.values() if answer.error]
        self._answer(
            AddressesRenewed(
                took_s=trio.current_time() - began,
                failed=tuple((answer.address, answer.error) for answer in failed if not answer.late),
                lapsed=any(answer.late for answer in failed),
            )
        )

    async def _call(self, call: BackendCall, batch: Sequence[Address]) -> dict[Address, Answer]:
        return await self._ask(call, [self._placement(self._orders[address][0]) for address in batch])

    def _placement(self, order: Order) -> Placement:
        if isinstance(order, ReleaseAddress):
            return Placement(address=order.address, interface=order.interface, prefix=order.prefix)
        return Placement(
            address=order.address,
            interface=order.interface,
            prefix=order.prefix,
            lifetime_s=order.lifetime_s,
            not_after=order.not_after,
            must_expire=order.must_expire,
        )

    async def _ask(self, call: BackendCall, placements: Sequence[Placement]) -> dict[Address, Answer]:
        """`not_after` of the placements is trio's time, and the backend's is the system's."""
        now = trio.current_time()
        ahead_s = time.monotonic() - now
        late = {placement.address for placement in placements if now >= placement.not_after}
        answers = {address: Answer(address=address, error="too late", late=True) for address in late}
        asked = [
            replace(placement, not_after=placement.not_after + ahead_s)
            for placement in placements
            if placement.address not in late
        ]
        if not asked:
            return answers
        with trio.move_on_after(ANSWER_LIMIT_S, shield=True):
            try:
                answers.update((answer.address, answer) for answer in await call(asked))
            except Exception as error:  # a plugin's: whatever it was, these addresses are not done
                log.error("the interface backend failed: %s", in_words(error))  # noqa: TRY400 (no bug of ours)
                text = str(error) or type(error).__name__
                answers.update((each.address, Answer(address=each.address, error=text)) for each in asked)
            return answers
        raise BackendError(
            f"the kernel has not answered for {ANSWER_LIMIT_S:g} s (first address: {asked[0].address})",
            address=asked[0].address,
        )

    async def _settle(
        self,
        batch: Sequence[Address],
        answers: dict[Address, Answer],
        outcome: Callable[[Order, Answer], KernelAnswer],
        *,
        somebody_waits: bool,
    ) -> None:
        """All announcements leave before the machine hears of the first. Others have their turn meanwhile, and
        before the machine hears of many, or of what nobody waits for."""
        inputs: list[KernelAnswer] = []
        for number, address in enumerate(batch):
            if number and not number % FEW and trio.current_time() >= self._began + LONGEST_S:
                await self._give_way()
            orders = self._orders[address]
            answer = answers.get(address) or Answer(address=address, error="the interface backend did not answer")
            if self._is_tried_again(orders[0], answer):
                self._refused.append((trio.current_time() + TRY_AGAIN_S, address))
                continue
            inputs.append(outcome(orders.pop(0), answer))
            if orders:
                self._make_ready(orders[0])
            else:
                del self._orders[address]
        for start in range(0, len(inputs), PIECE):
            if start or len(batch) >= FIRST_BATCH or (self._is_long() and not somebody_waits):
                await self._give_way()
            piece = inputs[start : start + PIECE]
            self._answer(piece[0] if len(piece) == 1 else KernelAnswered(answers=tuple(piece)))

    def _is_tried_again(self, order: Order, answer: Answer) -> bool:
        if isinstance(order, ReleaseAddress) or self._removal_ordered(order.address):
            return False
        lost_at = self._lost_at.get(order.address, -math.inf)
        return answer.error != "" and not answer.late and trio.current_time() < lost_at + TRY_FOR_S

    def _added(self, order: Order, answer: Answer) -> KernelAnswer:
        self._lost_at.pop(order.address, None)
        if answer.late:
            return AddressLapsed(address=order.address)
        if answer.error:
            return AddressAddFailed(address=order.address, error=answer.error)
        interface = answer.interface or order.interface or ""
        self._on[order.address] = Placement(address=order.address, interface=interface, prefix=order.prefix)
        if order.interface not in (None, interface):
            self._apart.setdefault(interface, set()).add(order.address)
        if not self._removal_ordered(order.address):
            self._announcer.announce(order.address, interface)
        return AddressAdded(address=order.address)

    def _removed(self, order: Order, answer: Answer) -> KernelAnswer:
        if answer.error:
            return AddressRemoveFailed(address=order.address, error=answer.error)
        self._is_off(order.address)
        self._given_up.discard(order.address)
        return AddressRemoved(address=order.address)

    def _is_off(self, address: Address) -> None:
        placement = self._on.pop(address, None)
        if placement is not None and placement.interface in self._apart:
            self._apart[placement.interface].discard(address)
            if not self._apart[placement.interface]:
                del self._apart[placement.interface]

    def _removal_ordered(self, address: Address) -> bool:
        return any(isinstance(order, ReleaseAddress) for order in self._orders.get(address, ()))

    def _begin(self) -> None:
        self._work.set()
        if self._idle.is_set():
            self._idle = trio.Event()

    def _make_ready(self, order: Order) -> None:
        (self._removals if isinstance(order, ReleaseAddress) else self._additions).append(order.address)


class BackendCall(Protocol):
    async def __call__(self, placements: Sequence[Placement], /) -> Sequence[Answer]: ...


def _pieces(everything: Sequence[_T]) -> list[Sequence[_T]]:
    return [everything[start : start + PIECE] for start in range(0, len(everything), PIECE)]


def _take(queue: deque[Address], limit: int) -> list[Address]:
    return [queue.popleft() for _ in range(min(limit, len(queue)))]
