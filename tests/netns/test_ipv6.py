"""A cluster on a network without IPv4.

node1: fd77::1  ─┐
node2: fd77::2  ─┼─ br0      daemons on the three nodes, heartbeats by unicast; no interface has an IPv4 address
node3: fd77::3  ─┤
client: fd77::4 ─┘           probes, and hears every neighbour advertisement
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator

import pytest

from duravip.model import Address
from duravip.net.frames import neighbour_advertisement
from duravip.testing.cluster import NODES, Cluster
from duravip.testing.netns import Lan
from duravip.testing.probe import Probe

pytestmark = pytest.mark.netns

VIPS = ("fd77::51", "fd77::52", "fd77::53")
UNICAST = 'unicast { peers = ( "fd77::1" "fd77::2" "fd77::3" ) }'
BINDINGS = "\n".join(
    f'Binding "b{node}" {{ Bind_Address = {vip} Enable_Duravip = true Duravip_Preference = {node} }}'
    for vip, node in zip(VIPS, NODES, strict=True)
)
_ETH_P_IPV6 = 0x86DD


def test_a_cluster_lives_without_ipv4_and_clients_follow_its_addresses(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─X─ br0 ── client        node2's link is cut; it comes back
    node3 ─┘
    """
    vip = VIPS[1]
    for host in cluster.lan.hosts:
        cluster.lan.run(host, "ip", "-4", "address", "flush", "dev", "eth0")
    for node in NODES:
        cluster.configure(node, BINDINGS, transports=UNICAST, nodeaddr=cluster.lan[node].address6)
    cluster.start(*NODES)
    assert cluster.settled() == dict(zip(VIPS, NODES, strict=True))
    assert cluster.info("node2")["transports"] == {"unicast": "fd77::2"}
    shown = cluster.lan.run("node2", "ip", "-6", "address", "show", "dev", "eth0").stdout
    [line] = [line for line in shown.splitlines() if f" {vip}/" in line]
    assert f"{vip}/128 scope global" in line
    assert "nodad" in line
    assert "tentative" not in line

    def believes(node: str) -> bool:
        return cluster.lan.neighbour("client", vip) == cluster.lan[node].hardware_address

    with advertisements(cluster.lan) as heard, Probe(cluster.lan, "client", vip) as probe:
        cluster.until(lambda: believes("node2"), "the client has found node2")
        cluster.cut("node2")
        heir = cluster.settled("node1", "node3")[vip]
        cluster.until(lambda: believes(heir), "the client has found the heir")
        cluster.heal()
        cluster.until(lambda: cluster.watch.holders(vip) == ("node2",), "node2 trusts its link again")
        assert cluster.settled()[vip] == "node2"
        cluster.until(lambda: believes("node2"), "the client is back at node2")
    answered_by = probe.answered_by()
    assert answered_by[:2] == tuple(cluster.lan[node].hardware_address for node in ("node2", heir))
    assert answered_by[-1] == cluster.lan["node2"].hardware_address
    assert probe.longest_gap_ms() < 8_000
    for node in NODES:
        assert not cluster.events(node, "conflict.duplicate"), "a member's advertisements are no stranger's"

    hardware = {node: bytes.fromhex(cluster.lan[node].hardware_address.replace(":", "")) for node in NODES}
    of_vip = [frame for frame in heard if frame[62:78] == ipaddress.IPv6Address(vip).packed]
    unasked = [frame for frame in of_vip if frame[:6] == b"\x33\x33\x00\x00\x00\x01"]
    assert set(unasked) == {neighbour_advertisement(Address(vip), hardware[node]) for node in (heir, "node2")}
    assert unasked[-1][6:12] == hardware["node2"]


@contextlib.contextmanager
def advertisements(lan: Lan) -> Iterator[list[bytes]]:
    """Every neighbour advertisement that reaches the client, as a frame."""
    heard: list[bytes] = []
    over = threading.Event()
    with lan.inside("client"):
        hearing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IPV6))
        hearing.bind(("eth0", _ETH_P_IPV6))
    hearing.settimeout(0.05)

    def listen() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                frame, origin = hearing.recvfrom(2048)
                incoming = origin[2] != socket.PACKET_OUTGOING
                if incoming and frame[20] == socket.IPPROTO_ICMPV6 and frame[54] == 136:
                    heard.append(frame)

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield heard
    finally:
        over.set()
        thread.join()
        hearing.close()
