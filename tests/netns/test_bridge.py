"""VIPs on a bridge of the machine's own, and a node whose only interface is replaced under it or gets another hardware
address.

node1: lan (10.77.0.1) ── eth0 ─┐        `lan` is a bridge on node1, and `eth0` its only port
node2: eth0 (10.77.0.2) ────────┼─ br0
node3: eth0 (10.77.0.3) ────────┘
"""

from __future__ import annotations

import pytest

from duravip.net.schedule import OFFSETS_S
from duravip.runtime.claim_watch import CHECK_S
from duravip.testing.cluster import NODES, Cluster

pytestmark = pytest.mark.netns

VIP, VIP6 = "10.77.0.51", "fd77::51"
LATE_S = 1.0  # a busy machine


def boot(cluster: Cluster, prefers: str, *, bridged: str | None = None, heartbeats: str = "eth0") -> None:
    for node in NODES:
        file = cluster.configure(
            node,
            f'Binding "b" {{ Bind_Address = {VIP} Enable_Duravip = true duravip_preference = {prefers} }}',
            transports=f'multicast {{ interface = "{heartbeats}" }}',
        )
        if node == bridged:
            file.write_text(file.read_text().replace('"eth0"', '"lan"'))
    cluster.start(*NODES)
    assert cluster.settled() == {VIP: prefers}


def ip(cluster: Cluster, node: str, *lines: str) -> None:
    for line in lines:
        done = cluster.lan.run(node, "ip", *line.split())
        assert not done.returncode, done.stderr


def interfaces(cluster: Cluster, node: str) -> list[str]:
    """Those that have the VIP."""
    shown = cluster.lan.run(node, "ip", "-o", "addr", "show", "to", VIP).stdout
    return [line.split()[1] for line in shown.splitlines()]


def test_on_a_bridge_what_counts_is_its_carrier_and_not_the_coming_and_going_of_a_port(cluster: Cluster) -> None:
    """Heartbeats go over another cable: a bridge tells of its carrier's loss up to a second late."""
    cluster.lan.second_link(*NODES)
    ip(
        cluster,
        "node1",
        "link add lan type bridge forward_delay 0 mcast_snooping 0",
        "link add spare type veth peer name far",
        "addr del 10.77.0.1/24 dev eth0",
        "link set eth0 master lan",
        "link set lan up",
        "addr add 10.77.0.1/24 dev lan",
    )
    boot(cluster, "node1", bridged="node1", heartbeats="eth1")
    assert interfaces(cluster, "node1") == ["lan"]

    ip(
        cluster,
        "node1",
        "link set spare master lan",
        "link set spare up",
        "link set far up",
        "link set spare nomaster",
        "link del spare",
    )
    assert cluster.settled() == {VIP: "node1"}
    assert not cluster.events("node1", "interface.*")

    cluster.lan.unplug("node1")
    cluster.until(lambda: cluster.watch.holders(VIP) in (("node2",), ("node3",)), "another node has it")
    [down] = cluster.events("node1", "interface.link_down")
    assert down["interface"] == "lan"
    cluster.lan.plug("node1")
    cluster.until(lambda: cluster.watch.holders(VIP) == ("node1",), "node1 has it again")
    assert interfaces(cluster, "node1") == ["lan"]


def test_an_interface_that_becomes_the_port_of_a_bridge_keeps_its_vip(cluster: Cluster) -> None:
    boot(cluster, "node2")
    ip(cluster, "node2", "link add lan type bridge", "link set eth0 master lan", "link set eth0 nomaster")
    assert cluster.settled() == {VIP: "node2"}
    assert interfaces(cluster, "node2") == ["eth0"]
    assert not cluster.events("node2", "interface.*", "election.address_released")


def test_a_node_whose_only_interface_is_deleted_and_made_again_comes_back_by_itself(cluster: Cluster) -> None:
    boot(cluster, "node2")
    cluster.lan.remove_interface("node2")
    cluster.until(lambda: cluster.watch.holders(VIP) in (("node1",), ("node3",)), "another node has it")
    assert interfaces(cluster, "node2") == []
    cluster.lan.restore_interface("node2")
    cluster.until(lambda: cluster.watch.holders(VIP) == ("node2",), "node2 has it again")
    assert cluster.settled() == {VIP: "node2"}
    assert [event["id"] for event in cluster.events("node2", "interface.*")] == [
        "interface.link_down",
        "interface.link_up",
    ]


def test_clients_learn_the_hardware_address_that_an_interface_has_got(cluster: Cluster) -> None:
    lan, vips, changed = cluster.lan, (VIP, VIP6), "02:77:00:00:00:99"
    cluster.configure(
        "node1",
        "\n".join(
            f'Binding "b{number}" {{ Bind_Address = "{vip}" Enable_Duravip = true }}' for number, vip in enumerate(vips)
        ),
        announce_refresh=0,
        address_lifetime=0,
    )
    cluster.start("node1")
    assert cluster.settled("node1") == dict.fromkeys(vips, "node1")
    cluster.until(
        lambda: all(cluster.vip("node1", vip)["since_s"] > OFFSETS_S[-1] + 0.5 for vip in vips),
        "all announcements that belong to the election have been made",
    )
    for vip in vips:
        entry = f"{vip} lladdr {lan['node1'].hardware_address} dev eth0 nud reachable"
        ip(cluster, "client", f"neigh replace {entry}")
    ip(cluster, "node1", f"link set dev eth0 address {changed}")
    cluster.until(
        lambda: [lan.neighbour("client", vip) for vip in vips] == [changed] * 2,
        "the client knows the new one",
        within_s=CHECK_S + 1.0 + LATE_S,
    )
