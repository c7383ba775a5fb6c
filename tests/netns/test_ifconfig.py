"""A cluster whose nodes put addresses on with ifconfig.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      daemons with backend = "ifconfig" on the three nodes, a client that probes
node3: 10.77.0.3 ─┤
client           ─┘
"""

from __future__ import annotations

import pytest

from duravip.testing.cluster import NODES, Cluster
from duravip.testing.probe import Probe

pytestmark = [
    pytest.mark.netns,
    pytest.mark.needs("ifconfig"),
]

VIPS = ("10.77.0.51", "10.77.0.52", "10.77.0.53", "fd77::51")


def test_addresses_of_both_families_are_spread_reached_and_taken_over_and_a_killed_nodes_leftovers_go(
    cluster: Cluster,
) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client     the owner of .51 is cut off and killed, comes back, and cleans up first
    node3 ─┘
    """
    marks = f'ifconfig {{ marks = "{cluster.folder}/marks" }}\n'
    vips = "\n".join(
        f'Binding "b{number}" {{ Bind_Address = "{address}" Enable_Duravip = true }}'
        for number, address in enumerate(VIPS)
    )
    for node in NODES:
        cluster.configure(node, marks + vips, backend="ifconfig")
    cluster.start(*NODES)
    owners = cluster.settled()
    assert set(owners) == set(VIPS)
    assert len(set(owners.values())) == 3
    for node in NODES:
        assert "no lifetime in the kernel" in cluster.log(node)
        assert cluster.info(node)["backend"] == "ifconfig"

    vip = VIPS[0]
    first = owners[vip]
    assert f"{vip}/32 scope global eth0:dv" in cluster.lan.run(first, "ip", "addr", "show", "dev", "eth0").stdout
    assert reached(cluster, vip) == first
    cluster.cut(first)
    cluster.kill(first)
    others = [node for node in NODES if node != first]
    after = cluster.settled(*others)
    assert set(after) == set(VIPS)
    assert reached(cluster, vip) == after[vip]
    left = [address for address, owner in owners.items() if owner == first]
    assert all(first in cluster.watch.holders(address) for address in left)

    for address in left:  # the killed machine does not come back with them: somebody is their owner now
        assert cluster.lan.run(first, "ip", "addr", "show").stdout.count(f" {address}/") == 1
    cluster.start(first)
    assert f"took off {vip}, which an earlier run had left" in cluster.log(first)
    cluster.heal()
    assert set(cluster.settled()) == set(VIPS)


def reached(cluster: Cluster, address: str) -> str:
    with Probe(cluster.lan, "client", address, interval_s=0.01) as probe:
        cluster.until(lambda: cluster.lan.neighbour("client", address), f"somebody has {address} for the client")
    answers = probe.stop()
    names = {cluster.lan[node].hardware_address: node for node in NODES}
    return names[answers[-1].hardware_address] if answers else ""
