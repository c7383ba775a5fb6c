"""What it says of hardware addresses, on a virtual clock. What it hears is in tests/netns/test_claim_watch.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio
import trio.testing

from duravip.cluster.inputs import AnnounceRequested, HardwareSeen, Input
from duravip.net.hardware import HardwareAddresses
from duravip.runtime.claim_watch import CHECK_S, ClaimWatch, Homes

OLD, NEW, OTHER = b"\x02\x77\0\0\0\x01", b"\x02\x77\0\0\0\x02", b"\x02\x77\0\0\0\x03"
AGAIN = AnnounceRequested(everywhere=False)


class PlannedAddresses(HardwareAddresses):
    def __init__(self, looks: Sequence[Mapping[str, bytes]]) -> None:
        self._looks = list(looks)

    def __exit__(self, *exception: object) -> None:
        return None

    def read(self) -> dict[str, bytes]:
        return dict(self._looks.pop(0) if len(self._looks) > 1 else self._looks[0])


async def said(clock: trio.testing.MockClock, *looks: Mapping[str, bytes], homes: Homes | None = None) -> list[Input]:
    heard: list[Input] = []
    watch = ClaimWatch(open_hardware=lambda: PlannedAddresses(looks))
    before: Homes = homes if homes is not None else {"eth0": set(), "eth1": set()}

    async def where() -> Homes:
        return before

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run, where, heard.append)
        for _ in looks:
            await trio.testing.wait_all_tasks_blocked(0.02)  # a thread reads, of which the clock knows nothing
            clock.jump(CHECK_S)
        nursery.cancel_scope.cancel()
    return heard


def seen(*hardware_addresses: bytes) -> HardwareSeen:
    return HardwareSeen(hardware_addresses=hardware_addresses)


async def test_another_hardware_address_of_an_interface_has_everything_announced_again(
    mock_clock: trio.testing.MockClock,
) -> None:
    same = {"eth0": OLD, "eth1": OTHER}
    assert await said(mock_clock, same, same, {**same, "eth0": NEW}, {**same, "eth0": NEW}) == [
        seen(OLD, OTHER),
        seen(NEW, OTHER),
        AGAIN,
    ]


async def test_an_interface_that_comes_or_goes_has_not_changed_its_own(mock_clock: trio.testing.MockClock) -> None:
    found = await said(mock_clock, {"eth0": OLD}, {"eth0": OLD, "br0": OTHER}, {"br0": OTHER}, {"eth0": NEW})
    assert AGAIN not in found
    assert len(found) == 4


async def test_what_carries_no_address_of_ours_may_change_its_own(mock_clock: trio.testing.MockClock) -> None:
    found = await said(mock_clock, {"docker0": OLD, "eth0": OTHER}, {"docker0": NEW, "eth0": OTHER})
    assert AGAIN not in found
    assert len(found) == 2


async def test_two_interfaces_that_exchange_theirs_have_both_changed(mock_clock: trio.testing.MockClock) -> None:
    assert AGAIN in await said(mock_clock, {"eth0": OLD, "eth1": NEW}, {"eth0": NEW, "eth1": OLD})


async def test_those_of_interfaces_that_addresses_belong_on_are_told_first_and_each_once(
    mock_clock: trio.testing.MockClock,
) -> None:
    look = {"eth0": OTHER, "eth1": OLD, "eth2": OTHER}
    assert await said(mock_clock, look, homes={"eth1": set()}) == [seen(OLD, OTHER)]
