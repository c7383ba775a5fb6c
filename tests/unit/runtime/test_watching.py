from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from duravip.cluster.effects import ReleaseAddress, TakeAddress
from duravip.cluster.inputs import AddressesLost, AddressesStray, Input, InterfaceFell, InterfaceRose, Spot
from duravip.events import Event, PluginFailed
from duravip.model import Address, Table
from duravip.plugin.api import AddressChanged, Change, ChangesLost, LinkChanged, LinksListed, Plumbed
from duravip.runtime.plumber import Plumber
from duravip.runtime.watching import Watching
from duravip.testing.fakes import MemoryBackend, RecordingAnnouncer

A, B, FREE = Address("192.0.2.50"), Address("192.0.2.51"), Address("10.0.0.7")
MakeTable = Callable[..., Table]
Clock = trio.testing.MockClock


class Rig:
    """A plumber and a watching over one kernel in memory. `heard`: what the machine was told beside answers."""

    def __init__(self, table: Table, *, check_interval_s: float = 30.0, own: tuple[Plumbed, ...] = ()) -> None:
        self.backend = MemoryBackend(interface="eth0", own=own)
        self.heard: list[Input] = []
        self.published: list[Event] = []
        self.plumber = Plumber(backend=self.backend, announcer=RecordingAnnouncer(), answer=self._hear)
        self.table = table
        self.watching = Watching(
            backend=self.backend,
            plumber=self.plumber,
            table=lambda: self.table,
            feed=self._hear,
            publish=self.published.append,
            plugin="memory",
            check_interval_s=check_interval_s,
        )

    def _hear(self, given: Input) -> None:
        if isinstance(given, AddressesLost | AddressesStray | InterfaceFell | InterfaceRose):
            self.heard.append(given)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.plumber.run)
            nursery.start_soon(self.watching.run)
            await trio.sleep(0.1)
            yield
            nursery.cancel_scope.cancel()

    async def take(self, address: Address) -> None:
        self.plumber.order(TakeAddress(address=address, interface="eth0", prefix=32))
        await trio.sleep(0.1)

    async def tell(self, change: Change) -> None:
        self.backend.tell(change)
        await trio.sleep(0.1)


def gone(address: Address, *, expired: bool = False) -> AddressChanged:
    return AddressChanged(address=address, interface="eth0", prefix=32, present=False, ours=True, expired=expired)


def came(address: Address) -> AddressChanged:
    return AddressChanged(address=address, interface="eth0", prefix=32, present=True, ours=False)


async def test_an_address_that_somebody_took_off_is_told_when_the_kernel_says_so_too(
    table: MakeTable, autojump_clock: Clock
) -> None:
    rig = Rig(table())
    async with rig.running():
        await rig.take(A)
        await rig.tell(gone(A))
        assert rig.heard == []
        del rig.backend.on[A]
        await rig.tell(gone(A, expired=True))
    assert rig.heard == [AddressesLost(addresses=(A,), expired=frozenset({A}))]


async def test_the_echo_of_our_own_orders_is_not_even_looked_up(table: MakeTable, autojump_clock: Clock) -> None:
    rig = Rig(table())
    async with rig.running():
        listed = rig.backend.lists
        await rig.take(A)
        await rig.tell(came(A))
        rig.plumber.order(ReleaseAddress(address=A, interface="eth0", prefix=32))
        await trio.sleep(0.1)
        await rig.tell(gone(A))
        assert rig.backend.lists == listed
    assert rig.heard == []


async def test_a_vip_that_somebody_put_on_is_told_and_other_peoples_addresses_are_not(
    table: MakeTable, autojump_clock: Clock
) -> None:
    rig = Rig(table())
    async with rig.running():
        for address in (B, FREE):
            rig.backend.on[address] = Plumbed(address=address, interface="eth0", prefix=32, ours=False)
            await rig.tell(came(address))
    assert rig.heard == [AddressesStray(spots=(Spot(address=B, interface="eth0", prefix=32),))]


async def test_interfaces_of_vips_that_are_down_or_not_there_are_told_once_and_others_never(
    table: MakeTable, autojump_clock: Clock
) -> None:
    rig = Rig(table())
    async with rig.running():
        await rig.tell(LinksListed(up=frozenset({"lo", "eth0"})))
        await rig.tell(LinkChanged(interface="eth9", up=True))
        await rig.tell(LinkChanged(interface="eth9", up=False))
        assert rig.heard == []
        await rig.tell(LinkChanged(interface="eth0", up=False))
        await rig.tell(LinkChanged(interface="eth0", up=False))
        assert rig.heard == [InterfaceFell(interface="eth0")]
        await rig.tell(LinkChanged(interface="eth0", up=True))
        assert rig.heard == [InterfaceFell(interface="eth0"), InterfaceRose(interface="eth0")]
        await rig.tell(LinksListed(up=frozenset({"lo"})))
    assert rig.heard[2:] == [InterfaceFell(interface="eth0")]


async def test_a_backend_that_lists_no_interfaces_leaves_them_up_until_it_tells_of_one(
    table: MakeTable, autojump_clock: Clock
) -> None:
    rig = Rig(table())
    async with rig.running():
        assert rig.heard == []
        await rig.tell(LinkChanged(interface="eth0", up=False))
        await rig.tell(LinkChanged(interface="eth0", up=True))
    assert rig.heard == [InterfaceFell(interface="eth0"), InterfaceRose(interface="eth0")]


async def test_the_interface_of_a_vip_without_a_topology_is_the_one_with_its_subnet(
    table: MakeTable, autojump_clock: Clock
) -> None:
    own = Plumbed(address=Address("192.0.2.1"), interface="eth3", prefix=24, ours=False)
    rig = Rig(table(A, interface=None), own=(own,))
    async with rig.running():
        await rig.tell(LinkChanged(interface="eth3", up=False))
        assert rig.heard == [InterfaceFell(interface="eth3", unplaced=(A,))]
        rig.backend.on[own.address] = Plumbed(address=own.address, interface="eth7", prefix=24, ours=False)
        await rig.tell(LinkChanged(interface="eth7", up=True))
    assert rig.heard[1:] == [InterfaceRose(interface="eth3")]


async def test_everything_is_compared_at_the_start_every_interval_and_when_changes_were_lost(
    table: MakeTable, autojump_clock: Clock
) -> None:
    rig = Rig(table())
    rig.backend.on[B] = Plumbed(address=B, interface="eth0", prefix=32, ours=False)
    async with rig.running():
        assert rig.heard == [AddressesStray(spots=(Spot(address=B, interface="eth0", prefix=32),))]
        del rig.backend.on[B]
        await rig.take(A)
        del rig.backend.on[A]
        await trio.sleep(20)
        assert rig.heard[1:] == []
        await trio.sleep(11)
        assert rig.heard[1:] == [AddressesLost(addresses=(A,))]
        await rig.take(A)
        del rig.backend.on[A]
        await rig.tell(ChangesLost())
        assert rig.heard[1:] == [AddressesLost(addresses=(A,))] * 2


async def test_a_new_table_is_compared_when_it_is_told_and_an_interval_of_0_is_never(
    table: MakeTable, autojump_clock: Clock
) -> None:
    rig = Rig(table(A), check_interval_s=0)
    async with rig.running():
        rig.backend.on[B] = Plumbed(address=B, interface="eth0", prefix=32, ours=False)
        rig.table = table(A, B)
        await trio.sleep(3_000)
        assert rig.heard == []
        rig.watching.look_again()
        await trio.sleep(0.1)
    assert rig.heard == [AddressesStray(spots=(Spot(address=B, interface="eth0", prefix=32),))]


async def test_a_backend_whose_watch_fails_is_compared_with_all_the_same(
    table: MakeTable, autojump_clock: Clock
) -> None:
    class Broken(MemoryBackend):
        def watch(self) -> AsyncIterator[Change]:
            raise OSError("no more sockets")

    rig = Rig(table())
    rig.watching._backend = Broken()
    async with rig.running():
        await rig.take(A)
        del rig.backend.on[A]
        await trio.sleep(31)
    assert rig.heard == [AddressesLost(addresses=(A,))]
    [failed] = rig.published
    assert isinstance(failed, PluginFailed)
    assert failed.plugin == "memory"
    assert failed.text.startswith("it tells of no changes any more: OSError: no more sockets (test_watching.py, line ")


async def test_a_backend_whose_list_fails_is_asked_again(
    table: MakeTable, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(table(interface=None))
    whole, failures = rig.backend.list, [ValueError("no beads")]

    async def broken() -> Sequence[Plumbed]:
        if failures:
            raise failures.pop()
        return await whole()

    rig.backend.list = broken  # type: ignore[method-assign]
    async with rig.running():
        await trio.sleep(31)
    assert "the interface backend lists nothing: ValueError: no beads (test_watching.py, line " in caplog.text
    assert not failures
