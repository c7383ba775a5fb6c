"""`duravip check --against-cluster`: what files would make of the cluster that runs.

node1 ─┐
node2 ─┼─ br0      daemons on the three; node1, the first of them in name, is coordinator
node3 ─┘
"""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest

from duravip.testing.cluster import DURAVIP, NODES, Cluster

pytestmark = pytest.mark.netns

VIP = "10.77.0.51"


def binding(name: str = "mail", more: str = "") -> str:
    return f"Binding {name} {{ Bind_Address = {VIP} Enable_Duravip = true }}\n{more}"


def told(cluster: Cluster, asked: str, *nodes: str) -> list[dict[str, Any]]:
    """What is said of the cluster when these nodes' files are compared with what `asked` knows."""
    files = [str(cluster.files[node]) for node in nodes]
    done = subprocess.run(
        [DURAVIP, "check", *files, "--against-cluster", "--format", "json", "--control", str(cluster.control(asked))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [one for one in json.loads(done.stdout)["diagnostics"] if one["code"] > "DV609"]


def test_what_a_file_would_break_and_what_would_differ_is_said_and_nothing_is_changed(cluster: Cluster) -> None:
    for node in NODES:
        cluster.configure(node, binding())
    cluster.start(*NODES)
    owners = cluster.settled()
    assert told(cluster, "node2", *NODES) == []

    file = cluster.configure(
        "node3", binding("post", f'ESMTP_Listener {{ Listen "{VIP}:25" {{ }} }}'), fail_back="manual"
    )
    text = file.read_text().splitlines()
    broken, unsafe, differing = told(cluster, "node2", "node3")
    assert [one["code"] for one in (broken, unsafe, differing)] == ["DV610", "DV610", "DV612"]
    assert {one["file"] for one in (broken, unsafe, differing)} == {str(file)}
    assert broken["message"].startswith(f"{VIP} would become BROKEN: node3 binds {VIP} under the name post")
    assert unsafe["message"].startswith(f"{VIP} would become UNSAFE: node3 runs esmtp:25")
    assert differing["message"] == "fail_back would be manual on node3, and is when-mature on node1, node2"
    assert "Binding post" in text[broken["line"] - 1]
    assert "ESMTP_Listener" in text[unsafe["line"] - 1]
    assert "fail_back" in text[differing["line"] - 1]
    assert cluster.settled() == owners
    assert cluster.vip("node1", VIP)["flags"] == []


def test_settings_are_compared_with_those_of_the_others_whoever_is_asked(cluster: Cluster) -> None:
    """node2's daemon has a setting of its own, which is not in force: node1, the coordinator, and node3 have another.
    What is in force is no news for node3's file; what only node2 has would be."""
    for node in NODES:
        cluster.configure(node, binding())
    cluster.configure("node2", binding(), view_balance_interval=7.0)
    cluster.start(*NODES)
    cluster.settled()
    cluster.configure("node2", binding())
    for asked in NODES:
        assert told(cluster, asked, "node2") == []

    cluster.signal("node2", signal.SIGHUP)
    cluster.configure("node1", binding(), view_balance_interval=7.0)
    cluster.until(
        lambda: (
            [one["message"] for one in told(cluster, "node2", "node1")]
            == ["view_balance_interval would be 7 on node1, and is 1 on node2, node3"]
        ),
        "node2 has read its file again, and node1's would differ from both",
    )
