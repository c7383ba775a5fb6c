"""What a daemon keeps between its lives: who it is in time, whether it is drained; and the lock on both.

Files: `lock` (flock'ed while a daemon runs; holds its pid for people), `incarnation` (a decimal number),
`drained` (exists or not).

Source: protocol rule 6. A counter that went backwards would let recorded datagrams of an earlier life count
again, so it is on the disk, with its directory, before anything is sent.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from duravip.errors import UsageError
from duravip.model import Incarnation

HIGHEST_COUNTER = (1 << 53) - 1  # what a message may carry


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class StateDir:
    """A context manager: entering makes the directory and takes the lock; leaving gives the lock up."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = -1

    def __repr__(self) -> str:
        return f"<StateDir {self.path} {'locked' if self._lock >= 0 else 'not locked'}>"

    def __enter__(self) -> Self:
        """Raises UsageError when the directory cannot be made or a daemon holds it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(
                f"state_dir {self.path} cannot be used: {error.strerror}. Name another with state_dir, "
                "or run as a user who may write there"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            who = f" (pid {pid})" if pid else ""
            raise UsageError(
                f"another daemon{who} is running with state_dir {self.path}; stop it first, "
                "or give this node a state_dir of its own"
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

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
