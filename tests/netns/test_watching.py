"""What others do to the nodes' interfaces, with `ip`: addresses taken off and put on, cables, names, interfaces.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      daemons on the three nodes
node3: 10.77.0.3 ─┘
"""

from __future__ import annotations

import time

import pytest

from duravip.testing.cluster import NODES, Cluster

pytestmark = pytest.mark.netns

VIPS = ("10.77.0.51", "10.77.0.52", "fd77::53")
PREFERENCES = dict(zip(VIPS, NODES, strict=True))
DOWN_LIMIT_S = 1.0
BACK_LIMIT_S = 0.1


def boot(cluster: Cluster, *, transports: str = 'multicast { interface = "eth0" }') -> None:
    """.51 prefers node1, .52 node2, ::53 node3."""
    for node in NODES:
        cluster.configure(
            node,
            "\n".join(
                f'Binding "b{number}" {{ Bind_Address = "{vip}" Enable_Duravip = true duravip_preference = {wish} }}'
                for number, (vip, wish) in enumerate(PREFERENCES.items())
            ),
            transports=transports,
            if_down_limit=DOWN_LIMIT_S,
        )
    cluster.start(*NODES)
    assert cluster.settled() == PREFERENCES


def ip(cluster: Cluster, node: str, words: str) -> None:
    done = cluster.lan.run(node, "ip", *words.split())
    assert not done.returncode, done.stderr


def take_off(cluster: Cluster, node: str, vip: str) -> None:
    ip(cluster, node, f"addr del {vip}/{128 if ':' in vip else 32} dev eth0")


def lost(cluster: Cluster, node: str) -> int:
    return len(cluster.events(node, "interface.address_lost"))


def test_what_somebody_puts_on_is_taken_off_and_what_somebody_takes_off_is_put_back_or_moves(cluster: Cluster) -> None:
    """node3 gets node1's address and a stranger's; node2 its own a second time. Then node1's .51 is taken off five
    times, and node3's ::53 once."""
    boot(cluster)
    vip = VIPS[0]
    ip(cluster, "node3", "addr add 10.77.0.99/32 dev eth0")
    cluster.watch.parted(["node1", "node2"])  # node3 is not to blame for what is done to it
    ip(cluster, "node3", f"addr add {VIPS[0]}/24 dev lo")
    cluster.until(lambda: cluster.watch.holders(VIPS[0]) == ("node1",), "node3 has taken it off")
    cluster.watch.merged(within_s=0)
    [stray] = cluster.events("node3", "interface.address_stray")
    assert (stray["address"], stray["interface"]) == (VIPS[0], "lo")
    assert not cluster.events("node1", "election.address_released")

    ip(cluster, "node2", f"addr add {VIPS[1]}/32 dev lo")
    cluster.until(lambda: cluster.events("node2", "interface.address_stray"), "node2 has noticed")
    cluster.until(lambda: VIPS[1] in cluster.lan.addresses("node2"), "node2 has it where it belongs")
    assert VIPS[1] not in cluster.lan.run("node2", "ip", "addr", "show", "dev", "lo").stdout
    assert "10.77.0.99" in cluster.lan.addresses("node3")
    ip(cluster, "node3", "addr del 10.77.0.99/32 dev eth0")
    assert cluster.settled() == PREFERENCES

    away = []
    for times in (1, 2, 3):
        began = time.monotonic()
        take_off(cluster, "node1", vip)
        cluster.until(lambda times=times: lost(cluster, "node1") == times, "node1 has noticed")
        cluster.until(lambda: cluster.watch.holders(vip) == ("node1",), "node1 has it again")
        away.append(time.monotonic() - began)
    assert min(away) < BACK_LIMIT_S, f"it was away for {away} s, with the time that `ip` took"
    assert not cluster.events("node1", "election.address_released")

    began = time.monotonic()
    take_off(cluster, "node1", vip)
    cluster.until(lambda: lost(cluster, "node1") == 4, "node1 has noticed")
    assert cluster.watch.holders(vip) == ()
    cluster.until(lambda: cluster.watch.holders(vip) == ("node1",), "node1 has it again after a while")
    assert time.monotonic() - began >= DOWN_LIMIT_S

    take_off(cluster, "node1", vip)
    cluster.until(lambda: cluster.watch.holders(vip) in (("node2",), ("node3",)), "another node has it")
    owners = cluster.settled()
    assert {address: owner for address, owner in owners.items() if address != vip} == {
        address: owner for address, owner in PREFERENCES.items() if address != vip
    }

    take_off(cluster, "node3", VIPS[2])
    cluster.until(lambda: lost(cluster, "node3") == 1, "node3 has noticed")
    assert cluster.settled() == owners


def test_a_node_lets_go_where_a_link_falls_and_its_interface_is_renamed_or_replaced(cluster: Cluster) -> None:
    """
    node1 ─┐                ┌─ node1
    node2 ─X─ eth0    eth1 ─┼─ node2      VIPs are on eth0, heartbeats go over eth1
    node3 ─┘                └─ node3
    """
    vip = VIPS[1]
    cluster.lan.second_link(*NODES)
    boot(cluster, transports='multicast { interface = "eth1" }')
    views = len(cluster.events("node1", "membership.view_installed"))

    def moved() -> bool:
        return cluster.watch.holders(vip) in (("node1",), ("node3",))

    cluster.lan.unplug("node2")
    cluster.until(moved, "another node has what node2 had")
    cluster.lan.plug("node2")
    cluster.until(lambda: cluster.watch.holders(vip) == ("node2",), "node2 has it again")

    ip(cluster, "node2", "link set dev eth0 down")
    ip(cluster, "node2", "link set dev eth0 name lan0 up")
    cluster.until(moved, "another node has what node2 had")
    ip(cluster, "node2", "link set dev lan0 down")
    ip(cluster, "node2", "link set dev lan0 name eth0 up")
    cluster.until(lambda: cluster.watch.holders(vip) == ("node2",), "node2 has it again")

    cluster.lan.remove_interface("node2")
    cluster.until(moved, "another node has what node2 had")
    cluster.lan.restore_interface("node2")
    cluster.until(lambda: cluster.watch.holders(vip) == ("node2",), "node2 has it again")
    assert cluster.settled() == PREFERENCES

    told = [event["id"] for event in cluster.events("node2", "interface.*")]
    assert told == ["interface.link_down", "interface.link_up"] * 3
    assert len(cluster.events("node1", "membership.view_installed")) == views
