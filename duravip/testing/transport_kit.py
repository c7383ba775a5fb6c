"""What every transport must do, as checks that need no test framework.

    await check_transport(open_transport)

raises AssertionError with a sentence when the transport breaks its contract (`duravip.plugin.api.Transport`).
`open_transport` is called with the name of a node, `a`, `b` or `c`, and returns that node's transport, not entered
yet: three ends of one network that loses nothing by itself, such as three network namespaces on a bridge.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import trio

from duravip.model import NodeName
from duravip.plugin.api import FarewellTransport, PromptTransport, ReadableTransport, Transport

Open = Callable[[NodeName], AbstractAsyncContextManager[Transport]]
A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
LEAST_MTU_BYTES = 508  # what every IPv4 host must take whole, without headers
_ARRIVES_WITHIN_S = 5.0
_QUIET_S = 0.05  # without a datagram: what was sent before has come, or never will
_MANY_DATAGRAMS = 2_000


async def check_transport(open_transport: Open) -> None:
    """All checks, each on transports of its own."""
    for check in (
        check_all_others_hear_and_oneself_does_not,
        check_datagrams_arrive_as_they_were,
        check_the_size_limit,
        check_naming_a_receiver_reaches_it,
        check_what_is_sent_at_once_arrives_in_order,
        check_what_has_come_is_received_at_once,
        check_absent_members_harm_nobody,
        check_sending_waits_for_nobody,
        check_a_cancelled_receive_loses_nothing,
        check_the_source_is_an_address,
        check_a_farewell_is_heard_by_all,
        check_it_can_be_opened_again,
    ):
        await check(open_transport)


async def check_all_others_hear_and_oneself_does_not(open_transport: Open) -> None:
    async with _opened(open_transport, A, B, C) as (a, b, c):
        for sender, receivers, text in ((a, (b, c), b"from a"), (b, (a, c), b"from b"), (c, (a, b), b"from c")):
            await sender.send(text)
            for receiver in receivers:
                await _expect(receiver, text)  # somebody who heard himself has that in hand instead


async def check_datagrams_arrive_as_they_were(open_transport: Open) -> None:
    async with _opened(open_transport, A, B) as (a, b):
        sent = [bytes(range(256)), b"\0", b"\r\n", b"same", b"same"]
        for payload in sent:
            await a.send(payload)
        for payload in sent:
            await _expect(b, payload)


async def check_the_size_limit(open_transport: Open) -> None:
    async with _opened(open_transport, A, B) as (a, b):
        assert a.mtu_bytes >= LEAST_MTU_BYTES, f"mtu_bytes is {a.mtu_bytes}: at least {LEAST_MTU_BYTES} are needed"
        largest = bytes(number % 251 for number in range(a.mtu_bytes))
        await a.send(largest)
        await _expect(b, largest)
        try:
            await a.send(largest + b"!")
        except ValueError:
            pass
        else:
            raise AssertionError("a payload larger than mtu_bytes was taken: it must raise ValueError")
        await a.send(b"after")
        await _expect(b, b"after")


async def check_naming_a_receiver_reaches_it(open_transport: Open) -> None:
    async with _opened(open_transport, A, B, C) as (a, b, _):
        await a.send(b"for b", B)
        await _expect(b, b"for b")


async def check_what_is_sent_at_once_arrives_in_order(open_transport: Open) -> None:
    """Of a transport that offers `send_nowait`; of others there is nothing to check."""
    async with _opened(open_transport, A, B, C) as (a, b, c):
        if not isinstance(a, PromptTransport):
            return
        await a.send(b"first")
        a.send_nowait(b"second")
        for receiver in (b, c):
            await _expect(receiver, b"first")
            await _expect(receiver, b"second")
        try:
            a.send_nowait(bytes(a.mtu_bytes + 1))
        except ValueError:
            return
        raise AssertionError("send_nowait took a payload larger than mtu_bytes: it must raise ValueError")


async def check_what_has_come_is_received_at_once(open_transport: Open) -> None:
    """Of a transport that offers `receive_nowait`; of others there is nothing to check."""
    async with _opened(open_transport, A, B) as (a, b):
        if not isinstance(b, ReadableTransport):
            return
        assert b.receive_nowait() is None, "receive_nowait gave something though nobody had sent"
        sent = [b"first", b"second", b"third"]
        for payload in sent:
            await a.send(payload)
        received: list[bytes] = []
        with trio.move_on_after(_ARRIVES_WITHIN_S) as patience:
            while len(received) < len(sent):
                await trio.lowlevel.wait_readable(b.fileno())
                while (arrived := b.receive_nowait()) is not None:
                    received.append(arrived)
        assert not patience.cancelled_caught, f"of {len(sent)} datagrams {len(received)} could be received at once"
        assert received == sent, f"received at once: {', '.join(map(_shown, received))}"
        with trio.move_on_after(0.01):
            while True:
                await trio.lowlevel.wait_readable(b.fileno())
                assert b.receive_nowait() is None, "receive_nowait gave a datagram twice"


async def check_absent_members_harm_nobody(open_transport: Open) -> None:
    async with _opened(open_transport, A, B) as (a, b):
        for number in range(10):
            await a.send(b"%d" % number)
            await _expect(b, b"%d" % number)
        async with open_transport(C) as c:
            await a.send(b"welcome")
            await _expect(c, b"welcome")
            await _expect(b, b"welcome")


async def check_sending_waits_for_nobody(open_transport: Open) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while turns < _MANY_DATAGRAMS:  # not for ever: a clock for tests moves on only when nobody runs
            turns += 1
            await trio.lowlevel.checkpoint()

    async with _opened(open_transport, A, B) as (a, b):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            with trio.move_on_after(_ARRIVES_WITHIN_S * 2) as patience:
                for _ in range(_MANY_DATAGRAMS):
                    await a.send(bytes(200))
            nursery.cancel_scope.cancel()
        assert not patience.cancelled_caught, "`send` waits while nobody receives: it must lose datagrams instead"
        assert turns > _MANY_DATAGRAMS // 10, (
            f"other tasks had {turns} turns while {_MANY_DATAGRAMS} datagrams were sent"
        )
        with trio.move_on_after(_ARRIVES_WITHIN_S) as patience:
            while await b.receive() != b"last":
                await a.send(b"last")
        assert not patience.cancelled_caught, "nothing arrives after a flood"
        await _until_quiet(b)  # the kernel of a busy machine is late with it, and the next check is not about that


async def check_a_cancelled_receive_loses_nothing(open_transport: Open) -> None:
    async with _opened(open_transport, A, B) as (a, b):
        for number in range(20):
            with trio.move_on_after(0.001) as patience:
                await b.receive()
            assert patience.cancelled_caught, "`receive` returned though nobody had sent"
            await a.send(b"%d" % number)
            await _expect(b, b"%d" % number)


async def check_the_source_is_an_address(open_transport: Open) -> None:
    async with open_transport(A) as a:
        source = a.source_address()
        try:
            ipaddress.ip_address(source)
        except ValueError:
            raise AssertionError(f"source_address() is {source!r}: it must be an IP address") from None


async def check_a_farewell_is_heard_by_all(open_transport: Open) -> None:
    """Sent as the guard sends it: by the system call alone. Of transports that offer one."""
    async with _opened(open_transport, A, B, C) as (a, b, c):
        if not isinstance(a, FarewellTransport):
            return
        await a.send(b"before")
        farewell = a.farewell()
        with socket.socket(fileno=os.dup(farewell.descriptor)) as inherited:
            for destination in farewell.destinations:
                inherited.sendto(b"farewell", destination)
        for receiver in (b, c):
            await _expect(receiver, b"before")
            await _expect(receiver, b"farewell")


async def check_it_can_be_opened_again(open_transport: Open) -> None:
    """Leaving gives back whatever entering took."""
    for text in (b"first", b"second"):
        async with _opened(open_transport, A, B) as (a, b):
            await a.send(text)
            await _expect(b, text)


@asynccontextmanager
async def _opened(open_transport: Open, *names: NodeName) -> AsyncIterator[list[Transport]]:
    async with AsyncExitStack() as opened:
        yield [await opened.enter_async_context(open_transport(name)) for name in names]


async def _expect(receiver: Transport, payload: bytes) -> None:
    with trio.move_on_after(_ARRIVES_WITHIN_S) as patience:
        received = await receiver.receive()
        assert received == payload, f"{_shown(payload)} was expected, {_shown(received)} arrived"
    assert not patience.cancelled_caught, f"{_shown(payload)} did not arrive within {_ARRIVES_WITHIN_S:g} s"


async def _until_quiet(receiver: Transport) -> None:
    is_quiet = False
    while not is_quiet:
        with trio.move_on_after(_QUIET_S) as silence:
            await receiver.receive()
        is_quiet = silence.cancelled_caught


def _shown(payload: bytes) -> str:
    return repr(payload) if len(payload) <= 20 else f"{payload[:12]!r}... ({len(payload)} bytes)"
