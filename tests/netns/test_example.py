"""The example distribution, installed from the checkout: its own tests, and a cluster that lives on its plugins.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      configurations in INI, heartbeats by broadcast, events into files
node3: 10.77.0.3 ─┘
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from duravip.model import NodeName
from duravip.plugin.api import Transport, TransportContext
from duravip.testing import check_transport
from duravip.testing.cluster import NODES, TIMES, Cluster, duravip
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

EXAMPLE = Path(__file__).parents[2] / "contrib" / "duravip-example"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH: beside what is installed anyway, as a user's own environment would be. With it stands
    somebody's distribution that is broken."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), str(EXAMPLE)]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    broken = folder / "duravip_broken-0.9.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: duravip-broken\nVersion: 0.9\n")
    (broken / "entry_points.txt").write_text("[duravip]\nbroken = duravip_broken\n")
    (folder / "duravip_broken.py").write_text("import pigeons\n")
    return folder


@pytest.fixture(autouse=True)
def with_example(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")])))


def test_it_is_installed_and_its_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    records = {record["name"]: record for record in json.loads(duravip("plugins", "--format", "json"))}
    assert [(name, records[name]["kind"]) for name in ("broadcast", "ini", "jsonlines")] == [
        ("broadcast", "transport"),
        ("ini", "configuration language"),
        ("jsonlines", "notifier"),
    ]
    for name in ("broadcast", "ini", "jsonlines"):
        assert records[name]["distribution"] == "duravip-example"
        assert records[name]["file"].startswith(str(installed))
    assert records["broken"]["error"] == "ModuleNotFoundError: No module named 'pigeons'"
    own = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLE)]
    done = subprocess.run([*own, str(EXAMPLE / "tests")], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


async def test_its_transport_does_what_every_transport_must(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed)
    open_transport = importlib.import_module("duravip_example.broadcast").open_transport
    options = {"address": "10.77.0.255", "port": 4861}

    with Lan(("a", "b", "c"), prefix="dvbroad") as lan:

        @asynccontextmanager
        async def opened(name: NodeName) -> AsyncIterator[Transport]:
            with lan.inside(name):
                transport: Transport = open_transport(TransportContext(node=name, options=options))
                await transport.__aenter__()
            try:
                yield transport
            finally:
                await transport.__aexit__(None, None, None)

        await check_transport(opened)


def test_a_cluster_lives_on_them(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0        the owner of .51 leaves, the next one's daemon is killed
    node3 ─┘
    """
    vip = "10.77.0.51"
    written = (EXAMPLE / "node1.ini").read_text()
    for node in NODES:
        settings = {
            "nodename": node,
            "key_file": cluster.key,
            "path": cluster.folder / f"{node}.jsonl",
        }
        lines = [
            f"{word} = {settings[word]}" if (word := line.partition(" =")[0]) in settings else line
            for line in written.splitlines()
        ]
        more = {**TIMES, "control": cluster.control(node), "state_dir": cluster.folder / f"state-{node}"}
        lines[1:1] = [f"{word} = {value}" for word, value in more.items()]
        cluster.files[node] = cluster.folder / f"{node}.ini"
        cluster.files[node].write_text("\n".join(lines) + "\n")

    cluster.start(*NODES)
    first = cluster.settled()[vip]
    for node in NODES:
        assert list(cluster.info(node)["transports"]) == ["broadcast"]
    cluster.stop(first)
    second = cluster.settled()[vip]
    assert second != first

    def told(node: str) -> list[str]:
        lines = (cluster.folder / f"{node}.jsonl").read_text().splitlines()
        return [event["id"] for event in map(json.loads, lines) if event.get("address") == vip]

    def remembered(node: str) -> list[str]:
        return [event["id"] for event in cluster.events(node, "election.*") if event.get("address") == vip]

    cluster.until(lambda: told(second) == remembered(second), "the file has what the daemon remembers")
    assert told(second)[-1] == "election.address_acquired"
    assert told(first)[-1] == "election.address_released"

    cluster.crash(second, signal.SIGKILL)
    [third] = {*NODES} - {first, second}
    cluster.until(
        lambda: cluster.events(third, "membership.node_left")[-1]["name"] == second, "the guard's farewell is heard"
    )
    assert cluster.events(third, "membership.node_left")[-1]["cause"] == "left"
