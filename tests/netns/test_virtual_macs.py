"""`mac = virtual` with real daemons: a VIP whose hardware address moves with it.

node1 ─┐
node2 ─┼─ br0      the client keeps what it learnt first
client ─┘
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from duravip.model import Address
from duravip.net.macvlan import hardware_address, link_name
from duravip.testing.cluster import Cluster
from duravip.testing.netns import Lan
from duravip.testing.probe import Probe

pytestmark = pytest.mark.netns

VIP, VIP6 = Address("10.77.0.51"), Address("fd77::51")
MAC, MAC6 = (hardware_address("ec_cluster", vip) for vip in (VIP, VIP6))
BINDINGS = "\n".join(
    f'Binding "{name}" {{ Bind_Address = "{vip}" Enable_Duravip = true Duravip_Preference = "node1" }}'
    for name, vip in (("four", VIP), ("six", VIP6))
)


def is_on(lan: Lan, node: str, name: str) -> bool | None:
    """None: there is no such interface."""
    shown = lan.run(node, "ip", "-o", "link", "show", "dev", name)
    return None if shown.returncode else "UP" in shown.stdout.partition("<")[2].partition(">")[0].split(",")


def lower(lan: Lan, node: str, name: str) -> str:
    """The interface below that one; "" if there is none."""
    return lan.run(node, "ip", "-o", "link", "show", "dev", name).stdout.partition("@")[2].partition(":")[0]


def setting(lan: Lan, node: str, name: str) -> str:
    with lan.inside(node):
        return Path("/proc/sys/net/ipv4/conf", lan[node].interface, name).read_text().strip()


def test_clients_relearn_nothing_and_nothing_is_left_behind(cluster: Cluster) -> None:
    lan, nodes = cluster.lan, ("node1", "node2")
    for node in nodes:
        file = cluster.configure(node, BINDINGS)
        file.write_text(file.read_text().replace('4" { interface = "eth0"', '4" { mac = virtual interface = "eth0"'))
    cluster.start(*nodes)
    assert cluster.settled(*nodes) == {VIP: "node1", VIP6: "node1"}
    assert setting(lan, "node1", "arp_ignore") == "1"
    assert setting(lan, "node2", "arp_ignore") == "0"
    with Probe(lan, "client", VIP) as probe, Probe(lan, "client", VIP6) as probe6:
        cluster.until(lambda: lan.neighbour("client", VIP) == MAC.hex(":"), "the client has learnt the virtual address")
        cluster.until(lambda: lan.neighbour("client", VIP6) == MAC6.hex(":"), "and that of IPv6")
        time.sleep(0.3)
        for vip in (VIP, VIP6):
            cluster.ask("node1", "move", vip, "node2", "--wait")
        assert cluster.settled(*nodes) == {VIP: "node2", VIP6: "node2"}
        cluster.until(lambda: not is_on(lan, "node1", link_name(MAC)), "the old owner's is switched off")
        time.sleep(0.3)
        assert lan.neighbour("client", VIP) == MAC.hex(":")
        assert lan.neighbour("client", VIP6) == MAC6.hex(":")
    for one in (probe, probe6):
        assert one.answered_by() == (lan["node1"].hardware_address, lan["node2"].hardware_address)
        assert one.longest_gap_ms() < 500
    assert is_on(lan, "node1", link_name(MAC)) is False
    lan.run("client", "ip", "neigh", "flush", "to", VIP)
    with Probe(lan, "client", VIP):
        cluster.until(lambda: lan.neighbour("client", VIP), "the client has asked and been answered")
        assert lan.neighbour("client", VIP) == MAC.hex(":")

    with Probe(lan, "client", VIP) as probe, Probe(lan, "client", VIP6) as probe6:
        time.sleep(0.3)
        began = time.monotonic()
        for mac in (MAC, MAC6):
            lan.run("node2", "ip", "link", "set", "dev", link_name(mac), "down")
            time.sleep(1.2)
    for one in (probe, probe6):
        assert one.longest_gap_ms() < 1_000
        assert one.answers()[-1].answered_s > began + 2.3
    assert {event["address"] for event in cluster.events("node2", "interface.address_lost")} == {VIP, VIP6}
    assert [is_on(lan, "node2", link_name(mac)) for mac in (MAC, MAC6)] == [True, True]

    lan.run("node2", "ip", "link", "delete", "dev", link_name(MAC))
    cluster.until(lambda: cluster.watch.holders(VIP) == ("node2",), "what somebody deleted is made again")
    assert is_on(lan, "node2", link_name(MAC))

    assert cluster.stop("node1") == {"node1": 0}
    cluster.kill("node2")
    cluster.start("node2")
    assert f"removed the interface {link_name(MAC)}" in cluster.log("node2")
    assert cluster.stop("node2") == {"node2": 0}
    assert [is_on(lan, node, link_name(MAC)) for node in nodes] == [None, None]
    assert setting(lan, "node1", "arp_ignore") == "0"


def test_a_vip_goes_where_a_reload_puts_it(cluster: Cluster) -> None:
    lan = cluster.lan
    lan.second_link("node1")
    file = cluster.configure("node1", BINDINGS)
    file.write_text(file.read_text().replace('interface = "eth0" }\nTop', 'mac = virtual interface = "eth0" }\nTop'))
    cluster.start("node1")
    assert cluster.settled("node1") == {VIP: "node1", VIP6: "node1"}
    assert lower(lan, "node1", link_name(MAC)) == "eth0"
    file.write_text(file.read_text().replace('virtual interface = "eth0"', 'virtual interface = "eth1"'))
    cluster.ask("node1", "reload")
    cluster.until(lambda: lower(lan, "node1", link_name(MAC)) == "eth1", "its macvlan is on the other interface")
    cluster.until(lambda: cluster.watch.holders(VIP) == ("node1",), "with the VIP")
