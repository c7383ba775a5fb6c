"""A transport that sends every datagram to the broadcast address of a network."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import trio

from duravip.config.options import Kind, Option
from duravip.errors import TransportError
from duravip.model import NodeName
from duravip.plugin.api import Farewell, Transport, TransportContext, TransportKind, hookimpl

OPTIONS = (
    Option(name="address", kind=Kind.ADDRESS, required=True, doc="The broadcast address of the network: 192.0.2.255."),
    Option(name="port", kind=Kind.INTEGER, default=4861, low=1, high=65535, doc="The UDP port."),
)


class Broadcast:
    mtu_bytes = 1400

    def __init__(self, context: TransportContext) -> None:
        self._context = context
        self._to = (str(context.options["address"]), int(context.options["port"]))
        self._receiver = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sender = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    async def __aenter__(self) -> Self:
        try:
            self._sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if self._context.node_address:
                await self._sender.bind((self._context.node_address, 0))
            await self._sender.connect(self._to)  # the kernel chooses the source, unless we have
            await self._receiver.bind(self._to)  # bound to that address, it hears nothing else
        except OSError as error:
            self._close()
            raise TransportError(f"broadcast: cannot use {self._to[0]} port {self._to[1]}: {error.strerror}") from error
        source = self.source_address()
        if source in self._context.vips:
            self._close()
            raise TransportError(f"broadcast: {source} is a VIP, and leaves one day: set nodeaddr")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        """To all: a broadcast cannot tell members apart."""
        if len(payload) > self.mtu_bytes:
            raise ValueError(f"{len(payload)} bytes for datagrams of at most {self.mtu_bytes}")
        try:
            await self._sender.send(payload)
        except OSError:  # no route, no buffer, an interface that is down: lost
            await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes:
        while True:
            payload, sender = await self._receiver.recvfrom(65536)
            if sender != self._sender.getsockname():  # a broadcast comes back to its sender
                return payload

    def source_address(self) -> str:
        return str(self._sender.getsockname()[0])

    def farewell(self) -> Farewell:
        return Farewell(descriptor=self._sender.fileno(), destinations=(self._to,))

    def _close(self) -> None:
        self._receiver.close()
        self._sender.close()


def open_transport(context: TransportContext) -> Transport:
    return Broadcast(context)


@hookimpl
def duravip_transports() -> Sequence[TransportKind]:
    return [TransportKind(name="broadcast", options=OPTIONS, open=open_transport)]
