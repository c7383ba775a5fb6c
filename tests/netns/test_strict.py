"""Strict ownership: an owner that is stopped, cut off or killed never has an address together with the next one.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      the members; `watch` looks at all three kernels all the time, also at one that is cut off
node3: 10.77.0.3 ─┘
"""

from __future__ import annotations

import signal
import time

import pytest

from duravip.testing.cluster import NODES, Cluster

pytestmark = pytest.mark.netns

VIPS = {"10.77.0.51": "node1", "fd77::51": "node1", "10.77.0.52": "node2"}
MINE = ("10.77.0.51", "fd77::51")
LIFETIME_S = 6  # with the time-outs of a machine that is busy with other tests; `tests.bench.strict` has short ones
LETS_GO_S = 3.0  # a mandate
WAIT_S = 12.4  # 1.041 x (3 + 6 + 2.5 + 0.5)
TAKEOVER_S = 14.5
LATE_S = 6.0  # what a busy machine may add
STANZAS = "\n".join(
    f'Binding "b{number}" {{ Bind_Address = {vip} Enable_Duravip = true duravip_preference = {wish} }}'
    for number, (vip, wish) in enumerate(VIPS.items())
)


def start(cluster: Cluster) -> None:
    for node in NODES:
        cluster.configure(node, STANZAS, ownership="strict", members=NODES, address_lifetime=LIFETIME_S)
    cluster.start(*NODES)
    cluster.until(lambda: cluster.settled() == VIPS, "every VIP is with its preferred owner")


def holders(cluster: Cluster) -> set[tuple[str, ...]]:
    held = cluster.watch.held()
    return {held.get(vip, ()) for vip in MINE}  # type: ignore[call-overload]


def wait_for_another(cluster: Cluster, began: float) -> None:
    cluster.until(
        lambda: holders(cluster) in ({("node2",)}, {("node3",)}, {("node2",), ("node3",)}),
        "somebody else has both",
        within_s=TAKEOVER_S + LATE_S,
    )
    assert time.monotonic() - began > WAIT_S - LETS_GO_S, "too soon: nobody can have known that it was gone"


def test_an_owner_that_was_stopped_for_longer_than_its_mandate_dies_before_it_does_anything(cluster: Cluster) -> None:
    start(cluster)
    began = time.monotonic()
    cluster.lan.signal_all("node1", signal.SIGSTOP)
    cluster.until(
        lambda: "waits out the lease of node1 for" in cluster.vip("node2", MINE[0])["reason"],
        "it is said what is waited for",
    )
    wait_for_another(cluster, began)
    cluster.crash("node1", signal.SIGCONT)  # it was sent SIGALRM long ago
    cluster.lan.signal_all("node1", signal.SIGCONT)  # its guard, which does the rest
    assert {event["id"] for event in cluster.events("node2", "election.awaited")} | {
        event["id"] for event in cluster.events("node3", "election.awaited")
    }
    cluster.start("node1")
    cluster.until(lambda: cluster.settled() == VIPS, "it has its addresses back")


def test_an_owner_that_is_cut_off_lets_go_by_itself_and_one_that_is_killed_is_waited_out(cluster: Cluster) -> None:
    start(cluster)
    began = time.monotonic()
    cluster.lan.silence("node1")
    cluster.until(
        lambda: not any("node1" in hosts for hosts in holders(cluster)), "it lets go", within_s=LETS_GO_S + LATE_S
    )
    reason = "no majority of the members node1, node2, node3: only node1 of them here"
    cluster.until(lambda: cluster.vip("node1", MINE[0])["reason"] == reason, "it says why it has nothing")
    wait_for_another(cluster, began)
    cluster.lan.unsilence("node1")
    cluster.until(lambda: cluster.settled() == VIPS, "it has its addresses back")

    began = time.monotonic()
    cluster.kill("node1")
    wait_for_another(cluster, began)
    cluster.start("node1")
    cluster.until(lambda: cluster.settled() == VIPS, "it has its addresses back")
