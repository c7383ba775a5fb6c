"""The unicast transport between hosts on a bridge, in this process: each opened inside its host's namespace.

a: eth0 10.77.0.1 ─┬─ br0 ─┬─ b: eth0 10.77.0.2
                   c: eth0 10.77.0.3
"""

from __future__ import annotations

import logging
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
import trio.testing

from duravip.errors import TransportError
from duravip.model import Address, NodeName
from duravip.plugin.api import Transport, TransportContext
from duravip.testing.netns import Lan
from duravip.testing.transport_kit import Open, check_transport
from duravip_plugins import transport_multicast
from duravip_plugins.multicast_transport import MulticastTransport
from duravip_plugins.transport_unicast import OPTIONS, duravip_transports
from duravip_plugins.unicast_peers import ASK_AGAIN_S, ASK_AGAIN_UNKNOWN_S, Endpoint, Name, Names, parse_endpoint
from duravip_plugins.unicast_transport import UnicastTransport

netns = pytest.mark.netns
ALL = ("10.77.0.1", "10.77.0.2", "10.77.0.3")
ALL6 = ("fd77::1", "fd77::2", "fd77::3")
OWN = Endpoint(Address("192.0.2.1"), 4860)


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("a", "b", "c"), prefix="dvtu") as built:
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


def hosts(lan: Lan, peers: Sequence[str]) -> Open:
    def opening(name: NodeName) -> AbstractAsyncContextManager[Transport]:
        return opened_inside(lan, name, UnicastTransport(context(name, peers=peers)))

    return opening


@asynccontextmanager
async def opened_inside(lan: Lan, host: str, transport: Transport) -> AsyncIterator[Transport]:
    with lan.inside(host):
        await transport.__aenter__()
    try:
        yield transport
    finally:
        await transport.__aexit__(None, None, None)


async def refusal(lan: Lan, asked: TransportContext) -> str:
    with lan.inside("a"), pytest.raises(TransportError) as caught:
        async with UnicastTransport(asked):
            pass
    return str(caught.value)


async def own(lan: Lan, asked: TransportContext) -> str:
    async with opened_inside(lan, "a", UnicastTransport(asked)) as transport:
        return str(transport._own)  # type: ignore[attr-defined]


def ip(lan: Lan, host: str, arguments: str) -> None:
    subprocess.run(lan.command(host, "ip", *arguments.split()), check=True)


def test_the_hook_names_it_with_the_promised_options() -> None:
    (kind,) = duravip_transports()
    assert kind.name == "unicast"
    assert {option.name: option.default for option in kind.options} == {"listen": None, "peers": None}


# --- the contract -------------------------------------------------------------------------------------------------


@netns
@pytest.mark.parametrize("peers", [ALL, ALL6])
async def test_it_does_what_every_transport_must(lan: Lan, peers: tuple[str, ...]) -> None:
    await check_transport(hosts(lan, peers))


@netns
@pytest.mark.parametrize("group", ["239.192.0.77", "ff02::4d77"])
async def test_so_does_multicast(lan: Lan, group: str) -> None:
    options = {option.name: option.default for option in transport_multicast.OPTIONS} | {"group": group}

    def opening(name: NodeName) -> AbstractAsyncContextManager[Transport]:
        asked = TransportContext(node=name, options=options)
        return opened_inside(lan, name, MulticastTransport(asked))

    await check_transport(opening)


@netns
async def test_an_address_that_the_kernel_still_checks_for_duplicates_is_waited_for(lan: Lan) -> None:
    """As after a boot: RFC 4862, section 5.4."""
    for setting in ("accept_dad", "dad_transmits"):
        assert lan.run("a", "sysctl", "-w", f"net.ipv6.conf.eth0.{setting}=1").returncode == 0
    ip(lan, "a", "link set eth0 down")
    ip(lan, "a", "link set eth0 up")
    ip(lan, "a", "addr add fd77::9/64 dev eth0")
    assert lan.run("a", "ip", "-6", "addr", "show", "tentative").stdout.count("inet6") == 2
    options = {option.name: option.default for option in transport_multicast.OPTIONS} | {"group": "ff02::4d77"}
    asked = TransportContext(node=NodeName("a"), options=options)
    async with opened_inside(lan, "a", MulticastTransport(asked)) as transport:
        assert transport.source_address().startswith("fe80::")
    assert await own(lan, context(peers=ALL6, listen="[fd77::9]:5000")) == "[fd77::9]:5000"


# --- where it listens ---------------------------------------------------------------------------------------------


@netns
async def test_it_listens_where_it_is_told_else_on_the_nodes_own_address(lan: Lan) -> None:
    ip(lan, "a", "addr add 10.77.0.200/24 dev eth0")
    others = ("10.77.0.2", "10.77.0.3:4999")
    assert await own(lan, context(peers=others, listen="10.77.0.200:5000")) == "10.77.0.200:5000"
    assert await own(lan, context(peers=others, listen="10.77.0.200")) == "10.77.0.200:4860"
    assert await own(lan, context(peers=others, node_address="10.77.0.200")) == "10.77.0.200:4860"
    assert await own(lan, context(peers=(*others, "10.77.0.200:4999"))) == "10.77.0.200:4999"
    assert await own(lan, context(peers=others)) == "10.77.0.1:4860"
    assert await own(lan, context(peers=("fd77::2",))) == "[fd77::1]:4860"
    assert await own(lan, context(peers=ALL6, listen="[fd77::1]:5000")) == "[fd77::1]:5000"
    assert await own(lan, context(peers=("fd77::2",), node_address="10.77.0.1")) == "[fd77::1]:4860"


@netns
async def test_it_never_listens_on_a_vip(lan: Lan) -> None:
    vip = "10.77.0.51"
    ip(lan, "a", "addr flush dev eth0")
    ip(lan, "a", f"addr add {vip}/24 dev eth0")
    text = await refusal(lan, context(peers=ALL, vips=(vip,)))
    assert text == "unicast: no interface has an IPv4 address of the node's own: give it one, or set `listen`"
    ip(lan, "a", "addr add 10.77.0.1/24 dev eth0")
    assert await own(lan, context(peers=ALL, vips=(vip,))) == "10.77.0.1:4860"
    for asked in (context(peers=ALL, listen=vip, vips=(vip,)), context(peers=ALL, node_address=vip, vips=(vip,))):
        assert f"{vip} is a DuraVIP: it would leave with the VIP" in await refusal(lan, asked)


@netns
async def test_a_port_that_another_process_has_is_one_clear_sentence(lan: Lan) -> None:
    with lan.inside("a"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", 4860))
        text = await refusal(lan, context(peers=ALL))
    assert text.startswith("unicast: UDP port 4860 of 10.77.0.1 is in use by another process")


@netns
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"peers": ALL, "listen": "10.99.0.1"},
            "unicast: no interface of this machine has the address 10.99.0.1: correct `listen` or `nodeaddr`",
        ),
        ({"peers": ALL, "listen": "node1"}, "unicast: listen: 'node1' is no address: "),
        ({"peers": (*ALL, "fd77::2")}, "unicast: the peer [fd77::2]:4860 cannot be reached from 10.77.0.1:4860, "),
        ({"peers": (*ALL, "10.77.0.51")}, "unicast: the peer 10.77.0.51:4860 is a DuraVIP: "),
    ],
)
async def test_what_cannot_work_is_one_clear_sentence(lan: Lan, options: dict[str, object], sentence: str) -> None:
    assert (await refusal(lan, context(vips=("10.77.0.51",), **options))).startswith(sentence)


@netns
async def test_multicast_and_unicast_share_the_port(lan: Lan) -> None:
    options = {option.name: option.default for option in transport_multicast.OPTIONS}
    multicast = MulticastTransport(TransportContext(node=NodeName("a"), options=options))
    with lan.inside("a"):
        async with multicast, UnicastTransport(context(peers=ALL)) as unicast:
            assert multicast.source_address() == unicast.source_address() == "10.77.0.1"


@netns
async def test_sending_without_a_network_loses_the_datagram_and_nothing_else(lan: Lan) -> None:
    opening = hosts(lan, ALL)
    async with opening(NodeName("a")) as a, opening(NodeName("b")) as b:
        ip(lan, "a", "link set eth0 down")
        await a.send(b"lost")
        ip(lan, "a", "link set eth0 up")
        with trio.fail_after(5):
            while True:
                await a.send(b"heard")
                with trio.move_on_after(0.05):
                    assert await b.receive() == b"heard"
                    break


# --- peers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.1.1", Endpoint(Address("10.1.1.1"), 7)),
        ("10.1.1.1:4999", Endpoint(Address("10.1.1.1"), 4999)),
        ("2001:DB8:0::1", Endpoint(Address("2001:db8::1"), 7)),
        ("[2001:db8::1]", Endpoint(Address("2001:db8::1"), 7)),
        ("[2001:db8::1]:4999", Endpoint(Address("2001:db8::1"), 4999)),
        ("node-1.example.net", Name("node-1.example.net", 7)),
        ("node1:4999", Name("node1", 4999)),
    ],
)
def test_a_peer_is_an_address_or_a_name_and_perhaps_a_port(text: str, expected: Endpoint | Name) -> None:
    assert parse_endpoint(text, option="peers", port=7) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10.1.1.1:", "'' is no port"),
        ("10.1.1.1:70000", "'70000' is no port"),
        ("[2001:db8::1]:x", "'x' is no port"),
        ("[10.1.1.1]:5", "neither an address nor a host name"),
        ("10.1.1.300", "neither an address nor a host name"),
        ("", "neither an address nor a host name"),
        ("2001:db8::1:", "neither an address nor a host name"),
        ("two words", "neither an address nor a host name"),
        ("0.0.0.0", "no address at which one node reaches another"),
        ("239.192.0.77", "no address at which one node reaches another"),
        ("127.0.0.1", "no address at which one node reaches another"),
        ("fe80::1%eth0", "no address at which one node reaches another"),
        ("::ffff:10.1.1.1", "no address at which one node reaches another"),
    ],
)
def test_what_is_no_peer_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(TransportError, match=complaint) as caught:
        parse_endpoint(text, option="peers", port=7)
    assert str(caught.value).startswith("unicast: peers: ")


@netns
async def test_peers_by_name_are_found_and_one_that_has_no_answer_is_not_fatal(
    lan: Lan, caplog: pytest.LogCaptureFixture
) -> None:
    known = {"a.test": ["10.77.0.1"], "b.test": ["10.77.0.2"]}

    def answer(host: str, version: int) -> Sequence[str]:
        assert version == 4
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known[host]

    peers = ("a.test", "b.test", "c.test", "10.77.0.3:5000")
    opening = hosts(lan, ALL)
    with caplog.at_level(logging.WARNING):
        async with opening(NodeName("b")) as b:
            asked = context(peers=peers)
            async with opened_inside(lan, "a", UnicastTransport(asked, resolve=answer)) as a:
                assert [str(peer) for peer in a.peers()] == [  # type: ignore[attr-defined]
                    "10.77.0.3:5000",
                    "10.77.0.2:4860",
                ]
                await a.send(b"hello")
                with trio.fail_after(5):
                    assert await b.receive() == b"hello"
    assert [record.getMessage() for record in caplog.records] == [
        "unicast: the peer c.test has no IPv4 address (Name or service not known); asking again every 5 s"
    ]


class Zone:
    """What the names have at the moment."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = answers
        self.asked = 0

    def __call__(self, host: str, version: int) -> Sequence[str]:
        self.asked += 1
        if not self.answers.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.answers[host]


def names(zone: Zone, *hosts: str, vips: frozenset[Address] = frozenset()) -> Names:
    return Names([Name(host, 4860) for host in hosts], own=OWN, vips=vips, resolve=zone)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_a_name_may_have_several_addresses_but_never_oneself_loopback_or_a_vip() -> None:
    zone = Zone(cluster=["192.0.2.3", "192.0.2.1", "192.0.2.2", "127.0.1.1", "192.0.2.50"])
    asking = names(zone, "cluster", vips=frozenset({Address("192.0.2.50")}))
    await asking.ask()
    assert [str(endpoint) for endpoint in asking.endpoints()] == ["192.0.2.2:4860", "192.0.2.3:4860"]


async def test_a_name_that_stands_for_a_vip_only_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    asking = names(
        Zone(service=["192.0.2.50"], me=["127.0.1.1"]), "service", "me", vips=frozenset({Address("192.0.2.50")})
    )
    await asking.ask()
    assert asking.endpoints() == ()
    assert said(caplog) == ["unicast: the peer service is 192.0.2.50, a DuraVIP; asking again every 5 s"]


async def test_a_failure_and_its_end_are_one_line_each_and_the_last_answer_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    zone = Zone(node2=["192.0.2.2"])
    asking = names(zone, "node2")
    await asking.ask()
    zone.answers = {}
    for _ in range(3):
        await asking.ask()
    assert asking.endpoints() == (Endpoint(Address("192.0.2.2"), 4860),)
    assert len(said(caplog)) == 1
    zone.answers = {"node2": ["192.0.2.22"]}
    for _ in range(3):
        await asking.ask()
    assert asking.endpoints() == (Endpoint(Address("192.0.2.22"), 4860),)
    assert said(caplog)[1:] == ["unicast: the peer node2 is 192.0.2.22:4860"]


async def test_names_are_asked_for_slowly_and_sooner_while_one_has_no_answer(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(function: object, *arguments: object, **_: object) -> object:
        await trio.lowlevel.checkpoint()
        return function(*arguments)  # type: ignore[operator]

    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)
    zone = Zone(node2=["192.0.2.2"])
    asking = names(zone, "node2")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asking.keep_asking)
        await trio.sleep(ASK_AGAIN_S * 2.5)
        assert zone.asked == 2
        zone.answers = {}
        await trio.sleep(ASK_AGAIN_S / 2 + ASK_AGAIN_UNKNOWN_S * 2.5)
        assert zone.asked == 2 + 3
        nursery.cancel_scope.cancel()
