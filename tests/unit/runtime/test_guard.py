"""The guard with its real process, on this machine's loopback; no address is put on anywhere."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from duravip.events import GuardReplaced
from duravip.model import Address
from duravip.plugin.api import Farewell
from duravip.runtime.guard import Guard

LIMIT_S = 10.0
MOST_RESIDENT_KB = 12_000
LEAVE = b"\x01sealed\n"


@dataclass
class Stage:
    """One end sends for the guard, the other hears it."""

    sending: socket.socket
    hearing: socket.socket
    lock: int
    destinations: tuple[tuple[str, int], ...]

    def guard(self) -> Guard:
        def farewells() -> list[Farewell]:
            return [Farewell(descriptor=self.sending.fileno(), destinations=self.destinations)]

        return Guard(leave=[LEAVE], farewells=farewells, lock=self.lock)

    def heard(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.hearing.recv(100))
            except BlockingIOError:
                return found


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hearing,
        (tmp_path / "guard").open("w+b") as lock,
    ):
        hearing.bind(("127.0.0.1", 0))
        hearing.setblocking(False)
        sending.setblocking(False)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Stage(sending, hearing, lock.fileno(), (hearing.getsockname(),))


@asynccontextmanager
async def kept(guard: Guard) -> AsyncIterator[list[GuardReplaced]]:
    """Entered, and kept alive; the events."""
    said: list[GuardReplaced] = []
    async with guard, trio.open_nursery() as nursery:
        nursery.start_soon(guard.keep, said.append)
        yield said
        nursery.cancel_scope.cancel()


async def replaced(said: list[GuardReplaced], times: int) -> None:
    with trio.fail_after(LIMIT_S):
        while len(said) < times:  # noqa: ASYNC110 (the process tells nobody but its parent)
            await trio.sleep(0.01)


async def test_at_the_end_of_the_stream_it_says_leave_three_times(stage: Stage) -> None:
    async with stage.guard():
        assert stage.heard() == []
    assert stage.heard() == [LEAVE] * 3


async def test_a_guard_that_is_dismissed_says_nothing(stage: Stage) -> None:
    async with stage.guard() as guard:
        pid = guard.pid
        guard.dismiss()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert stage.heard() == []
    assert guard.pid is None


async def test_an_address_that_it_cannot_take_off_keeps_it_from_saying_leave(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    async with stage.guard() as guard:
        guard.expect({Address("192.0.2.50"): b"", Address("192.0.2.51"): b""})
        guard.forget([Address("192.0.2.51"), Address("192.0.2.52")])
    assert stage.heard() == []
    assert "the daemon has died, and these cannot be taken off: 192.0.2.50\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("destinations", "said"), [(True, "the other nodes told\n"), (False, "the other nodes not told\n")]
)
async def test_it_says_whether_the_other_nodes_were_told(
    stage: Stage, capfd: pytest.CaptureFixture[str], destinations: bool, said: str
) -> None:
    """Of transports that offer no farewell there is nobody to tell."""
    if not destinations:
        stage.destinations = ()
    async with stage.guard():
        pass
    assert stage.heard() == [LEAVE] * (3 if destinations else 0)
    line = capfd.readouterr().err
    assert line.endswith(f" WARNING guard: the daemon has died: 0 addresses taken off, {said}")
    assert line.count("\n") == 1


async def test_with_two_hundred_addresses_it_is_small_and_does_nothing_while_it_is_told_of_them(stage: Stage) -> None:
    async with stage.guard() as guard:
        guard.expect({Address(f"10.77.0.{number}"): bytes(40) for number in range(200)})
        guard.forget([Address("10.77.0.0")])
        guard.expect({Address("10.77.0.0"): b""})
        await until_read(guard)
        assert resident_kb(guard.pid) <= MOST_RESIDENT_KB
        assert stage.heard() == []
        guard.dismiss()
    assert stage.heard() == []


async def until_read(guard: Guard) -> None:
    """Until it waits for more: whatever it was told is dealt with."""
    with trio.fail_after(LIMIT_S):
        while not has_read(guard):  # noqa: ASYNC110 (the process tells nobody but its parent)
            await trio.sleep(0.01)


def has_read(guard: Guard) -> bool:
    assert guard._end is not None
    unread_bytes = int.from_bytes(fcntl.ioctl(guard._end, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    state = Path(f"/proc/{guard.pid}/stat").read_text().split()[2]
    return not unread_bytes and not guard._unsent and state == "S"


def resident_kb(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def test_what_it_knows_already_is_not_told_again(stage: Stage) -> None:
    async with stage.guard() as guard:
        os.kill(guard.pid or 0, signal.SIGSTOP)
        known = {Address(f"10.0.{number // 250}.{number % 250}"): bytes(40) for number in range(1000)}
        for _ in range(100):
            guard.expect(known)
        assert not guard._unsent  # ten megabytes would not have fitted
        os.kill(guard.pid or 0, signal.SIGCONT)
        guard.dismiss()


async def test_what_is_off_again_does_not(stage: Stage) -> None:
    async with stage.guard() as guard:
        guard.expect({Address("192.0.2.50"): b""})
        guard.forget([Address("192.0.2.50")])
    assert stage.heard() == [LEAVE] * 3


async def test_it_holds_the_lock_until_it_has_ended_and_its_pid_is_there_for_people(
    stage: Stage, tmp_path: Path
) -> None:
    path = str(tmp_path / "held")
    stage.lock = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(stage.lock, fcntl.LOCK_EX)
    async with stage.guard() as guard:
        assert os.pread(stage.lock, 100, 0) == b"%d\n" % (guard.pid or 0)
        os.close(stage.lock)  # as a daemon's is when it dies
        again = os.open(path, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)


async def test_signals_that_end_a_daemon_do_not_end_it(stage: Stage) -> None:
    async with stage.guard() as guard:
        pid = guard.pid or 0
        assert os.getsid(pid) == pid
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGUSR1):
            os.kill(pid, number)
    assert stage.heard() == [LEAVE] * 3


async def test_no_other_process_holds_its_stream_open_and_the_kernel_closes_it_before_other_files(stage: Stage) -> None:
    async with stage.guard() as guard:
        assert guard._end is not None
        stream = guard._end.fileno()
        assert not os.get_inheritable(stream)
        assert stream > max(stage.sending.fileno(), stage.lock) + 50


def instead(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """The guard's process is this."""
    script = folder / "guard.py"
    script.write_text("import pathlib, sys, time\n" + program)
    monkeypatch.setattr("duravip.runtime.guard._PROCESS", script)


async def test_whoever_enters_waits_until_it_is_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    up = tmp_path / "up"
    instead(monkeypatch, tmp_path, f"time.sleep(0.2); pathlib.Path({str(up)!r}).touch(); open(0, 'wb').write(b'\\n')")
    async with stage.guard():
        assert up.exists()


async def test_one_that_does_not_come_up_is_killed_and_replaced(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("duravip.runtime.guard.READ_LIMIT_S", 0.1)
    monkeypatch.setattr("duravip.runtime.guard.RESTART_PAUSE_S", 0.0)
    monkeypatch.setattr("duravip.runtime.guard.END_LIMIT_S", 0.1)
    instead(monkeypatch, tmp_path, "time.sleep(60)")
    async with kept(stage.guard()) as said:
        await replaced(said, 2)
    assert said[:2] == [GuardReplaced(cause="killed by SIGKILL")] * 2


async def test_a_daemon_that_is_stopped_meanwhile_leaves_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("duravip.runtime.guard.END_LIMIT_S", 0.1)
    instead(monkeypatch, tmp_path, "time.sleep(60)")
    guard = stage.guard()
    with trio.move_on_after(0.1) as stopped:
        async with guard:
            raise AssertionError("it is not up")
    assert stopped.cancelled_caught
    pid = int(os.pread(stage.lock, 100, 0))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_one_that_was_killed_is_replaced_by_one_that_knows_everything(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duravip.runtime.guard.RESTART_PAUSE_S", 0.0)
    guard = stage.guard()
    async with kept(guard) as said:
        guard.expect({Address("192.0.2.50"): b""})
        for turn in (1, 2):
            os.kill(guard.pid or 0, signal.SIGKILL)
            await replaced(said, turn)
        assert said == [GuardReplaced(cause="killed by SIGKILL")] * 2
        assert stage.heard() == []
    assert stage.heard() == []  # it knew of the address
    async with kept(guard) as said:
        guard.forget([Address("192.0.2.50")])
        os.kill(guard.pid or 0, signal.SIGKILL)
        await replaced(said, 1)
    assert stage.heard() == [LEAVE] * 3


async def test_telling_never_waits_and_one_that_does_not_read_is_replaced(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duravip.runtime.guard.RESTART_PAUSE_S", 0.0)
    monkeypatch.setattr("duravip.runtime.guard.READ_LIMIT_S", 1.0)  # the next one, too, must start within it
    guard = stage.guard()
    many = {Address(f"10.{a}.{b}.1"): bytes(40) for a in range(256) for b in range(40)}
    async with kept(guard) as said:
        first = guard.pid or 0
        os.kill(first, signal.SIGSTOP)
        guard.expect(many)  # more than the stream takes
        assert guard._unsent
        await replaced(said, 1)
        assert guard.pid != first
        guard.forget([*many])
        with trio.fail_after(LIMIT_S):
            while guard._unsent:  # noqa: ASYNC110
                await trio.sleep(0.01)
    assert stage.heard() == [LEAVE] * 3


async def test_it_hears_of_new_destinations(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.runtime.guard.FAREWELL_EVERY_S", 0.01)
    known, stage.destinations = stage.destinations, ()
    guard = stage.guard()
    async with kept(guard):
        await trio.sleep(0.05)
        stage.destinations = known
        with trio.fail_after(LIMIT_S):
            while not guard._paths:  # noqa: ASYNC110
                await trio.sleep(0.01)
    assert stage.heard() == [LEAVE] * 3
