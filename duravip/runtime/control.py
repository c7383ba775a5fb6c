"""The control socket: people's questions to a running daemon, one JSON object a line, each answered by one
line.

`{"command": "show", "address": "192.0.2.1"}` is answered by `{"ok": true, "result": ...}` or
`{"ok": false, "error": "...", "code": 1}` (code: the exit status that a command should end with). After the
answer to `events` with `"follow": true` come `{"event": {...}}` and `{"lost": n}`, a line each, until either
side ends it.

Rules of this file: a client can harm only itself. Requests are bounded, connections are counted, whoever does
not read what it asked for is cut off, and anything that acts is for root only.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import logging
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, assert_never

import msgspec
import trio

from duravip.bus import Bus, Subscription
from duravip.errors import UsageError
from duravip.model import Address, NodeName, canonical_address
from duravip.runtime.reloading import Reread
from duravip.runtime.requests import (
    Action,
    Announce,
    Drain,
    Events,
    Explain,
    Info,
    Members,
    Move,
    Ping,
    Reload,
    Request,
    Show,
    Tables,
    Undrain,
    decoder,
)
from duravip.runtime.status import Status

MAX_REQUEST_BYTES = 65_536
MAX_CLIENTS = 64
REQUEST_LIMIT_S = 30.0  # from one request's end to the next one's
READ_LIMIT_S = 10.0  # for a client to take an answer
FOLLOW_QUEUE_EVENTS = 20_000

log = logging.getLogger("duravip")


class _RefusedError(Exception):
    def __init__(self, message: str, code: int = 1) -> None:
        self.code = code
        super().__init__(message)


class Operator(Protocol):
    """What is asked of `runtime.acting.Acting`: each answers "" when it is under way, else why not."""

    def move(self, address: Address, node: NodeName | None) -> str: ...
    def announce(self, *, everywhere: bool) -> str: ...
    async def drain(self, name: NodeName | None, *, force: bool) -> str: ...
    async def undrain(self, name: NodeName | None) -> str: ...


class Reloader(Protocol):
    """What is asked of `runtime.reloading.Reloading`."""

    async def reload(self, *, dry_run: bool) -> Reread: ...
    async def reload_together(self) -> Reread: ...


class ControlServer:
    """A context manager: entering opens the socket (so that a second daemon is refused early), `serve`
    answers."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket: socket.socket | None = None
        self._inode: tuple[int, int] | None = None
        self._clients = 0

    def __enter__(self) -> Self:
        """Raises UsageError with one sentence when the socket cannot be opened or another daemon has it."""
        try:
            Path(self.path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            _make_way(self.path)
            self._socket = _bind(self.path)
        except OSError as error:
            raise UsageError(
                f"the control socket {self.path} cannot be opened: {error.strerror or error}. "
                "Name another with --control or the option control"
            ) from error
        self._inode = _identity(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._inode is not None and _identity(self.path) == self._inode:  # not a successor's
            with contextlib.suppress(OSError):
                os.unlink(self.path)

    async def serve(
        self,
        *,
        status: Status,
        bus: Bus,
        info: Callable[[], dict[str, Any]],
        operator: Operator,
        reloader: Reloader,
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Until cancelled. `info` gives the answer to `info`."""
        if self._socket is None:
            raise RuntimeError("the control server serves before it is opened: a bug in duravip")
        answers = _Answers(status, bus, info, operator, reloader)

        async def handle(stream: trio.SocketStream) -> None:
            if self._clients >= MAX_CLIENTS:
                await stream.aclose()
                return
            self._clients += 1
            try:
                async with stream:
                    await _Conversation(stream, answers).run()
            except trio.BrokenResourceError:
                pass  # the client has gone: its right
            except Exception:
                log.exception("a request on the control socket failed: a bug in duravip")
            finally:
                self._clients -= 1

        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._socket))
        await trio.serve_listeners(handle, [listener], task_status=task_status)


class _Answers:
    """What each request is answered with."""

    def __init__(
        self,
        status: Status,
        bus: Bus,
        info: Callable[[], dict[str, Any]],
        operator: Operator,
        reloader: Reloader,
    ) -> None:
        self.status, self.bus, self.info, self.operator, self.reloader = status, bus, info, operator, reloader

    async def to(self, request: Request, *, root: bool) -> object:
        match request:
            case Ping():
                return {"node": self.status.node, "ready": True, "mature": self.status.view_mature}
            case Show():
                return await self._show(request)
            case Explain():
                return await self._explain(request)
            case Members():
                return self.status.members()
            case Tables():
                return await self.status.tables()
            case Info():
                return self.info()
            case Events():
                return [
                    one.to_json_object()
                    for one in self.bus.recent()
                    if not request.follow and wanted(one.event.id, request.filters)
                ]
            case Move() | Announce() | Drain() | Undrain() | Reload():
                if not root:
                    raise _RefusedError("only root may do that")
                return await self._act(request)
            case _:
                assert_never(request)

    async def _act(self, request: Action) -> object:
        result: object = None
        match request:
            case Move():
                refusal = self.operator.move(_address(request.address), _name(request.node))
            case Announce():
                refusal = self.operator.announce(everywhere=request.everywhere)
            case Drain():
                refusal = await self.operator.drain(_name(request.node), force=request.force)
            case Undrain():
                refusal = await self.operator.undrain(_name(request.node))
            case Reload():
                if request.cluster and not request.dry_run:
                    reread = await self.reloader.reload_together()
                else:
                    reread = await self.reloader.reload(dry_run=request.dry_run)
                refusal, result = reread.refusal, reread.as_json()
            case _:
                assert_never(request)
        if refusal:
            raise _RefusedError(refusal)
        return result

    async def _show(self, request: Show) -> object:
        address = _address(request.address) if request.address is not None else None
        shown = await self.status.show(address)
        if shown is None:
            raise _RefusedError(f"{address} is no DuraVIP of this part of the cluster; `duravip show` lists them")
        return shown

    async def _explain(self, request: Explain) -> object:
        address = _address(request.address)
        told = await self.status.explain(address)
        if told is None:
            raise _RefusedError(f"{address} is no DuraVIP of this part of the cluster; `duravip show` lists them")
        return told


class _Conversation:
    """One client's connection, from its first request to its last."""

    def __init__(self, stream: trio.SocketStream, answers: _Answers) -> None:
        self._stream = stream
        self._answers = answers
        self._unread = bytearray()

    async def run(self) -> None:
        while True:
            with trio.move_on_after(REQUEST_LIMIT_S) as patience:
                line = await self._next_line()
            if patience.cancelled_caught or line is None:
                return
            request: Request | None = None
            try:
                request = _decode(line)
                result = await self._answers.to(request, root=self._is_root())
                answer = msgspec.json.encode({"ok": True, "result": result})
            except _RefusedError as refused:
                answer = msgspec.json.encode({"ok": False, "error": str(refused), "code": refused.code})
            if isinstance(request, Events) and request.follow:
                with self._answers.bus.subscribe(size=FOLLOW_QUEUE_EVENTS, with_recent=request.past) as subscription:
                    if await self._say(answer):
                        await self._follow(subscription, request.filters)
                return
            if not await self._say(answer):
                return

    async def _next_line(self) -> bytes | None:
        """None when the client is done, or says more than a request can be."""
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) > MAX_REQUEST_BYTES:
                await self._say(msgspec.json.encode({"ok": False, "error": "the request is too long", "code": 2}))
                return None
            heard = await self._stream.receive_some(16_384)
            if not heard:
                return None
            self._unread += heard
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line

    async def _say(self, answer: bytes) -> bool:
        """False when the client does not read."""
        with trio.move_on_after(READ_LIMIT_S) as patience:
            await self._stream.send_all(answer + b"\n")
        return not patience.cancelled_caught

    async def _follow(self, subscription: Subscription, filters: tuple[str, ...]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notice_the_end, nursery.cancel_scope)
            while True:
                stamped = await subscription.receive()
                lines: list[dict[str, object]] = []
                if lost := subscription.take_lost():
                    lines.append({"lost": lost})
                if wanted(stamped.event.id, filters):
                    lines.append({"event": stamped.to_json_object()})
                if lines and not await self._say(b"\n".join(map(msgspec.json.encode, lines))):
                    break
            nursery.cancel_scope.cancel()

    async def _notice_the_end(self, scope: trio.CancelScope) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while await self._stream.receive_some(4_096):
                pass
        scope.cancel()

    def _is_root(self) -> bool:
        credentials = self._stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, user, _ = struct.unpack("3i", credentials)
        return bool(user == 0)


def wanted(event_id: str, filters: tuple[str, ...]) -> bool:
    """Does any of the globs match?"""
    return any(fnmatch.fnmatchcase(event_id, one) for one in filters)


def _address(text: str) -> Address:
    try:
        return canonical_address(text)
    except ValueError:
        raise _RefusedError(f"{text!r} is no IP address", 2) from None


def _name(text: str | None) -> NodeName | None:
    return NodeName(text) if text is not None else None


def _decode(line: bytes) -> Request:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _RefusedError(f"this daemon does not understand the request: {error}", 2) from None


def _make_way(path: str) -> None:
    """Remove a socket that a dead daemon left. Raises UsageError when somebody answers, or it is no
    socket."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise UsageError(f"the control socket {path} cannot be opened: there is a file of that name")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        else:
            raise UsageError(f"another daemon answers on the control socket {path}; stop it first")


def _bind(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)  # 0660 from the first moment
    try:
        listening.bind(path)
        listening.listen(MAX_CLIENTS)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
