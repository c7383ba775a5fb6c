"""What is done in a thread because the kernel may take its time over it, and the event loop has none.

Rules of this file: whatever the kernel does, the loop stands still for LONGEST_WAIT_S at most.

Theory of operation
    Some work is done in no time unless somebody holds a lock in the kernel, which nobody can know beforehand. Done on
    the loop it takes as long as that lock is held. Done in a thread it competes with the loop for the interpreter: when
    the loop has much to do the thread is let in after half a millisecond, and once more after every system call, and
    clients wait for exactly this. So the loop does nothing until the thread is done, which then has the interpreter to
    itself: a tenth of a millisecond more than on the loop. Only what takes longer than usual goes on beside the loop;
    where it was waited for almost that long, others have their turn: the next may take as long.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from outcome import Outcome

USUAL_WAIT_S = 0.001
LONGEST_WAIT_S = 0.002  # four times what a few addresses take, and less than what a turn of the loop may take

T = TypeVar("T")


async def run_promptly(work: Callable[[], T]) -> T:
    """What `work` returns or raises. When it is done soon no other task runs meanwhile. Never cancelled."""
    done = threading.Lock()
    done.acquire()
    outcomes: list[Outcome[T]] = []

    def deliver(outcome: Outcome[T]) -> None:
        outcomes.append(outcome)
        done.release()

    trio.lowlevel.start_thread_soon(work, deliver)
    if done.acquire(timeout=USUAL_WAIT_S):
        return outcomes[0].unwrap()
    if done.acquire(timeout=LONGEST_WAIT_S - USUAL_WAIT_S):
        await trio.lowlevel.cancel_shielded_checkpoint()
    else:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(done.acquire)
    return outcomes[0].unwrap()


def close_aside(made: socket.socket) -> None:
    """Closes it, for all that its owner can see, and returns at once. For packet sockets: the kernel waits until nobody
    can be using one any more, 7 to 20 ms."""
    trio.lowlevel.start_thread_soon(partial(os.close, made.detach()), lambda outcome: None)
