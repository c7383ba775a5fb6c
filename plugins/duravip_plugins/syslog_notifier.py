"""The syslog notifier: every event a message to this machine's syslog, or to another's.

    unix:PATH        a datagram socket, or a stream socket where that is what listens there
    udp:HOST:PORT    one datagram for each message (RFC 5426); nobody says whether it arrived
    tcp:HOST:PORT    octet counting (RFC 6587, 3.4.1)

The connection is made for the first message and kept. When it breaks, or the receiver is away, the message in hand is
tried again over a new connection, for RETRY_LIMIT_S; after that it is given up, which the runtime makes an event.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import trio

from duravip.errors import NotifierError, PluginError
from duravip.events import Stamped
from duravip_plugins.notify_syslog import OWN_SOCKET
from duravip_plugins.syslog_format import FACILITIES, rfc3164, rfc5424

RETRY_LIMIT_S = 20.0  # below what the runtime gives a notifier for one event
CONNECT_LIMIT_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_UNACKNOWLEDGED_LIMIT_MS = 10_000  # TCP_USER_TIMEOUT: a peer that vanished is noticed, whatever TCP's own patience
_DEFAULT_PORTS = {"udp": 514, "tcp": 601}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`way` is unix, udp or tcp. `host` and `port` are empty for unix, `path` for the others."""

    way: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.way == "unix":
            return f"unix:{self.path}"
        return f"{self.way}:[{self.host}]:{self.port}" if ":" in self.host else f"{self.way}:{self.host}:{self.port}"


def parse_target(text: str) -> Target:
    """Raises PluginError with a sentence that says what would be right."""
    way, _, rest = text.partition(":")
    if way == "unix" and rest.startswith("/"):
        return Target(way=way, path=rest)
    if way in _DEFAULT_PORTS and rest:
        if rest.startswith("["):
            host, bracket, port = rest[1:].partition("]")
            good = bool(bracket) and (not port or port.startswith(":"))
            port = port[1:]
        else:
            host, _, port = rest.partition(":")
            good = ":" not in port
        if good and host and (not port or (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
            return Target(way=way, host=host, port=int(port) if port else _DEFAULT_PORTS[way])
    raise PluginError(
        f'syslog: {text!r} is no target: write "unix:/dev/log", "udp:host:514" or "tcp:[2001:db8::1]:601"',
        plugin="syslog",
    )


def default_format(target: Target) -> str:
    """What is read right there. On the machine's own socket journald and rsyslogd (its special parser) expect the old
    format; of the new one rsyslogd takes the version number for the program's name, and journald finds no name."""
    return "rfc3164" if target.path == OWN_SOCKET else "rfc5424"


class SyslogNotifier:
    """See `duravip.plugin.api.Notifier`. A context manager: leaving it closes the connection."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._target = parse_target(options["target"])
        self._facility = FACILITIES[options["facility"]]
        self._old = (options["format"] or default_format(self._target)) == "rfc3164"
        self._host = "" if self._old and self._target.way == "unix" else socket.gethostname()
        self._link: trio.socket.SocketType | None = None

    def __repr__(self) -> str:
        return f"<SyslogNotifier {self._target}{'' if self._link else ' (closed)'}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def notify(self, stamped: Stamped) -> None:
        """Raises NotifierError when it could not be told within RETRY_LIMIT_S."""
        write = rfc3164 if self._old else rfc5424
        message = write(stamped, facility=self._facility, host=self._host, pid=os.getpid())
        give_up = trio.current_time() + RETRY_LIMIT_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._send(message)
            except (OSError, trio.TooSlowError) as error:
                if trio.current_time() + pause_s >= give_up:
                    raise NotifierError(f"{self._target}: {_words(error)}") from error
            else:
                return
            await trio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)

    async def _send(self, message: bytes) -> None:
        """Once. Whatever interrupts it closes the connection: half a message must not be followed by another."""
        if self._link is not None and _has_ended(self._link):
            self._close()
        try:
            if self._link is None:
                with trio.fail_after(CONNECT_LIMIT_S):
                    self._link = await _connect(self._target)
            if self._link.type == socket.SOCK_DGRAM:
                await self._link.send(message)
            else:
                framed = message + b"\n" if self._target.way == "unix" else b"%d %b" % (len(message), message)
                await _send_all(self._link, framed)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


async def _connect(target: Target) -> trio.socket.SocketType:
    """Raises OSError."""
    if target.way == "unix":
        try:
            return await _open(socket.AF_UNIX, socket.SOCK_DGRAM, target.path)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
            return await _open(socket.AF_UNIX, socket.SOCK_STREAM, target.path)
    if target.way == "tcp":
        stream = await trio.open_tcp_stream(target.host, target.port)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_LIMIT_MS)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return stream.socket
    found = await trio.socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    family, _, _, _, address = found[0]
    return await _open(family, socket.SOCK_DGRAM, address)


async def _open(family: int, kind: int, address: Any) -> trio.socket.SocketType:
    link = trio.socket.socket(family, kind)
    try:
        await link.connect(address)
    except BaseException:
        link.close()
        raise
    return link


async def _send_all(link: trio.socket.SocketType, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[await link.send(left) :]


def _has_ended(link: trio.socket.SocketType) -> bool:
    """Whether the receiver has closed a stream. Without asking, the first message after its restart would be lost: the
    kernel takes it, and learns only from the answer that nobody is there."""
    if link.type == socket.SOCK_DGRAM:
        return False
    look = select.poll()
    look.register(link.fileno(), select.POLLRDHUP)
    return bool(look.poll(0))


def _words(error: Exception) -> str:
    if isinstance(error, trio.TooSlowError):
        return f"no connection within {CONNECT_LIMIT_S:g} s"
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
