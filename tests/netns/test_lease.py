"""The dead man's lease: addresses that nobody renews go by themselves.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      both daemons; node1's is frozen, killed, and started again
client ───────────┘
"""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from duravip.net.schedule import OFFSETS_S, lost_after_s
from duravip.testing.cluster import Cluster

pytestmark = pytest.mark.netns

VIPS = {"10.77.0.51": "node1", "fd77::51": "node1", "10.77.0.52": "node2"}
LIFETIME_S = 1
STANZAS = "\n".join(
    f'Binding "b{number}" {{ Bind_Address = {vip} Enable_Duravip = true duravip_preference = {wish} }}'
    for number, (vip, wish) in enumerate(VIPS.items())
)
SLACK_S = 2.5  # of the kernel
LATE_S = 2.0  # what a busy machine may add


def lifetimes(cluster: Cluster, node: str) -> dict[str, str]:
    """What `ip` says of the VIPs on the host: address -> valid and preferred lifetime."""
    shown = subprocess.run(
        ["ip", "-n", cluster.lan[node].namespace, "addr", "show", "dev", "eth0"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = re.findall(r"inet6? (\S+)/\d+ .*\n\s+valid_lft (\S+) preferred_lft (\S+)", shown)
    return {address: f"{valid} {preferred}" for address, valid, preferred in rows if address in VIPS}


def test_a_frozen_daemons_addresses_go_by_themselves_and_those_of_one_that_runs_stay(cluster: Cluster) -> None:
    for node in ("node1", "node2"):
        cluster.configure(node, STANZAS, address_lifetime=LIFETIME_S)
    cluster.start("node1", "node2")
    cluster.until(lambda: cluster.settled() == VIPS, "every VIP is with its preferred owner")
    cluster.until(lambda: lifetimes(cluster, "node1") == {"10.77.0.51": "1sec 1sec", "fd77::51": "1sec 0sec"}, "mortal")
    assert cluster.info("node1")["lifetime"]["in_force_s"] == LIFETIME_S

    cluster.watch.parted(["node1"], ["node2"])  # who is frozen hears nothing
    cluster.signal("node1", signal.SIGSTOP)
    cluster.until(lambda: not lifetimes(cluster, "node1"), "the kernel lets go", within_s=LIFETIME_S + SLACK_S + LATE_S)
    assert lifetimes(cluster, "node2").keys() == VIPS.keys()
    assert "guard:" not in cluster.log("node1"), "the daemon lives: that is no business of its guard's"
    cluster.signal("node1", signal.SIGCONT)
    cluster.watch.merged(within_s=8)
    cluster.until(lambda: cluster.settled() == VIPS, "it has its addresses back")

    cluster.configure("node1", STANZAS, address_lifetime=0)
    cluster.ask("node1", "reload")
    cluster.until(
        lambda: lifetimes(cluster, "node1") == {"10.77.0.51": "forever forever", "fd77::51": "forever 0sec"}, ""
    )
    assert cluster.info("node2")["lifetime"]["in_force_s"] == 0  # the coordinator's counts for all


def test_who_asked_a_frozen_owners_kernel_is_told_when_that_has_let_go(cluster: Cluster) -> None:
    lan, lifetime_s = cluster.lan, 6
    for node in ("node1", "node2"):
        cluster.configure(node, STANZAS, address_lifetime=lifetime_s, announce_refresh=0)
    cluster.start("node1", "node2")
    cluster.until(lambda: cluster.settled() == VIPS, "every VIP is with its preferred owner")
    taken = [vip for vip, owner in VIPS.items() if owner == "node1"]

    cluster.watch.parted(["node1"], ["node2"])  # who is frozen hears nothing
    cluster.signal("node1", signal.SIGSTOP)
    cluster.until(lambda: cluster.settled("node2") == dict.fromkeys(VIPS, "node2"), "node2 has taken over")
    cluster.until(
        lambda: all(cluster.vip("node2", vip)["since_s"] > OFFSETS_S[-1] + 0.2 for vip in taken),
        "all announcements that come at once have been made",
    )
    for vip in taken:
        entry = ("lladdr", lan["node1"].hardware_address, "dev", "eth0", "nud", "reachable")
        assert not lan.run("client", "ip", "neigh", "replace", vip, *entry).returncode
    assert {lan.neighbour("client", vip) for vip in taken} == {lan["node1"].hardware_address}
    cluster.until(
        lambda: {lan.neighbour("client", vip) for vip in taken} == {lan["node2"].hardware_address},
        "the client knows the new owner",
        within_s=lost_after_s(lifetime_s) - OFFSETS_S[-1] + LATE_S,
    )
    assert not lifetimes(cluster, "node1")
    cluster.signal("node1", signal.SIGCONT)
    cluster.watch.merged(within_s=8)
    cluster.until(lambda: cluster.settled() == VIPS, "it has its addresses back")
