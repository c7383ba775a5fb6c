"""The guard: a process that takes the addresses off, and says LEAVE, should the daemon die.

It is a child that is told over a stream what is on (`_guard_process.py` has the lines and what it does at the end of
the stream). It inherits the transports' sockets and a lock that the next daemon waits for.

Rules of this file
- Telling never waits: what the stream does not take at once follows as soon as it does. Who tells before the kernel
  order leaves has told before the address is on.
- The stream's end at the daemon is closed in every other process (CLOEXEC), so that it ends with the daemon.
- The guard is in a session of its own and blocks every signal that can be blocked, from its birth: what is sent to the
  daemon's group, or to all of its service, does not end it.
- A guard that has ended, does not come up, or does not read, is replaced by another that is told everything.
- A node says nothing before its guard is up: an interpreter that starts needs a processor for 10 ms, with the daemon's
  own priority, and whatever the event loop waits for (a new thread, say) waits for that processor as well.

Sources: unix(7), signal(7) (the mask is inherited over execve), PEP 446.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from duravip.errors import DuravipError
from duravip.events import GuardReplaced
from duravip.model import Address
from duravip.plugin.api import Farewell

FAREWELL_EVERY_S = 5.0  # how often the transports are asked whom they send to
READ_LIMIT_S = 5.0  # a guard that reads nothing for so long, or is not up by then, is as good as dead
END_LIMIT_S = 2.0
RESTART_PAUSE_S = 1.0
DESCRIPTOR = 200
"""The lowest number that the stream's descriptor may have: above all others. Of a process that ends, Linux releases the
files one after the other, that with the highest number first, and a packet socket, which announcements need, takes 10
to 20 ms (it waits for a grace period of RCU). Measured on Linux 6.18."""

_PROCESS = Path(__file__).with_name("_guard_process.py")

log = logging.getLogger("duravip")


class Guard:
    """An async context manager: entering starts it, and waits until it is up; leaving ends it. Between, `keep` must
    run.

    `leave`: the datagrams that say it; `farewells` is asked again and again; `lock` is a descriptor of a file that the
    guard holds open until it is done (and where its process id is written, for people)."""

    def __init__(self, *, leave: Sequence[bytes], farewells: Callable[[], Sequence[Farewell]], lock: int) -> None:
        self._leave = tuple(leave)
        self._farewells = farewells
        self._lock = lock
        self._known: dict[Address, bytes] = {}
        self._paths = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._end: socket.socket | None = None
        self._unsent = bytearray()
        self._has_unsent = trio.Event()

    def __repr__(self) -> str:
        return f"<Guard pid {self.pid}: {len(self._known)} addresses>"

    @property
    def pid(self) -> int | None:
        """None while there is none."""
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Self:
        """Raises DuravipError when it cannot be started."""
        try:
            await self._start()
        except OSError as error:
            raise DuravipError(f"the guard process cannot be started: {error.strerror}") from error
        except BaseException:  # cancelled
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unless it was dismissed it does what it is for, as if the daemon had died. Returns when it has ended."""
        if self._end is not None:
            self._tell(b"")
            self._end.shutdown(socket.SHUT_WR)
            with trio.move_on_after(END_LIMIT_S, shield=True) as patience:
                while await _says_more(self._end):
                    pass
            if patience.cancelled_caught:
                self._kill(f"did not end within {END_LIMIT_S:g} s")
        self._reap()

    def dismiss(self) -> None:
        """Everything is off and LEAVE is said: it is to end without doing anything."""
        self._tell(b"go\n")

    # --- what it must know ---

    def expect(self, requests: Mapping[Address, bytes]) -> None:
        """These are about to be put on, and so they are taken off. An empty request: they cannot be, by the guard."""
        new = {address: request for address, request in requests.items() if self._known.get(address) != request}
        self._known.update(new)
        self._tell(b"".join(_on(address, request) for address, request in new.items()))

    def forget(self, addresses: Sequence[Address]) -> None:
        """These are off, for certain. It hears of that in a moment: somebody waits for what is done first, and to take
        off once more what is off does no harm."""
        for address in addresses:
            request = self._known.pop(address, None)
            if request is None or self._end is None:
                continue
            self._unsent += b"off %s\n" % address.encode()
            self._has_unsent.set()
            if not request:  # it would keep the guard from saying LEAVE
                self._send(self._end)

    def say_last(self, leave: Sequence[bytes]) -> None:
        """The keys have changed: it would have to say these."""
        self._leave = tuple(leave)
        self._tell_leave()

    # --- keeping it alive ---

    async def keep(self, publish: Callable[[GuardReplaced], object]) -> None:
        """Until cancelled."""
        while True:
            began = trio.current_time()
            await self._attend()
            cause = self._reap()
            log.error("the guard process has ended (%s); starting another", cause)
            if trio.current_time() < began + RESTART_PAUSE_S:
                await trio.sleep(RESTART_PAUSE_S)
            while True:
                try:
                    await self._start()
                except OSError as error:
                    log.error("no guard process can be started: %s", error.strerror)  # noqa: TRY400 (no bug)
                    await trio.sleep(RESTART_PAUSE_S)
                else:
                    break
            publish(GuardReplaced(cause=cause))

    async def _attend(self) -> None:
        """Returns when the guard has ended."""
        if self._end is None:
            raise RuntimeError("the guard is not started: a bug in duravip")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_the_rest, self._end)
            while True:
                with trio.move_on_after(FAREWELL_EVERY_S):
                    if not await _says_more(self._end):
                        nursery.cancel_scope.cancel()
                        return
                self._tell_paths()

    async def _send_the_rest(self, end: socket.socket) -> None:
        while True:
            await self._has_unsent.wait()
            with trio.move_on_after(READ_LIMIT_S) as patience:
                await trio.lowlevel.wait_writable(end)
            if patience.cancelled_caught:
                self._kill(f"has not read for {READ_LIMIT_S:g} s")
                return
            self._send(end)

    # --- the process ---

    async def _start(self) -> None:
        """Returns when it is up, or has ended. Raises OSError when there is no process."""
        end = self._spawn()
        with trio.move_on_after(READ_LIMIT_S) as patience:
            await _says_more(end)
        if patience.cancelled_caught:
            self._kill(f"is not up after {READ_LIMIT_S:g} s")

    def _spawn(self) -> socket.socket:
        """Our end of the stream. From the event loop's thread: so the guard is in the same network namespace."""
        ours, theirs = _stream()
        farewells = self._farewells()
        blocked_before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-I", "-S", str(_PROCESS), str(self._lock)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    pass_fds=(self._lock, *(farewell.descriptor for farewell in farewells)),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)
        ours.setblocking(False)
        self._end = ours
        self._unsent.clear()
        self._has_unsent = trio.Event()
        self._write_pid(self._process.pid)
        self._paths = b""
        self._tell_leave()
        self._tell_paths()
        self._tell(b"".join(_on(address, request) for address, request in self._known.items()))
        return ours

    def _kill(self, why: str) -> None:
        if self._process is not None:
            log.error("the guard process (pid %d) %s and is killed", self._process.pid, why)
            self._process.kill()

    def _reap(self) -> str:
        """Why it has ended. It has closed everything, or was killed: what is left to wait for is a moment's work of the
        kernel's."""
        if self._end is not None:
            self._end.close()
            self._end = None
        process, self._process = self._process, None
        status = process.wait() if process is not None else 0
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def _write_pid(self, pid: int) -> None:
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{pid}\n".encode(), 0)

    # --- the stream ---

    def _tell_leave(self) -> None:
        self._tell(b"leave %s\n" % b" ".join(each.hex().encode() for each in self._leave))

    def _tell_paths(self) -> None:
        paths = b" ".join(
            f"{farewell.descriptor},{host},{port}".encode()
            for farewell in self._farewells()
            for host, port in farewell.destinations
        )
        if paths != self._paths:
            self._paths = paths
            self._tell(b"paths %s\n" % paths)

    def _tell(self, lines: bytes) -> None:
        if self._end is not None:
            self._unsent += lines
            self._send(self._end)

    def _send(self, end: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):  # `keep` sees a broken one
            while self._unsent:
                del self._unsent[: end.send(self._unsent)]
        if self._unsent:
            self._has_unsent.set()
        elif self._has_unsent.is_set():
            self._has_unsent = trio.Event()


async def _says_more(end: socket.socket) -> bool:
    """Whether it has said that it is up; else it has ended."""
    await trio.lowlevel.wait_readable(end)
    try:
        return end.recv(1) != b""
    except ConnectionResetError:  # it had not read everything
        return False


def _on(address: Address, request: bytes) -> bytes:
    return b"on %s %s\n" % (address.encode(), request.hex().encode())


def _stream() -> tuple[socket.socket, socket.socket]:
    low, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with low:
        least = min(DESCRIPTOR, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1)
        return socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, least)), theirs
