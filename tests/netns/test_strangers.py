"""Whoever does not hold the cluster's key can send what he likes: it is counted, and nothing else.

node1: 10.77.0.1    ─┐
node2: 10.77.0.2    ─┤
node3: 10.77.0.3    ─┼─ br0      daemons on the three nodes
client              ─┤           sends garbage
stranger            ─┘           runs a daemon that is no member
"""

from __future__ import annotations

import random
import socket

import pytest

from duravip.testing.cluster import NODES, Cluster, duravip
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

VIPS = ("10.77.0.51", "10.77.0.52", "10.77.0.53")
GROUP, PORT = "239.192.0.77", 4860
BINDINGS = "\n".join(f'Binding "b{vip}" {{ Bind_Address = {vip} Enable_Duravip = true }}' for vip in VIPS)
ELSEWHERE = 'Binding "theirs" { Bind_Address = 10.77.0.90 Enable_Duravip = true }'


def dropped(cluster: Cluster, node: str, reason: str) -> int:
    return int(cluster.info(node)["dropped"].get(reason, 0))


def grow(cluster: Cluster, reason: str, by: int = 3) -> None:
    """Waits until every node has counted more datagrams of this kind."""
    before = {node: dropped(cluster, node, reason) for node in NODES}
    cluster.until(lambda: all(dropped(cluster, node, reason) >= before[node] + by for node in NODES), f"{reason} grows")


def test_strangers_and_garbage_change_nothing_but_counters(cluster: Cluster) -> None:
    """
    node1 ─┐     ┌─ client: noise, and recorded datagrams, once more
    node2 ─┼─────┤
    node3 ─┘     └─ stranger: first with a key of its own, then with none
    """
    for node in NODES:
        cluster.configure(node, BINDINGS)
    cluster.start(*NODES)
    owners = cluster.settled()
    views = {node: cluster.show(node)["view"]["id"] for node in NODES}
    lives = {node: cluster.info(node)["incarnation"] for node in NODES}

    recorded = record(cluster.lan, 20)
    send(cluster.lan, noise(200) + recorded + [b"DV\xff" + bytes(60), b""])
    for reason in ("bad_magic", "too_short", "wrong_version"):
        cluster.until(lambda reason=reason: all(dropped(cluster, node, reason) for node in NODES), f"{reason} counted")
    heard_again = ("duplicate", "own")
    cluster.until(
        lambda: all(sum(dropped(cluster, node, reason) for reason in heard_again) >= 20 for node in NODES),
        "the recorded datagrams are counted",
    )

    other_key = cluster.folder / "other.key"
    duravip("keygen", str(other_key))
    cluster.configure("stranger", ELSEWHERE, key_file=str(other_key))
    cluster.start("stranger")
    grow(cluster, "unknown_key")
    cluster.until(lambda: alone(cluster), "the stranger is a cluster of its own")
    assert dropped(cluster, "stranger", "unknown_key")
    assert cluster.stop("stranger") == {"stranger": 0}

    cluster.configure("stranger", ELSEWHERE, key_file=None, insecure=True)
    cluster.start("stranger")
    grow(cluster, "insecure")
    cluster.until(lambda: alone(cluster), "the stranger is a cluster of its own")
    assert "whoever is on this network can join" in cluster.log("stranger")

    cluster.stop("stranger")
    assert cluster.settled() == owners
    for node in NODES:
        assert cluster.show(node)["view"]["id"] == views[node]
        assert cluster.info(node)["incarnation"] == lives[node]
        assert not cluster.events(node, "membership.node_suspected", "membership.node_left", "membership.expelled")


def alone(cluster: Cluster) -> bool:
    members: list[str] = cluster.show("stranger")["view"]["members"]
    return members == ["stranger"]


def noise(count: int) -> list[bytes]:
    chance = random.Random(8)
    return [chance.randbytes(chance.choice((1, 7, 48, 300, 1400))) for _ in range(count)]


def send(lan: Lan, datagrams: list[bytes]) -> None:
    """From the client to the members' group."""
    with lan.inside("client"):
        speaking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with speaking:
        speaking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(lan["client"].address))
        for datagram in datagrams:
            speaking.sendto(datagram, (GROUP, PORT))


def record(lan: Lan, count: int) -> list[bytes]:
    """That many of the members' datagrams, as the client hears them."""
    with lan.inside("client"):
        hearing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with hearing:
            hearing.bind((GROUP, PORT))
            join = socket.inet_aton(GROUP) + socket.inet_aton(lan["client"].address)
            hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, join)
            hearing.settimeout(10)
            return [hearing.recv(2048) for _ in range(count)]
