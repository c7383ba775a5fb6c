"""The little network itself: its faults do what they say, and nothing of it stays behind.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0
client: 10.77.0.3 ┘
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from duravip.testing.netns import Lan, LanError
from duravip.testing.probe import EchoAnswer, Probe, longest_gap_ms

pytestmark = pytest.mark.netns


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("node1", "node2", "client"), prefix="dvln") as built:
        yield built


def answered(lan: Lan, address: str, seconds: float = 0.15) -> int:
    with Probe(lan, "client", address) as probe:
        time.sleep(seconds)
    return len(probe.answers())


def carrier(lan: Lan, host: str) -> bool:
    return "LOWER_UP" in lan.run(host, "ip", "link", "show", "dev", "eth0").stdout


def test_hosts_hear_each_other_over_both_families(lan: Lan) -> None:
    assert answered(lan, lan["node1"].address)
    assert answered(lan, lan["node2"].address6)


def test_silence_takes_the_frames_and_leaves_the_carrier(lan: Lan) -> None:
    lan.silence("node1")
    assert not answered(lan, lan["node1"].address)
    assert carrier(lan, "node1")
    assert answered(lan, lan["node2"].address)
    lan.unsilence("node1")
    assert answered(lan, lan["node1"].address, 1.5)


def test_a_pulled_cable_takes_the_carrier_until_healed(lan: Lan) -> None:
    lan.link_down("node1")
    assert not carrier(lan, "node1")
    lan.heal()
    assert carrier(lan, "node1")
    assert answered(lan, lan["node1"].address)


def test_groups_of_a_partition_hear_only_themselves(lan: Lan) -> None:
    lan.partition(["node1"], ["node2", "client"])
    assert not answered(lan, lan["node1"].address)
    assert answered(lan, lan["node2"].address)
    assert carrier(lan, "node1")
    lan.partition(["node1", "client"])
    assert answered(lan, lan["node1"].address, 1.5)
    assert not answered(lan, lan["node2"].address)
    lan.heal()
    assert answered(lan, lan["node2"].address, 1.5)


def test_a_second_link_has_a_wire_of_its_own_and_shares_its_hosts_faults(lan: Lan) -> None:
    def far(seconds: float = 0.15) -> int:
        with Probe(lan, "client", "10.78.0.1", interface="eth1") as probe:
            time.sleep(seconds)
        return len(probe.answers())

    lan.second_link("node1", "client")
    assert {"10.78.0.1", "fd78::3"} <= lan.own
    assert "10.78.0.2" not in lan.own
    assert far()
    lan.partition(["node1"], ["node2", "client"])
    assert far(), "partitions divide the first link only"
    lan.silence("node1")
    assert not far()
    lan.heal()
    assert far(1.5)


def test_the_probe_sees_an_outage_and_who_answers_after_it(lan: Lan) -> None:
    vip = "10.77.0.51"
    lan.run("node1", "ip", "addr", "add", f"{vip}/32", "dev", "eth0")
    assert lan.holders(vip) == ("node1",)
    with Probe(lan, "client", vip) as probe:
        time.sleep(0.2)
        lan.run("node1", "ip", "addr", "del", f"{vip}/32", "dev", "eth0")
        time.sleep(0.2)
        lan.run("node2", "ip", "addr", "add", f"{vip}/32", "dev", "eth0")
        entry = ("neigh", "replace", vip, "lladdr", lan["node2"].hardware_address, "dev", "eth0")
        lan.run("client", "ip", *entry)
        time.sleep(0.2)
    assert lan.holders(vip) == ("node2",)
    assert lan.neighbour("client", vip) == lan["node2"].hardware_address
    assert probe.answered_by() == (lan["node1"].hardware_address, lan["node2"].hardware_address)
    assert 200 <= probe.longest_gap_ms() <= 500
    assert probe.sent > len(probe.answers()) > 100


def test_a_failing_command_is_reported_with_its_words_and_the_network_is_removed() -> None:
    broken = Lan(("a-name-that-is-too-long",), prefix="dvln")
    with pytest.raises(LanError, match="a-name-that-is-too-long"), broken:
        pass
    assert not [
        entry for entry in Path("/run/netns").iterdir() if entry.name == broken["a-name-that-is-too-long"].namespace
    ]


def test_leaving_kills_what_runs_there_and_removes_everything() -> None:
    with Lan(("node1",), prefix="dvln") as lan:
        process = lan.popen("node1", "sleep", "60")
        namespace = Path("/run/netns", lan["node1"].namespace)
        assert namespace.exists()
        for _ in range(1_000):
            if Path(f"/proc/{process.pid}/ns/net").stat().st_ino == namespace.stat().st_ino:
                break  # it is there
            time.sleep(0.01)
    assert process.wait(timeout=5) == -9
    assert not namespace.exists()


def test_what_a_killed_process_left_behind_is_removed_by_the_next() -> None:
    script = (
        "import os, signal\n"
        "from duravip.testing.netns import Lan\n"
        "lan = Lan(('node1',), prefix='dvleft').__enter__()\n"
        "print(lan['node1'].namespace, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    left = Path("/run/netns", done.stdout.strip())
    assert left.name.startswith("dvleft-")
    assert left.exists()
    with Lan(("node1",), prefix="dvleft"):
        assert not left.exists()


def test_a_gap_is_counted_between_answers_and_needs_two() -> None:
    answers = [
        EchoAnswer(sent_s=at, answered_s=at + late, hardware_address="")
        for at, late in ((0.0, 0.001), (0.001, 0.001), (0.002, 0.3), (0.003, 0.3))
    ]
    assert longest_gap_ms(answers) == pytest.approx(300.0)
    assert longest_gap_ms(answers, until_s=0.1) == pytest.approx(1.0)
    assert longest_gap_ms(answers[:1]) == float("inf")
