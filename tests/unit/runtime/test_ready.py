from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from duravip.runtime.ready import keep_watchdog, watchdog_interval_s


def test_the_watchdog_is_told_twice_as_often_as_it_asks() -> None:
    assert watchdog_interval_s({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}) == 5.0
    assert watchdog_interval_s({"WATCHDOG_USEC": "10000000"}) == 5.0


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}],
)
def test_without_somebody_who_waits_nothing_is_said(environment: dict[str, str]) -> None:
    assert watchdog_interval_s(environment) is None


async def test_the_watchdog_is_told_while_the_loop_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with trio.move_on_after(12):
            await keep_watchdog(5.0)
        assert [listening.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        with pytest.raises(BlockingIOError):
            listening.recv(100)
