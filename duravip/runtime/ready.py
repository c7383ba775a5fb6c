"""Tells the service manager that the daemon is ready, and then again and again that its loop runs.

Sources: sd_notify(3): one datagram to the UNIX socket that NOTIFY_SOCKET names; `@` stands for a leading zero
byte. sd_watchdog_enabled(3): WATCHDOG_USEC, meant for the process WATCHDOG_PID, and twice as often as asked.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import trio


def notify(state: str, *, path: str | None = None) -> bool:
    """Sends `state` (`READY=1`); False when nobody asked to be told, or it could not be. Never raises
    OSError."""
    target = os.environ.get("NOTIFY_SOCKET", "") if path is None else path
    if not target:
        return False
    address = "\0" + target[1:] if target.startswith("@") else target
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        try:
            sending.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """How often to say WATCHDOG=1, in seconds; None when nobody waits for it."""
    micros = environment.get("WATCHDOG_USEC", "")
    meant_for = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not micros.isdecimal() or not int(micros) or meant_for != str(os.getpid()):
        return None
    return int(micros) / 2_000_000


async def keep_watchdog(interval_s: float) -> None:
    """Until cancelled. A task like any other: a loop that hangs says nothing."""
    while True:
        notify("WATCHDOG=1")
        await trio.sleep(interval_s)
