"""The multicast transport between two hosts on a bridge, in this process: each opened inside its host's
namespace.

    a: eth0 10.77.0.1 ── br0 ── b: eth0 10.77.0.2
"""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from duravip.errors import TransportError
from duravip.model import Address, NodeName
from duravip.plugin.api import TransportContext
from duravip.testing.netns import Lan
from duravip_plugins.multicast_interface import Interface, choose_interface, choose_source
from duravip_plugins.multicast_transport import MulticastTransport
from duravip_plugins.transport_multicast import OPTIONS, duravip_transports

netns = pytest.mark.netns
VIP = Address("10.77.0.51")


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("a", "b"), prefix="dvtm") as built:
        yield built


def context(
    node: str = "a", *, node_address: str | None = None, vips: tuple[str, ...] = (), **options: object
) -> TransportContext:
    return TransportContext(
        node=NodeName(node),
        options={option.name: option.default for option in OPTIONS} | options,
        node_address=node_address,
        vips=frozenset(Address(vip) for vip in vips),
    )


@asynccontextmanager
async def both(lan: Lan, **options: object) -> AsyncIterator[tuple[MulticastTransport, MulticastTransport]]:
    async with AsyncExitStack() as opened:
        pair = []
        for host in ("a", "b"):
            with lan.inside(host):
                pair.append(await opened.enter_async_context(MulticastTransport(context(host, **options))))
        yield pair[0], pair[1]


async def refusal(lan: Lan, asked: TransportContext) -> str:
    with lan.inside("a"), pytest.raises(TransportError) as caught:
        async with MulticastTransport(asked):
            pass
    return str(caught.value)


def ip(lan: Lan, host: str, arguments: str) -> None:
    subprocess.run(lan.command(host, "ip", *arguments.split()), check=True)


def test_the_hook_names_it_with_the_promised_defaults() -> None:
    (kind,) = duravip_transports()
    assert kind.name == "multicast"
    assert {option.name: option.default for option in kind.options} == {
        "group": "239.192.0.77",
        "port": 4860,
        "interface": None,
        "ttl": 1,
    }


@netns
@pytest.mark.parametrize("group", ["239.192.0.77", "ff02::4d77"])
async def test_what_one_sends_the_other_hears_and_itself_does_not(lan: Lan, group: str) -> None:
    async with both(lan, group=group) as (a, b):
        with trio.fail_after(5):
            await a.send(b"from a")
            assert await b.receive() == b"from a"
            await b.send(b"from b", to=NodeName("a"))
            assert await a.receive() == b"from b"


async def arrives(payload: bytes, lan: Lan, sender: MulticastTransport, receiver: MulticastTransport) -> None:
    """Said again and again."""
    heard = b""
    while heard != payload:
        with lan.inside("a"):
            sender.send_nowait(payload)
        with trio.move_on_after(0.05):
            while heard != payload:
                heard = await receiver.receive()


@netns
@pytest.mark.parametrize("group", ["239.192.0.77", "ff02::4d77"])
async def test_an_interface_that_is_deleted_and_made_again_is_used_again(lan: Lan, group: str) -> None:
    async with both(lan, group=group) as (a, b):
        for number in range(21):  # more than the groups that the kernel lets a socket be in
            lan.remove_interface("a")
            with lan.inside("a"):
                a.send_nowait(b"lost")
            lan.restore_interface("a")
            with trio.fail_after(5):
                await arrives(b"%d from a" % number, lan, a, b)  # the first is lost too, and it joins again
                await arrives(b"%d from b" % number, lan, b, a)


@netns
async def test_a_datagram_that_the_network_hands_back_is_not_heard(lan: Lan) -> None:
    async with both(lan) as (a, b):
        assert a._sender is not None
        a._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        with trio.fail_after(5):
            await a.send(b"own")
            assert await b.receive() == b"own"
            await b.send(b"other")
            assert await a.receive() == b"other"


@netns
async def test_datagrams_leave_from_the_nodes_own_address_even_when_a_vip_comes_first(lan: Lan) -> None:
    ip(lan, "a", "addr del 10.77.0.1/24 dev eth0")
    ip(lan, "a", f"addr add {VIP}/24 dev eth0")
    ip(lan, "a", "addr add 10.77.0.1/24 dev eth0")
    with lan.inside("a"):
        async with MulticastTransport(context(vips=(VIP,))) as transport:
            assert transport.source_address() == "10.77.0.1"


@netns
async def test_the_configured_node_address_is_the_source(lan: Lan) -> None:
    ip(lan, "a", "addr add 10.77.0.200/24 dev eth0")
    with lan.inside("a"):
        async with MulticastTransport(context(node_address="10.77.0.200")) as transport:
            assert transport.source_address() == "10.77.0.200"


@netns
async def test_the_largest_datagram_fits_the_interface(lan: Lan) -> None:
    async with both(lan) as (a, b):
        assert a.mtu_bytes == 1472
        with trio.fail_after(5):
            await a.send(bytes(1472))
            assert len(await b.receive()) == 1472
        with pytest.raises(ValueError, match="1473 bytes"):
            await a.send(bytes(1473))
    ip(lan, "a", "link set eth0 mtu 1300")
    with lan.inside("a"):
        async with MulticastTransport(context()) as small:
            assert small.mtu_bytes == 1272


@netns
async def test_sending_without_a_network_loses_the_datagram_and_nothing_else(lan: Lan) -> None:
    async with both(lan) as (a, b):
        ip(lan, "a", "link set eth0 down")
        await a.send(b"lost")
        ip(lan, "a", "link set eth0 up")
        with trio.fail_after(5):
            while True:
                await a.send(b"heard")
                with trio.move_on_after(0.05):
                    assert await b.receive() == b"heard"
                    break


@netns
@pytest.mark.parametrize("shared", [False, True])
async def test_a_port_that_another_process_has_is_one_clear_sentence(lan: Lan, shared: bool) -> None:
    with lan.inside("a"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", 4860))
        text = await refusal(lan, context())
    assert text.startswith("multicast: UDP port 4860 of 239.192.0.77 is in use by another process")


@netns
async def test_a_second_transport_of_the_same_group_on_one_host_is_refused(lan: Lan) -> None:
    with lan.inside("a"):
        async with MulticastTransport(context()):
            assert "in use by another process" in await refusal(lan, context())
        async with MulticastTransport(context()):
            pass


@netns
async def test_an_interface_that_does_not_exist_is_one_clear_sentence(lan: Lan) -> None:
    text = await refusal(lan, context(interface="eth7"))
    assert text == "multicast: there is no interface eth7 on this machine (there are: eth0)"


@netns
async def test_an_interface_without_an_address_is_one_clear_sentence(lan: Lan) -> None:
    ip(lan, "a", "addr flush dev eth0")
    assert await refusal(lan, context(interface="eth0")) == (
        "multicast: the interface eth0 has no IPv4 address: give it an address of the node's own, or set `group` to "
        "an IPv6 one, such as ff02::4d77"
    )
    assert "no interface with an IPv4 address can do multicast" in await refusal(lan, context())


@netns
async def test_a_vip_is_refused_as_the_nodes_own_address(lan: Lan) -> None:
    text = await refusal(lan, context(node_address="10.77.0.1", vips=("10.77.0.1",)))
    assert "the node's address 10.77.0.1 is a DuraVIP" in text
    assert "has only DuraVIPs" in await refusal(lan, context(interface="eth0", vips=("10.77.0.1",)))


@netns
async def test_a_node_address_that_no_interface_has_is_one_clear_sentence(lan: Lan) -> None:
    text = await refusal(lan, context(node_address="10.99.0.1"))
    assert "no interface of this machine has the node's address 10.99.0.1" in text


@netns
async def test_a_group_that_is_no_multicast_address_is_one_clear_sentence(lan: Lan) -> None:
    assert "10.0.0.1 is no multicast group" in await refusal(lan, context(group="10.0.0.1"))


def interface(name: str, *addresses: str, index: int = 1, up: bool = True, loopback: bool = False) -> Interface:
    return Interface(
        name=name,
        index=index,
        mtu_bytes=1500,
        up=up,
        loopback=loopback,
        multicast=True,
        addresses=tuple(Address(address) for address in addresses),
    )


def test_an_interface_that_is_up_goes_before_one_that_is_down() -> None:
    present = (
        interface("lo", "127.0.0.1", loopback=True),
        interface("eth0", "203.0.113.77", up=False),
        interface("eth1", "203.0.113.78"),
    )
    group = ipaddress.ip_address("239.192.0.77")
    assert choose_interface(present, group=group, wanted=None, node_address=None).name == "eth1"
    assert choose_interface(present, group=group, wanted="eth0", node_address=None).name == "eth0"
    assert choose_interface(present, group=group, wanted=None, node_address="203.0.113.77").name == "eth0"


def test_for_ipv6_a_link_local_source_goes_first_and_a_vip_never() -> None:
    present = interface("eth0", "fd00::51", "fd00::1", "fe80::1")
    vips = frozenset({Address("fd00::51")})
    assert choose_source(present, 6, node_address=None, vips=vips) == "fe80::1"
    assert choose_source(present, 6, node_address="fd00::1", vips=vips) == "fd00::1"
