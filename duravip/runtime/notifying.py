"""Runs the notifiers: one task and one bounded queue each, so that none delays another, or the daemon.

A notifier that raises, or takes longer than NOTIFY_LIMIT_S for one event, has failed: that is an event
(`plugin.failed`), the event it had in hand is given up, and it goes on after a pause that doubles with every failure in
a row.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

import trio

from duravip.bus import Bus
from duravip.config.node_config import PluginStanza
from duravip.events import Event, PluginFailed, Stamped
from duravip.plugin.api import Notifier

NOTIFY_LIMIT_S = 30.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
QUEUE_EVENTS = 1_000


async def run_notifier(stanza: PluginStanza, notifier: Notifier, bus: Bus, publish: Callable[[Event], None]) -> None:
    """Until cancelled. The option `events`, where the plugin has it, is a list of globs over event ids."""
    name = f"{stanza.plugin} {stanza.name}" if stanza.name else stanza.plugin
    globs = stanza.options.get("events") or ("*",)
    pause_s = FIRST_PAUSE_S
    with bus.subscribe(size=QUEUE_EVENTS) as subscription:
        while True:
            stamped = await subscription.receive()
            if lost := subscription.take_lost():
                publish(PluginFailed(plugin=name, text=f"too slow: {lost} events were never told"))
            if not any(fnmatchcase(stamped.event.id, glob) for glob in globs) or _is_own_failure(stamped, name):
                continue
            failure = await _tell(notifier, stamped)
            if not failure:
                pause_s = FIRST_PAUSE_S
                continue
            publish(PluginFailed(plugin=name, text=f"{stamped.event.id} was not told: {failure}"))
            await trio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


async def _tell(notifier: Notifier, stamped: Stamped) -> str:
    """Why it failed, in words; "" when it did not."""
    with trio.move_on_after(NOTIFY_LIMIT_S) as patience:
        try:
            await notifier.notify(stamped)
        except Exception as error:  # a plugin's: whatever it was, the others go on
            return str(error) or type(error).__name__
    return f"no answer within {NOTIFY_LIMIT_S:g} s" if patience.cancelled_caught else ""


def _is_own_failure(stamped: Stamped, name: str) -> bool:
    """Its own failure is for the others to tell: it would fail at that as well, for ever."""
    return isinstance(stamped.event, PluginFailed) and stamped.event.plugin == name
