"""What really goes over the wire when an address is announced, captured raw on another host of the segment.

owner: eth0 02:77:00:00:00:01 ── br0 ── peer: eth0, capturing
                                  └──── third: eth0
"""

from __future__ import annotations

import itertools
import math
import socket
import struct
import time
from collections.abc import Iterator

import pytest
import trio

from duravip.model import Address
from duravip.net import frames
from duravip.net.announce import Announcer
from duravip.net.kernel_neighbours import KernelNeighbours
from duravip.net.neighbourhood import Neighbourhood
from duravip.net.schedule import OFFSETS_S
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

VIP, VIP6 = Address("10.77.0.51"), Address("fd77::51")
_ETH_P_ALL = 0x0003
_SO_RCVBUFFORCE = 33
_LATE_S = 0.08  # what a busy machine may add to a wake-up


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("owner", "peer", "third"), prefix="dvwa") as built:
        yield built


class Capture:
    """All frames that reach the host: (monotonic seconds, bytes)."""

    def __init__(self, lan: Lan, host: str = "peer") -> None:
        with lan.inside(host):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self._socket.bind(("eth0", _ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)  # nothing may be lost here
        self._socket.setblocking(False)
        self.seen: list[tuple[float, bytes]] = []

    async def run(self) -> None:
        link = trio.socket.from_stdlib_socket(self._socket)
        with link:
            while True:
                frame = await link.recv(2048)
                self.seen.append((time.monotonic(), frame))

    def times_of(self, frame: bytes) -> list[float]:
        return [at for at, seen in self.seen if seen == frame]


async def test_both_arp_forms_and_the_advertisement_are_on_the_wire_on_schedule(lan: Lan) -> None:
    hardware = bytes.fromhex(lan["owner"].hardware_address.replace(":", ""))
    expected = {
        "request": frames.gratuitous_arp_request(VIP, hardware),
        "reply": frames.gratuitous_arp_reply(VIP, hardware),
        "advertisement": frames.neighbour_advertisement(VIP6, hardware),
    }
    capture = Capture(lan)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(capture.run)
        with lan.inside("owner"):
            async with Announcer(refresh_s=0) as announcer:
                nursery.start_soon(announcer.run)
                began = time.monotonic()
                announcer.announce(VIP, "eth0")
                announcer.announce(VIP6, "eth0")
                await trio.sleep(OFFSETS_S[-1] + 0.3)
        nursery.cancel_scope.cancel()

    for name, frame in expected.items():
        offsets = [at - began for at in capture.times_of(frame)]
        assert len(offsets) == len(OFFSETS_S), f"{name}: {offsets}"
        for seen, planned in zip(offsets, OFFSETS_S, strict=True):
            assert planned <= seen <= planned + _LATE_S, f"{name}: {offsets}"
    ours = [frame for _, frame in capture.seen if frame[6:12] == hardware and frame[12:14] == b"\x08\x06"]
    assert set(ours) == {expected["request"], expected["reply"]}


async def test_every_field_on_the_wire_is_what_the_rfcs_say(lan: Lan) -> None:
    """Taken apart here, byte by byte, without the code that made them."""
    hardware = bytes.fromhex("027700000001")
    capture = Capture(lan)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(capture.run)
        with lan.inside("owner"):
            async with Announcer() as announcer:
                announcer.announce(VIP, "eth0")
                announcer.announce(VIP6, "eth0")
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    arps = [frame for _, frame in capture.seen if frame[12:14] == b"\x08\x06"]  # no VLAN tag before the type
    vip = bytes((10, 77, 0, 51))
    for frame, operation, target in zip(arps, (1, 2), (bytes(6), hardware), strict=True):
        assert (frame[0:6], frame[6:12]) == (b"\xff" * 6, hardware)
        assert struct.unpack("!HHBBH", frame[14:22]) == (1, 0x0800, 6, 4, operation)  # Ethernet, IPv4
        assert (frame[22:28], frame[28:32]) == (hardware, vip)  # sender
        assert (frame[32:38], frame[38:42]) == (target, vip)
    (advertisement,) = [frame for _, frame in capture.seen if frame[12:14] == b"\x86\xdd" and frame[54:55] == b"\x88"]
    packed = bytes.fromhex("fd770000000000000000000000000051")
    assert (advertisement[0:6], advertisement[6:12]) == (bytes.fromhex("333300000001"), hardware)
    version, length, following, hop_limit = struct.unpack("!IHBB", advertisement[14:22])
    assert (version >> 28, length, following, hop_limit) == (6, 32, 58, 255)
    assert advertisement[22:38] == packed  # source
    assert advertisement[38:54] == bytes.fromhex("ff020000000000000000000000000001")
    kind, code, _, flags = struct.unpack("!BBHI", advertisement[54:62])
    assert (kind, code, flags) == (136, 0, 0x2000_0000)  # override; neither router nor solicited
    assert advertisement[62:78] == packed  # target
    assert advertisement[78:86] == b"\x02\x01" + hardware  # option: target link-layer address


async def test_directed_announcements_reach_known_neighbours_and_the_gateway_and_nobody_else(lan: Lan) -> None:
    """The peer is the owner's gateway, and not in its neighbour table before it is looked for."""
    hardware = bytes.fromhex(lan["owner"].hardware_address.replace(":", ""))
    gateway = bytes.fromhex(lan["peer"].hardware_address.replace(":", ""))
    for ip in (("-4", lan["peer"].address), ("-6", lan["peer"].address6)):
        lan.run("owner", "ip", ip[0], "route", "add", "default", "via", ip[1])
    at_peer, at_third = Capture(lan), Capture(lan, "third")
    neighbourhood = Neighbourhood()
    with lan.inside("owner"):
        kernel = KernelNeighbours()
        announcer = Announcer(audience=neighbourhood.audience)
    async with announcer, trio.open_nursery() as nursery:
        nursery.start_soon(at_peer.run)
        nursery.start_soon(at_third.run)
        with kernel, lan.inside("owner"):
            with trio.fail_after(5):
                while not all(neighbourhood.audience(vip, "eth0") for vip in (VIP, VIP6)):
                    neighbourhood.saw(await kernel.look())
                    await trio.sleep(0.02)
            networks = {str(network) for name, network in (await kernel.look()).networks if name == "eth0"}
            assert networks == {"10.77.0.0/24", "fd77::/64", "fe80::/64"}
            announcer.announce(VIP, "eth0")
            announcer.announce(VIP6, "eth0")
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    for vip in (VIP, VIP6):
        for frame in frames.announcement_frames(vip, hardware, to=[gateway]):
            assert len(at_peer.times_of(frame)) == 1
    vips = (bytes((10, 77, 0, 51)), bytes.fromhex("fd770000000000000000000000000051"))
    assert not [frame for _, frame in at_third.seen if any(vip in frame for vip in vips)]


async def test_an_announcement_again_begins_the_schedule_again_and_a_withdrawal_ends_it(lan: Lan) -> None:
    hardware = bytes.fromhex(lan["owner"].hardware_address.replace(":", ""))
    capture = Capture(lan)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(capture.run)
        with lan.inside("owner"):
            async with Announcer() as announcer:
                nursery.start_soon(announcer.run)
                announcer.announce(VIP, "eth0")
                await trio.sleep(0.2)
                again = time.monotonic()
                announcer.announce(VIP, "eth0")
                await trio.sleep(0.2)
                withdrawn = time.monotonic()
                announcer.withdraw(VIP)
                await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    times = capture.times_of(frames.gratuitous_arp_request(VIP, hardware))
    assert len([at for at in times if at < again]) == 2
    assert len([at for at in times if again <= at < withdrawn]) == 2
    assert not [at for at in times if at > withdrawn]


@pytest.mark.parametrize("address", [VIP, VIP6])
@pytest.mark.parametrize("directed", [False, True])
async def test_a_neighbour_that_remembers_another_owner_believes_the_first_announcement(
    lan: Lan, address: Address, directed: bool
) -> None:
    """The neighbour's entry was refreshed a moment ago: the case that a reply with a zero target does not
    mend."""
    other = "02:77:00:00:00:99"
    entry = ("neigh", "replace", address, "lladdr", other, "dev", "eth0", "nud", "reachable")
    remember = lan.command("peer", "ip", *entry)
    await trio.run_process(remember)
    assert lan.neighbour("peer", address) == other
    peer = bytes.fromhex(lan["peer"].hardware_address.replace(":", ""))
    with lan.inside("owner"):
        async with Announcer(audience=lambda address, interface: [peer] if directed else None) as announcer:
            announcer.announce(address, "eth0")
    for _ in range(50):  # the frame has left; the neighbour may need a moment
        if lan.neighbour("peer", address) != other:
            break
    assert lan.neighbour("peer", address) == lan["owner"].hardware_address


async def test_the_announcer_outlives_its_interface_and_uses_its_new_hardware_address(lan: Lan) -> None:
    new = bytes.fromhex("0277000000aa")
    ip = lan.command("owner", "ip")
    capture = Capture(lan)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(capture.run)
        with lan.inside("owner"):
            async with Announcer() as announcer:
                nursery.start_soon(announcer.run)
                announcer.announce(Address("10.77.0.52"), "eth9")
                assert announcer.lost == 1
                await trio.run_process([*ip, "link", "set", "eth0", "down"])
                announcer.announce(VIP, "eth0")
                assert announcer.lost == 2
                await trio.run_process([*ip, "link", "set", "eth0", "address", "02:77:00:00:00:aa"])
                await trio.run_process([*ip, "link", "set", "eth0", "up"])
                announcer.announce(VIP, "eth0")
                await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
    assert capture.times_of(frames.gratuitous_arp_request(VIP, new))


async def test_thousands_of_addresses_are_paced_and_each_goes_once_before_any_goes_twice(lan: Lan) -> None:
    many = [Address(f"10.77.{number // 250 + 1}.{number % 250 + 1}") for number in range(1000)]
    capture = Capture(lan)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(capture.run)
        with lan.inside("owner"):
            async with Announcer(packets_per_s=4_000) as announcer:
                nursery.start_soon(announcer.run)
                for address in many:
                    announcer.announce(address, "eth0")
                await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    requests = [(at, seen[28:32]) for at, seen in capture.seen if seen[12:14] == b"\x08\x06" and seen[21] == 1]
    assert len({vip for _, vip in requests[: len(many)]}) == len(many)
    first_pass = [at for at, _ in requests[: len(many)]]
    longest = max((after - before for before, after in itertools.pairwise(first_pass)), default=math.inf)
    assert first_pass[-1] - first_pass[0] >= (2 * len(many) - 256) / 4_000 - 0.05
    assert longest < 0.1
