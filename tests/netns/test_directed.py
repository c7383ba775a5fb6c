"""`arp_all_hosts = false` with real daemons: whom a new owner tells, by what another member knows.

node1 ─┐
node2 ─┼─ br0      the client talks to node1's own address, and to nothing else
client ─┤
stranger ┘         talks to nobody
"""

from __future__ import annotations

import contextlib
import socket

import pytest

from duravip.testing.cluster import Cluster
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

VIP = "10.77.0.51"
_ETH_P_ARP = 0x0806


def listening(lan: Lan, host: str) -> socket.socket:
    with lan.inside(host):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP))
        made.bind((lan[host].interface, _ETH_P_ARP))
    made.setblocking(False)
    return made


def announcements(link: socket.socket, source: str) -> list[str]:
    """To whom frames with the VIP as sender went, of those that came from the hardware address `source`."""
    found: list[str] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frame = link.recv(2048)
            if frame[6:12].hex(":") == source and frame[28:32] == socket.inet_aton(VIP):
                found.append(frame[0:6].hex(":"))
    return found


def test_a_client_that_only_the_old_owner_knew_is_told_by_the_new_one_and_a_stranger_is_not(cluster: Cluster) -> None:
    lan, nodes = cluster.lan, ("node1", "node2")
    for node in nodes:
        cluster.configure(
            node,
            f'Binding "one" {{ Bind_Address = {VIP} Enable_Duravip = true Duravip_Preference = "node1" }}',
            arp_all_hosts=False,
        )
    with lan.inside("client"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.sendto(b"hello", (lan["node1"].address, 9))
    cluster.start(*nodes)
    assert cluster.settled(*nodes) == {VIP: "node1"}
    cluster.until(
        lambda: cluster.info("node2")["announced_to"]["others_neighbours"], "node2 has heard of the client from node1"
    )
    assert not lan.neighbour("node2", lan["client"].address)
    with listening(lan, "client") as at_client, listening(lan, "stranger") as at_stranger:
        cluster.ask("node1", "move", VIP, "node2", "--wait")
        assert cluster.settled(*nodes) == {VIP: "node2"}
        source = lan["node2"].hardware_address
        assert set(announcements(at_client, source)) == {lan["client"].hardware_address}
        assert announcements(at_stranger, source) == []
