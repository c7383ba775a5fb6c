"""`duravip demo` as root: real daemons in namespaces of its own, and nothing left behind however it ends.

node1 ─┐
node2 ─┼─ br0 ── client
node3 ─┘
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from duravip.testing.daemons import COMMAND

pytestmark = pytest.mark.netns
LIMIT_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demonstration keeps its files; empty again afterwards."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["env", f"TMPDIR={folder}", *COMMAND, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def assert_nothing_left(demo: subprocess.Popen[str]) -> None:
    assert [path.name for path in Path("/run/netns").glob(f"dvdemo-{demo.pid}-*")] == []
    listed = subprocess.run(
        ["ps", "-o", "stat=,args=", "-s", str(demo.pid)], capture_output=True, text=True, check=False
    )
    running = [line for line in listed.stdout.splitlines() if not line.startswith("Z")]  # the dead wait for init
    assert running == []


def test_it_shows_an_election_a_cut_and_the_clients_outage(folder: Path) -> None:
    demo = start(folder)
    told, complaints = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 0, complaints
    assert complaints == ""
    found = re.search(r"the client had no answer for (\d+) ms; node1 answered before, node[23] since", told)
    assert found
    assert 10 < int(found.group(1)) < 1000
    assert told.count("10.77.0.102  node2  SAFE") == 2
    assert_nothing_left(demo)


def test_json_is_the_events_of_all_nodes_and_nothing_else(folder: Path) -> None:
    demo = start(folder, "--format", "json")
    told, complaints = demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 0, complaints
    events = [json.loads(line) for line in told.splitlines()]
    assert {event["node"] for event in events} == {"node1", "node2", "node3"}
    acquired = [event["node"] for event in events if event["id"] == "election.address_acquired"]
    assert {"node1", "node2", "node3"} <= set(acquired)
    for node in ("node1", "node2", "node3"):
        seqs = [event["seq"] for event in events if event["node"] == node]
        assert seqs == list(range(1, len(seqs) + 1))
    assert_nothing_left(demo)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(folder: Path, number: signal.Signals) -> None:
    demo = start(folder)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "is cut off" in line:
            break
    demo.send_signal(number)
    demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 130
    assert_nothing_left(demo)


def test_kept_it_stays_until_it_is_interrupted_and_can_be_played_with(folder: Path) -> None:
    demo = start(folder, "--keep")
    assert demo.stdout is not None
    commands: dict[str, str] = {}
    for line in demo.stdout:
        if found := re.match(r"  (who has what|sockets and logs)\s{2,}(.*)", line):
            commands[found.group(1)] = found.group(2)
        if "sockets and logs" in line:
            break
    words = commands["who has what"].split()
    assert words[0] == "duravip"
    shown = subprocess.run([*COMMAND, *words[1:]], capture_output=True, text=True, check=True)
    assert "10.77.0.101  node1" in shown.stdout
    assert (Path(commands["sockets and logs"]) / "node1.log").exists()
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=LIMIT_S)
    assert demo.returncode == 0
    assert_nothing_left(demo)
