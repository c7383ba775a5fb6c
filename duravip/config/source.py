"""A configuration file's text, or a diagnostic that says why there is none.

Rules of this file: whatever the path leads to, reading never waits, never takes more than so much, and never gives half
of a text: pipes, sockets and devices are refused before they are opened; a file that changes meanwhile is read again.
"""

from __future__ import annotations

import os
import stat

from duravip.config.diagnostics import Diagnostic, Severity
from duravip.model import Origin

MAX_BYTES = 32 * 1024 * 1024  # of one file: 300,000 Bindings
MAX_LINE = 1024 * 1024  # characters
_ATTEMPTS = 3  # at a file that changes
_CHECK_PATH = "check the path and its permissions"


class UnreadableError(Exception):
    """The file is no text; `diagnostic` says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def read_text(path: str | os.PathLike[str]) -> str:
    """Raises UnreadableError."""
    file = os.fspath(path)
    try:
        _must_be_a_file(os.stat(file).st_mode, file)  # to open a device may already do something: start a watchdog
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise _unreadable("DV201", _words(error), file, _CHECK_PATH) from None
    try:
        data = _bytes(descriptor, file)
    except OSError as error:
        raise _unreadable("DV201", _words(error), file, _CHECK_PATH) from None
    finally:
        os.close(descriptor)
    return _text(data, file)


def _must_be_a_file(mode: int, file: str) -> None:
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise _unreadable("DV202", f"this is {what}, not a file", file, "name a configuration file")


def _bytes(descriptor: int, file: str) -> bytes:
    for _ in range(_ATTEMPTS):
        before = os.fstat(descriptor)
        _must_be_a_file(before.st_mode, file)
        data = _whole(descriptor, file)
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return data
        os.lseek(descriptor, 0, os.SEEK_SET)
    raise _unreadable("DV209", "the file changes while it is read", file, "try again when it has been written")


def _whole(descriptor: int, file: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := os.read(descriptor, 1024 * 1024):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise _unreadable(
                "DV203", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB", file, "is this the right file?"
            )
    return b"".join(pieces)


def _text(data: bytes, file: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        start = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[start : error.start].decode("utf-8", errors="replace")) + 1
        wrong = data[error.start]
        raise _unreadable(
            "DV204", f"the byte 0x{wrong:02x} is no UTF-8", file, "save the file as UTF-8", line, column
        ) from None
    nul = text.find("\0")
    if nul >= 0:
        line, column = text.count("\n", 0, nul) + 1, nul - text.rfind("\n", 0, nul)
        raise _unreadable("DV204", "there is a NUL character: this is no text file", file, "", line, column)
    if len(text) > MAX_LINE:
        for number, line_text in enumerate(text.split("\n"), 1):
            if len(line_text) > MAX_LINE:
                what = f"this line has {len(line_text):,} characters, and {MAX_LINE:,} are the most"
                raise _unreadable("DV203", what, file, "is this the right file?", number, 1)
    return text


def _words(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"the file cannot be read: {text}"


def _unreadable(code: str, message: str, file: str, hint: str, line: int = 0, column: int = 0) -> UnreadableError:
    origin = Origin(file, line, column)
    return UnreadableError(Diagnostic(severity=Severity.ERROR, code=code, message=message, origin=origin, hint=hint))
