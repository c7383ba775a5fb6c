"""What is done while trio has nothing to run: members' datagrams are read, deadlines are kept, and trio sleeps on.

Rules of this file
- Nobody waits longer for that: trio's own descriptors are looked at together with the sockets, and once a task can run
  again, or one of trio's deadlines has come, trio goes on.
- A deadline that has come goes before the sockets, and alone: two long turns are two steps, not one. But where one
  comes after the other they do not pass over the sockets for ever.
- What is called here must not await, and what it raises ends the driver's task, not trio.

Theory of operation
    A turn of trio's event loop costs more than all that a heartbeat leads to: a task is woken, it takes the datagram
    and has its socket watched anew, the loop looks for deadlines. With a heartbeat of every member each 10 ms that was
    most of what an idle daemon used. Almost no heartbeat concerns any other task. So an instrument takes over where
    trio is about to wait, and waits itself: for the sockets, and for the descriptor of trio's epoll, which is readable
    when trio would wake up. When a call of here has made a task runnable, trio must not wait for what it was about
    to wait: it is woken up as by another thread.

Source: trio, "Instrumenting trio" and `TrioToken.run_sync_soon`; epoll(7) on epoll descriptors in epoll sets.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import trio

PASSED_OVER = 3  # times, at most: a long table is worked at in many turns, one due after the other


class Interlude(trio.abc.Instrument):
    """`readers` by descriptor: called when it is readable. `tick` is called when `due_at()` has come, in seconds of
    trio's clock, which must be the system's. Only where `is_possible`; to be entered in the task that then waits in
    `fail`."""

    def __init__(
        self, readers: Mapping[int, Callable[[], None]], *, due_at: Callable[[], float], tick: Callable[[], None]
    ) -> None:
        self._time = trio.lowlevel.current_clock().current_time
        self._token = trio.lowlevel.current_trio_token()
        descriptor = _trio_descriptor()
        if descriptor is None:
            raise RuntimeError("trio does not wait by epoll: a bug in duravip")
        self._trio = descriptor
        self._readers = dict(readers)
        self._due_at = due_at
        self._tick = tick
        self._stirs = False  # a task can run that could not
        self._passed_over = 0  # how often sockets were, since one was read
        self._failure: BaseException | None = None
        self._failed = trio.Event()
        self._epoll = select.epoll()

    @staticmethod
    def is_possible() -> bool:
        """Whether trio waits by epoll."""
        return _trio_descriptor() is not None

    def __enter__(self) -> Self:
        for descriptor in (self._trio, *self._readers):
            self._epoll.register(descriptor, select.EPOLLIN)
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        trio.lowlevel.remove_instrument(self)
        self._epoll.close()

    async def fail(self) -> None:
        """Raises what a call has raised, or waits."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self._stirs = True

    def before_io_wait(self, timeout: float) -> None:
        if self._failure is not None:
            return
        try:
            if self._wait(self._time() + timeout) or not timeout:
                return
        except BaseException as error:
            self._failure = error
            self._failed.set()
        self._token.run_sync_soon(_nothing, idempotent=True)

    def _wait(self, end: float) -> bool:
        """Until trio should go on; whether it would wake up by itself."""
        self._stirs = wakes = False
        while True:
            for descriptor, _ in self._epoll.poll(max(0.0, min(end, self._due_at()) - self._time())):
                if descriptor == self._trio:
                    wakes = True
                elif self._stirs:
                    pass
                elif self._time() < self._due_at() or self._passed_over == PASSED_OVER:
                    self._passed_over = 0
                    self._readers[descriptor]()
                else:
                    self._passed_over += 1
            now = self._time()
            if now >= self._due_at():
                self._tick()
            if wakes or self._stirs or now >= end:
                return wakes


def _trio_descriptor() -> int | None:
    """Of its epoll, for which it has no public name; None where it has none."""
    try:
        runner = trio._core._run.GLOBAL_RUN_CONTEXT.runner
        descriptor: int = runner.io_manager._epoll.fileno()
    except AttributeError:
        return None
    return descriptor


def _nothing() -> None:
    """It is enough that trio wakes up."""
