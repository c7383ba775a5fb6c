"""The event bus: stamps what happened and hands it to everyone who listens, waiting for nobody.

Rules of this file: `publish` never waits and never raises for a subscriber's sake. Each subscriber has a
bounded queue; when it is full the oldest event in it is dropped and counted. Order is kept. The last events
are kept in a ring, so that a newcomer can be told what led to the present.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio

from duravip.events import Event, Stamped
from duravip.model import NodeName

RING_EVENTS = 1_000
QUEUE_EVENTS = 1_000


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Subscription:
    """One subscriber's queue. A context manager: leaving it unsubscribes."""

    def __init__(self, bus: Bus, size: int, past: list[Stamped]) -> None:
        self._bus = bus
        self._size = size
        self._queue: deque[Stamped] = deque(past)
        self._lost = 0
        self._lost_in_all = 0
        self._lot = trio.lowlevel.ParkingLot()
        self._in_hand = False
        self._dealt_with = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        return f"<Subscription {len(self._queue)} of {self._size} waiting, {self._lost_in_all} lost>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus._drop(self)
        self._queue.clear()
        self._let_go()

    @property
    def lost_in_all(self) -> int:
        """How many events this subscriber never saw, since it subscribed."""
        return self._lost_in_all

    def take_lost(self) -> int:
        """How many were dropped since the last call; all of them are older than what `receive` gives next."""
        lost, self._lost = self._lost, 0
        return lost

    def receive_nowait(self) -> Stamped | None:
        return self._queue.popleft() if self._queue else None

    async def receive(self) -> Stamped:
        """Waits for the next event. Asking for it says that the one before is dealt with."""
        self._let_go()
        await trio.lowlevel.checkpoint()
        while not self._queue:
            await self._lot.park()
        self._in_hand = True
        return self._queue.popleft()

    async def wait_dealt_with(self) -> None:
        """Until the subscriber has dealt with all there was, or has left."""
        while self._is_busy:
            await self._dealt_with.park()

    @property
    def _is_busy(self) -> bool:
        return self._in_hand or bool(self._queue)

    def _let_go(self) -> None:
        self._in_hand = False
        if not self._queue:
            self._dealt_with.unpark_all()

    def _put(self, stamped: Stamped) -> None:
        if len(self._queue) >= self._size:
            self._queue.popleft()
            self._lost += 1
            self._lost_in_all += 1
        self._queue.append(stamped)
        self._lot.unpark()


class Bus:
    """`view` answers with the present view's id as text, "" outside any view."""

    def __init__(
        self,
        *,
        node: NodeName,
        incarnation: str,
        view: Callable[[], str],
        wall_clock: Callable[[], datetime.datetime] = utc_now,
        ring_events: int = RING_EVENTS,
    ) -> None:
        self._node = node
        self._incarnation = incarnation
        self._view = view
        self._wall_clock = wall_clock
        self._ring: deque[Stamped] = deque(maxlen=ring_events)
        self._subscriptions: list[Subscription] = []
        self._published = 0

    def __repr__(self) -> str:
        return f"<Bus of {self._node}, {self._published} events, {len(self._subscriptions)} subscribers>"

    @property
    def published(self) -> int:
        """How many events so far; the `seq` of the newest."""
        return self._published

    def publish(self, event: Event) -> Stamped:
        self._published += 1
        stamped = Stamped(
            event=event,
            node=self._node,
            incarnation=self._incarnation,
            seq=self._published,
            time=self._wall_clock(),
            view=self._view(),
        )
        self._ring.append(stamped)
        for subscription in self._subscriptions:
            subscription._put(stamped)
        return stamped

    def recent(self) -> tuple[Stamped, ...]:
        """The last events, oldest first."""
        return tuple(self._ring)

    def subscribe(self, *, size: int = QUEUE_EVENTS, with_recent: bool = False) -> Subscription:
        """Everything from now on; `with_recent`: after what `recent()` has (its newest `size`), without a
        gap."""
        if size < 1:
            raise ValueError(f"a queue of {size} events can hold none")
        past = list(self._ring)[-size:] if with_recent else []
        subscription = Subscription(self, size, past)
        self._subscriptions.append(subscription)
        return subscription

    async def wait_dealt_with(self) -> None:
        """Until every subscriber has dealt with all that was published, meanwhile too. It may be never: the caller
        limits it."""
        while busy := [subscription for subscription in self._subscriptions if subscription._is_busy]:
            await busy[0].wait_dealt_with()

    def _drop(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
