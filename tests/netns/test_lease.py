"""The dead man's lease: addresses that nobody renews go by themselves.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┴─ br0      both daemons; node1's is frozen, killed, and started again
"""

from __future__ import annotations

import re
import signal
import subprocess

import pytest

from duravip.testing.cluster import Cluster

pytestmark = pytest.mark.netns

VIPS = {"10.77.0.51": "node1", "fd77::51": "node1", "10.77.0.52": "node2"}
LIFETIME_S = 1
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
    stanzas = "\n".join(
        f'Binding "b{number}" {{ Bind_Address = {vip} Enable_Duravip = true duravip_preference = {wish} }}'
        for number, (vip, wish) in enumerate(VIPS.items())
    )
    for node in ("node1", "node2"):
        cluster.configure(node, stanzas, address_lifetime=LIFETIME_S)
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

    cluster.configure("node1", stanzas, address_lifetime=0)
    cluster.ask("node1", "reload")
    cluster.until(
        lambda: lifetimes(cluster, "node1") == {"10.77.0.51": "forever forever", "fd77::51": "forever 0sec"}, ""
    )
    assert cluster.info("node2")["lifetime"]["in_force_s"] == 0  # the coordinator's counts for all
