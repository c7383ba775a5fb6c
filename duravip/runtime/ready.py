"""Tells the service manager that the daemon is ready.

Source: sd_notify(3): one datagram to the UNIX socket that NOTIFY_SOCKET names; `@` stands for a leading zero
byte.
"""

from __future__ import annotations

import os
import socket


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
