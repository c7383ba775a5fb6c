"""What becomes of an address that the kernel of its owner will not have.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┴─ br0      IPv6 is switched off on node1's eth0 after the configuration was accepted
"""

from __future__ import annotations

import pytest

from duravip.testing.cluster import Cluster

pytestmark = pytest.mark.netns

FOUR, SIX = "10.77.0.51", "fd77::51"


def test_a_refused_address_is_told_with_the_reason_and_goes_to_a_node_that_can_have_it(cluster: Cluster) -> None:
    stanzas = "\n".join(
        f'Binding "b{number}" {{ Bind_Address = {vip} Enable_Duravip = true duravip_preference = node1 }}'
        for number, vip in enumerate((FOUR, SIX))
    )
    for node in ("node1", "node2"):
        cluster.configure(node, stanzas)
    cluster.lan.run("node1", "sysctl", "-q", "net.ipv6.conf.eth0.disable_ipv6=1")
    cluster.start("node1", "node2")
    cluster.until(lambda: cluster.settled() == {FOUR: "node1", SIX: "node2"}, "the IPv6 address is with node2 alone")
    failed = cluster.events("node1", "election.address_failed")
    assert {event["address"] for event in failed} == {SIX}
    assert "IPv6 is switched off" in failed[0]["error"]
    assert "blocked for this address" in cluster.vip("node2", SIX)["reason"]
