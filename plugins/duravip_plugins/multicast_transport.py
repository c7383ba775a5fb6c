"""The multicast transport: every member joins one group on one interface.

Datagrams leave from a socket that is bound to the node's own address, never to a VIP: a source that moves to
another node would make two nodes look like one. That socket has a port of its own, so that a node knows its
own datagrams should the network hand them back.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
from functools import partial
from types import TracebackType
from typing import Self

import trio

from duravip.errors import TransportError
from duravip.model import Address, NodeName
from duravip.plugin.api import Farewell, TransportContext
from duravip_plugins.multicast_interface import Interface, choose_interface, choose_source, interfaces, wait_usable
from duravip_plugins.transport_multicast import DEFAULT_GROUP, DEFAULT_PORT, DEFAULT_TTL

_MAX_PAYLOAD_BYTES = 1472  # also where the interface would take more: the other members' may not
_HEADERS_BYTES = {4: 28, 6: 48}  # IP and UDP
_RECEIVE_BUFFER_BYTES = 1 << 20
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29  # linux/in.h, linux/in6.h; not in Python's socket module
_SO_BINDTOIFINDEX = 62  # asm-generic/socket.h
_NETWORK_CONTROL = 0xC0  # DSCP CS6, as routing protocols use


class MulticastTransport:
    """See `duravip.plugin.api.Transport`."""

    def __init__(self, context: TransportContext) -> None:
        options = context.options
        self._context = context
        self._group = ipaddress.ip_address(options.get("group") or DEFAULT_GROUP)
        self._port = int(options.get("port") or DEFAULT_PORT)
        self._destination = (str(self._group), self._port)
        self._ttl = int(options.get("ttl") or DEFAULT_TTL)
        self._wanted: str | None = options.get("interface")
        self._receiver: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._own: tuple[str, int] = ("", 0)
        self._interface, self._index = "", 0
        self._is_moving = False  # to another index
        self.mtu_bytes = _MAX_PAYLOAD_BYTES

    def __repr__(self) -> str:
        return f"<MulticastTransport {self._group}:{self._port} from {self._own[0] or '(closed)'}>"

    async def __aenter__(self) -> Self:
        if not self._group.is_multicast:
            raise TransportError(f"multicast: {self._group} is no multicast group (224.0.0.0/4 or ff00::/8)")
        interface = choose_interface(
            interfaces(), group=self._group, wanted=self._wanted, node_address=self._context.node_address
        )
        source = choose_source(
            interface, self._group.version, node_address=self._context.node_address, vips=self._context.vips
        )
        await wait_usable(source, interface)
        with contextlib.ExitStack() as opened:
            receiver = opened.enter_context(self._open_receiver(interface))
            sender = opened.enter_context(self._open_sender(interface, source))
            opened.pop_all()
        self._receiver = receiver
        self._sender = sender
        self._own = (source, sender.getsockname()[1])
        self._interface, self._index = interface.name, interface.index
        self.mtu_bytes = min(_MAX_PAYLOAD_BYTES, interface.mtu_bytes - _HEADERS_BYTES[self._group.version])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._receiver is not None:
            trio.lowlevel.notify_closing(self._receiver)
            self._receiver.close()
        if self._sender is not None:
            self._sender.close()

    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        """Always to all: the group cannot tell members apart. Raises ValueError for more than `mtu_bytes`."""
        self.send_nowait(payload)
        await trio.lowlevel.checkpoint()

    def send_nowait(self, payload: bytes) -> None:
        """See `duravip.plugin.api.PromptTransport`."""
        if len(payload) > self.mtu_bytes:
            raise ValueError(f"{len(payload)} bytes for datagrams of at most {self.mtu_bytes}: a bug in duravip")
        if self._sender is None:
            raise RuntimeError("the transport is not open")
        try:
            self._sender.sendto(payload, self._destination)
        except OSError:  # no route, no buffer, a filter, an interface that is down or gone: lost
            self._follow_interface()

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self.fileno())
            if (payload := self.receive_nowait()) is not None:
                return payload

    def fileno(self) -> int:
        """See `duravip.plugin.api.ReadableTransport`."""
        if self._receiver is None:
            raise RuntimeError("the transport is not open")
        return self._receiver.fileno()

    def receive_nowait(self) -> bytes | None:
        if self._receiver is None:
            raise RuntimeError("the transport is not open")
        while True:
            try:
                payload, sender = self._receiver.recvfrom(65536)
            except BlockingIOError:
                return None
            if sender[1] != self._own[1] or sender[0].partition("%")[0] != self._own[0]:
                return payload

    def source_address(self) -> str:
        return self._own[0]

    def farewell(self) -> Farewell:
        if self._sender is None:
            raise RuntimeError("the transport is not open")
        return Farewell(descriptor=self._sender.fileno(), destinations=(self._destination,))

    def _follow_interface(self) -> None:
        """An interface that was deleted and made again has another index, and nobody on it has joined the group. To
        join takes the kernel's lock, which whoever makes interfaces holds, so a thread does it."""
        with contextlib.suppress(OSError):  # not there yet: the next datagram comes here too
            index = socket.if_nametoindex(self._interface)
            if index != self._index and not self._is_moving:
                self._is_moving = True
                trio.lowlevel.start_thread_soon(partial(self._move, index), lambda outcome: None)

    def _move(self, index: int) -> None:
        assert self._sender is not None
        assert self._receiver is not None
        try:
            if self._group.version == 6:  # bound to the interface by its scope
                for link in (self._receiver, self._sender):
                    link.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, index)
            self._leave(self._receiver, self._index)
            self._join(self._receiver, index)
            self._send_on(self._sender, index, self._own[0])
            self._index = index
        except OSError:  # gone again, or closed: the next datagram tries it once more
            pass
        finally:
            self._is_moving = False

    def _join(self, receiver: socket.socket, index: int) -> None:
        if self._group.version == 4:
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._membership(index))
        else:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, self._membership(index))

    def _leave(self, receiver: socket.socket, index: int) -> None:
        """A socket may be in few groups, and is still in that of an interface that has gone."""
        with contextlib.suppress(OSError):
            if self._group.version == 4:
                receiver.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, self._membership(index))
            else:
                receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, self._membership(index))

    def _membership(self, index: int) -> bytes:
        if self._group.version == 4:
            return struct.pack("@4s4si", self._group.packed, bytes(4), index)
        return struct.pack("@16si", self._group.packed, index)

    def _send_on(self, sender: socket.socket, index: int, source: str) -> None:
        if self._group.version == 4:
            out = struct.pack("@4s4si", bytes(4), ipaddress.ip_address(source).packed, index)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, out)
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)

    def _open_receiver(self, interface: Interface) -> socket.socket:
        """Bound to the group without SO_REUSEADDR, so that a port that somebody has is found out."""
        link = _udp(self._group.version)
        try:
            _enlarge(link)
            if self._group.version == 4:
                link.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
                link.bind((str(self._group), self._port))
            else:
                link.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
                link.bind((str(self._group), self._port, 0, interface.index))
            self._join(link, interface.index)
        except OSError as error:
            link.close()
            raise self._refused(error, interface) from error
        return link

    def _open_sender(self, interface: Interface, source: Address) -> socket.socket:
        link = _udp(self._group.version)
        try:
            self._send_on(link, interface.index, source)
            if self._group.version == 4:
                link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, self._ttl)
                link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
                link.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _NETWORK_CONTROL)
                link.bind((source, 0))
            else:
                link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, self._ttl)
                link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
                link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _NETWORK_CONTROL)
                link.bind((source, 0, 0, interface.index))
        except OSError as error:
            link.close()
            raise TransportError(
                f"multicast: cannot send from {source} on {interface.name}: {error.strerror}",
                interface=interface.name,
            ) from error
        return link

    def _refused(self, error: OSError, interface: Interface) -> TransportError:
        if error.errno == errno.EADDRINUSE:
            return TransportError(
                f"multicast: UDP port {self._port} of {self._group} is in use by another process: stop it, or "
                f"give this cluster another `port`",
                interface=interface.name,
            )
        return TransportError(
            f"multicast: cannot join {self._group} on {interface.name}: {error.strerror}",
            interface=interface.name,
        )


def _udp(version: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    link = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    if version == 6:
        link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return link


def _enlarge(link: socket.socket) -> None:
    """Room for a burst; as much as the system allows without CAP_NET_ADMIN."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
