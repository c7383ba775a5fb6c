"""Puts the daemon before others for the processor: clients wait for what it does, and that is done in a moment.

It asks for real-time priority, the lowest there is: who has it is not interrupted by what has none, so that a turn of
the event loop lasts as long as its own work. Its threads have it too, since the loop may wait for one that is
interrupted: Python's lock is with one thread at a time. Those that are started later, which work in the kernel mostly,
come after the loop; one that runs already, the log's, has what the loop has. Where the kernel grants none the daemon
has the lowest niceness, and short time slices, which anybody may have: Linux (6.12 and later) lets who wakes with a
shorter slice go before who is running.
Either priority takes root or CAP_SYS_NICE. What was given from outside is left as it is.

Source: sched(7), sched_setattr(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys
import threading

NICENESS = -20
SLICE_S = 0.0001  # the shortest that the kernel gives
OF_LOOP, OF_THREADS = 2, 1  # SCHED_RR: before all that is not in real time, after nearly all that is

_SYS_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # size, policy, flags, niceness, priority, runtime, deadline, period


def come_first() -> None:
    """As far as this process may, and this kernel can. For all threads of it, and those that are started later."""
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    number = _SYS_SCHED_SETATTR.get(platform.machine())
    if number is not None:
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        asked = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, round(SLICE_S * 1e9), 0, 0)
        ctypes.CDLL(None).syscall(number, 0, asked, 0)  # refused by kernels that know of no slices: no harm
    with contextlib.suppress(PermissionError):
        for thread in threading.enumerate():
            os.sched_setscheduler(thread.native_id or 0, os.SCHED_RR, os.sched_param(OF_LOOP))
        threading.setprofile(_come_second)  # all that Python calls in each new thread, whoever starts it


def _come_second(frame: object, event: str, argument: object) -> None:
    """Once, in a new thread, which has what the loop has."""
    sys.setprofile(None)
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(OF_THREADS))
