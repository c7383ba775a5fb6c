"""The founding document's three situations, on living nodes; and `duravip check` says the same of the files.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      daemons on the three nodes
node3: 10.77.0.3 ─┘
"""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from duravip.testing.cluster import NODES, Cluster, duravip

pytestmark = [
    pytest.mark.netns,
    pytest.mark.parametrize("over", ["multicast", "unicast", "multicast-v6", "both"], indirect=True),
]

VIP, OTHER = "10.77.0.51", "10.77.0.52"
OTHER_BINDING = f'Binding "other" {{ Bind_Address = {OTHER} Enable_Duravip = true }}'


def binding(*, name: str = "example", preference: str = "") -> str:
    wish = f'duravip_preference = "{preference}"' if preference else ""
    return f'Binding {name} {{\n Enable_Duravip = "true"\n Bind_Address = {VIP}\n {wish}\n}}\n{OTHER_BINDING}'


LISTENER = f'ESMTP_Listener {{\n Listen "{VIP}:25" {{\n Enable_Duravip = "true"\n }}\n}}\n'


def flags_and_evidence(vips: list[dict[str, Any]]) -> dict[str, tuple[list[str], list[dict[str, Any]]]]:
    return {vip["address"]: (vip["flags"], vip["evidence"]) for vip in vips}


def assert_all_say_what_check_says(cluster: Cluster) -> None:
    """Every node, of every VIP: the same flags with the same evidence as `check` of the files."""
    checked = json.loads(duravip("check", "--format", "json", *(str(cluster.files[node]) for node in NODES)))
    for node in NODES:
        assert flags_and_evidence(cluster.show(node)["vips"]) == flags_and_evidence(checked["vips"])


def changes(cluster: Cluster, node: str, event_id: str) -> list[str]:
    """How often the flag came and went. Evidence that grows while nodes join, one after the other, is left out."""
    said = [event["change"] for event in cluster.events(node, event_id)]
    return [change for change in said if change != "changed"]


def test_two_preferred_owners_online_are_a_conflict_and_an_ordinary_election(cluster: Cluster) -> None:
    """
    "If, in the unlikely event, two different nodes are brought online both configured to be the preferred owner of
    an IP address then that address will be marked in conflict and normal election semantics will be employed."

    node1 prefers node1 ─┐
    node2 prefers node2 ─┼─ br0        then node2 leaves, and comes back
    node3 prefers none  ─┘
    """
    cluster.configure("node1", binding(preference="node1"))
    cluster.configure("node2", binding(preference="node2"))
    cluster.configure("node3", binding())
    cluster.start("node2", "node3")
    assert cluster.settled()[VIP] == "node2"
    assert cluster.vip("node3", VIP)["flags"] == []

    cluster.start("node1")
    owners = cluster.settled()
    assert owners[VIP] == "node2", "the holder keeps it: preferences do not count"
    assert set(owners) == {VIP, OTHER}
    assert cluster.vip("node3", VIP)["flags"] == ["CONFLICT"]
    assert_all_say_what_check_says(cluster)

    cluster.stop("node2")
    assert cluster.settled()[VIP] == "node1"
    assert cluster.vip("node3", VIP)["flags"] == []
    assert cluster.vip("node3", VIP)["reason"] == "node1 is preferred"

    cluster.start("node2")
    assert cluster.settled()[VIP] == "node1"
    assert cluster.vip("node2", VIP)["flags"] == ["CONFLICT"]
    assert changes(cluster, "node3", "conflict.preference") == ["raised", "cleared", "raised"]


def test_a_listener_on_one_node_only_is_unsafe_and_the_address_is_owned_all_the_same(cluster: Cluster) -> None:
    """
    "the DuraVIP subsystem will mark the IP address as "UNSAFE." However, that is the extent of conflict resolution
    that will occur. The usual semantics for electing an owner of the IP address will be employed."

    node1 with an ESMTP_Listener ─┐
    node2                        ─┼─ br0        then node1's file loses it, by a reload
    node3                        ─┘
    """
    cluster.configure("node1", LISTENER + binding())
    cluster.configure("node2", binding())
    cluster.configure("node3", binding())
    cluster.start(*NODES)
    owners = cluster.settled()
    assert set(owners) == {VIP, OTHER}
    unsafe = cluster.vip("node3", VIP)
    assert unsafe["flags"] == ["UNSAFE"]
    assert unsafe["services"]["node1"] == ["esmtp:25", "multivip"]
    assert {one["node"] for one in unsafe["evidence"]} == set(NODES)
    assert_all_say_what_check_says(cluster)

    cluster.configure("node1", binding())
    cluster.signal("node1", signal.SIGHUP)
    cluster.until(lambda: not cluster.vip("node3", VIP)["flags"], "the flag is cleared")
    assert cluster.settled() == owners
    assert changes(cluster, "node3", "conflict.unsafe") == ["raised", "cleared"]


def test_binding_names_that_do_not_match_are_broken_and_nobody_holds_the_address_until_mended(cluster: Cluster) -> None:
    """
    "it will mark the named DuraVIP instance as "BROKEN," and refuse to manage it."

    node1 example ─┐
    node2 example ─┼─ br0        node3 comes with a wrong name, then with the right one
    node3 exampel ─┘
    """
    cluster.configure("node1", binding())
    cluster.configure("node2", binding())
    cluster.configure("node3", binding(name="exampel"))
    cluster.start("node1", "node2")
    assert cluster.settled()[VIP] in {"node1", "node2"}

    cluster.start("node3")
    assert set(cluster.settled()) == {OTHER}
    assert cluster.watch.holders(VIP) == ()
    for node in NODES:
        broken = cluster.vip(node, VIP)
        assert (broken["flags"], broken["owner"], broken["held_here"]) == (["BROKEN"], None, False)
        assert "exampel" in broken["reason"]
    assert_all_say_what_check_says(cluster)

    cluster.stop("node3")
    cluster.configure("node3", binding())
    cluster.start("node3")
    assert set(cluster.settled()) == {VIP, OTHER}
    assert cluster.vip("node1", VIP)["flags"] == []
    assert changes(cluster, "node1", "conflict.broken") == ["raised", "cleared"]
