"""How the members reach one another: by unicast, by two transports at once, over IPv6, and beside a second cluster.

node1: 10.77.0.1, fd77::1 ─┐
node2: 10.77.0.2, fd77::2 ─┼─ br0      daemons on the three nodes
node3: 10.77.0.3, fd77::3 ─┤
stranger                  ─┘           a daemon of another cluster
"""

from __future__ import annotations

import json
import subprocess

import pytest

from duravip.testing.cluster import NODES, Cluster

pytestmark = pytest.mark.netns

VIPS = ("10.77.0.51", "10.77.0.52", "10.77.0.53", "fd77::51")
BINDINGS = "\n".join(
    f'Binding "b{number}" {{ Bind_Address = "{vip}" Enable_Duravip = true }}' for number, vip in enumerate(VIPS)
)


def boot(cluster: Cluster, *, transports: str | None = None) -> dict[str, str]:
    """Three nodes, with other stanzas than the usual ones if given. The owners."""
    for node in NODES:
        cluster.configure(node, BINDINGS, transports=transports)
    cluster.start(*NODES)
    owners = cluster.settled()
    assert set(owners) == set(VIPS)
    return owners


def paths(cluster: Cluster, node: str) -> dict[str, list[str]]:
    members = json.loads(cluster.ask(node, "members", "--format", "json"))
    return {member["name"]: member["paths"] for member in members}


def cut(cluster: Cluster, node: str, *matches: str) -> None:
    """From now on the host's kernel throws away what it receives and what matches."""
    rules = "".join(f"add rule inet cut in {match} drop\n" for match in matches)
    text = "add table inet cut\nadd chain inet cut in { type filter hook input priority 0; }\n" + rules
    subprocess.run(cluster.lan.command(node, "nft", "-f", "-"), input=text, text=True, check=True)


def mend(cluster: Cluster, node: str) -> None:
    subprocess.run(cluster.lan.command(node, "nft", "delete", "table", "inet", "cut"), check=True)


@pytest.mark.parametrize(
    ("over", "sources"),
    [
        ("unicast", {"unicast": "10.77.0.2"}),
        ("unicast-v6", {"unicast": "fd77::2"}),
        ("multicast-v6", {"multicast": "fe80::"}),
        ("both", {"multicast": "10.77.0.2", "unicast": "fd77::2"}),
    ],
    indirect=["over"],
)
def test_a_cluster_boots_takes_over_merges_and_hands_over_on_any_transport(
    cluster: Cluster, sources: dict[str, str]
) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0        frames of node3 vanish: two parts, which meet again; then node2 leaves
    node3 ─┘
    """
    boot(cluster)
    assert sorted(paths(cluster, "node1")["node2"]) == list(sources)
    for path, address in cluster.info("node2")["transports"].items():
        assert address.startswith(sources[path])

    cluster.silence("node3")
    assert set(cluster.settled("node1", "node2")) == set(VIPS)
    assert cluster.settled("node3") == dict.fromkeys(VIPS, "node3")
    cluster.heal()
    assert set(cluster.settled()) == set(VIPS)

    assert cluster.stop("node2") == {"node2": 0}
    owners = cluster.settled("node1", "node3")
    assert set(owners) == set(VIPS)
    assert set(owners.values()) == {"node1", "node3"}
    [left] = cluster.events("node1", "membership.node_left")[-1:]
    assert (left["name"], left["cause"]) == ("node2", "left")
    assert not cluster.events("node1", "membership.path_*")


@pytest.mark.needs("nft")
@pytest.mark.parametrize("over", ["both"], indirect=True)
def test_of_two_transports_either_is_enough_and_the_loss_of_one_is_an_event(cluster: Cluster) -> None:
    """
    node1 ═╗
    node2 ═╬═ br0        multicast over IPv4, unicast over IPv6; first no kernel lets multicast in, then no unicast
    node3 ═╝
    """
    owners = boot(cluster)
    both = ["multicast", "unicast"]
    views = {node: cluster.show(node)["view"]["id"] for node in NODES}
    assert [paths(cluster, node) for node in NODES] == [dict.fromkeys(NODES, both)] * 3
    assert cluster.info("node1")["dropped"]["duplicate"]

    for lost, match in (("multicast", "ip daddr 239.192.0.77"), ("unicast", "ip6 nexthdr udp udp dport 4860")):
        seen = {node: len(cluster.events(node, "membership.path_*")) for node in NODES}
        for node in NODES:
            cut(cluster, node, match)
        for node in NODES:
            others = sorted(set(NODES) - {node})
            cluster.until(
                lambda node=node, wanted=seen[node] + 2: len(cluster.events(node, "membership.path_*")) >= wanted,
                f"{node} has lost {lost} to two others",
            )
            found = cluster.events(node, "membership.path_*")[seen[node] :]
            assert {event["id"] for event in found} == {"membership.path_lost"}
            assert sorted((event["name"], event["path"]) for event in found) == [(name, lost) for name in others]
            left = [path for path in both if path != lost]
            assert paths(cluster, node) == {node: both, **dict.fromkeys(others, left)}
        for node in NODES:
            mend(cluster, node)
        for node in NODES:
            cluster.until(
                lambda node=node, wanted=seen[node] + 4: len(cluster.events(node, "membership.path_*")) == wanted,
                f"{node} has {lost} again",
            )
            found = cluster.events(node, "membership.path_restored")[-2:]
            assert {event["path"] for event in found} == {lost}

    assert cluster.settled() == owners
    assert {node: cluster.show(node)["view"]["id"] for node in NODES} == views
    for node in NODES:
        assert not cluster.events(
            node, "membership.node_suspected", "membership.node_left", "election.address_released"
        )


@pytest.mark.parametrize(
    "transports",
    [
        'multicast { interface = "eth0" }',
        'unicast { peers = ( "10.77.0.1" "10.77.0.2" "10.77.0.3" "10.77.0.5" ) }',
    ],
    ids=["multicast", "unicast"],
)
def test_two_clusters_on_one_lan_ignore_each_other(cluster: Cluster, transports: str) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── stranger        same key, same port, another cluster_group
    node3 ─┘
    """
    owners = boot(cluster, transports=transports)
    views = {node: cluster.show(node)["view"]["id"] for node in NODES}
    cluster.configure(
        "stranger",
        'Binding "theirs" { Bind_Address = 10.77.0.90 Enable_Duravip = true }',
        transports=transports,
        cluster_group="theirs",
    )
    cluster.start("stranger")
    cluster.until(lambda: cluster.owners("stranger") == {"10.77.0.90": "stranger"}, "the stranger owns its own")

    def counted() -> bool:
        return all(cluster.info(node)["dropped"].get("foreign_cluster", 0) >= 5 for node in (*NODES, "stranger"))

    cluster.until(counted, "each cluster counts what it hears of the other")
    assert list(paths(cluster, "stranger")) == ["stranger"]
    assert cluster.stop("stranger") == {"stranger": 0}
    assert cluster.settled() == owners
    assert {node: cluster.show(node)["view"]["id"] for node in NODES} == views
