"""The netlink backend against the kernel, in namespaces of its own.

host: eth0 (10.77.0.1/24, fd77::1/64) and eth1 (no IPv4), a veth pair of its own; far: only a neighbour
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from duravip.errors import BackendError
from duravip.model import Address
from duravip.plugin.api import (
    AddressChanged,
    Answer,
    Change,
    ChangesLost,
    LinkChanged,
    LinksListed,
    Placement,
)
from duravip.runtime.plumber import BackendCall
from duravip.testing.backend_kit import Place, check_backend
from duravip.testing.netns import Lan, wait_usable
from duravip_plugins import netlink_socket
from duravip_plugins.backend_netlink import duravip_backends
from duravip_plugins.netlink_backend import NetlinkBackend
from duravip_plugins.netlink_codec import LinkRow
from duravip_plugins.netlink_watch import NetlinkWatch

pytestmark = pytest.mark.netns

VIP = Address("10.77.0.51")
PLACE = Place(
    interface="eth0",
    other_interface="eth1",
    connected=(VIP, Address("10.77.0.52"), Address("10.77.0.53")),
    connected6=(Address("fd77::51"),),
    unconnected=(Address("192.0.2.1"), Address("192.0.2.2"), Address("192.0.2.3")),
)


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("host", "far"), prefix="dvbn") as built, built.inside("host"):
        ip("link add eth1 type veth peer name eth1far")
        ip("link set eth1far up")
        ip("link set eth1 up")
        wait_usable("eth1", "eth1far")
        yield built


def ip(arguments: str) -> str:
    return subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True).stdout


def on(address: str, interface: str | None = "eth0", prefix: int = 32) -> Placement:
    return Placement(address=Address(address), interface=interface, prefix=prefix)


def promote_secondaries(interface: str = "eth0") -> str:
    return Path(f"/proc/sys/net/ipv4/conf/{interface}/promote_secondaries").read_text().strip()


def switch_off_ipv6(interface: str) -> None:
    Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")


async def test_it_does_what_every_backend_must(lan: Lan) -> None:
    await check_backend(NetlinkBackend, PLACE)


async def test_the_hook_names_it_and_opens_one(lan: Lan) -> None:
    (kind,) = duravip_backends()
    assert kind.name == "netlink"
    async with kind.open({}) as backend:
        assert [row.address for row in await backend.list() if row.interface == "eth0"][:1] == ["10.77.0.1"]


async def test_the_kernel_shows_the_address_as_asked(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        await backend.add([on(VIP), on("fd77::51", prefix=128)])
        shown = ip("addr show dev eth0")
    four = next(line for line in shown.splitlines() if "10.77.0.51/32" in line)
    assert "scope global" in four
    six = shown[shown.index("fd77::51/128") :].splitlines()
    assert "nodad" in six[0]
    assert "tentative" not in six[0]
    assert "valid_lft forever preferred_lft 0sec" in six[1]


async def test_an_ipv6_address_gets_its_lifetime_by_its_first_renewal_and_the_kernel_chooses_it_as_a_source_never(
    lan: Lan,
) -> None:
    """Of the host's addresses it has the most in common with the destination, which is what counts otherwise."""
    vip = replace(on("fd77::51", prefix=128), lifetime_s=10.0)
    async with NetlinkBackend() as backend:
        await backend.add([vip])
        assert "valid_lft forever preferred_lft 0sec" in ip("-6 addr show to fd77::51 dev eth0")
        assert " src fd77::1 " in ip("-6 route get fd77::53")
        await backend.renew([vip])
        assert "valid_lft 10sec preferred_lft 0sec" in ip("-6 addr show to fd77::51 dev eth0")
        assert " src fd77::1 " in ip("-6 route get fd77::53")
        await backend.remove([vip])
        await backend.add([replace(vip, must_expire=True)])
        assert "valid_lft 10sec preferred_lft 0sec" in ip("-6 addr show to fd77::51 dev eth0")


async def test_an_unmarked_address_on_the_right_interface_is_marked(lan: Lan) -> None:
    ip(f"addr add {VIP}/32 dev eth0")
    async with NetlinkBackend() as backend:
        assert [row.ours for row in await backend.list() if row.address == VIP] == [False]
        (answer,) = await backend.add([on(VIP)])
        assert answer == Answer(address=VIP, interface="eth0")
        assert [row.ours for row in await backend.list() if row.address == VIP] == [True]


async def test_the_hardware_address_is_listed(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        listed = {row.address: row.hardware_address for row in await backend.list()}
    assert listed[lan["host"].address] == lan["host"].hardware_address


async def test_the_event_loop_goes_on_while_the_kernel_has_a_single_address_wait(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = threading.Event()  # as somebody has in the kernel who makes interfaces
    exchange = netlink_socket.exchange
    done: list[str] = []

    def late(link: socket.socket, requests: Sequence[bytes], **options: float) -> list[netlink_socket.Refusal]:
        assert lock.wait(10)
        return exchange(link, requests, **options)

    async with NetlinkBackend() as backend:
        await backend.list()  # so it knows that the machine is a small one
        monkeypatch.setattr(netlink_socket, "exchange", late)
        for call in (backend.add, backend.renew, backend.remove):
            lock.clear()
            done.clear()

            async def ask(call: BackendCall = call) -> None:
                done.extend(answer.error for answer in await call([on(VIP)]))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                for _ in range(3):
                    await trio.sleep(0.001)
                assert done == []
                lock.set()
            assert done == [""]


async def test_a_thousand_addresses_come_and_go_and_each_is_acknowledged(lan: Lan) -> None:
    many = [on(f"10.77.{number // 250 + 1}.{number % 250}") for number in range(1000)]
    async with NetlinkBackend() as backend:
        assert [answer.error for answer in await backend.add(many)] == [""] * 1000
        assert sum(row.ours for row in await backend.list()) == 1000
        assert [answer.error for answer in await backend.remove(many)] == [""] * 1000
        assert not any(row.ours for row in await backend.list())


async def test_an_address_on_two_interfaces_is_taken_off_both(lan: Lan) -> None:
    ip(f"addr add {VIP}/32 dev eth1")
    ip(f"addr add {VIP}/24 dev eth0")
    async with NetlinkBackend() as backend:
        assert not (await backend.remove([on(VIP, None)]))[0].error
        assert VIP not in [row.address for row in await backend.list()]


async def test_short_prefixes_make_the_interface_keep_siblings_until_the_end(lan: Lan) -> None:
    assert promote_secondaries() == "0"
    async with NetlinkBackend() as backend:
        await backend.add([on("192.0.2.1", prefix=24)])
        assert promote_secondaries() == "1"
        await backend.remove([on("192.0.2.1", prefix=24)])
    assert promote_secondaries() == "0"


async def test_mortal_addresses_leave_the_route_of_the_hosts_own_network_immortal(lan: Lan) -> None:
    """The kernel gives the network's route the lifetime of an address that becomes mortal, whoever else needs it."""
    asked = replace(on("fd77::51", prefix=64), lifetime_s=10.0)
    async with NetlinkBackend() as backend:
        for at_first in (asked, replace(asked, lifetime_s=0.0)):
            await backend.add([at_first])
            await backend.renew([asked])
            assert "valid_lft 10sec" in ip("-6 addr show to fd77::51 dev eth0")
            assert "expires" not in ip("-6 route show fd77::/64 dev eth0")
            await backend.remove([asked])
    assert "metric 256" in ip("-6 route show fd77::/64 dev eth0")
    assert "expires" not in ip("-6 route show fd77::/64 dev eth0")


async def test_the_route_of_a_network_that_only_vips_have_lives_as_long_as_they_are_renewed(lan: Lan) -> None:
    asked = replace(on("fd99::51", prefix=64), lifetime_s=10.0)
    async with NetlinkBackend() as backend:
        await backend.add([asked])
        await backend.renew([replace(asked, lifetime_s=1000.0)])
        assert re.search(r"expires (\d+)sec", ip("-6 route show fd99::/64 dev eth0")).group(1) in {"999", "1000"}
        await backend.renew([replace(asked, lifetime_s=0.0)])
        assert "expires" not in ip("-6 route show fd99::/64 dev eth0")
        await backend.remove([asked])
    assert not ip("-6 route show fd99::/64 dev eth0")


async def test_a_single_host_prefix_leaves_the_interface_setting_alone(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        await backend.add([on(VIP)])
        assert promote_secondaries() == "0"


async def test_a_leftover_with_a_short_prefix_goes_without_the_administrators_addresses(lan: Lan) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        ip(f"addr add {address}/24 dev eth1")
    async with NetlinkBackend() as backend:
        await backend.remove([on("192.0.2.1", None)])
        left = [row.address for row in await backend.list() if row.interface == "eth1" and ":" not in row.address]
    assert left == ["192.0.2.2"]


async def test_ipv6_that_is_switched_off_is_a_sentence(lan: Lan) -> None:
    switch_off_ipv6("eth1")
    async with NetlinkBackend() as backend:
        (answer,) = await backend.add([on("fd77::51", "eth1", 128)])
    assert answer.error == "cannot add fd77::51 to eth1: IPv6 is switched off there"


async def test_two_calls_at_once_both_answer(lan: Lan) -> None:
    first = [on(f"10.77.1.{number}") for number in range(1, 200)]
    second = [on(f"10.77.2.{number}") for number in range(1, 200)]
    answers: list[Answer] = []
    async with NetlinkBackend() as backend, trio.open_nursery() as nursery:
        for half in (first, second):

            async def add(half: list[Placement] = half) -> None:
                answers.extend(await backend.add(half))

            nursery.start_soon(add)
    assert [answer.error for answer in answers] == [""] * 398


async def test_a_few_addresses_come_and_go_before_anything_else_happens_and_many_do_not_hold_it_up(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wait in ("USUAL_WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(f"duravip.threads.{wait}", 10.0)  # a busy machine is no reason to fail
    others_ran = 0

    async def others() -> None:
        nonlocal others_ran
        while True:
            others_ran += 1
            await trio.lowlevel.checkpoint()

    async with NetlinkBackend() as backend, trio.open_nursery() as nursery:
        await backend.list()
        nursery.start_soon(others)
        await trio.lowlevel.checkpoint()
        before = others_ran
        assert [answer.error for answer in await backend.add([on(VIP)])] == [""]
        assert [answer.error for answer in await backend.remove([on(VIP)])] == [""]
        assert others_ran == before
        many = [on(f"10.78.0.{number}") for number in range(1, 200)]
        assert not any(answer.error for answer in await backend.add(many))
        assert others_ran > before
        nursery.cancel_scope.cancel()


async def test_changes_that_others_make_are_told_as_they_happen(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        changes = backend.watch()
        with trio.fail_after(10):
            assert await anext(changes) == LinksListed(up=frozenset({"lo", "eth0", "eth1", "eth1far"}))
            await backend.add([on(VIP)])
            ip(f"addr del {VIP}/32 dev eth0")
            assert await anext(changes) == AddressChanged(
                address=VIP, interface="eth0", prefix=32, present=False, ours=True
            )
            lan.link_down("host")
            assert await until(changes, LinkChanged) == LinkChanged(interface="eth0", up=False)
            lan.link_up("host")
            assert await until(changes, LinkChanged) == LinkChanged(interface="eth0", up=True)
    with trio.fail_after(10):
        assert [change async for change in changes if isinstance(change, LinkChanged)] == []


async def test_an_address_whose_lifetime_ends_is_told_as_expired(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        changes = backend.watch()
        await backend.add([Placement(address=VIP, interface="eth0", prefix=32, lifetime_s=1)])
        with trio.fail_after(10):
            assert await until(changes, AddressChanged) == AddressChanged(
                address=VIP, interface="eth0", prefix=32, present=False, ours=True, expired=True
            )


async def test_a_renamed_interface_is_one_that_went_and_one_that_came(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        changes = backend.watch()
        with trio.fail_after(10):
            await until(changes, LinksListed)
            ip("link set eth1 name eth7")
            assert await until(changes, LinkChanged) == LinkChanged(interface="eth1", up=False)
            assert await until(changes, LinkChanged) == LinkChanged(interface="eth7", up=True)
            ip("link del eth7")
            assert {await until(changes, LinkChanged), await until(changes, LinkChanged)} == {
                LinkChanged(interface="eth7", up=False),
                LinkChanged(interface="eth1far", up=False),
            }


async def test_a_port_of_a_bridge_that_is_taken_out_again_is_still_there(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        changes = backend.watch()
        with trio.fail_after(10):
            await until(changes, LinksListed)
            ip("link add br0 type bridge")
            ip("link set eth1 master br0")
            ip("link set eth1 nomaster")
            ip("link set eth1 down")
            assert await until(changes, LinkChanged) == LinkChanged(interface="eth1", up=False)


async def test_what_does_not_fit_is_said_to_be_lost_and_how_the_interfaces_are_is_told_anew(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        changes = backend.watch()
        assert isinstance(changes, NetlinkWatch)
        changes._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for number in range(40):
            ip(f"addr add 10.79.0.{number}/32 dev eth0")
        ip("link set eth1 down")
        with trio.fail_after(10):
            await until(changes, LinksListed)
            listed = await until(changes, LinksListed)
            assert isinstance(listed, LinksListed)
            assert "eth1" not in listed.up
            assert await anext(changes) == ChangesLost()


async def test_what_has_come_is_read_with_others_turns_between_when_each_takes_long_and_a_flood_is_paused(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each read may lose the interpreter to a busy thread, for half a millisecond."""
    monkeypatch.setattr("duravip.stint.LONG_S", 0.0)
    monkeypatch.setattr("duravip_plugins.netlink_watch._PAUSE_S", 1.0)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with NetlinkBackend() as backend, trio.open_nursery() as nursery:
        changes = backend.watch()
        with trio.fail_after(15):
            await until(changes, LinksListed)
            for number in range(100):
                ip(f"addr add 10.79.0.{number}/32 dev eth0")
            nursery.start_soon(others)
            told_at: list[tuple[int, float]] = []
            while len(told_at) < 100:
                if isinstance(await anext(changes), AddressChanged):
                    told_at.append((turns, trio.current_time()))
        nursery.cancel_scope.cancel()
    assert max(Counter(at for at, _ in told_at).values()) <= 2, "of two tasks that can run either may be the first"
    pauses = [number for number, (early, late) in enumerate(pairwise(told_at), 1) if late[1] - early[1] > 0.9]
    assert len(pauses) == 1
    assert 60 <= pauses[0] <= 64, "some notices may be of something else"


async def test_of_an_address_on_an_interface_that_is_switched_off_that_is_said(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        await backend.add([on(VIP), on("10.78.0.1", "eth1")])
        ip("link set eth1 down")
        lan.link_down("host")  # the carrier alone
        rows = {row.address: row.switched_off for row in await backend.list()}
    assert (rows[VIP], rows[Address("10.78.0.1")]) == (False, True)


async def test_what_waited_in_a_socket_that_overflowed_does_not_contradict_the_list(lan: Lan) -> None:
    async with NetlinkBackend() as backend:
        changes = backend.watch()
        assert isinstance(changes, NetlinkWatch)
        with trio.fail_after(10):
            await until(changes, LinksListed)
            changes._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ip("link set eth1 down")
            for number in range(40):
                ip(f"addr add 10.79.0.{number}/32 dev eth0")
            ip("link set eth1 up")
            wait_usable("eth1", "eth1far")
            listed = await until(changes, LinksListed)
            assert isinstance(listed, LinksListed)
            assert "eth1" in listed.up
            await until(changes, ChangesLost)
            with trio.move_on_after(0.3):
                pytest.fail(f"told after the list: {await until(changes, LinkChanged)}")
            ip("link set eth1far down")
            ends = {LinkChanged(interface=name, up=False) for name in ("eth1", "eth1far")}
            assert {await until(changes, LinkChanged), await until(changes, LinkChanged)} == ends


async def test_the_interfaces_are_listed_in_a_thread_and_what_changes_meanwhile_is_told_after_them(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    links = netlink_socket.links

    def disturbed(link: socket.socket) -> list[LinkRow]:
        rows = links(link)
        threads.append(threading.current_thread())
        trio.from_thread.run_sync(ip, "link set eth1 down")
        return rows

    monkeypatch.setattr(netlink_socket, "links", disturbed)
    async with NetlinkBackend() as backend:
        changes = backend.watch()
        with trio.fail_after(15):
            assert await anext(changes) == LinksListed(up=frozenset({"lo", "eth0", "eth1", "eth1far"}))
            ends = {LinkChanged(interface=name, up=False) for name in ("eth1", "eth1far")}
            assert {await until(changes, LinkChanged), await until(changes, LinkChanged)} == ends
    assert threading.main_thread() not in threads


async def test_a_watch_that_fails_is_closed_and_another_may_be_begun(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(link: socket.socket) -> list[LinkRow]:
        raise BlockingIOError(errno.EAGAIN, "the answer was lost")

    async with NetlinkBackend() as backend:
        changes = backend.watch()
        with monkeypatch.context() as broken:
            broken.setattr(netlink_socket, "links", fails)
            with pytest.raises(BlockingIOError):
                await anext(changes)
        assert [change async for change in changes] == []
        assert isinstance(changes, NetlinkWatch)
        assert changes.is_closed
        with trio.fail_after(10):
            assert isinstance(await anext(backend.watch()), LinksListed)


async def until(changes: AsyncIterator[Change], kind: type[Change]) -> Change:
    """The next of that kind."""
    while not isinstance(change := await anext(changes), kind):
        pass
    return change


def test_without_the_capability_entering_says_so_in_one_sentence(lan: Lan) -> None:
    script = (
        "import trio\n"
        "from duravip.errors import BackendError\n"
        "from duravip_plugins.netlink_backend import NetlinkBackend\n"
        "async def main():\n"
        "    async with NetlinkBackend(): pass\n"
        "try: trio.run(main)\n"
        "except BackendError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=drop_net_admin,
    )
    assert "CAP_NET_ADMIN" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def drop_net_admin() -> None:
    """Takes the capability out of the bounding set; `exec` then leaves even root without it."""
    drop_from_bounding_set, net_admin = 24, 12
    if ctypes.CDLL(None, use_errno=True).prctl(drop_from_bounding_set, net_admin, 0, 0, 0):
        raise BackendError("cannot drop a capability")
