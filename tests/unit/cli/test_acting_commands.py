"""The commands that act: move, announce, reload, drain, undrain."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from duravip.cli import waiting
from duravip.errors import ControlError

Run = Callable[..., tuple[int, str, str]]

VIP = "192.168.0.51"
NOTHING = {
    "added": [],
    "removed": [],
    "changed": {},
    "settings": [],
    "at_next_start": [],
    "warnings": [],
    "members": [],
}


def shown(*, owner: str | None, holding: str | None, pinned: bool = True) -> dict[str, Any]:
    vip = {"address": VIP, "owner": owner, "holding": holding, "held_here": holding is not None, "pinned": pinned}
    return {"node": "node1", "vips": [vip]}


def test_move_asks_the_daemon(daemon: Any, duravip: Run) -> None:
    daemon.answers["move"] = None
    assert duravip("move", VIP, "node2") == (0, "", "")
    assert duravip("move", VIP, "auto") == (0, "", "")
    assert daemon.asked == [
        {"command": "move", "address": VIP, "node": "node2"},
        {"command": "move", "address": VIP, "node": None},
    ]


def test_a_refused_move_is_its_reason_and_exit_status_1(daemon: Any, duravip: Run) -> None:
    daemon.answers["move"] = ControlError("node2 drained")
    assert duravip("move", VIP, "node2", "--wait") == (1, "", "duravip: node2 drained\n")


@pytest.mark.parametrize(
    ("node", "state", "done", "text"),
    [
        ("node2", shown(owner="node2", holding=None), True, "owned by node2, pinned"),
        ("node1", shown(owner="node1", holding="held"), True, "owned by node1, pinned"),
        ("node2", shown(owner="node1", holding="held", pinned=False), False, "owned by node1"),
        ("node2", shown(owner="node2", holding="releasing"), False, "owned by node2, pinned, releasing here"),
        ("node1", shown(owner="node1", holding="taking"), False, "owned by node1, pinned, taking here"),
        ("node1", shown(owner="node1", holding=None), False, "owned by node1, pinned, not yet on here"),
        ("auto", shown(owner="node2", holding=None, pinned=False), True, "owned by node2"),
        ("auto", shown(owner="node2", holding=None), False, "owned by node2, pinned"),
    ],
)
def test_a_move_is_waited_for_until_owner_pin_and_interface_are_as_wished(
    daemon: Any, duravip: Run, node: str, state: dict[str, Any], done: bool, text: str
) -> None:
    daemon.answers |= {"move": None, "show": state}
    code, out, err = duravip("move", VIP, node, "--wait", "--timeout", "0")
    assert (code, out) == (0 if done else 1, f"{VIP}: {text}\n")
    assert err == ("" if done else f"duravip: waited 0 s in vain: {VIP}: {text}\n")


def test_progress_is_printed_when_it_changes(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: None)
    states = iter([(False, "one"), (False, "one"), (False, "two"), (True, "three")])
    waiting.wait_until(lambda: next(states), timeout_s=None)
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_announce_is_for_this_node_or_for_the_view(daemon: Any, duravip: Run) -> None:
    daemon.answers["announce"] = None
    assert duravip("announce", "arp") == (0, "", "")
    assert duravip("announce", "view") == (0, "", "")
    assert [question["everywhere"] for question in daemon.asked] == [False, True]
    assert duravip("announce", "everything")[0] == 2


def test_a_dry_run_prints_the_difference(daemon: Any, duravip: Run) -> None:
    daemon.answers["reload"] = {
        "added": ["192.168.0.53"],
        "removed": ["192.168.0.51"],
        "changed": {"192.168.0.52": ["prefix", "services"]},
        "settings": ["view_mature_time"],
        "at_next_start": ["weight"],
        "warnings": ["a.conf:1:1: warning DV410: beware"],
        "members": [],
    }
    assert duravip("reload", "--dry-run") == (
        0,
        "+ 192.168.0.53\n- 192.168.0.51\n~ 192.168.0.52 (prefix, services)\n"
        "settings of the cluster: view_mature_time\nat the next start only: weight\n",
        "a.conf:1:1: warning DV410: beware\n",
    )
    assert daemon.asked == [{"command": "reload", "dry_run": True, "cluster": False}]
    out = duravip("reload", "--dry-run", "--format", "json")[1]
    assert json.loads(out) == daemon.answers["reload"]


def test_a_reload_is_waited_for_until_its_table_is_in_force(daemon: Any, duravip: Run) -> None:
    daemon.answers["reload"] = NOTHING
    info = {"table": {"digest": "0123456789abcdef"}, "config": {"in_force": True}}
    daemon.answers["info"] = info
    assert duravip("reload", "--wait") == (0, "no difference\ntable 01234567 is in force\n", "")
    daemon.answers["info"] = {**info, "config": {"in_force": False}}
    code, _, err = duravip("reload", "--wait", "--timeout", "0")
    assert (code, err) == (1, "duravip: waited 0 s in vain: table 01234567 is not in force yet\n")


def test_a_reload_of_the_cluster_says_who_has_switched(daemon: Any, duravip: Run) -> None:
    daemon.answers["reload"] = {**NOTHING, "members": ["node1", "node2"]}
    assert duravip("reload", "--cluster") == (0, "no difference\nin force on node1, node2\n", "")
    assert daemon.asked == [{"command": "reload", "dry_run": False, "cluster": True}]
    code, _, err = duravip("reload", "--cluster", "--dry-run")
    assert code == 2
    assert "goes without --wait and --cluster" in err


def test_a_refused_reload_is_exit_status_1(daemon: Any, duravip: Run) -> None:
    daemon.answers["reload"] = ControlError("a.conf:3:4: error DV104: wrong")
    assert duravip("reload") == (1, "", "duravip: a.conf:3:4: error DV104: wrong\n")


def test_explain_prints_owner_candidates_what_if_and_history(daemon: Any, duravip: Run) -> None:
    daemon.answers["explain"] = {
        "address": VIP,
        "owner": "node1",
        "reason": "node1 is preferred",
        "candidates": [
            {"node": "node1", "eligible": True, "why": "node1 is preferred"},
            {"node": "node2", "eligible": False, "why": "node2 drained"},
        ],
        "if_down": {"node1": None, "node2": "node1"},
        "history": [
            {"time": "2026-01-31T12:00:00.000+00:00", "from": None, "to": "node1", "cause": "node1 is preferred"}
        ],
    }
    code, out, _ = duravip("explain", VIP)
    assert (code, out.splitlines()) == (
        0,
        [
            f"{VIP}: owned by node1: node1 is preferred",
            "",
            "  NODE   ELIGIBLE  WHY",
            "* node1  yes       node1 is preferred",
            "  node2  no        node2 drained",
            "",
            "if node1 goes down: nobody",
            "if node2 goes down: node1, as now",
            "",
            "2026-01-31T12:00:00.000+00:00  nobody -> node1: node1 is preferred",
        ],
    )
    assert json.loads(duravip("explain", VIP, "--format", "json")[1]) == daemon.answers["explain"]


def member(name: str, *, drained: bool, addresses: int = 0) -> dict[str, object]:
    return {"name": name, "online": True, "drained": drained, "addresses": addresses}


def test_drain_is_waited_for_until_the_node_has_no_address_any_more(daemon: Any, duravip: Run) -> None:
    daemon.answers |= {"drain": None, "ping": {"node": "node1"}}
    daemon.answers["members"] = [member("node1", drained=True), member("node2", drained=False, addresses=1)]
    assert duravip("drain", "--wait") == (0, "node1: drained, has 0 addresses\n", "")
    daemon.answers["members"] = [member("node1", drained=True, addresses=1), member("node2", drained=True)]
    assert duravip("drain", "node1", "--force", "--wait", "--timeout", "0")[0] == 1
    assert duravip("drain", "node2", "--wait") == (0, "node2: drained, has 0 addresses\n", "")
    daemon.answers["members"] = [member("node1", drained=False)]
    code, out, _ = duravip("drain", "node2", "--wait", "--timeout", "0")
    assert (code, out) == (1, "node2 is not in the view\n")
    drains = [question for question in daemon.asked if question["command"] == "drain"]
    assert drains == [
        {"command": "drain", "node": None, "force": False},
        {"command": "drain", "node": "node1", "force": True},
        {"command": "drain", "node": "node2", "force": False},
        {"command": "drain", "node": "node2", "force": False},
    ]


def test_on_a_terminal_the_progress_of_a_drain_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waiting.bar(40, 80) == ""
    monkeypatch.setattr(waiting, "fancy", lambda: True)
    assert waiting.bar(40, 80) == f"{'#' * 15}{'.' * 15}  40 of 80  "
    assert waiting.bar(0, 0) == ""


def test_undrain_is_waited_for_until_the_view_knows(daemon: Any, duravip: Run) -> None:
    daemon.answers |= {"undrain": None, "ping": {"node": "node1"}}
    daemon.answers["members"] = [member("node1", drained=False), member("node2", drained=True)]
    assert duravip("undrain", "--wait") == (0, "node1: not drained any more\n", "")
    assert duravip("undrain", "node2", "--wait", "--timeout", "0")[0] == 1


@pytest.mark.parametrize("command", [f"move {VIP} node1", "reload", "drain", "undrain"])
def test_a_timeout_without_wait_is_wrong_usage(duravip: Run, command: str) -> None:
    code, _, err = duravip(*command.split(), "--timeout", "3")
    assert code == 2
    assert "--timeout goes with --wait" in err


@pytest.mark.parametrize("command", ["move", "announce", "reload", "drain", "undrain"])
def test_every_command_has_help_with_examples(command: str, duravip: Run) -> None:
    code, out, _ = duravip(command, "--help")
    assert code == 0
    assert f"  duravip {command}" in out.split("Examples:")[1]


@pytest.mark.parametrize("address", ["notanaddress", "192.0.2.", ""])
@pytest.mark.parametrize("command", ["explain {}", "show {}", "move {} node1"])
def test_what_is_no_address_is_wrong_usage_whether_a_daemon_runs_or_not(
    duravip: Run, command: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DURAVIP_CONTROL", raising=False)
    code, out, err = duravip(*(address if word == "{}" else word for word in command.split()))
    assert (code, out) == (2, "")
    assert (f"'{address}' is no IP address" if address else "it is empty; name an IP address") in err
