"""Runs the notifiers: one task and one bounded queue each, so that none delays another, or the daemon.

A notifier that raises, or takes longer for one event than it may, has failed: that is an event (`plugin.failed`), the
event it had in hand is given up, and it is left, if it is a context manager, and entered again after a pause that
doubles with every failure in a row. One that does not even end when it is cancelled, because it waits in a thread, has
failed too: it cannot be left, so it is told nothing until it ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from fnmatch import fnmatchcase
from functools import partial

import trio

from duravip.bus import Bus
from duravip.config.node_config import PluginStanza
from duravip.events import Event, PluginFailed, Stamped
from duravip.plugin.api import Notifier
from duravip.runtime.foreign import in_words

NOTIFY_LIMIT_S = 30.0  # unless the notifier has a `limit_s` of its own
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
CANCEL_S = 1.0  # how long one may go on after it was cancelled
QUEUE_EVENTS = 1_000


class Notifying:
    """One notifier at work. It hears what is published from its making on. The option `events`, where the plugin has
    it, is a list of globs over event ids."""

    def __init__(self, stanza: PluginStanza, notifier: Notifier, bus: Bus, publish: Callable[[Event], None]) -> None:
        self.name = stanza.title
        self.is_over = False
        self._globs: tuple[str, ...] = stanza.options.get("events") or ("*",)
        self._notifier = notifier
        self._limit_s: float = getattr(notifier, "limit_s", NOTIFY_LIMIT_S)
        self._publish = publish
        self._subscription = bus.subscribe(size=QUEUE_EVENTS)
        self._pause_s = FIRST_PAUSE_S

    def __repr__(self) -> str:
        return f"<Notifying {self.name}: {self._subscription}>"

    async def run(self) -> None:
        """Until cancelled; longer, when the notifier does not end then. `is_over` from then on."""
        try:
            with self._subscription:
                while True:
                    failure = await self._run_once()
                    self._publish(PluginFailed(plugin=self.name, text=failure))
                    await trio.sleep(self._pause_s)
                    self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        finally:
            self.is_over = True

    async def _run_once(self) -> str:
        """From entering to the first failure, which it gives in words."""
        stack = AsyncExitStack()
        try:
            if isinstance(self._notifier, AbstractAsyncContextManager):
                failure = await self._attempt(partial(stack.enter_async_context, self._notifier), NOTIFY_LIMIT_S)
                if failure:
                    return f"it cannot be started: {failure}"
            while True:
                stamped = await self._next()
                failure = await self._attempt(partial(self._notifier.notify, stamped), self._limit_s)
                if failure:
                    return f"{stamped.event.id} was not told: {failure}"
                self._pause_s = FIRST_PAUSE_S
        finally:
            with suppress(Exception):  # a plugin's; it is over anyway
                await stack.aclose()

    async def _next(self) -> Stamped:
        """The next event that is to be told."""
        while True:
            stamped = await self._subscription.receive()
            if lost := self._subscription.take_lost():
                self._publish(PluginFailed(plugin=self.name, text=f"too slow: {lost} events were never told"))
            if any(fnmatchcase(stamped.event.id, glob) for glob in self._globs) and not self._is_own_failure(stamped):
                return stamped

    def _is_own_failure(self, stamped: Stamped) -> bool:
        """Its own failure is for the others to tell: it would fail at that as well, for ever."""
        return isinstance(stamped.event, PluginFailed) and stamped.event.plugin == self.name

    async def _attempt(self, call: Callable[[], Awaitable[object]], limit_s: float) -> str:
        """Why it failed, in words; "" when it did not."""
        failure = ""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._complain, limit_s + CANCEL_S)
            with trio.move_on_after(limit_s) as patience:
                try:
                    await call()
                except Exception as error:  # a plugin's: whatever it was, the others go on
                    failure = in_words(error)
            nursery.cancel_scope.cancel()
        return f"no answer within {limit_s:g} s" if patience.cancelled_caught else failure

    async def _complain(self, after_s: float) -> None:
        await trio.sleep(after_s)
        text = f"no answer within {after_s - CANCEL_S:g} s, and it does not end: it is told nothing until it does"
        self._publish(PluginFailed(plugin=self.name, text=text))
