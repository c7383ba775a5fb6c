"""The commands that ask a daemon: show, members, info, events, wait; and plugins, run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duravip.cli.output import plain_table, seconds
from duravip.errors import ControlError

Run = Callable[..., tuple[int, str, str]]

SHOWN = {
    "node": "node1",
    "view": {
        "id": "3@node1#7",
        "members": ["node1", "node2"],
        "coordinator": "node1",
        "stable_s": 62.0,
        "mature": True,
    },
    "config": {"stale": False, "error": None},
    "vips": [
        {
            "address": "192.168.0.51",
            "owner": "node1",
            "held_here": True,
            "holding": "held",
            "flags": ["UNSAFE"],
            "reason": "node1 holds it already",
            "since_s": 4.25,
            "virtual_members": ["node1", "node2"],
            "bindings": ["example"],
            "services": {"node1": ["esmtp:25", "multivip"], "node2": ["multivip"]},
            "pinned": False,
            "evidence": [
                {"flag": "UNSAFE", "node": "node1", "file": "n1", "line": 4, "value": "", "text": "node1 runs"}
            ],
        },
        {
            "address": "192.168.0.52",
            "owner": None,
            "held_here": False,
            "holding": None,
            "flags": [],
            "reason": "no eligible member",
            "since_s": 4000,
            "virtual_members": ["node1"],
            "bindings": [],
            "services": {"node1": ["multivip"]},
            "pinned": False,
            "evidence": [],
        },
    ],
}
EVENT = {
    "id": "interface.link_up",
    "incarnation": "1",
    "seq": 1,
    "time": "2026-01-02T12:00:00.000+00:00",
    "node": "node1",
    "view": "",
    "interface": "eth0",
}


def test_show_is_aligned_plain_text_in_a_pipe(daemon: Any, duravip: Run) -> None:
    daemon.answers["show"] = SHOWN
    code, out, err = duravip("show")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "node1: view 3@node1#7 of node1, node2; mature, stable for 1 min 2 s"
    assert lines[1].split() == ["ADDRESS", "OWNER", "HERE", "FLAGS", "SINCE", "MEMBERS", "SERVICES", "WHY"]
    assert lines[2].split()[:4] == ["192.168.0.51", "node1", "yes", "UNSAFE"]
    assert "  node1:esmtp:25,multivip node2:multivip  " in lines[2]
    assert lines[3].split()[:4] == ["192.168.0.52", "nobody", "no", "SAFE"]
    columns = [lines[at].index(word) for at, word in ((1, "WHY"), (2, "node1 holds"), (3, "no elig"))]
    assert len(set(columns)) == 1


def test_show_json_is_what_the_daemon_says(daemon: Any, duravip: Run) -> None:
    daemon.answers["show"] = SHOWN
    code, out, _ = duravip("show", "--format", "json")
    assert (code, json.loads(out)) == (0, SHOWN)


def test_show_of_one_address_gives_members_and_evidence(daemon: Any, duravip: Run) -> None:
    daemon.answers["show"] = {**SHOWN, "vips": SHOWN["vips"][:1]}  # type: ignore[index]
    code, out, _ = duravip("show", "192.168.0.51")
    assert code == 0
    assert daemon.asked == [{"command": "show", "address": "192.168.0.51"}]
    assert out == (
        "192.168.0.51/example: owned by node1, UNSAFE, since 4.2 s\n"
        "    node1 holds it already\n"
        "  * node1 esmtp:25 multivip\n"
        "    node2 multivip\n"
        "  UNSAFE: node1 runs (n1:4)\n"
    )


def test_a_refusal_is_one_sentence_and_exit_status_1(daemon: Any, duravip: Run) -> None:
    daemon.answers["show"] = ControlError("192.0.2.1 is no DuraVIP")
    assert duravip("show", "192.0.2.1") == (1, "", "duravip: 192.0.2.1 is no DuraVIP\n")


def test_members_is_a_table(daemon: Any, duravip: Run) -> None:
    member = {
        "name": "node1",
        "incarnation": "7.01",
        "online": True,
        "mature": False,
        "eligible": True,
        "drained": False,
        "penalty": 0.0,
        "paths": ["multicast"],
        "version": "",
    }
    daemon.answers["members"] = [member]
    code, out, _ = duravip("members")
    assert code == 0
    assert out.splitlines()[1].split() == ["node1", "yes", "no", "yes", "no", "0", "multicast", "-", "7.01"]
    assert json.loads(duravip("members", "--format", "json")[1]) == [member]


def test_info_is_fields(daemon: Any, duravip: Run) -> None:
    daemon.answers["info"] = {"node": "node1", "sealed": True, "dropped": {"forged": 3}, "file": ""}
    assert duravip("info")[1] == "node     node1\nsealed   yes\ndropped  forged=3\nfile     -\n"


def test_events_are_one_line_each(daemon: Any, duravip: Run) -> None:
    daemon.answers["events"] = [EVENT, EVENT]
    assert duravip("events")[1] == 2 * "2026-01-02T12:00:00.000+00:00 node1 interface.link_up interface=eth0\n"
    out = duravip("events", "--format", "json", "--filter", "interface.*")[1]
    assert [json.loads(line) for line in out.splitlines()] == [EVENT, EVENT]
    assert daemon.asked[-1] == {"command": "events", "filters": ["interface.*"]}


def test_followed_events_say_what_was_lost_and_end_with_the_daemon(daemon: Any, duravip: Run) -> None:
    daemon.answers["events"] = []
    daemon.stream = [{"event": EVENT}, {"lost": 7}, {"event": EVENT}]
    code, out, err = duravip("events", "--follow", "--format", "json", "--new")
    assert (code, len(out.splitlines())) == (1, 2)
    assert err.splitlines() == [
        "duravip: 7 events were lost here: they came too fast",
        f"duravip: the daemon on {daemon.path} has ended",
    ]
    assert daemon.asked == [{"command": "events", "filters": ["*"], "follow": True, "past": False}]


def test_new_without_follow_is_wrong_usage(duravip: Run) -> None:
    code, _, err = duravip("events", "--new")
    assert code == 2
    assert "--new goes with --follow" in err


def test_wait_returns_when_the_node_is_ready(daemon: Any, duravip: Run) -> None:
    daemon.answers["ping"] = {"node": "node1", "ready": True, "mature": False}
    assert duravip("wait", "--timeout", "0") == (0, "", "")


def test_wait_that_was_in_vain_is_exit_status_1(daemon: Any, duravip: Run) -> None:
    daemon.answers["ping"] = {"node": "node1", "ready": True, "mature": False}
    assert duravip("wait", "--mature", "--timeout", "0") == (
        1,
        "",
        "duravip: waited 0 s in vain: the view of node1 is not mature\n",
    )


@pytest.mark.parametrize("command", ["show", "members", "info", "events", "wait --timeout 0"])
def test_without_a_daemon_every_command_says_so_in_one_sentence(command: str, duravip: Run, tmp_path: Path) -> None:
    code, out, err = duravip(*command.split(), "--control", str(tmp_path / "none"))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "there is no socket" in err


@pytest.mark.parametrize("command", ["run", "show", "members", "info", "events", "wait", "plugins"])
def test_every_command_has_help_with_examples(command: str, duravip: Run) -> None:
    code, out, _ = duravip(command, "--help")
    assert code == 0
    assert f"  duravip {command}" in out.split("Examples:")[1]


def test_plugins_lists_what_is_installed(duravip: Run) -> None:
    code, out, _ = duravip("plugins", "--format", "json")
    assert code == 0
    for record in json.loads(out):
        assert set(record) == {"name", "kind", "distribution", "version", "file", "loaded", "error"}


def test_run_without_a_readable_configuration_ends_with_status_2(duravip: Run, tmp_path: Path) -> None:
    code, out, err = duravip("run", "-c", str(tmp_path / "none.conf"))
    assert (code, out) == (2, "")
    assert "none.conf" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_for_people(duration: float, text: str) -> None:
    assert seconds(duration) == text


def test_the_last_column_is_not_padded() -> None:
    assert plain_table(("A", "B"), [("long", "x"), ("s", "")]) == "A     B\nlong  x\ns\n"


def test_show_imports_nothing_heavy() -> None:
    """`duravip show` has 0.3 s, `duravip --version` 0.15 s."""
    code = "import duravip.cli.main, duravip.cli.show, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"trio", "msgspec", "rich", "pyroute2", "cryptography", "pluggy", "importlib_metadata"} & set(out)
