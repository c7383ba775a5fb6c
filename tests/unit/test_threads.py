"""What the kernel takes its time over does not stop the event loop; what it does at once is done before all else."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import trio

from duravip.threads import close_aside, run_promptly

PATIENCE_S = 10.0


@pytest.fixture
def stingy() -> Iterator[None]:
    """No thread gets the interpreter that another one has not given away."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2 * PATIENCE_S)
    yield
    sys.setswitchinterval(before)


async def test_what_it_returns_or_raises_is_returned_or_raised() -> None:
    assert await run_promptly(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        await run_promptly(lambda: 1 // 0)


async def test_it_is_not_done_by_the_event_loops_thread() -> None:
    assert await run_promptly(threading.get_ident) != threading.get_ident()


async def test_while_it_waits_for_a_lock_the_loop_goes_on_and_so_it_does_when_it_is_cancelled() -> None:
    lock = threading.Event()  # as somebody else has in the kernel
    ends: list[bool] = []

    async def ask() -> None:
        ends.append(await run_promptly(lambda: lock.wait(PATIENCE_S)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            for _ in range(3):
                await trio.sleep(0.001)
        assert ends == []
        lock.set()
    assert ends == [True]


async def test_what_is_done_at_once_is_done_before_any_other_task_runs(
    stingy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as some system calls, each of which gives the interpreter away."""
    monkeypatch.setattr("duravip.threads.USUAL_WAIT_S", PATIENCE_S)  # a busy machine is no reason to fail
    order: list[str] = []

    async def other() -> None:
        order.append("another task")

    async with trio.open_nursery() as nursery:
        await run_promptly(list)  # there is a thread
        nursery.start_soon(other)
        await run_promptly(lambda: [os.stat("/") for _ in range(10)])
        order.append("the work")
    assert order == ["the work", "another task"]


async def test_what_takes_longer_than_usual_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that several of these in a row are not one long step."""
    monkeypatch.setattr("duravip.threads.LONGEST_WAIT_S", PATIENCE_S)
    order: list[str] = []

    async def other() -> None:
        order.append("another task")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(20):  # trio throws dice for who is first
            await run_promptly(lambda: time.sleep(0.002))
        order.append("the work")
    assert order == ["another task", "the work"]


def test_what_is_closed_aside_is_closed_at_once_for_its_owner_and_soon_for_all() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(PATIENCE_S)
        close_aside(ours)
        assert ours.fileno() == -1
        assert theirs.recv(1) == b""
