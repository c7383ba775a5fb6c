"""What happens when a daemon dies and its guard lives, and the reverse.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      daemons on the three nodes, each with a guard
node3: 10.77.0.3 ─┘

Others take an address over when they hear LEAVE; that it is off by then is watched all the time
(`duravip.testing.watch`).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time

import pytest

from duravip.testing.cluster import NODES, TIMES, Cluster

pytestmark = pytest.mark.netns

VIPS = ("10.77.0.51", "10.77.0.52", "10.77.0.53", "fd77::53")
PREFERENCES = dict(zip(VIPS, (*NODES, "node3"), strict=True))
HELD_UP_S = 0.5


def files(cluster: Cluster) -> None:
    """.51 prefers node1, .52 node2, .53 and the one of IPv6 node3."""
    for node in NODES:
        cluster.configure(
            node,
            "\n".join(
                f'Binding "b{number}" {{ Bind_Address = "{vip}" Enable_Duravip = true duravip_preference = {wish} }}'
                for number, (vip, wish) in enumerate(PREFERENCES.items())
            ),
        )


def processes(cluster: Cluster, node: str) -> list[int]:
    namespace = cluster.lan[node].namespace
    shown = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid in shown.split()]


def has_let_go(cluster: Cluster, node: str) -> bool:
    return all(node not in hosts for hosts in cluster.watch.held().values())


def test_a_daemon_that_dies_of_a_signal_has_left_at_once(cluster: Cluster) -> None:
    """node1's daemon is killed, then node2's crashes. node3's guard is killed, then its daemon."""
    files(cluster)
    cluster.start(*NODES)
    assert cluster.settled() == PREFERENCES

    core_bytes, _ = resource.prlimit(cluster.info("node2")["pid"], resource.RLIMIT_CORE)
    assert core_bytes == 0, "the guard would wait for the core dump"
    for node, number in (("node1", signal.SIGKILL), ("node2", signal.SIGSEGV)):
        others = [each for each in NODES if each != node]
        cluster.crash(node, number)
        began = time.monotonic()
        cluster.until(lambda node=node: has_let_go(cluster, node), "the guard has taken everything off")
        cluster.settled(*others, mature=False)
        assert time.monotonic() - began < TIMES["failure_timeout"], "the others have waited for the time-out"
        left = cluster.events(others[0], "membership.node_left")[-1]
        assert (left["name"], left["cause"]) == (node, "left")
        assert "WARNING guard: the daemon has died: 1 address taken off, the other nodes told" in cluster.log(node)
        assert processes(cluster, node) == []
        cluster.start(node)
        assert cluster.settled() == PREFERENCES

    first = cluster.info("node3")["guard_pid"]
    os.kill(first, signal.SIGKILL)
    cluster.until(lambda: cluster.events("node3", "guard.replaced"), "the guard's end is told")
    assert cluster.info("node3")["guard_pid"] not in (first, None)
    cluster.crash("node3", signal.SIGKILL)
    cluster.until(lambda: has_let_go(cluster, "node3"), "the second guard knows what the first knew")
    assert "the daemon has died: 2 addresses taken off" in cluster.log("node3")

    cluster.stop("node1")
    assert processes(cluster, "node1") == []
    assert "guard" not in cluster.log("node1").rpartition("ready node=")[2]


def test_the_next_daemon_waits_until_the_guard_is_done(cluster: Cluster) -> None:
    """node1's guard is held up when the daemon dies, and is let go on half a second after the next has started."""
    files(cluster)
    cluster.start("node1")
    assert set(cluster.settled()) == set(VIPS)
    guard = cluster.info("node1")["guard_pid"]
    os.kill(guard, signal.SIGSTOP)
    cluster.crash("node1", signal.SIGKILL)
    assert cluster.watch.holders(VIPS[0]) == ("node1",)

    later = threading.Timer(HELD_UP_S, os.kill, (guard, signal.SIGCONT))
    later.start()
    began = time.monotonic()
    cluster.start("node1")
    assert time.monotonic() - began > HELD_UP_S
    later.join()
    log = cluster.log("node1")
    assert log.index("guard: the daemon has died: 4 addresses taken off") < log.rindex("ready node=node1")
    assert "which an earlier run had left" not in log
