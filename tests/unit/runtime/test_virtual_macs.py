"""The wrapper on a backend in memory, with macvlans that only write down what they are asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from duravip.config.node_config import LocalSettings, PluginStanza
from duravip.errors import ConfigurationError
from duravip.model import Address, Claim
from duravip.net.macvlan import Below, Macvlans, hardware_address, link_name
from duravip.plugin.api import Placement
from duravip.runtime.daemon import virtual_macs
from duravip.runtime.virtual_macs import OFF_AFTER_S, VirtualMacs
from duravip.testing.fakes import MemoryBackend

GROUP = "test"
PATIENCE_S = 10.0
MACS = (("192.0.2.0/28", "real"), ("192.0.2.0/24", "virtual"), ("fd00::/64", "virtual"))
REAL, VIRTUAL, SIX = Address("192.0.2.1"), Address("192.0.2.51"), Address("fd00::51")


def name_of(address: Address) -> str:
    return link_name(hardware_address(GROUP, address))


def on_eth0(*addresses: Address) -> list[Placement]:
    return [Placement(address=one, interface="eth0", prefix=128 if ":" in one else 32) for one in addresses]


class UndoableBackend(MemoryBackend):
    async def undo(self, placements: Sequence[Placement]) -> Sequence[bytes]:
        return [str(placement.interface).encode() for placement in placements]


class NotedMacvlans(Macvlans):
    """`kernel` has somebody else's lock while it is not set."""

    done: list[str]
    kernel: threading.Event

    def __init__(self, group: str) -> None:
        assert group == GROUP

    def __exit__(self, *exception: object) -> None:
        return None

    def switch_on(self, address: Address, below: str) -> str:
        if below == "br0":
            raise OSError(16, "Device or resource busy")
        assert self.kernel.wait(PATIENCE_S)
        self.done.append(f"on {name_of(address)} {below}")
        return name_of(address)

    def switch_off(self, name: str) -> None:
        self.done.append(f"off {name}")
        assert self.kernel.wait(PATIENCE_S)

    def remove_all(self) -> tuple[str, ...]:
        self.done.append("remove all")
        return ()


class CalmBelow(Below):
    def __init__(self) -> None:
        self.refusal = ""
        self.restored = False

    def prepare(self, interface: str) -> str:
        return self.refusal

    def restore(self) -> None:
        self.restored = True


class Rig:
    def __init__(self) -> None:
        self.backend = UndoableBackend()
        self.below = CalmBelow()
        self.done: list[str] = []
        self.kernel = threading.Event()
        self.kernel.set()

        def opened(group: str) -> NotedMacvlans:
            made = NotedMacvlans(group)
            made.done, made.kernel = self.done, self.kernel
            return made

        self.macs = VirtualMacs(self.backend, cluster_group=GROUP, macs=MACS, open_macvlans=opened, below=self.below)


async def test_a_virtual_address_is_put_on_an_interface_of_its_own_and_a_real_one_where_it_was() -> None:
    rig = Rig()
    async with rig.macs as macs:
        wanted = on_eth0(REAL, VIRTUAL, SIX)
        assert await macs.undo(wanted) == [b"eth0", name_of(VIRTUAL).encode(), name_of(SIX).encode()]
        answers = await macs.add(wanted)
        assert [(answer.address, answer.interface, answer.error) for answer in answers] == [
            (REAL, "eth0", ""),
            (VIRTUAL, name_of(VIRTUAL), ""),
            (SIX, name_of(SIX), ""),
        ]
        assert macs.below(name_of(SIX)) == macs.below("eth0") == "eth0"
        moved = Placement(address=SIX, interface="eth1", prefix=128)
        await macs.remove(on_eth0(SIX))
        assert [answer.interface for answer in await macs.add([moved])] == [name_of(SIX)]
        assert macs.below(name_of(SIX)) == "eth1"
    assert rig.done[-1] == "remove all"
    assert rig.below.restored


async def test_it_is_switched_off_soon_after_the_address_has_gone_but_not_when_it_is_back(
    mock_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    async with rig.macs as macs:
        await macs.add(on_eth0(VIRTUAL, SIX))
        rig.done.clear()
        await macs.remove(on_eth0(VIRTUAL, SIX))
        assert rig.done == []
        await macs.add(on_eth0(SIX))
        mock_clock.jump(2 * OFF_AFTER_S)
        while len(rig.done) < 2:  # a thread does it, of which the clock knows nothing
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert rig.done == [f"on {name_of(SIX)} eth0", f"off {name_of(VIRTUAL)}"]


async def test_one_that_is_needed_again_while_another_is_switched_off_stays_on(
    mock_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    async with rig.macs as macs:
        first, then = sorted((VIRTUAL, SIX))
        await macs.add(on_eth0(first, then))
        await macs.remove(on_eth0(first, then))
        rig.done.clear()
        rig.kernel.clear()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(2 * OFF_AFTER_S)
        while not rig.done:  # a thread does it, of which the clock knows nothing
            await trio.testing.wait_all_tasks_blocked(0.01)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(macs.add, on_eth0(then))
            await trio.testing.wait_all_tasks_blocked(0.01)
            rig.kernel.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert rig.done == [f"off {name_of(first)}", f"on {name_of(then)} eth0"]


async def test_the_event_loop_goes_on_while_the_kernel_has_one_wait() -> None:
    rig = Rig()
    rig.kernel.clear()
    answered: list[str] = []

    async def add() -> None:
        answered.extend(answer.interface for answer in await rig.macs.add(on_eth0(VIRTUAL)))

    async with rig.macs, trio.open_nursery() as nursery:
        nursery.start_soon(add)
        for _ in range(3):
            await trio.sleep(0.001)
        assert answered == []
        rig.kernel.set()
    assert answered == [name_of(VIRTUAL)]


async def test_what_cannot_be_is_that_addresss_error_and_the_others_go_on() -> None:
    rig = Rig()
    async with rig.macs as macs:
        bridged = Placement(address=VIRTUAL, interface="br0", prefix=32)
        answers = await macs.add([bridged, *on_eth0(REAL, SIX)])
        assert [answer.address for answer in answers] == [VIRTUAL, REAL, SIX]
        assert "virtual hardware address for 192.0.2.51 on br0: Device or resource busy" in answers[0].error
        assert [answer.error for answer in answers[1:]] == ["", ""]
        rig.below.refusal = "needs a setting"
        assert [answer.error for answer in await macs.add(on_eth0(VIRTUAL))] == ["needs a setting"]


async def test_the_hardware_address_of_a_vip_says_nothing_about_who_has_it() -> None:
    macs = Rig().macs
    own, other = hardware_address(GROUP, VIRTUAL), hardware_address(GROUP, SIX)
    assert macs.is_shared(Claim(address=VIRTUAL, hardware_address=own))
    assert not macs.is_shared(Claim(address=VIRTUAL, hardware_address=other))
    assert not macs.is_shared(Claim(address=REAL, hardware_address=hardware_address(GROUP, REAL)))


async def test_a_backend_that_cannot_be_undone_is_refused() -> None:
    local = LocalSettings(macs=MACS, backend=PluginStanza(plugin="ifconfig", name=None, options={}))
    with pytest.raises(ConfigurationError, match=r"backend ifconfig .* mac = real"):
        virtual_macs(MemoryBackend(), local)
