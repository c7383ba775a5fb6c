"""`duravip rehearse`: its JSON, its exit status, and what it says of a core that breaks a promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duravip.cli import rehearse
from duravip.cli.main import main
from duravip.model import NodeName
from duravip.sim.bugs import planted
from duravip.sim.faults import KINDS

ROOT = Path(__file__).parents[3]
SITE = """
cluster { heartbeat_interval = 1 view_mature_time = 2 view_balance_interval = 1 insecure = true
  Topology "192.0.2.0/24" { interface = "eth7" } }
Binding a { Enable_Duravip = true Bind_Address = 192.0.2.1 Duravip_Preference = n2 }
Binding b { Enable_Duravip = true Bind_Address = 192.0.2.2 }
ESMTP_Listener { Listen "192.0.2.3:25" { Duravip_Follow = a } }
"""
NODES = ("n1=site.conf", "n2=site.conf", "n3=site.conf")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `duravip rehearse` in this process: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("site.conf").write_text(SITE)

    def run_rehearse(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["rehearse", "--jobs", "1", *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(done.value.code or 0), out, err

    return run_rehearse


def report(answer: tuple[int, str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer[1])
    return found


def test_the_json_has_the_keys_of_the_contract_and_is_the_same_for_the_same_seed(run: Run) -> None:
    answer = run(*NODES, "--seeds", "2", "--format", "json")
    assert answer[0] == 0
    assert answer[2] == ""
    found = report(answer)
    assert set(found) == {"seeds", "violations", "runs_per_s", "outage_ms", "outage_ms_by_vip", "moves"}
    assert found["seeds"] == 2
    assert found["violations"] == []
    assert found["runs_per_s"] > 0
    assert {"p50", "p99", "max"} <= set(found["outage_ms"])
    assert 0 < found["outage_ms"]["p50"] <= found["outage_ms"]["p99"] <= found["outage_ms"]["max"]
    by_vip = found["outage_ms_by_vip"]
    assert set(by_vip) == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert sum(one["count"] for one in by_vip.values()) == found["outage_ms"]["count"]
    assert max(one["max"] for one in by_vip.values()) == found["outage_ms"]["max"]
    assert found["moves"] > 0
    again = report(run(*NODES, "--seeds", "2", "--format", "json"))
    assert {**found, "runs_per_s": 0} == {**again, "runs_per_s": 0}


def test_for_people_it_says_how_many_schedules_of_what_how_long_away_and_how_often_moved(run: Run) -> None:
    code, out, err = run(*NODES, "--seeds", "1", "--faults", "crash")
    assert (code, err) == (0, "")
    assert out.startswith("1 schedules of 3 nodes and 3 VIPs, no violation\noutages: ")
    assert "\n    192.0.2.1: " in out
    assert "moves: " in out


def test_a_violation_is_told_with_its_seed_and_the_faults_that_suffice_and_the_exit_status_is_1(run: Run) -> None:
    with planted("no-release-before-a-move"):
        code, out, _ = run(
            *NODES, "--seeds", "1", "--first", "0", "--faults", "pause,crash,restart", "--format", "json"
        )
    assert code == 1
    violations = report((code, out, ""))["violations"]
    assert {violation["seed"] for violation in violations} == {0}
    first = violations[0]
    assert first["property"] == "S1"
    assert first["at_s"] > 0
    assert "192.0.2." in first["detail"]
    assert isinstance(first["schedule"], list)


def test_the_schedule_is_told_to_people_too(run: Run) -> None:
    with planted("no-release-before-a-move"):
        code, out, _ = run(*NODES, "--seeds", "1", "--faults", "pause,crash,restart")
    assert code == 1
    assert out.startswith("1 schedules of 3 nodes and 3 VIPs, violations in 1 of them:\nseed 0: S1 after ")
    assert "\n    this suffices for it:\n        " in out


def test_faults_that_are_not_named_do_not_happen(run: Run) -> None:
    code, out, _ = run(*NODES, "--seeds", "3", "--faults", "delay", "--format", "json")
    assert code == 0
    assert report((code, out, ""))["outage_ms"]["max"] == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--faults", "rain"), "--faults rain: there is no such kind of fault; there are loss, delay,"),
        (("--faults", ","), "name at least one kind of fault"),
        (("--seeds", "0"), "0 is not in the range"),
        (("missing.conf",), "missing.conf"),
    ],
)
def test_wrong_usage_ends_with_exit_status_2(run: Run, arguments: tuple[str, ...], complaint: str) -> None:
    code, out, err = run(*NODES, *arguments)
    assert (code, out) == (2, "")
    assert complaint in err


def test_an_invalid_configuration_ends_with_exit_status_2(run: Run) -> None:
    Path("bad.conf").write_text("cluster { heartbeat_interval = 1 failure_timeout = 1 }")
    code, _, err = run("bad.conf")
    assert code == 2
    assert "no rehearsal for an invalid configuration" in err


def test_every_kind_of_fault_of_the_contract_is_there_and_named_in_the_help() -> None:
    listed = "loss,delay,duplicate,reorder,partition,oneway,crash,pause,restart,clock,reload,link,kernel"
    named = [*listed.split(","), "gateway"]
    assert list(KINDS) == named
    assert rehearse.command.epilog is not None
    assert [kind for kind in named if kind not in rehearse.command.epilog] == []


def test_the_how_tos_example_is_what_it_says(run: Run) -> None:
    page = (ROOT / "docs" / "how-to" / "rehearse.md").read_text()
    Path("site.conf").write_text(page.partition("<!-- check: rehearsed -->\n```\n")[2].partition("```")[0])
    after = page.partition("duravip rehearse node1=site.conf")[2]
    arguments, _, shown = after.partition("\n```\n\n```\n")
    code, out, _ = run("node1=site.conf", *arguments.split())
    assert code == 0
    assert out.splitlines()[0] == shown.splitlines()[0]


def test_a_cluster_that_owns_nothing_while_faults_happen_is_warned_of(run: Run) -> None:
    Path("slow.conf").write_text(SITE.replace("view_mature_time = 2", "view_mature_time = 60"))
    code, out, err = run("n1=slow.conf", "n2=slow.conf", "n3=site.conf", "--seeds", "1", "--faults", "crash")
    assert code == 0
    assert out.startswith("1 schedules of 3 nodes")
    assert err.startswith(
        "warning: view_mature_time is 60 s for n1, n2, and faults happen in the first 40 s: nothing, "
    )
    assert "try a smaller view_mature_time in a copy" in err
    assert len(err.splitlines()) == 1


def test_twenty_seconds_are_not_too_long(run: Run) -> None:
    Path("site.conf").write_text(SITE.replace("view_mature_time = 2", "view_mature_time = 20"))
    assert run(*NODES, "--seeds", "1", "--faults", "crash")[2] == ""


def test_nodes_keep_their_names_and_rhythm_and_have_one_interface(run: Run, tmp_path: Path) -> None:
    from duravip.cli.common import read_nodes

    setup = rehearse.setup_of(read_nodes(NODES, "rehearsal"))
    assert setup.names() == (NodeName("n1"), NodeName("n2"), NodeName("n3"))
    assert {node.heartbeat_interval_s for node in setup.nodes} == {1.0}
    assert {vip.interface for node in setup.nodes for vip in node.table.vips} == {"eth0"}
