"""What the kernel and its filter let the daemon hear, and what a question brings back.

node: eth0 ── br0 ── stranger: eth0, sends frames, has addresses
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from duravip.cluster.effects import ProbeAddress
from duravip.cluster.inputs import AddressesClaimed, HardwareSeen, Input
from duravip.model import Address, Claim
from duravip.net.claim_filter import MAX_RANGES
from duravip.net.frames import announcement_frames
from duravip.net.listening import FRAMES_AT_ONCE, ClaimSocket
from duravip.net.questions import arp_probe
from duravip.runtime.claim_watch import CHECK_S, ClaimWatch, Homes
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

VIP, VIP6, OTHER = Address("10.77.0.51"), Address("fd77::51"), Address("10.77.0.52")
SCATTERED = {Address(f"203.{number % 256}.{number // 256}.{number % 251}") for number in range(2 * MAX_RANGES)}
SCATTERED6 = {Address(f"fd77::{number * 16 + 7:x}:{0xF000 + number:x}") for number in range(2 * MAX_RANGES)}
HOMES: Homes = {"eth0": {VIP, VIP6, *SCATTERED, *SCATTERED6}}  # with the largest filters that are made
PATIENCE_S = 10.0


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("node", "stranger"), prefix="dvcw") as built:
        yield built


def hardware(lan: Lan, host: str) -> bytes:
    return bytes.fromhex(lan[host].hardware_address.replace(":", ""))


def send(lan: Lan, *frames: bytes) -> None:
    with lan.inside("stranger"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind(("eth0", 0))
        for frame in frames:
            link.send(frame)


class Heard:
    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.hardware: list[tuple[bytes, ...]] = []
        self.homes: Homes = HOMES
        self._news = trio.Event()

    def __call__(self, given: Input) -> None:
        self._news.set()
        self._news = trio.Event()
        if isinstance(given, AddressesClaimed):
            self.claims += given.claims
        elif isinstance(given, HardwareSeen):
            self.hardware.append(given.hardware_addresses)

    async def until(self, done: Callable[[], object]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not done():
                await self._news.wait()

    async def where(self) -> Homes:
        return self.homes


@asynccontextmanager
async def watching(lan: Lan) -> AsyncIterator[tuple[ClaimWatch, Heard]]:
    heard = Heard()
    watch = ClaimWatch()
    with lan.inside("node"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, heard.where, heard)
            await heard.until(lambda: heard.hardware)
            yield watch, heard
            nursery.cancel_scope.cancel()


async def test_claims_of_ours_are_heard_and_nothing_else_is(lan: Lan) -> None:
    async with watching(lan) as (_, heard):
        assert heard.hardware == [(hardware(lan, "node"),)]
        mine = hardware(lan, "stranger")
        send(lan, arp_probe(VIP, mine), *announcement_frames(OTHER, mine), b"\xff" * 12 + b"\x08\x06" + bytes(60))
        send(lan, *announcement_frames(VIP6, mine), *announcement_frames(VIP, mine))
        expected = {Claim(address=address, hardware_address=mine) for address in (VIP, VIP6)}
        await heard.until(lambda: expected <= set(heard.claims))
        assert set(heard.claims) == expected
        assert len(heard.claims) == 2, "both forms of an announcement are one claim"

        heard.homes = {"eth0": {OTHER}}
        with trio.fail_after(PATIENCE_S):
            while not any(claim.address == OTHER for claim in heard.claims):
                send(lan, *announcement_frames(OTHER, mine))
                await trio.sleep(0.05)
            heard.claims.clear()
            while not heard.claims:  # the same claim is passed on again after a while
                send(lan, *announcement_frames(VIP, mine), *announcement_frames(OTHER, mine))
                await trio.sleep(0.05)
        assert {claim.address for claim in heard.claims} == {OTHER}, "a new table"


async def test_many_that_come_at_once_are_read_with_others_turns_between_and_passed_on_together(
    lan: Lan, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers = [b"\x02\x66\0\0\0" + bytes([number]) for number in range(2 * FRAMES_AT_ONCE + 4)]
    frames = [frame for stranger in strangers for frame in announcement_frames(VIP, stranger)[:1]]
    turns, reads_at = 0, []
    read = ClaimSocket.claims

    def noted(link: ClaimSocket) -> tuple[list[Claim], bool]:
        found = read(link)
        if found[0]:
            reads_at.append(turns)
        return found

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(ClaimSocket, "claims", noted)
    async with watching(lan) as (_, heard), trio.open_nursery() as nursery:
        nursery.start_soon(others)
        send(lan, *frames)  # before any task runs again
        await heard.until(lambda: heard.claims)
        nursery.cancel_scope.cancel()
    assert [claim.hardware_address for claim in heard.claims] == strangers
    assert len(reads_at) == 3
    assert reads_at[0] < reads_at[2]


async def test_whoever_has_it_answers_a_question_and_only_one_that_is_asked(lan: Lan) -> None:
    for address in (VIP, VIP6):
        assert lan.run("stranger", "ip", "addr", "add", address, "dev", "eth0").returncode == 0
    theirs = hardware(lan, "stranger")
    async with watching(lan) as (watch, heard):
        for to in (None, theirs):
            heard.claims.clear()
            for address in (VIP, VIP6):
                watch.ask(ProbeAddress(address=address, hardware_address=to))
            expected = {Claim(address=address, hardware_address=theirs) for address in (VIP, VIP6)}
            await heard.until(lambda wanted=expected: wanted <= set(heard.claims))
            await trio.sleep(0.6)  # the same claim is passed on again
        heard.claims.clear()
        watch.ask(ProbeAddress(address=VIP, hardware_address=b"\x02" + theirs[1:5] + b"\x77"))
        watch.ask(ProbeAddress(address=OTHER, hardware_address=None))
        await trio.sleep(0.3)
        assert not [claim for claim in heard.claims if claim.address in {VIP, OTHER}]  # its kernel may ask for ours


async def test_it_outlives_its_interface_and_sees_its_new_hardware_address(lan: Lan) -> None:
    async with watching(lan) as (_, heard):
        mine = hardware(lan, "stranger")
        for line in ("down", "address 02:77:00:00:00:99", "up"):
            changed = ("ip", "link", "set", "dev", "eth0", *line.split())
            assert (await trio.to_thread.run_sync(lambda argv=changed: lan.run("node", *argv))).returncode == 0
            await trio.sleep(0.05)
        await heard.until(lambda: heard.hardware[-1] == (bytes.fromhex("027700000099"),))
        with trio.fail_after(PATIENCE_S):
            while not heard.claims:
                send(lan, *announcement_frames(VIP, mine))
                await trio.sleep(0.05)


async def test_an_interface_without_ethernet_is_told_of_once(lan: Lan, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="duravip"):
        async with watching(lan) as (_, heard):
            heard.homes = {"lo": {VIP}}
            await trio.sleep(2 * CHECK_S + 0.2)
    assert caplog.text.count("lo is no Ethernet") == 1
