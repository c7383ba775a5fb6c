"""The end of a process whose event loop cannot end.

A plugin that waits in a thread cannot be cancelled, and trio waits for it. When every address is off and everything is
said, nothing else is worth waiting for: a service manager would count the node as running.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence

END_S = 3.0

log = logging.getLogger("duravip")


def end_anyway(status: int, hanging: Callable[[], Sequence[str]], *, limit_s: float = END_S) -> None:
    """This process has `limit_s` to end by itself; then it ends with this exit status, and the log says because of
    what."""
    timer = threading.Timer(limit_s, _end, (status, hanging))
    timer.daemon = True
    timer.start()


def _end(status: int, hanging: Callable[[], Sequence[str]]) -> None:
    names = ", ".join(hanging())
    log.error("%s does not end, and cannot be ended: this process ends without it", names or "a plugin")
    logging.shutdown()
    os._exit(status)
