"""The unicast transport: a datagram for each peer, where there is no multicast or where routers are between.

One socket, bound to an address of the node's own, sends and receives, so that both ends of a conversation have
the port that firewalls were told of. Datagrams are small enough for every path that IPv6 may take.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import trio

from duravip.errors import TransportError
from duravip.model import Address, NodeName, canonical_address
from duravip.plugin.api import Farewell, TransportContext
from duravip_plugins.multicast_interface import Interface, interfaces, wait_usable
from duravip_plugins.unicast_peers import Endpoint, Name, Names, Resolve, parse_endpoint, resolve

DEFAULT_PORT = 4860
NAMES_LIMIT_S = 5.0  # a start waits so long for names, then goes on without those that have no answer
_MAX_PAYLOAD_BYTES = 1232  # 1280 bytes, which every IPv6 link carries, without headers
_HEADERS_BYTES = {4: 28, 6: 48}  # IP and UDP
_RECEIVE_BUFFER_BYTES = 1 << 20
_NETWORK_CONTROL = 0xC0  # DSCP CS6, as routing protocols use


class UnicastTransport:
    """See `duravip.plugin.api.Transport`. `resolve` is called in threads."""

    def __init__(self, context: TransportContext, *, resolve: Resolve = resolve) -> None:
        self._context = context
        self._resolve = resolve
        self._socket: socket.socket | None = None
        self._own = Endpoint(Address(""), 0)
        self._peers: tuple[Endpoint, ...] = ()
        self._names: Names | None = None
        self._opened = AsyncExitStack()
        self.mtu_bytes = _MAX_PAYLOAD_BYTES

    def __repr__(self) -> str:
        return f"<UnicastTransport on {self._own if self._socket else '(closed)'}>"

    async def __aenter__(self) -> Self:
        options = self._context.options
        peers = [parse_endpoint(text, option="peers", port=DEFAULT_PORT) for text in options["peers"]]
        literal = tuple(peer for peer in peers if isinstance(peer, Endpoint))
        present = interfaces("unicast")
        self._own = self._choose_own(options.get("listen"), literal, present)
        for peer in literal:
            if peer.address in self._context.vips:
                raise TransportError(f"unicast: the peer {peer} is a DuraVIP: name the node by its own address")
            if peer.version != self._own.version:
                raise TransportError(
                    f"unicast: the peer {peer} cannot be reached from {self._own}, which is IPv{self._own.version}: "
                    f'give each family a stanza of its own (`unicast "six" {{ ... }}`)'
                )
        self._peers = tuple(dict.fromkeys(peer for peer in literal if peer != self._own))
        if any(self._own.address in each.addresses for each in present):
            await wait_usable(self._own.address)
        async with AsyncExitStack() as opening:
            self._socket = opening.enter_context(_open_socket(self._own))
            opening.callback(trio.lowlevel.notify_closing, self._socket)
            names = [peer for peer in peers if isinstance(peer, Name)]
            if names:
                self._names = Names(names, own=self._own, vips=self._context.vips, resolve=self._resolve)
                asking = await opening.enter_async_context(trio.open_nursery())
                opening.callback(asking.cancel_scope.cancel)
                with trio.move_on_after(NAMES_LIMIT_S):
                    await self._names.ask()
                asking.start_soon(self._names.keep_asking)
            self._opened = opening.pop_all()
        room = min([each.mtu_bytes for each in present if self._own.address in each.addresses], default=1280)
        self.mtu_bytes = min(_MAX_PAYLOAD_BYTES, room - _HEADERS_BYTES[self._own.version])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(kind, value, trace)

    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        """Always to all: peers are addresses, not nodes. Raises ValueError for more than `mtu_bytes`."""
        self.send_nowait(payload)
        await trio.lowlevel.checkpoint()

    def send_nowait(self, payload: bytes) -> None:
        """See `duravip.plugin.api.PromptTransport`."""
        if len(payload) > self.mtu_bytes:
            raise ValueError(f"{len(payload)} bytes for datagrams of at most {self.mtu_bytes}: a bug in duravip")
        if self._socket is None:
            raise RuntimeError("the transport is not open")
        for peer in self.peers():
            with contextlib.suppress(OSError):  # no route, no buffer, a filter, an interface that is down: lost
                self._socket.sendto(payload, (peer.address, peer.port))

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self.fileno())
            if (payload := self.receive_nowait()) is not None:
                return payload

    def fileno(self) -> int:
        """See `duravip.plugin.api.ReadableTransport`."""
        if self._socket is None:
            raise RuntimeError("the transport is not open")
        return self._socket.fileno()

    def receive_nowait(self) -> bytes | None:
        if self._socket is None:
            raise RuntimeError("the transport is not open")
        while True:
            try:
                payload, sender = self._socket.recvfrom(65536)
            except BlockingIOError:
                return None
            if sender[1] != self._own.port or sender[0] != self._own.address:
                return payload

    def source_address(self) -> str:
        return self._own.address

    def farewell(self) -> Farewell:
        if self._socket is None:
            raise RuntimeError("the transport is not open")
        destinations = tuple((str(peer.address), peer.port) for peer in self.peers())
        return Farewell(descriptor=self._socket.fileno(), destinations=destinations)

    def peers(self) -> tuple[Endpoint, ...]:
        """To whom datagrams go now, each once."""
        named = self._names.endpoints() if self._names else ()
        return tuple(dict.fromkeys((*self._peers, *named)))

    def _choose_own(self, listen: str | None, peers: Sequence[Endpoint], present: Sequence[Interface]) -> Endpoint:
        """As the option `listen` says; of the family of the peers, if that can be told. Raises TransportError."""
        vips, node_address = self._context.vips, self._context.node_address
        if listen:
            own = parse_endpoint(listen, option="listen", port=DEFAULT_PORT)
            if isinstance(own, Name):
                raise TransportError(
                    f"unicast: listen: {listen!r} is no address: a name may stand for others' tomorrow"
                )
            if own.address in vips:
                raise TransportError(f"unicast: listen: {own.address} is a DuraVIP: it would leave with the VIP")
            return own
        if node_address is not None and canonical_address(node_address) in vips:
            raise TransportError(
                f"unicast: the node's address {node_address} is a DuraVIP: it would leave with the VIP"
            )
        mine = [
            address
            for each in sorted(present, key=lambda each: not each.up)
            for address in each.addresses
            if not each.loopback and address not in vips and not ip_address(address).is_link_local
        ]
        ports = {peer.address: peer.port for peer in reversed(peers)}
        wished = [canonical_address(node_address)] if node_address is not None else []
        version = peers[0].version if peers else None
        for address in (*wished, *(one for one in mine if one in ports), *mine):
            own = Endpoint(address, ports.get(address, DEFAULT_PORT))
            if version in (None, own.version):
                return own
        family = f"IPv{version} address" if version else "address"
        raise TransportError(f"unicast: no interface has an {family} of the node's own: give it one, or set `listen`")


def _open_socket(own: Endpoint) -> socket.socket:
    """Bound without SO_REUSEADDR, so that a port that somebody has is found out. Raises TransportError."""
    family = socket.AF_INET if own.version == 4 else socket.AF_INET6
    link = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        if own.version == 4:
            link.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _NETWORK_CONTROL)
        else:
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _NETWORK_CONTROL)
        link.bind((own.address, own.port))
    except OSError as error:
        link.close()
        raise TransportError(f"unicast: {_refusal(error, own)}") from error
    return link


def _refusal(error: OSError, own: Endpoint) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"UDP port {own.port} of {own.address} is in use by another process: stop it, or give this cluster "
            f"another port, on every node"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"no interface of this machine has the address {own.address}: correct `listen` or `nodeaddr`"
    return f"cannot listen on {own}: {error.strerror}"
