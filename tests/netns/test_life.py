"""A cluster's ordinary days: it boots, nodes leave and come back, files change.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      daemons on the three nodes, a client that probes
node3: 10.77.0.3 ─┤
client           ─┘
"""

from __future__ import annotations

import datetime
import json
import signal
from collections import Counter

import pytest

from duravip.testing.cluster import MATURE_S, NODES, PATIENCE_S, TRANSPORTS, Cluster
from duravip.testing.probe import Probe

pytestmark = [
    pytest.mark.netns,
    pytest.mark.parametrize("over", ["multicast", "unicast", "multicast-v6", "both"], indirect=True),
]

VIPS = tuple(f"10.77.0.{number}" for number in range(51, 57))


def bindings(*addresses: str, preference: str = "") -> str:
    """A Binding for each, named after its address."""
    wish = f'duravip_preference = "{preference}"' if preference else ""
    return "\n".join(
        f'Binding "b{address.replace(":", "-")}" {{ Bind_Address = {address} Enable_Duravip = true {wish} }}'
        for address in addresses
    )


def reached(cluster: Cluster, address: str) -> str:
    """Which node answers the client at this address; "" when nobody does."""
    with Probe(cluster.lan, "client", address, interval_s=0.01) as probe:
        cluster.until(lambda: cluster.lan.neighbour("client", address), f"somebody has {address} for the client")
    answers = probe.stop()
    names = {cluster.lan[node].hardware_address: node for node in NODES}
    return names[answers[-1].hardware_address] if answers else ""


def test_three_nodes_boot_and_every_address_has_one_owner_whom_the_client_reaches(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client        six IPv4 addresses and one of IPv6
    node3 ─┘
    """
    wanted = (*VIPS, "fd77::51")
    for node in NODES:
        cluster.configure(node, bindings(*wanted))
    cluster.start(*NODES)
    owners = cluster.settled()

    assert set(owners) == set(wanted)
    assert sorted(Counter(owners.values()).values()) == [2, 2, 3]
    for address in (VIPS[0], VIPS[-1], "fd77::51"):
        assert reached(cluster, address) == owners[address]
    shown = cluster.show("node2")
    assert shown["view"]["mature"]
    assert set(json.loads(cluster.ask("node1", "show", VIPS[0], "--format", "json"))["vips"][0]) == set(
        shown["vips"][0]
    )
    members = json.loads(cluster.ask("node3", "members", "--format", "json"))
    assert [(one["name"], one["online"], one["mature"], one["paths"]) for one in members] == [
        (node, True, True, sorted(TRANSPORTS[cluster.over])) for node in NODES
    ]
    for vip in shown["vips"]:
        assert vip["flags"] == []
        assert vip["virtual_members"] == list(NODES)
        assert vip["services"] == {node: ["multivip"] for node in NODES}
        assert vip["held_here"] == (vip["owner"] == "node2")
        assert "least loaded" in vip["reason"]
    for node in NODES:
        lines = cluster.ask(node, "events", "--filter", "election.address_acquired", "--format", "json").splitlines()
        acquired = {json.loads(line)["address"] for line in lines}
        assert acquired == {address for address, owner in owners.items() if owner == node}


def test_a_node_that_is_asked_to_leave_hands_over_ends_with_0_and_leaves_nothing(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client        node2, the owner, gets SIGTERM
    node3 ─┘
    """
    vip = VIPS[0]
    for node in NODES:
        cluster.configure(node, bindings(vip, preference="node2"))
    cluster.start(*NODES)
    assert cluster.settled() == {vip: "node2"}

    with Probe(cluster.lan, "client", vip) as probe:
        cluster.until(lambda: cluster.lan.neighbour("client", vip), "the client has found the owner")
        assert cluster.stop("node2") == {"node2": 0}
        assert cluster.watch.holders(vip) in {(), ("node1",), ("node3",)}
        owners = cluster.settled("node1", "node3")
        cluster.until(
            lambda: cluster.lan.neighbour("client", vip) == cluster.lan[owners[vip]].hardware_address,
            "the client has found the new owner",
        )
    assert owners[vip] in {"node1", "node3"}
    assert probe.answered_by() == (cluster.lan["node2"].hardware_address, cluster.lan[owners[vip]].hardware_address)
    assert probe.longest_gap_ms() < 500
    assert not cluster.control("node2").exists()
    [left] = cluster.events("node1", "membership.node_left")
    assert (left["name"], left["cause"]) == ("node2", "left")


def test_the_preferred_owner_gets_its_address_when_the_view_is_mature_and_not_before(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0        .51 prefers node2, which comes last
    node3 ─┘
    """
    vip = VIPS[0]
    for node in NODES:
        cluster.configure(node, bindings(vip, preference="node2"))
    cluster.start("node1", "node3")
    first = cluster.settled()[vip]
    assert first in {"node1", "node3"}

    cluster.start("node2")
    cluster.settled(*NODES, mature=False)
    assert cluster.settled() == {vip: "node2"}

    history = cluster.events(first, "membership.*", "election.*")
    joined = next(event for event in history if event["id"] == "membership.node_joined" and event["name"] == "node2")
    since = [event for event in history if event["seq"] > joined["seq"]]
    ids = [event["id"] for event in since]
    assert "election.address_released" not in ids[: ids.index("membership.view_matured")]
    released = since[ids.index("election.address_released")]
    assert seconds(released) - seconds(joined) >= MATURE_S * 0.95
    [elected] = [event for event in since if event["id"] == "election.owner_elected"]
    assert (elected["previous"], elected["owner"], elected["reason"]) == (first, "node2", "node2 is preferred")


def seconds(event: dict[str, str]) -> float:
    return datetime.datetime.fromisoformat(event["time"]).timestamp()


def test_two_hundred_addresses_are_spread_evenly_and_a_death_moves_only_the_dead_nodes(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0        200 addresses: 67, 67, 66; then node3 is cut off
    node3 ─┘
    """
    many = [f"10.77.0.{number}" for number in range(21, 221)]
    for node in NODES:
        cluster.configure(node, bindings(*many))
    cluster.start(*NODES)
    before = cluster.settled()
    assert set(before) == set(many)
    assert sorted(Counter(before.values()).values()) == [66, 67, 67]

    cluster.cut("node3")
    after = cluster.settled("node1", "node2")
    assert set(after) == set(many)
    assert {address: after[address] for address in many if before[address] != "node3"} == {
        address: owner for address, owner in before.items() if owner != "node3"
    }
    assert sorted(Counter(after.values()).values()) == [100, 100]

    cluster.heal()
    merged = cluster.settled()
    assert set(merged) == set(many)


def test_toml_and_momentum_files_make_one_cluster_and_a_follower_stays_with_whom_it_follows(cluster: Cluster) -> None:
    """
    node1 (TOML)     ─┐
    node2 (Momentum) ─┼─ br0        .52 follows .51, whose owner leaves
    node3 (TOML)     ─┘
    """
    toml = """
        [[binding]]
        name = "alpha"
        bind_address = "10.77.0.51"
        enable_duravip = true
        [[listener]]
        kind = "esmtp"
        listen = "10.77.0.52:25"
        duravip_follow = "alpha"
        """
    momentum = """
        Binding "alpha" { Bind_Address = 10.77.0.51 Enable_Duravip = "true" }
        ESMTP_Listener { Listen "10.77.0.52:25" { duravip_follow = "alpha" } }
        """
    cluster.configure_toml("node1", toml)
    cluster.configure("node2", momentum)
    cluster.configure_toml("node3", toml)
    cluster.start(*NODES)
    owners = cluster.settled()
    assert owners["10.77.0.51"] == owners["10.77.0.52"]
    shown = {vip["address"]: vip for vip in cluster.show("node1")["vips"]}
    assert [vip["flags"] for vip in shown.values()] == [[], []]
    assert shown["10.77.0.52"]["services"] == {node: ["esmtp:25"] for node in NODES}
    assert "follows 10.77.0.51" in shown["10.77.0.52"]["reason"]

    cluster.stop(owners["10.77.0.51"])
    later = cluster.settled()
    assert later["10.77.0.51"] == later["10.77.0.52"] != owners["10.77.0.51"]


def test_a_reload_brings_new_addresses_and_a_bad_file_changes_nothing(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0        SIGHUP: first with a bad file on node1, then with another address for all
    node3 ─┘
    """
    for node in NODES:
        cluster.configure(node, bindings(VIPS[0]))
    cluster.start(*NODES)
    before = cluster.settled()

    file = cluster.configure("node1", bindings(VIPS[0]) + '\nBinding "bad" { Bind_Address = ')
    cluster.signal("node1", signal.SIGHUP)
    cluster.until(lambda: cluster.events("node1", "config.rejected"), "the bad file is rejected")
    [rejected] = cluster.events("node1", "config.*")
    assert f"{file}:{len(file.read_text().splitlines())}:" in rejected["text"]

    file = cluster.configure("node1", bindings(VIPS[0]) + "\n" + bindings("10.77.0.1"))
    cluster.signal("node1", signal.SIGHUP)
    cluster.until(lambda: len(cluster.events("node1", "config.rejected")) == 2, "a host's own address is rejected")
    assert "own address" in cluster.events("node1", "config.rejected")[-1]["text"]
    assert cluster.settled() == before

    for node in NODES:
        cluster.configure(node, bindings(*VIPS[:2]))
        cluster.signal(node, signal.SIGHUP)
    cluster.until(lambda: len(cluster.watch.held()) == 2, "the new address is owned")
    cluster.until(lambda: all(len(cluster.owners(node)) == 2 for node in NODES), "all know it", within_s=PATIENCE_S)
    after = cluster.settled()
    assert set(after) == set(VIPS[:2])
    assert after[VIPS[0]] == before[VIPS[0]]
    for node in NODES:
        assert len(cluster.events(node, "config.reloaded")) == 1
