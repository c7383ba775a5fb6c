"""What a daemon keeps between its lives: who it is in time, whether it is drained; and the locks on both.

Files: `lock` (flock'ed while a daemon runs; holds its pid for people), `guard` (flock'ed while a daemon or its guard
runs; holds the guard's pid), `incarnation` (a decimal number), `drained` (exists or not).

A lock of flock(2) belongs to the open file: the guard inherits the second one, and so it outlives the daemon by as long
as the guard needs to take the addresses off.

Source: protocol rules 6 and 10. A counter that went backwards would let recorded datagrams of an earlier life count
again, so it is on the disk, with its directory, before anything is sent.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from duravip.errors import UsageError
from duravip.model import Incarnation

FOLDER = "/var/lib/duravip"  # where they are, each named after its node, unless the configuration says otherwise
GUARD_LIMIT_S = 5.0  # how long a guard may take to clear up after a daemon that died
_LOOK_EVERY_S = 0.002
HIGHEST_COUNTER = (1 << 53) - 1  # what a message may carry


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class InUseError(UsageError):
    """Somebody has a state directory; `holder` is a sentence that says who, with the process id, and which."""

    def __init__(self, message: str, *, holder: str) -> None:
        self.holder = holder
        super().__init__(message)


class StateDir:
    """A context manager: entering makes the directory and takes the lock; leaving gives the lock up."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.guard_lock = -1
        """The descriptor that the guard inherits."""
        self._lock = -1

    def __repr__(self) -> str:
        return f"<StateDir {self.path} {'locked' if self._lock >= 0 else 'not locked'}>"

    def __enter__(self) -> Self:
        """Waits for the guard of a daemon that died. Raises UsageError when the directory cannot be made, a daemon
        holds it, or a guard does not end."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock, self.guard_lock = take_locks(self.path)
        except OSError as error:
            raise UsageError(
                f"state_dir {self.path} cannot be used: {error.strerror}. Name another with state_dir, "
                "or run as a user who may write there"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock >= 0:
            os.close(self.guard_lock)
            os.close(self._lock)
            self._lock = self.guard_lock = -1

    def next_incarnation(self, *, clock_ms: Callable[[], int] = wall_clock_ms) -> Incarnation:
        """Begins a new life; on the disk when this returns. `clock_ms` (wall clock) stands in when the
        counter was lost or is unreadable: it is above any counter of a node that was not restarted every
        millisecond."""
        self._must_be_locked()
        counter = self._last_counter()
        following = counter + 1 if counter is not None else clock_ms()
        self._write("incarnation", f"{following}\n".encode())
        return Incarnation(counter=following, nonce=secrets.randbits(64))

    @property
    def drained(self) -> bool:
        return (self.path / "drained").exists()

    def set_drained(self, drained: bool) -> None:
        self._must_be_locked()
        if drained:
            self._write("drained", b"")
        else:
            (self.path / "drained").unlink(missing_ok=True)
            self._sync_directory()

    def _last_counter(self) -> int | None:
        try:
            text = (self.path / "incarnation").read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        if not text.isdecimal() or not 0 < int(text) < HIGHEST_COUNTER:
            return None
        return int(text)

    def _write(self, name: str, content: bytes) -> None:
        """Whole or not at all: a power cut leaves the old content or the new."""
        target, fresh = self.path / name, self.path / f"{name}.new"
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
        self._sync_directory()

    def _sync_directory(self) -> None:
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _must_be_locked(self) -> None:
        if self._lock < 0:
            raise RuntimeError(f"{self.path} is used without its lock: a bug in duravip")


def take_locks(path: Path) -> tuple[int, int]:
    """Both locks of a directory that is there: `lock` and `guard`, as descriptors that the caller closes. Waits for the
    guard of a daemon that died. Raises InUseError when a daemon holds it, or a guard does not end; OSError."""
    with ExitStack() as opened:
        lock, guard_lock = _open(opened, path / "lock"), _open(opened, path / "guard")
        if not _take(lock):
            who = _who(lock)
            raise InUseError(
                f"another daemon{who} is running with state_dir {path}; stop it first, "
                "or give this node a state_dir of its own",
                holder=f"a daemon{who} is running with state_dir {path}",
            )
        until = time.monotonic() + GUARD_LIMIT_S
        while not _take(guard_lock):
            if time.monotonic() >= until:
                holder = (
                    f"the guard{_who(guard_lock)} of a daemon that died still holds {path / 'guard'} after "
                    f"{GUARD_LIMIT_S:g} s"
                )
                raise InUseError(
                    f"{holder}: addresses may still be on; look at what it does, and end it", holder=holder
                )
            time.sleep(_LOOK_EVERY_S)
        opened.pop_all()
    with suppress(OSError):  # it is for people only: a full disk is no reason
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock, guard_lock


def _open(opened: ExitStack, path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    opened.callback(os.close, descriptor)
    return descriptor


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _who(lock: int) -> str:
    pid = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
    return f" (pid {pid})" if pid else ""
