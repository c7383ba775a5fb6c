"""A network and a kernel in memory, behind the same Protocols as the real ones: for tests of what runs on
trio."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import trio

from duravip.cluster.effects import ProbeAddress
from duravip.cluster.inputs import Input
from duravip.errors import TransportError
from duravip.model import Address, NodeName
from duravip.plugin.api import Answer, Change, Placement, Plumbed, connected_interface

MTU_BYTES = 1_400
SOCKET_DATAGRAMS = 1_000  # a full one loses what comes, as a kernel's socket does


class _Wire(Protocol):
    """Leads to one node; what it does not take is lost."""

    def send_nowait(self, value: bytes, /) -> None: ...
    def close(self) -> None: ...


class MemoryNetwork:
    """Carries every datagram to all other nodes at once. `lost` decides, per datagram and receiver, what is
    lost: it gets (sender, receiver, payload)."""

    def __init__(self) -> None:
        self._attached: dict[NodeName, _Wire] = {}
        self.sent: list[tuple[NodeName, bytes]] = []
        self.lost: Callable[[NodeName, NodeName, bytes], bool] = lambda sender, receiver, payload: False

    def cut(self, *names: NodeName) -> None:
        """From now on these nodes and the others hear nothing of each other."""
        outside = frozenset(names)
        self.lost = lambda sender, receiver, payload: (sender in outside) != (receiver in outside)

    def heal(self) -> None:
        self.lost = lambda sender, receiver, payload: False

    def transport(self, name: NodeName) -> MemoryTransport:
        return MemoryTransport(self, name)

    def deliver(self, sender: NodeName, payload: bytes) -> None:
        """As if `sender` had sent it; `sender` need not be attached."""
        self.sent.append((sender, payload))
        for name in sorted(self._attached):
            if name == sender or self.lost(sender, name, payload):
                continue
            try:
                self._attached[name].send_nowait(payload)
            except (trio.WouldBlock, trio.BrokenResourceError, BlockingIOError):
                continue

    def _attach(self, name: NodeName, wire: _Wire) -> None:
        if name in self._attached:
            raise TransportError(f"{name} is on the network already")
        self._attached[name] = wire

    def _detach(self, name: NodeName) -> None:
        self._attached.pop(name).close()


class MemoryTransport:
    """One node's place on a MemoryNetwork."""

    mtu_bytes = MTU_BYTES

    def __init__(self, network: MemoryNetwork, name: NodeName) -> None:
        self._network = network
        self._name = name
        self._inbox: trio.MemoryReceiveChannel[bytes] | None = None

    async def __aenter__(self) -> Self:
        wire, inbox = trio.open_memory_channel[bytes](SOCKET_DATAGRAMS)
        self._network._attach(self._name, wire)
        self._inbox = inbox
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inbox = None
        self._network._detach(self._name)

    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        if len(payload) > self.mtu_bytes:
            raise ValueError(f"{len(payload)} bytes for datagrams of at most {self.mtu_bytes}")
        await trio.lowlevel.checkpoint()
        self._network.deliver(self._name, payload)

    async def receive(self) -> bytes:
        if self._inbox is None:
            raise TransportError(f"the transport of {self._name} is not open")
        return await self._inbox.receive()

    def source_address(self) -> str:
        return "127.0.0.1"


class _SocketWire:
    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send_nowait(self, value: bytes, /) -> None:
        self._end.send(value)

    def close(self) -> None:
        self._end.close()


class ReadableMemoryTransport(MemoryTransport):
    """The same, and a `ReadableTransport`: what arrives waits in a socket of the kernel. Threads may deliver to it."""

    def __init__(self, network: MemoryNetwork, name: NodeName) -> None:
        super().__init__(network, name)
        self._socket: socket.socket | None = None

    async def __aenter__(self) -> Self:
        wire, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._network._attach(self._name, _SocketWire(wire))
        self._socket = end
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._network._detach(self._name)
        if self._socket is not None:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self.fileno())
            if (payload := self._taken()) is not None:
                return payload

    def fileno(self) -> int:
        return self._open_socket().fileno()

    def receive_nowait(self) -> bytes | None:
        return self._taken()

    def _taken(self) -> bytes | None:
        try:
            return self._open_socket().recv(MTU_BYTES)
        except BlockingIOError:
            return None

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise TransportError(f"the transport of {self._name} is not open")
        return self._socket


class MemoryBackend:
    """One machine's addresses. Calls take `delay_s` of trio's clock; `refuse` maps addresses to what the
    kernel says against them; `calls` records every call; `on` is what is there, and where; `ends_at` is when the
    lifetimes end, by trio's clock; `lists` counts how often it was asked for everything. Whoever watches hears what
    `tell` is given, and nothing else.

    `own` are the machine's own addresses; with them, their interfaces are all there are, and one that is not named is
    chosen by its subnet. Without, every interface exists, and `interface` is the one chosen."""

    has_lifetimes = True

    def __init__(self, *, interface: str = "mem0", delay_s: float = 0.0, own: Sequence[Plumbed] = ()) -> None:
        self.interface = interface
        self.delay_s = delay_s
        self.refuse: dict[Address, str] = {}
        self.on: dict[Address, Plumbed] = {row.address: row for row in own}
        self.ends_at: dict[Address, float] = {}
        self._own = tuple(own)
        self.calls: list[tuple[str, tuple[Address, ...]]] = []
        self.lists = 0
        self._watching: list[trio.MemorySendChannel[Change]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def ours(self) -> list[Address]:
        return sorted(address for address, plumbed in self.on.items() if plumbed.ours)

    async def list(self) -> Sequence[Plumbed]:
        await trio.lowlevel.checkpoint()
        self.lists += 1
        self._expire()
        return tuple(self.on.values())

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        self.calls.append(("add", tuple(placement.address for placement in placements)))
        await trio.sleep(self.delay_s)
        return [self._added(placement) for placement in placements]

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        self.calls.append(("renew", tuple(placement.address for placement in placements)))
        await trio.sleep(self.delay_s)
        return [self._added(placement) for placement in placements]

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        self.calls.append(("remove", tuple(placement.address for placement in placements)))
        await trio.sleep(self.delay_s)
        return [self._removed(placement) for placement in placements]

    def watch(self) -> AsyncIterator[Change]:
        telling, hearing = trio.open_memory_channel[Change](math.inf)
        self._watching.append(telling)
        return hearing

    def tell(self, change: Change) -> None:
        """Something has changed, or so they say."""
        for telling in self._watching:
            telling.send_nowait(change)

    def _added(self, placement: Placement) -> Answer:
        address, interface = placement.address, placement.interface or self._connected(placement.address)
        if time.monotonic() >= placement.not_after:
            return Answer(address=address, error="too late", late=True)
        if address in self.refuse:
            return Answer(address=address, error=self.refuse[address])
        if self._own and interface not in {row.interface for row in self._own}:
            return Answer(address=address, error=f"cannot add {address}: no interface {interface}".rstrip())
        self.ends_at[address] = trio.current_time() + (placement.lifetime_s or math.inf)
        self.on[address] = Plumbed(address=address, interface=interface, prefix=placement.prefix, ours=True)
        return Answer(address=address, interface=interface)

    def _expire(self) -> None:
        for address, ends_at in list(self.ends_at.items()):
            if trio.current_time() >= ends_at:
                del self.ends_at[address]
                self.on.pop(address, None)

    def _connected(self, address: Address) -> str:
        return connected_interface(address, self._own) or "" if self._own else self.interface

    def _removed(self, placement: Placement) -> Answer:
        address = placement.address
        if address in self.refuse:
            return Answer(address=address, error=self.refuse[address])
        self.ends_at.pop(address, None)
        gone = self.on.pop(address, None)
        return Answer(address=address, interface=gone.interface if gone else "")


class RecordingAnnouncer:
    """Takes the place of `net.announce.Announcer`: writes down what it was asked, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Address, str]] = []

    def announce(self, address: Address, interface: str) -> None:
        self.asked.append(("announce", address, interface))

    def repeat(self, address: Address, interface: str) -> None:
        self.asked.append(("repeat", address, interface))

    def defend(self, address: Address, interface: str) -> None:
        self.asked.append(("defend", address, interface))

    def withdraw(self, address: Address) -> None:
        self.asked.append(("withdraw", address, ""))


class RecordingClaimWatch:
    """Takes the place of `runtime.claim_watch.ClaimWatch`: writes down what it was asked; `feed` gives the machine what
    it is to hear."""

    def __init__(self) -> None:
        self.asked: list[ProbeAddress] = []
        self.feed: Callable[[Input], None] | None = None

    async def run(self, homes: object, feed: Callable[[Input], None]) -> None:
        self.feed = feed
        await trio.sleep_forever()

    def ask(self, question: ProbeAddress) -> None:
        self.asked.append(question)
