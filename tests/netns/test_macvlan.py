"""Macvlans on a real kernel, without a daemon.

node: eth0, eth1 ── br0, br1
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from duravip.model import Address
from duravip.net import rtnetlink
from duravip.net.macvlan import Macvlans, hardware_address
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

GROUP = "ec_cluster"
VIP, VIP6 = Address("10.77.0.51"), Address("fd77::51")
NEWADDR, DELADDR = 20, 21
IFA_ADDRESS, IFA_FLAGS, NODAD = 1, 8, 0x02
ALL_PROTOCOLS = 3
SLACK_S = 0.005
REPORTS_S = 1.2  # the kernel repeats a report by MLDv2 up to a second later


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("node",), prefix="dvmv") as built:
        built.second_link("node")
        yield built


@pytest.fixture
def macvlans(lan: Lan) -> Iterator[Macvlans]:
    with lan.inside("node"), Macvlans(GROUP) as opened:
        yield opened


def shown(lan: Lan, name: str) -> tuple[int, str, str, bool]:
    """Its number, the interface below it, its alias, and whether it is switched on."""
    [row] = json.loads(lan.run("node", "ip", "-json", "link", "show", "dev", name).stdout)
    return row["ifindex"], row["link"], row["ifalias"], "UP" in row["flags"]


def test_one_that_is_there_is_used_again_and_one_on_another_interface_is_made_anew(
    lan: Lan, macvlans: Macvlans
) -> None:
    name = macvlans.switch_on(VIP, "eth0")
    index, *rest = shown(lan, name)
    assert rest == ["eth0", f"duravip {GROUP}", True]
    macvlans.switch_off(name)
    assert macvlans.switch_on(VIP, "eth0") == name
    assert shown(lan, name) == (index, "eth0", f"duravip {GROUP}", True)

    assert macvlans.switch_on(VIP, "eth1") == name, "a Topology names another interface"
    assert shown(lan, name)[1:] == ("eth1", f"duravip {GROUP}", True)

    for line in ("eth1 down", "eth1 name old", "eth0 down", "eth0 name eth1", "eth1 up"):
        assert not lan.run("node", "ip", "link", "set", "dev", *line.split()).returncode
    assert shown(lan, name)[1] == "old"
    assert macvlans.switch_on(VIP, "eth1") == name, "another interface has taken the name"
    assert shown(lan, name)[1:] == ("eth1", f"duravip {GROUP}", True)


def test_without_the_interface_below_it_says_so_and_leaves_what_is_there(lan: Lan, macvlans: Macvlans) -> None:
    name = macvlans.switch_on(VIP, "eth0")
    with pytest.raises(OSError, match="No such device"):
        macvlans.switch_on(VIP, "eth9")
    assert shown(lan, name)[1] == "eth0"


def sent_from(link: socket.socket, hardware: bytes, for_s: float) -> list[str]:
    """What leaves from that hardware address until then: in hexadecimal, without the addresses."""
    found = []
    deadline = time.monotonic() + for_s
    while (left_s := deadline - time.monotonic()) > 0:
        link.settimeout(left_s)
        try:
            frame, (_, _, kind, *_) = link.recvfrom(2_000)
        except TimeoutError:
            break
        if kind == socket.PACKET_OUTGOING and frame[6:12] == hardware:
            found.append(frame[12:].hex())
    return found


@pytest.mark.parametrize("held_s", [0.05, 1.5])
def test_nothing_leaves_from_a_virtual_hardware_address_once_its_ipv6_address_has_gone(
    lan: Lan, macvlans: Macvlans, held_s: float
) -> None:
    """What leaves is seen on the interface below, while the kernel sends it."""
    hardware = hardware_address(GROUP, VIP6)
    index = socket.if_nametoindex(macvlans.switch_on(VIP6, "eth0"))
    body = (
        struct.pack("=BBBBI", socket.AF_INET6, 128, NODAD, 0, index)
        + rtnetlink.attribute(IFA_ADDRESS, socket.inet_pton(socket.AF_INET6, VIP6))
        + rtnetlink.attribute(IFA_FLAGS, struct.pack("=I", NODAD))
    )
    with (
        rtnetlink.open_socket() as kernel,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS)) as link,
    ):
        link.bind(("eth0", ALL_PROTOCOLS))
        rtnetlink.ask(kernel, NEWADDR, body, flags=rtnetlink.CREATE | rtnetlink.EXCLUSIVE)
        assert sent_from(link, hardware, held_s), "it has joined the group of its address"
        rtnetlink.ask(kernel, DELADDR, body)
        sent_from(link, hardware, SLACK_S)
        assert sent_from(link, hardware, REPORTS_S) == []
