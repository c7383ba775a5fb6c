"""What goes wrong with machines and networks: cables, frames, processes, and a network in two parts.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      daemons on the three nodes, a client that probes
node3: 10.77.0.3 ─┤
client           ─┘

That no address is ever on two nodes that hear each other, except while parts that have met again make up their
minds, is watched all the time (`duravip.testing.watch`).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from duravip.net.schedule import OFFSETS_S
from duravip.testing.cluster import NODES, Cluster
from duravip.testing.netns import Lan
from duravip.testing.probe import Probe

pytestmark = [
    pytest.mark.netns,
    pytest.mark.parametrize("over", ["multicast", "unicast", "multicast-v6", "both"], indirect=True),
]

VIPS = ("10.77.0.51", "10.77.0.52", "10.77.0.53")
PREFERENCES = dict(zip(VIPS, NODES, strict=True))
ETH_P_ALL, UDP = 3, 17  # linux/if_ether.h; RFC 768
LATE_S = 2.0  # what a busy machine may add


def files(cluster: Cluster) -> None:
    """.51 prefers node1, .52 node2, .53 node3."""
    for node in NODES:
        cluster.configure(
            node,
            "\n".join(
                f'Binding "b{number}" {{ Bind_Address = {vip} Enable_Duravip = true duravip_preference = {wish} }}'
                for number, (vip, wish) in enumerate(PREFERENCES.items())
            ),
            announce_refresh=0,
        )


def client_believes(cluster: Cluster, vip: str, *nodes: str) -> bool:
    return cluster.lan.neighbour("client", vip) in {cluster.lan[node].hardware_address for node in nodes}


@pytest.mark.parametrize("fault", ["cut", "silence"])
def test_an_owner_that_is_cut_off_is_replaced_and_takes_its_place_again_afterwards(
    cluster: Cluster, fault: str
) -> None:
    """
    node1 ─┐
    node2 ─X─ br0 ── client        cut: its link loses the carrier. silence: its frames vanish, the carrier stays
    node3 ─┘
    """
    vip = VIPS[1]
    files(cluster)
    cluster.start(*NODES)
    assert cluster.settled() == PREFERENCES

    with Probe(cluster.lan, "client", vip) as probe:
        cluster.until(lambda: client_believes(cluster, vip, "node2"), "the client has found node2")
        cut_off = cluster.cut if fault == "cut" else cluster.silence
        cut_off("node2")
        cluster.until(lambda: client_believes(cluster, vip, "node1", "node3"), "another answers the client")
        owners = cluster.settled("node1", "node3")
    assert probe.longest_gap_ms() < 8_000
    heir = owners[vip]
    assert probe.answered_by() == (cluster.lan["node2"].hardware_address, cluster.lan[heir].hardware_address)
    assert {address: owner for address, owner in owners.items() if address != vip} == {
        address: owner for address, owner in PREFERENCES.items() if address != vip
    }
    [left] = cluster.events("node1", "membership.node_left")
    assert (left["name"], left["cause"]) == ("node2", "failed")
    cluster.until(lambda: cluster.show("node2")["view"]["members"] == ["node2"], "node2 is alone, and knows it")
    if fault == "cut":
        assert not any("node2" in cluster.watch.holders(each) for each in VIPS), "nobody reaches it there"
    else:
        cluster.until(lambda: all("node2" in cluster.watch.holders(each) for each in VIPS), "and serves its part alone")

    cluster.heal()
    cluster.until(lambda: cluster.watch.holders(vip) == ("node2",), "node2 trusts its link again")
    assert cluster.settled() == PREFERENCES
    cluster.until(lambda: client_believes(cluster, vip, "node2"), "the client is back at node2")


def test_a_killed_owner_is_replaced_and_begins_its_next_life_with_a_clean_slate(cluster: Cluster) -> None:
    """
    node1 ─X┐
    node2 ──┼─ br0 ── client        all of node1's processes are killed, its frames vanish, and it starts again
    node3 ──┘
    """
    vip = VIPS[0]
    files(cluster)
    cluster.start(*NODES)
    assert cluster.settled() == PREFERENCES

    cluster.silence("node1")
    cluster.kill("node1")
    heir = cluster.settled("node2", "node3")[vip]
    assert heir in {"node2", "node3"}
    assert cluster.watch.holders(vip) == ("node1", heir), "nobody has cleaned up on the dead node"

    with first_datagram(cluster.lan, "node1", at="node2") as first:
        cluster.heal()
        cluster.start("node1")
        cluster.until(lambda: first, "node1 speaks again")
    assert vip not in first[0], "what the earlier life left was still there when the new one spoke"
    assert f"took off {vip}, which an earlier run had left" in cluster.log("node1")
    assert cluster.settled() == PREFERENCES
    lives = {event["node_incarnation"] for event in cluster.events("node2", "membership.node_joined")}
    assert len(lives) == len(NODES) + 1


@contextlib.contextmanager
def first_datagram(lan: Lan, host: str, *, at: str) -> Iterator[list[tuple[str, ...]]]:
    """Gets one item at the moment when host `at` hears the first UDP datagram of the other: its addresses then."""
    found: list[tuple[str, ...]] = []
    over = threading.Event()
    with lan.inside(at):
        hearing = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        hearing.bind(("eth0", ETH_P_ALL))
    hearing.settimeout(0.05)
    source = bytes.fromhex(lan[host].hardware_address.replace(":", ""))

    def listen() -> None:
        while not over.is_set() and not found:
            with contextlib.suppress(TimeoutError):
                frame = hearing.recv(2048)
                if frame[6:12] == source and is_udp(frame):
                    found.append(lan.addresses(host))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        hearing.close()


def is_udp(frame: bytes) -> bool:
    """An Ethernet frame: IPv4 with protocol 17, or IPv6 whose next header is that."""
    kind = frame[12:14]
    return (kind == b"\x08\x00" and frame[23] == UDP) or (kind == b"\x86\xdd" and frame[20] == UDP)


def test_a_divided_network_is_served_on_both_sides_and_one_owner_is_left_when_it_is_whole(cluster: Cluster) -> None:
    """
    node1 ─┐     ┌─ node3
    node2 ─┼─ X ─┼─ client        the client sees node3, which will give everything up but .53
           │     │
    """
    files(cluster)
    cluster.start(*NODES)
    assert cluster.settled() == PREFERENCES
    vip, elsewhere = VIPS[0], VIPS[2]

    with Probe(cluster.lan, "client", vip) as probe:
        cluster.until(lambda: client_believes(cluster, vip, "node1"), "the client has found node1")
        cluster.partition(["node1", "node2"], ["node3", "client"])
        assert cluster.settled("node3") == dict.fromkeys(VIPS, "node3")
        majority = cluster.settled("node1", "node2")
        assert {address: majority[address] for address in VIPS[:2]} == dict(list(PREFERENCES.items())[:2])
        assert majority[elsewhere] in {"node1", "node2"}
        cluster.until(lambda: client_believes(cluster, vip, "node3"), "node3 answers the client")
        cluster.until(
            lambda: cluster.vip("node1", vip)["since_s"] > OFFSETS_S[-1] + 0.5,
            "node1 has made all announcements that belong to its election",
        )

        cluster.heal()
        cluster.until(lambda: cluster.watch.holders(vip) == ("node1",), "one is left")
        merged = time.monotonic()
        cluster.until(lambda: client_believes(cluster, vip, "node1"), "the client has found it", within_s=1.3 + LATE_S)
        reached = time.monotonic() - merged
        assert cluster.settled() == PREFERENCES
        assert client_believes(cluster, vip, "node1")
    assert reached < 1.3 + LATE_S
    assert probe.answered_by()[-1] == cluster.lan["node1"].hardware_address
    assert probe.answered_by()[:2] == tuple(cluster.lan[node].hardware_address for node in ("node1", "node3"))
    for node in NODES:
        assert not cluster.events(node, "election.disagreement", "plugin.failed")


def test_a_network_in_three_parts_becomes_one_cluster_again(cluster: Cluster) -> None:
    """
    node1 ─ X ─ node2 ─ X ─ node3        everybody alone, everybody owns everything; then all meet at once
    """
    files(cluster)
    cluster.start(*NODES)
    assert cluster.settled() == PREFERENCES

    cluster.partition(["node1"], ["node2"], ["node3"])
    for node in NODES:
        assert cluster.settled(node) == dict.fromkeys(VIPS, node)
    assert dict(cluster.watch.held()) == dict.fromkeys(VIPS, NODES)

    cluster.heal()
    assert cluster.settled() == PREFERENCES
