"""Refusals. That it carries a cluster is tested where there are networks: tests/netns/test_example.py."""

import pytest
import trio

from duravip.errors import TransportError
from duravip.model import Address, NodeName
from duravip.plugin.api import TransportContext
from duravip_example.broadcast import Broadcast


def context(address: str, *, node_address: str | None = None, vips: tuple[str, ...] = ()) -> TransportContext:
    return TransportContext(
        node=NodeName("node1"),
        options={"address": address, "port": 4861},
        node_address=node_address,
        vips=frozenset(map(Address, vips)),
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (context("127.255.255.255", node_address="192.0.2.77"), "cannot use 127.255.255.255 port 4861"),
        (context("127.255.255.255", vips=("127.0.0.1",)), "127.0.0.1 is a VIP"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(given: TransportContext, words: str) -> None:
    async def enter() -> None:
        async with Broadcast(given):
            pass

    with pytest.raises(TransportError, match=words):
        trio.run(enter)


def test_a_datagram_that_is_too_long_is_a_bug_of_the_sender() -> None:
    async def send() -> None:
        async with Broadcast(context("127.255.255.255")) as transport:
            assert transport.source_address() == "127.0.0.1"
            await transport.send(bytes(transport.mtu_bytes + 1))

    with pytest.raises(ValueError, match="1401 bytes"):
        trio.run(send)
