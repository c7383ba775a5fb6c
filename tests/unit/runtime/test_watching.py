from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import trio
import trio.testing

from duravip.cluster.effects import ReleaseAddress, TakeAddress
from duravip.cluster.inputs import AddressesLost, AddressesStray, Input, InterfaceFell, InterfaceRose, Spot
from duravip.events import Event, PluginFailed
from duravip.model import Address, Table
from duravip.plugin.api import (
    AddressChanged,
    Answer,
    Change,
    ChangesLost,
    LinkChanged,
    LinksListed,
    Placement,
    Plumbed,
)
from duravip.runtime.plumber import Plumber
from duravip.runtime.watching import Watching
from duravip.testing.fakes import MemoryBackend, RecordingAnnouncer

A, B, FREE = Address("192.0.2.50"), Address("192.0.2.51"), Address("10.0.0.7")
MakeTable = Callable[..., Table]
Clock = trio.testing.MockClock


class Rig:
    """A plumber and a watching over one kernel in memory. `heard`: what the machine was told beside answers."""

    def __init__(
        self,
        table: Table,
        *,
        check_interval_s: float = 30.0,
        own: tuple[Plumbed, ...] = (),
        backend: MemoryBackend | None = None,
    ) -> None:
        self.backend = backend or MemoryBackend(interface="eth0", own=own)
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


async def test_a_vip_whose_own_interface_somebody_switches_off_is_lost(table: MakeTable, autojump_clock: Clock) -> None:
    class Apart(MemoryBackend):
        async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
            return await super().add([replace(asked, interface="dv-1") for asked in placements])

    rig = Rig(table(), backend=Apart())
    async with rig.running():
        await rig.take(A)
        rig.backend.on[A] = replace(rig.backend.on[A], switched_off=True)
        await rig.tell(LinkChanged(interface="dv-1", up=True))
        assert rig.heard == []
        await rig.tell(LinkChanged(interface="dv-1", up=False))
    assert rig.heard == [AddressesLost(addresses=(A,))]
    assert A not in rig.backend.on


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


class Faltering(MemoryBackend):
    """`watches`: of each watch, what it gives before it raises; None: it ends. `begun`: when each was begun."""

    def __init__(self, *watches: Sequence[Change | float] | None) -> None:
        super().__init__(interface="eth0")
        self.watches = watches
        self.begun: list[float] = []

    def watch(self) -> AsyncIterator[Change]:
        self.begun.append(trio.current_time())
        if len(self.begun) > len(self.watches):
            return super().watch()
        return self._told(self.watches[len(self.begun) - 1])

    async def _told(self, given: Sequence[Change | float] | None) -> AsyncIterator[Change]:
        for each in given or ():
            if isinstance(each, float):
                await trio.sleep(each)
            else:
                yield each
        if given is not None:
            raise OSError("no more sockets")


async def test_a_backend_whose_watch_fails_is_compared_with_all_the_same(
    table: MakeTable, autojump_clock: Clock
) -> None:
    class Broken(MemoryBackend):
        def watch(self) -> AsyncIterator[Change]:
            raise OSError("no more sockets")

    rig = Rig(table(), check_interval_s=0.5)
    rig.watching._backend = Broken()
    async with rig.running():
        await rig.take(A)
        del rig.backend.on[A]
        await trio.sleep(0.6)
        assert rig.heard == [AddressesLost(addresses=(A,))]
        [failed] = rig.published
    assert isinstance(failed, PluginFailed)
    assert failed.plugin == "memory"
    assert failed.text.startswith("it tells of no changes for 1 s: OSError: no more sockets (test_watching.py, line ")


async def test_after_a_failure_a_second_watch_is_heard_and_everything_is_compared(
    table: MakeTable, autojump_clock: Clock
) -> None:
    rig = Rig(table(), check_interval_s=0, backend=Faltering([LinksListed(up=frozenset({"eth0"}))]))
    async with rig.running():
        await rig.take(A)
        del rig.backend.on[A]
        await trio.sleep(0.5)
        assert rig.heard == []
        await trio.sleep(1)
        assert rig.heard == [AddressesLost(addresses=(A,))]
        await rig.tell(LinkChanged(interface="eth0", up=False))
    assert rig.heard[1:] == [InterfaceFell(interface="eth0")]
    assert len(rig.published) == 1


async def test_the_pause_after_a_failure_doubles_up_to_a_minute_and_after_a_long_watch_is_the_least_again(
    table: MakeTable, autojump_clock: Clock
) -> None:
    backend = Faltering(*[[0.0]] * 9, [61.0], [0.0])
    rig = Rig(table(), backend=backend)
    async with rig.running():
        await trio.sleep(1_000)
    pauses = [later - earlier for earlier, later in pairwise(backend.begun)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60, 61 + 1, 2])
    assert len(rig.published) == 11


async def test_a_watch_that_ends_is_not_begun_again(table: MakeTable, autojump_clock: Clock) -> None:
    backend = Faltering(None)
    rig = Rig(table(), backend=backend)
    async with rig.running():
        await trio.sleep(1_000)
    assert len(backend.begun) == 1
    assert rig.published == []


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
