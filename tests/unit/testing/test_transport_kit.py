"""The kit accepts a transport in memory, and finds each of several ways to break the contract."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Self

import pytest
import trio
import trio.testing

from duravip.model import NodeName
from duravip.plugin.api import Farewell
from duravip.testing.fakes import MemoryNetwork, MemoryTransport, ReadableMemoryTransport
from duravip.testing.transport_kit import check_transport


class Fake(MemoryTransport):
    def __init__(self, network: MemoryNetwork, name: NodeName) -> None:
        super().__init__(network, name)
        self.network, self.name = network, name


class HearsItself(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        await super().send(payload, to)
        self.network._attached[self.name].send_nowait(payload)


class ReachesOnlyOne(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        self.network.lost = lambda sender, receiver, _: receiver != min(set(self.network._attached) - {sender})
        await super().send(payload, to)


class Cuts(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        await super().send(payload[:600], to)


class CutsWhatIsTooLarge(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        await super().send(payload[: self.mtu_bytes], to)


class Text(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        await super().send(payload.strip(), to)


class Tiny(Fake):
    mtu_bytes = 500


class IgnoresWhoIsNamed(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        if to is None:
            await super().send(payload)


class Waits(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        await super().send(payload, to)
        await trio.sleep(1)


class NeverYields(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        if len(payload) > self.mtu_bytes:
            raise ValueError("too large")
        self.network.deliver(self.name, payload)


class LosesWhenCancelled(Fake):
    async def receive(self) -> bytes:
        try:
            return await super().receive()
        except trio.Cancelled:
            self.network.lost = lambda *_: True
            raise


class IsLateAfterAFlood(Fake):
    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        if payload == b"last":
            trio.lowlevel.spawn_system_task(self._send_late, payload)
        await super().send(payload, to)

    async def _send_late(self, payload: bytes) -> None:
        await trio.sleep(0.01)  # as long as half of the next check's waits for nothing
        self.network.deliver(self.name, payload)


class NoAddress(Fake):
    def source_address(self) -> str:
        return "eth0"


class SaysFarewellToNobody(Fake):
    async def __aenter__(self) -> Self:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return await super().__aenter__()

    async def __aexit__(self, *exception: Any) -> None:
        self.socket.close()
        await super().__aexit__(*exception)

    def farewell(self) -> Farewell:
        return Farewell(descriptor=self.socket.fileno(), destinations=())


class NeverCloses(Fake):
    async def __aexit__(self, *_: object) -> None:
        pass


class GivesTheLastFirst(ReadableMemoryTransport):
    def __init__(self, network: MemoryNetwork, name: NodeName) -> None:
        super().__init__(network, name)
        self._waiting: list[bytes] = []

    def receive_nowait(self) -> bytes | None:
        self._waiting += iter(super().receive_nowait, None)
        return self._waiting.pop() if self._waiting else None


class GivesTwice(ReadableMemoryTransport):
    _given: bytes | None = None

    def receive_nowait(self) -> bytes | None:
        if self._given is not None:
            again, self._given = self._given, None
            return again
        self._given = super().receive_nowait()
        return self._given


def opening(kind: Callable[[MemoryNetwork, NodeName], MemoryTransport]) -> Callable[[NodeName], MemoryTransport]:
    network = MemoryNetwork()
    return lambda name: kind(network, name)


@pytest.mark.parametrize("kind", [MemoryTransport, ReadableMemoryTransport, IsLateAfterAFlood])
async def test_a_transport_in_memory_passes(
    kind: type[MemoryTransport], autojump_clock: trio.testing.MockClock
) -> None:
    await check_transport(opening(kind))


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (HearsItself, "'from b' was expected, b'from a' arrived|'from a' arrived"),
        (ReachesOnlyOne, "did not arrive"),
        (Cuts, "600 bytes"),
        (CutsWhatIsTooLarge, "must raise ValueError"),
        (Text, "was expected"),
        (Tiny, "mtu_bytes is 500"),
        (IgnoresWhoIsNamed, "'for b' did not arrive"),
        (Waits, "`send` waits"),
        (NeverYields, "other tasks had"),
        (LosesWhenCancelled, "did not arrive"),
        (NoAddress, "'eth0': it must be an IP address"),
        (SaysFarewellToNobody, "'farewell' did not arrive"),
        (GivesTheLastFirst, "received at once: b'third', b'second', b'first'"),
        (GivesTwice, "received at once: b'first', b'first'"),
    ],
)
async def test_a_broken_transport_is_found_out(
    broken: Callable[[MemoryNetwork, NodeName], MemoryTransport], complaint: str, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        await check_transport(opening(broken))


async def test_a_transport_that_never_lets_go_is_found_out(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(Exception, match="on the network already"):
        await check_transport(opening(NeverCloses))
