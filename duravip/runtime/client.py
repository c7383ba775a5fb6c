"""The other end of the control socket: plain blocking sockets, so that a command starts at once.

Rules of this file: it imports the standard library and `duravip.errors` only (`duravip show` has 0.3 s in
all).
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from duravip.errors import ControlError, UsageError

RUN_FOLDER = "/run/duravip"
ENVIRONMENT = "DURAVIP_CONTROL"


class RefusedError(ControlError):
    """The daemon understood and said no. `code`: 1 the answer is no, 2 the request was wrong."""

    def __init__(self, message: str, code: int) -> None:
        self.exit_code = code
        super().__init__(message)


def find_socket(explicit: str | None = None, *, folder: str = RUN_FOLDER) -> str:
    """`explicit`, else the environment's, else the only one in the run folder.

    Raises ControlError when no daemon runs here, UsageError when there are several to choose from.
    """
    named = explicit or os.environ.get(ENVIRONMENT)
    if named:
        return named
    found = sockets(folder)
    if len(found) > 1:
        found = [path for path in found if listener(path) is not None] or found
    if not found:
        raise ControlError(
            f"no duravip daemon runs here (no socket in {folder}). Start one with `duravip run -c FILE`, "
            f"or name its socket with --control PATH or {ENVIRONMENT}"
        )
    if len(found) > 1:
        raise UsageError(f"several nodes run here: {', '.join(found)}. Pick one with --control PATH or {ENVIRONMENT}")
    return found[0]


def sockets(folder: str = RUN_FOLDER) -> list[str]:
    """The control sockets in the run folder, also those that daemons left."""
    try:
        return sorted(str(path) for path in Path(folder).iterdir() if _is_socket(path))
    except OSError:
        return []


def listener(path: str) -> int | None:
    """The process id of whoever has opened the socket, whether it answers or not; None when nobody has, any more."""
    try:
        connection = _connect(path, 1.0)
    except ControlError:
        return None
    with connection:
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid)


def request(path: str, message: Mapping[str, Any], *, timeout_s: float = 10.0) -> Any:
    """Asks once, gives the `result`. Raises RefusedError for the daemon's no, ControlError for no daemon."""
    with _connect(path, timeout_s) as connection, connection.makefile("rb") as answers:
        _say(connection, path, message)
        return _result(_listen(answers, path), path)


def stream(path: str, message: Mapping[str, Any], *, timeout_s: float = 10.0) -> Iterator[dict[str, Any]]:
    """Asks for a stream; yields its objects as they come, until the daemon ends it."""
    with _connect(path, timeout_s) as connection, connection.makefile("rb") as answers:
        _say(connection, path, message)
        _result(_listen(answers, path), path)
        connection.settimeout(None)
        for line in answers:
            found: dict[str, Any] = json.loads(line)
            yield found


def _connect(path: str, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(path)
    except FileNotFoundError:
        connection.close()
        raise ControlError(f"no daemon: there is no socket {path}. Is the node running?") from None
    except ConnectionRefusedError:
        connection.close()
        raise ControlError(f"no daemon answers on {path}: it has stopped without removing its socket") from None
    except PermissionError:
        connection.close()
        raise ControlError(f"you may not use {path}: ask as root, or as a member of its group") from None
    except OSError as error:
        connection.close()
        raise ControlError(f"{path} cannot be used: {error.strerror or error}") from None
    return connection


def _say(connection: socket.socket, path: str, message: Mapping[str, Any]) -> None:
    try:
        connection.sendall(json.dumps(message).encode() + b"\n")
    except OSError as error:
        raise ControlError(f"the daemon on {path} does not listen: {error.strerror or error}") from None


def _listen(answers: Any, path: str) -> bytes:
    try:
        line: bytes = answers.readline()
    except TimeoutError:
        raise ControlError(f"the daemon on {path} does not answer in time") from None
    except OSError as error:
        raise ControlError(f"the daemon on {path} broke off: {error.strerror or error}") from None
    if not line.endswith(b"\n"):
        raise ControlError(f"the daemon on {path} broke off in the middle of its answer")
    return line


def _result(line: bytes, path: str) -> Any:
    try:
        answer = json.loads(line)
        if answer["ok"]:
            return answer["result"]
        error, code = str(answer["error"]), int(answer.get("code", 1))
    except (ValueError, TypeError, KeyError):
        raise ControlError(f"what answers on {path} is not a duravip daemon") from None
    raise RefusedError(error, code)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False
