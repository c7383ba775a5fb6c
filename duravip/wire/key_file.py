"""The file with the cluster's keys: reading it, and the three steps of changing a key.

One key a line, base64 of 32 bytes; the first seals, all open. Blank lines and `#` comments do not count, and stay where
they are. A file that others than its owner may use is refused, before anything is read from it or written to it.

Rules of this file: a new content is written beside, synced, and put in place of the old at once: whoever reads the file
meanwhile finds one or the other. Mode and owner stay.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from duravip.errors import ConfigurationError, DuravipError
from duravip.wire.seal import KEY_BYTES

MAX_FILE_BYTES: Final = 1 << 20


def new_key() -> str:
    """A line of a key file."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_keys(path: str) -> tuple[bytes, ...]:
    """In the order of the file, each once. Raises ConfigurationError, with the line where there is one."""
    return _read(path)[1]


def write_new(path: str) -> bytes:
    """Makes a file with one new key. Raises DuravipError, also when there is a file of that name."""
    line = new_key()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise DuravipError(f"{path} exists already and is left as it is; give another name") from None
    except OSError as wrong:
        raise DuravipError(f"cannot write {path}: {wrong.strerror}") from wrong
    with os.fdopen(handle, "w") as out:
        out.write(line + "\n")
        out.flush()
        os.fsync(out.fileno())
    return base64.b64decode(line)


def add(path: str) -> tuple[bytes, ...]:
    """A new key in the last place: it opens, and does not seal. Returns all, as the other two do."""

    def added(lines: list[str]) -> list[str]:
        return [*lines, new_key()]

    return _change(path, added)


def switch(path: str) -> tuple[bytes, ...]:
    """The last key goes to the first place: it seals from now on."""

    def switched(lines: list[str]) -> list[str]:
        places = [at for at, line in enumerate(lines) if _content(line)]
        if len({_content(lines[at]) for at in places}) < 2:
            raise DuravipError(f"{path} has one key only: `duravip keygen --add {path}` makes a second one")
        first, last = places[0], places[-1]
        return [*lines[:first], lines[last], *lines[first:last], *lines[last + 1 :]]

    return _change(path, switched)


def remove_others(path: str) -> tuple[bytes, ...]:
    """Only the first key stays."""

    def alone(lines: list[str]) -> list[str]:
        first = next(at for at, line in enumerate(lines) if _content(line))
        return [line for at, line in enumerate(lines) if at == first or not _content(line)]

    return _change(path, alone)


def _change(path: str, change: Callable[[list[str]], list[str]]) -> tuple[bytes, ...]:
    text, _, status = _read(path)
    lines = change(text.decode("utf-8", "surrogateescape").splitlines())
    try:
        target = Path(path).resolve()  # of a symbolic link, what it points to
        handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w", errors="surrogateescape") as out:
                out.write("\n".join(lines) + "\n")
                os.fchmod(out.fileno(), stat.S_IMODE(status.st_mode))
                os.fchown(out.fileno(), status.st_uid, status.st_gid)
                out.flush()
                os.fsync(out.fileno())
            os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as wrong:
        raise DuravipError(f"cannot write {path}: {wrong.strerror}") from wrong
    return read_keys(path)


def _read(path: str) -> tuple[bytes, tuple[bytes, ...], os.stat_result]:
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(MAX_FILE_BYTES)
    except OSError as wrong:
        raise ConfigurationError(
            f"cannot read the cluster key: {wrong.strerror}",
            path=path,
            hint="make one with `duravip keygen FILE`, or copy the other members'",
        ) from wrong
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigurationError(
            f"others than its owner may use the cluster key (mode {mode:04o})",
            path=path,
            hint=f"chmod 600 {path}",
        )
    keys: list[bytes] = []
    for number, line in enumerate(text.decode("utf-8", "surrogateescape").splitlines(), 1):
        content = _content(line)
        if not content:
            continue
        try:
            key = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"not a cluster key: expected base64 of {KEY_BYTES} bytes",
                path=path,
                line=number,
                hint="make one with `duravip keygen`",
            )
        if key not in keys:
            keys.append(key)
    if not keys:
        raise ConfigurationError("no cluster key in this file", path=path, hint="make one with `duravip keygen`")
    return text, tuple(keys), status


def _content(line: str) -> str:
    """What is left of a line without its comment."""
    return line.partition("#")[0].strip()
