"""Somebody else has a VIP: told of, defended or yielded, asked about before taking; members are left to the view.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0 ─┬─ stranger: puts a VIP on its interface, and announces it
                          └─ client: remembers hardware addresses
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from duravip.model import Address
from duravip.net.frames import announcement_frames
from duravip.net.schedule import OFFSETS_S
from duravip.testing.cluster import Cluster

pytestmark = pytest.mark.netns

VIP, VIP6 = Address("10.77.0.51"), Address("fd77::51")
VIPS = f"""
Binding "four" {{ Bind_Address = {VIP} Enable_Duravip = true duravip_preference = node1 }}
Binding "six" {{ Bind_Address = {VIP6} Enable_Duravip = true duravip_preference = node2 }}
"""
NODES = ("node1", "node2")
OWNERS = {VIP: "node1", VIP6: "node2"}
GONE_LIMIT_S = 20.0


def announce(cluster: Cluster, host: str, address: Address) -> None:
    """As a host does that has just been given the address."""
    hardware = bytes.fromhex(cluster.lan[host].hardware_address.replace(":", ""))
    with cluster.lan.inside(host), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind(("eth0", 0))
        for frame in announcement_frames(address, hardware):
            link.send(frame)


def take(cluster: Cluster, host: str, *addresses: Address) -> None:
    for address in addresses:
        assert cluster.lan.run(host, "ip", "addr", "add", address, "dev", "eth0").returncode == 0
        announce(cluster, host, address)


def drop(cluster: Cluster, host: str, *addresses: Address) -> None:
    for address in addresses:
        assert cluster.lan.run(host, "ip", "addr", "del", address, "dev", "eth0").returncode == 0


def remember(cluster: Cluster, address: Address, owner: str) -> None:
    """The client knows the address, so that it believes announcements."""
    entry = ("lladdr", cluster.lan[owner].hardware_address, "dev", "eth0", "nud", "reachable")
    assert cluster.lan.run("client", "ip", "neigh", "replace", address, *entry).returncode == 0


def duplicates(cluster: Cluster, *nodes: str) -> list[dict[str, Any]]:
    return [event for node in nodes for event in cluster.events(node, "conflict.duplicate")]


def said(cluster: Cluster, node: str) -> list[tuple[str, str]]:
    return [(event["change"], event["address"]) for event in duplicates(cluster, node)]


def test_a_stranger_is_told_of_defended_against_and_forgotten_and_members_are_not_told_of(cluster: Cluster) -> None:
    for node in NODES:
        cluster.configure(node, VIPS)
    cluster.start(*NODES)
    assert cluster.settled() == OWNERS

    cluster.until(
        lambda: all(cluster.vip(owner, address)["since_s"] > OFFSETS_S[-2] + 0.2 for address, owner in OWNERS.items()),
        "of the announcements that belong to the elections only the last two are to come, later than the defence",
    )
    hardware = cluster.lan["stranger"].hardware_address
    for address, owner in OWNERS.items():
        remember(cluster, address, owner)
    take(cluster, "stranger", VIP, VIP6)
    assert [cluster.lan.neighbour("client", address) for address in OWNERS] == [hardware] * 2, "it was believed"
    for address, owner in OWNERS.items():
        cluster.until(lambda a=address, o=owner: ("raised", a) in said(cluster, o), f"{owner} tells of {address}")
        cluster.until(
            lambda a=address, o=owner: cluster.lan.neighbour("client", a) == cluster.lan[o].hardware_address,
            f"{owner} defends {address}",
        )
    for event in duplicates(cluster, *NODES):
        assert (event["hardware_address"], event["claimant"]) == (hardware, None)
        assert [one["value"] for one in event["evidence"]] == [hardware]
    assert set(cluster.info(OWNERS[VIP])["duplicates"]) == {VIP}

    drop(cluster, "stranger", VIP, VIP6)
    for address, owner in OWNERS.items():
        cluster.until(
            lambda a=address, o=owner: ("cleared", a) in said(cluster, o), "it has gone", within_s=GONE_LIMIT_S
        )
    assert cluster.settled() == OWNERS
    assert cluster.info(OWNERS[VIP])["duplicates"] == {}
    told = duplicates(cluster, *NODES)
    assert len(told) == 4

    cluster.partition(["node1", "client"], ["node2", "stranger"])
    for node in NODES:
        assert set(cluster.settled(node).values()) == {node}
    cluster.heal()
    for node in NODES:
        for address in OWNERS:
            announce(cluster, node, address)
    cluster.until(lambda: cluster.settled() == OWNERS, "one owner each, the preferred one")
    assert duplicates(cluster, *NODES) == told, "a merge concerns members only"


def test_what_a_stranger_has_is_not_taken_and_what_it_takes_is_yielded_to_it(cluster: Cluster) -> None:
    take(cluster, "stranger", VIP)
    for node in NODES:
        cluster.configure(node, VIPS, on_duplicate="yield", probe_before_taking=True)
    cluster.start(*NODES)
    cluster.until(lambda: duplicates(cluster, *NODES), "it is told of")
    assert cluster.settled() == {VIP6: OWNERS[VIP6]}, "nobody has the other"
    for node in NODES:
        assert "a stranger on the network" in cluster.vip(node, VIP)["reason"]
        assert all(event["address"] == VIP6 for event in cluster.events(node, "election.address_acquired"))

    take(cluster, "stranger", VIP6)
    cluster.until(lambda: cluster.settled() == {}, "yielded")
    assert dict(cluster.watch.held()) == {}
    assert {event["address"] for event in duplicates(cluster, *NODES)} == set(OWNERS)
