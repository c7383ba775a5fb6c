"""One cluster on two segments: heartbeats pass a router, addresses stay where they can be reached.

node1: 10.77.0.1 ─┐                                  ┌─ node3: 10.78.0.3
                  ├─ br0 ── router ── br-eth1 ───────┤      daemons on the four nodes, unicast between all of them
node2: 10.77.0.2 ─┘  10.77.0.5    10.78.0.5          └─ node4: 10.78.0.4
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from duravip.testing.cluster import Cluster
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

LEFT, RIGHT = ("node1", "node2"), ("node3", "node4")
LEFT_VIPS, RIGHT_VIPS = ("10.77.0.51", "10.77.0.52"), ("10.78.0.51", "10.78.0.52")
UNICAST = 'unicast { peers = ( "10.77.0.1" "10.77.0.2" "10.78.0.3" "10.78.0.4" ) }'
RIGHT_TOPOLOGY = 'Topology "10.78.0.0/24" { interface = "eth1" }'


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[Cluster]:
    nodes = (*LEFT, *RIGHT)
    with Lan((*nodes, "router"), prefix="dvroute") as lan:
        lan.second_link(*RIGHT, "router")
        for node in RIGHT:
            must(lan, node, "ip link set dev eth0 down")
            must(lan, node, "ip route add 10.77.0.0/24 via 10.78.0.5")
        for node in LEFT:
            must(lan, node, "ip route add 10.78.0.0/24 via 10.77.0.5")
        with lan.inside("router"):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        with Cluster(lan, tmp_path, nodes=nodes) as built:
            yield built
            assert set(built.stop().values()) == {0}


def must(lan: Lan, host: str, command: str) -> None:
    done = lan.run(host, *command.split())
    assert done.returncode == 0, f"{command}: {done.stderr}"


def bindings(vips: tuple[str, ...]) -> str:
    return "\n".join(f'Binding "b{vip}" {{ Bind_Address = {vip} Enable_Duravip = true }}' for vip in vips)


def test_heartbeats_pass_a_router_and_addresses_stay_on_their_segment(routed: Cluster) -> None:
    """
    node1 ─┐                ┌─ node3
           ├─ router ───────┤        node1 leaves; then the router forwards nothing for a while
    node2 ─┘                └─ node4
    """
    for node in LEFT:
        routed.configure(node, bindings(LEFT_VIPS), transports=UNICAST)
    for node in RIGHT:
        routed.configure(node, RIGHT_TOPOLOGY + bindings(RIGHT_VIPS), transports=UNICAST)
    routed.start(*LEFT, *RIGHT)
    owners = routed.settled()
    assert {owners[vip] for vip in LEFT_VIPS} == set(LEFT)
    assert {owners[vip] for vip in RIGHT_VIPS} == set(RIGHT)
    assert routed.info("node3")["transports"] == {"unicast": "10.78.0.3"}
    [shown] = [vip for vip in routed.show("node4")["vips"] if vip["address"] == LEFT_VIPS[0]]
    assert shown["virtual_members"] == list(LEFT)

    assert routed.stop("node1") == {"node1": 0}
    later = routed.settled()
    assert later == {**owners, **dict.fromkeys(LEFT_VIPS, "node2")}, "nobody beyond the router takes them"

    moved = {node: len(routed.events(node, "election.address_*")) for node in ("node2", *RIGHT)}
    with routed.lan.inside("router"):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    routed.until(lambda: routed.show("node2")["view"]["members"] == ["node2"], "node2 is cut off from the right")
    routed.until(lambda: routed.show("node3")["view"]["members"] == list(RIGHT), "and the right from node2")
    with routed.lan.inside("router"):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    assert routed.settled() == later
    assert {node: len(routed.events(node, "election.address_*")) for node in moved} == moved, "nothing moved"
