"""Where addresses go: interfaces, followers, and prefixes that make addresses siblings.

node1 ─┬─ br0: 10.77.0.0/24, fd77::/64        daemons on the three nodes, a client that probes
node2 ─┤
node3 ─┤
client ┘
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from duravip.testing.cluster import NODES, Cluster
from duravip.testing.probe import Probe

pytestmark = pytest.mark.netns

ON_ETH0 = """
    Binding "alpha" { Bind_Address = 10.77.0.51 Enable_Duravip = true Duravip_Preference = node1 }
    ESMTP_Listener { Listen "[fd77::51]:25" { Duravip_Follow = alpha } }
    Binding "gamma" { Bind_Address = fd77::61 Enable_Duravip = true Duravip_Preference = node3 }
    ESMTP_Listener { Listen "10.77.0.61:25" { Duravip_Follow = "fd77::61" } }
"""
ON_BOTH = (
    ON_ETH0
    + """
    Topology "10.78.0.0/24" { interface = "eth1" }
    Binding "beta" { Bind_Address = 10.78.0.51 Enable_Duravip = true Duravip_Preference = node1 }
    ESMTP_Listener { Listen "10.78.0.52:25" { Duravip_Follow = beta } }
    HTTP_Listener { Listen "[fd77::71]:80" { Duravip_Follow = "10.78.0.52" } }
"""
)
FOLLOWS = {
    "fd77::51": "10.77.0.51",
    "10.77.0.61": "fd77::61",
    "10.78.0.52": "10.78.0.51",
    "fd77::71": "10.78.0.52",
}


def interface_of(cluster: Cluster, node: str, address: str) -> str:
    """Where the kernel has it; "" if nowhere."""
    shown = cluster.lan.run(node, "ip", "-o", "address", "show").stdout.splitlines()
    return next((line.split()[1] for line in shown if f" {address}/" in line), "")


def test_each_address_lands_on_its_interface_and_followers_stay_with_what_they_follow(cluster: Cluster) -> None:
    """
    eth1 ─ node1 ─ eth0 ─┐
    eth1 ─ node2 ─ eth0 ─┼─ br0        10.78.0.0/24 is on eth1, which node3 has not; then node1 is cut off
           node3 ─ eth0 ─┘
    """
    cluster.lan.second_link("node1", "node2", "client")
    for node in NODES:
        cluster.configure(node, ON_ETH0 if node == "node3" else ON_BOTH)
    cluster.start(*NODES)

    def together(owners: dict[str, str]) -> bool:
        assert len(owners) == 7
        return all(owners[follower] == owners[followed] for follower, followed in FOLLOWS.items())

    owners = cluster.settled()
    assert together(owners)
    assert (owners["10.77.0.51"], owners["10.78.0.51"], owners["fd77::61"]) == ("node1", "node1", "node3")
    for address, owner in owners.items():
        assert interface_of(cluster, owner, address) == ("eth1" if address.startswith("10.78.") else "eth0")
    assert "follows 10.77.0.51" in cluster.vip("node2", "fd77::51")["reason"]

    with ExitStack() as stack:
        far = stack.enter_context(Probe(cluster.lan, "client", "10.78.0.52", interface="eth1"))
        cluster.until(lambda: cluster.lan.neighbour("client", "10.78.0.52", interface="eth1"), "the client found it")
        cluster.cut("node1")
        later = cluster.settled("node2", "node3")
        cluster.until(lambda: cluster.lan.neighbour("client", "10.78.0.52", interface="eth1").endswith(":02"), "again")
    assert together(later)
    assert later["10.78.0.51"] == "node2"
    assert later["10.77.0.51"] in {"node2", "node3"}
    assert interface_of(cluster, "node2", "10.78.0.52") == "eth1"
    assert interface_of(cluster, "node2", "fd77::71") == "eth0"
    assert far.answered_by() == ("02:78:00:00:00:01", "02:78:00:00:00:02")

    cluster.heal()
    cluster.until(lambda: cluster.owners("node2") == owners, "node1 trusts its links again")
    assert cluster.settled() == owners
    for node in NODES:
        assert not cluster.events(node, "conflict.duplicate"), "members are no strangers, on whichever link"


FAMILIES = (("192.0.2.51", "192.0.2.52"), ("fd99::51", "fd99::52"))
SIBLINGS = """
    Topology "192.0.2.0/24" { interface = "eth0" cidrmask = 24 }
    Topology "fd99::/64" { interface = "eth0" cidrmask = 64 }
""" + "\n".join(
    f'Binding "b{vip.replace(":", "-")}" {{ Bind_Address = {vip} Enable_Duravip = true Duravip_Preference = node1 }}'
    for family in FAMILIES
    for vip in family
)


def test_of_two_addresses_with_a_short_prefix_the_first_can_go_without_the_second(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client: 192.0.2.200/24, fd99::200/64        no node has an own address in these networks
    node3 ─┘
    """
    for address in ("192.0.2.200/24", "fd99::200/64"):
        assert cluster.lan.run("client", "ip", "address", "add", address, "dev", "eth0", "nodad").returncode == 0
    for node in NODES:
        cluster.configure(node, SIBLINGS)
    cluster.start(*NODES)
    assert set(cluster.settled().values()) == {"node1"}
    assert [keeps_siblings(cluster, node) for node in NODES] == [True, False, False]

    shown = cluster.lan.run("node1", "ip", "-o", "-4", "address", "show", "secondary").stdout
    goes, stays = sorted(FAMILIES[0], key=lambda vip: f" {vip}/24" in shown)
    assert f" {stays}/24" in shown
    goes6, stays6 = FAMILIES[1]
    with ExitStack() as stack:
        probes = [stack.enter_context(Probe(cluster.lan, "client", vip)) for vip in (stays, stays6)]
        for vip in (stays, stays6):
            cluster.until(lambda vip=vip: cluster.lan.neighbour("client", vip), f"the client has found {vip}")
        for vip in (goes, goes6):
            cluster.ask("node2", "move", vip, "node2", "--wait")
        owners = cluster.settled()
    assert owners == {stays: "node1", stays6: "node1", goes: "node2", goes6: "node2"}
    for probe in probes:
        assert probe.answered_by() == (cluster.lan["node1"].hardware_address,)
        assert probe.sent - len(probe.answers()) <= 1, "the last one may be on its way at the end"
    assert [keeps_siblings(cluster, node) for node in NODES] == [True, True, False]

    cluster.silence("node1")
    cluster.kill("node1")
    cluster.settled("node2", "node3")
    cluster.heal()
    cluster.start("node1")
    assert f"took off {stays}, which an earlier run had left" in cluster.log("node1")
    assert cluster.stop() == dict.fromkeys(NODES, 0)
    assert [keeps_siblings(cluster, node) for node in NODES] == [True, False, False], "only a crash leaves it set"


def keeps_siblings(cluster: Cluster, node: str) -> bool:
    with cluster.lan.inside(node):
        return Path("/proc/sys/net/ipv4/conf/eth0/promote_secondaries").read_text().strip() == "1"
