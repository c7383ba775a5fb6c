"""`duravip plan`: settled owners and moves, as JSON and for people; wrong input ends with exit 2."""

from __future__ import annotations

import importlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duravip.cli.main import main
from duravip.plugin import manager

VIPS = [f"192.0.2.{number}" for number in range(1, 7)]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `duravip plan` in a folder of its own, with the two parsers that ship: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    found = tuple(
        manager.Found(
            name=name,
            distribution="duravip",
            version="0",
            module=f"duravip_plugins.{name}",
            load=lambda name=name: importlib.import_module(f"duravip_plugins.{name}"),  # type: ignore[misc]
        )
        for name in ("config_momentum", "config_toml")
    )
    monkeypatch.setattr(manager, "find_plugins", lambda: found)

    def run_plan(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["plan", *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(done.value.code or 0), out, err

    return run_plan


def configuration(*addresses: str, options: str = "") -> str:
    return "".join(
        f"Binding b{address.replace('.', '-')} {{ Enable_Duravip = true Bind_Address = {address} {options} }}\n"
        for address in addresses
    )


def write(**texts: str) -> list[str]:
    for node, text in texts.items():
        Path(f"{node}.conf").write_text(text)
    return [f"{node}.conf" for node in texts]


def planned(answer: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = answer
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def owners(found: dict[str, Any]) -> dict[str, str | None]:
    return {vip["address"]: vip["owner"] for vip in found["vips"]}


def test_the_json_has_exactly_the_shape_of_the_contract(run: Run) -> None:
    files = write(node1=configuration(VIPS[0]), node2=configuration(VIPS[0], options="Duravip_Preference = node2"))
    assert planned(run(*files, "--format", "json")) == {
        "members": ["node1", "node2"],
        "vips": [
            {
                "address": VIPS[0],
                "owner": "node2",
                "flags": [],
                "reason": "node2 is preferred",
                "virtual_members": ["node1", "node2"],
            }
        ],
        "moves": [],
    }


def test_the_founding_documents_configuration_is_unsafe_and_owned(run: Run) -> None:
    listener = 'ESMTP_Listener { Listen "192.0.2.1:25" { Enable_Duravip = "true" } }\n'
    files = write(node1=listener + configuration(VIPS[0]), node2=configuration(VIPS[0]))
    (vip,) = planned(run(*files, "--format", "json"))["vips"]
    assert vip["flags"] == ["UNSAFE"]
    assert vip["owner"] in {"node1", "node2"}


def test_a_broken_vip_is_owned_by_nobody_and_says_why(run: Run) -> None:
    files = write(node1=configuration(VIPS[0]), node2=configuration(VIPS[0]).replace("b192", "c192"))
    (vip,) = planned(run(*files, "--format", "json"))["vips"]
    assert (vip["owner"], vip["flags"]) == (None, ["BROKEN"])
    assert "node1 binds 192.0.2.1 under the name b192-0-2-1" in vip["reason"]


def test_vips_are_spread_evenly_over_the_nodes(run: Run) -> None:
    files = write(**{f"node{n}": configuration(*VIPS) for n in (1, 2, 3)})
    found = list(owners(planned(run(*files, "--format", "json"))).values())
    assert [found.count(f"node{n}") for n in (1, 2, 3)] == [2, 2, 2]


def test_one_file_can_serve_for_several_named_nodes(run: Run) -> None:
    write(site=configuration(*VIPS))
    assert planned(run("b=site.conf", "a=site.conf", "--format", "json"))["members"] == ["a", "b"]


def test_with_a_node_down_only_its_vips_move(run: Run) -> None:
    files = write(**{f"node{n}": configuration(*VIPS) for n in (1, 2, 3)})
    before = owners(planned(run(*files, "--format", "json")))
    found = planned(run(*files, "--down", "node2", "--format", "json"))
    after = owners(found)
    assert found["members"] == ["node1", "node3"]
    lost = [address for address in VIPS if before[address] == "node2"]
    assert [move["address"] for move in found["moves"]] == lost
    assert all(move["from"] == "node2" and move["to"] == after[move["address"]] for move in found["moves"])
    assert all(after[address] == before[address] for address in VIPS if address not in lost)


def test_what_only_a_node_that_is_down_has_is_owned_by_nobody(run: Run) -> None:
    files = write(node1=configuration(VIPS[0]), node2=configuration(VIPS[1]))
    found = planned(run(*files, "--down", "node2", "--format", "json"))
    assert owners(found) == {VIPS[0]: "node1", VIPS[1]: None}
    assert found["vips"][1]["reason"] == "no eligible member: every node that has it is down"
    assert found["moves"] == [{"address": VIPS[1], "from": "node2", "to": None}]


def shown(**held: list[str]) -> dict[str, Any]:
    vips = [{"address": address, "owner": node} for node, addresses in held.items() for address in addresses]
    return {"node": "node1", "vips": [*vips, {"address": "192.0.2.99", "owner": None}]}


def test_it_starts_from_the_owners_in_a_file_that_show_printed(run: Run) -> None:
    """Four on node1, two on node2: one moves; each of the others stays where it is."""
    files = write(node1=configuration(*VIPS), node2=configuration(*VIPS))
    Path("now.json").write_text(json.dumps(shown(node1=VIPS[:4], node2=VIPS[4:])))
    found = planned(run(*files, "--current", "now.json", "--format", "json"))
    (move,) = found["moves"]
    assert (move["from"], move["to"]) == ("node1", "node2")
    assert move["address"] in VIPS[:4]
    kept = [vip for vip in found["vips"] if vip["address"] != move["address"]]
    assert {vip["reason"] for vip in kept} == {"node1 holds it already", "node2 holds it already"}


def test_it_starts_from_the_owners_that_a_daemon_gives(run: Run, tmp_path: Path) -> None:
    files = write(node1=configuration(*VIPS[:2]), node2=configuration(*VIPS[:2]))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("node1.sock")
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                asked = json.loads(lines.readline())
                result = shown(node2=VIPS[:2]) if asked["command"] == "show" else {}
                connection.sendall(json.dumps({"ok": True, "result": result}).encode() + b"\n")

        daemon = threading.Thread(target=answer)
        daemon.start()
        found = planned(run(*files, "--current", "node1.sock", "--format", "json"))
        daemon.join()
    assert [(move["from"], move["to"]) for move in found["moves"]] == [("node2", "node1")]


def test_text_for_a_pipe_is_a_plain_table(run: Run) -> None:
    files = write(node1=configuration(*VIPS[:2], options="Duravip_Preference = node1"))
    code, out, err = run(*files)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "ADDRESS    OWNER  FLAGS  WHY",
        "192.0.2.1  node1  SAFE   node1 is preferred",
        "192.0.2.2  node1  SAFE   node1 is preferred",
        "",
        "VIPS EACH  NODES  WHICH",
        "2          1      node1",
        "members: 1; moves: 0",
    ]


def test_loads_are_shown_by_size_and_what_nobody_would_have_last(run: Run) -> None:
    files = write(
        node1=configuration(*VIPS[:4]), node2=configuration(*VIPS[:4]), node3=configuration(VIPS[4]), node4=""
    )
    _, out, _ = run(*files, "--down", "node3")
    assert out.splitlines()[-5:-2] == [
        "2          2      node1, node2",
        "0          1      node4",
        "1          0      nobody",
    ]


def test_a_hundred_and_twenty_eight_nodes_are_read_at_a_glance(run: Run) -> None:
    """One line for each address, none of them longer for the many nodes; whatever is the matter with it."""
    common = configuration(*VIPS[:3])
    broken = {f"node{n:03}": common.replace("b192-0-2-1 ", f"b{n} ") for n in range(128)}
    nowhere = configuration("192.0.2.9")
    files = write(**{node: text + (nowhere if node < "node004" else "") for node, text in broken.items()})
    code, out, _ = run(*files, *(f"--down=node{n:03}" for n in range(4)))
    assert code == 0
    table, _, loads = out.partition("\n\n")
    assert len(table.splitlines()) == 1 + 4
    assert max(map(len, out.splitlines())) < 300
    assert [line.split(maxsplit=2) for line in loads.splitlines()[1:4]] == [
        ["1", "2", loads.splitlines()[1].split(maxsplit=2)[2]],
        ["0", "122", "node004, node005, node006, and 119 more"],
        ["2", "0", "nobody"],
    ]


def test_moves_are_listed_for_people(run: Run) -> None:
    files = write(node1=configuration(VIPS[0]), node2=configuration(VIPS[1]))
    _, out, _ = run(*files, "--down", "node2")
    assert out.splitlines()[-2:] == ["members: 1; moves: 1", "  192.0.2.2: node2 -> nobody"]


# --- wrong input


def test_an_invalid_configuration_is_told_with_its_place_and_exit_2(run: Run) -> None:
    files = write(node1=configuration(VIPS[0], options="Duravip_Preference = true"))
    code, out, err = run(*files, "--format", "json")
    assert (code, out) == (2, "")
    assert err.startswith("node1.conf:1:")
    assert "DV306" in err


def test_a_missing_file_is_an_error(run: Run) -> None:
    code, _, err = run("absent.conf")
    assert code == 2
    assert "absent.conf" in err


def test_two_files_for_one_node_are_an_error(run: Run) -> None:
    write(a=configuration(VIPS[0]), b=configuration(VIPS[0]))
    code, _, err = run("n=a.conf", "n=b.conf")
    assert code == 2
    assert "both for node n" in err


def test_an_unknown_node_cannot_be_down(run: Run) -> None:
    code, _, err = run(*write(node1=configuration(VIPS[0])), "--down", "node9")
    assert code == 2
    assert "--down node9" in err
    assert "only node1" in err


@pytest.mark.parametrize("text", ["{", "[]", '{"vips": [{"address": "x", "owner": "node1"}]}', "\x00", "17"])
def test_a_current_file_that_show_did_not_print_is_an_error(run: Run, text: str) -> None:
    Path("now.json").write_text(text)
    code, _, err = run(*write(node1=configuration(VIPS[0])), "--current", "now.json")
    assert code == 2
    assert "--current now.json" in err


def test_a_current_file_that_is_not_there_is_an_error(run: Run) -> None:
    code, _, err = run(*write(node1=configuration(VIPS[0])), "--current", "absent.json")
    assert code == 2
    assert "absent.json" in err


def test_a_socket_that_nobody_listens_on_is_an_error(run: Run) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("dead.sock")
    code, _, err = run(*write(node1=configuration(VIPS[0])), "--current", "dead.sock")
    assert code == 1
    assert "dead.sock" in err
