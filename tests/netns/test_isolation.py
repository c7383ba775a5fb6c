"""`on_isolation = hold-if-gateway`: a node that hears nobody asks its default gateway, over ARP and over IPv6.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      `stranger` is the gateway of all three
node3: 10.77.0.3 ─┤
stranger         ─┘
"""

from __future__ import annotations

import pytest

from duravip.testing.cluster import NODES, Cluster

pytestmark = pytest.mark.netns

VIPS = ("10.77.0.51", "10.77.0.52", "10.77.0.53")
GATEWAY = "stranger"
WHY = "no eligible member: node1 blocked (isolated, and no default gateway answers)"


def held_by_node1(cluster: Cluster) -> list[str]:
    return sorted(str(vip) for vip, hosts in cluster.watch.held().items() if "node1" in hosts)


def route(cluster: Cluster, *words: str) -> None:
    for node in NODES:
        cluster.lan.run(node, "ip", *words, "dev", "eth0")


def test_a_node_that_is_alone_owns_only_while_its_gateway_answers(cluster: Cluster) -> None:
    gateway = cluster.lan[GATEWAY]
    stanzas = "\n".join(f'Binding "b{vip}" {{ Bind_Address = {vip} Enable_Duravip = true }}' for vip in VIPS)
    for node in NODES:
        cluster.configure(node, stanzas, on_isolation="hold-if-gateway")
    route(cluster, "route", "add", "default", "via", gateway.address)
    cluster.start(*NODES)
    owners = cluster.settled()
    mine = sorted(vip for vip, owner in owners.items() if owner == "node1")
    assert mine

    cluster.partition(("node1", GATEWAY), ("node2", "node3"))
    cluster.until(lambda: held_by_node1(cluster) == sorted(VIPS), "alone with its gateway, it has everything")

    cluster.partition(("node1",), ("node2", "node3", GATEWAY))
    cluster.until(lambda: held_by_node1(cluster) == [], "alone without it, it has nothing")
    cluster.until(lambda: {cluster.vip("node1", vip)["reason"] for vip in VIPS} == {WHY}, "it says why")

    cluster.partition(("node1", GATEWAY), ("node2", "node3"))
    cluster.until(lambda: held_by_node1(cluster) == sorted(VIPS), "the gateway answers again")
    route(cluster, "route", "del", "default", "via", gateway.address)
    cluster.until(lambda: held_by_node1(cluster) == [], "it has no default gateway any more")
    assert "eth0 has no default gateway that could be asked" in cluster.log("node1")
    route(cluster, "-6", "route", "add", "default", "via", gateway.address6)
    cluster.until(lambda: held_by_node1(cluster) == sorted(VIPS), "its IPv6 gateway answers")

    cluster.heal()
    assert set(cluster.settled()) == set(VIPS)
