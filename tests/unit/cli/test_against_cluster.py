"""`duravip check --against-cluster`, against a daemon with canned answers; that a real one answers so is in
test_identical_flags.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from duravip.config.codes import CODES
from duravip.model import Address, Settings, Use, VipEntry

MAIL = VipEntry(address=Address("192.0.2.50"), services=(Use("multivip"),), bindings=(Use("mail"),))


def binding(name: str = "mail", more: str = "") -> str:
    return f"Binding {name} {{ Bind_Address = 192.0.2.50 Enable_Duravip = true }} {more}\n"


@pytest.fixture
def told(duravip, daemon, tmp_path: Path):
    """What is said of the cluster when `text` is node1's file and `running` are the members' tables."""

    def ask(
        text: str, settings: dict[str, Settings] | None = None, **running: tuple[VipEntry, ...]
    ) -> list[dict[str, Any]]:
        daemon.answers["tables"] = {
            "node": "node2",
            "coordinator": "node2",
            "settings": msgspec.to_builtins(dict.fromkeys(running, Settings()) | (settings or {})),
            "tables": msgspec.to_builtins(running),
        }
        file = tmp_path / "node1.conf"
        file.write_text(text)
        _, out, _ = duravip("check", str(file), "--against-cluster", "--format", "json")
        found = [one for one in json.loads(out)["diagnostics"] if one["code"] > "DV609"]
        assert all(one["severity"] == CODES[one["code"]].severity.value for one in found)
        return found

    return ask


def test_a_file_that_changes_nothing_is_not_spoken_of(told) -> None:
    assert told(binding(), node1=(MAIL,), node2=(MAIL,)) == []


def test_what_it_would_break_is_a_warning_at_the_files_place_with_the_others_beside(told) -> None:
    (one,) = told("\n" + binding("post"), node1=(MAIL,), node2=(MAIL,), node3=(MAIL,))
    assert (one["code"], one["line"], Path(one["file"]).name) == ("DV610", 2, "node1.conf")
    assert one["message"].startswith("192.0.2.50 would become BROKEN: node1 binds 192.0.2.50 under the name post")
    assert [place["message"].split()[0] for place in one["related"]] == ["node2", "node3"]


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        ('ESMTP_Listener { Listen "192.0.2.50:25" { } }', "UNSAFE"),
        ("Binding mail { Duravip_Preference = node1 }", "CONFLICT"),
    ],
)
def test_so_is_what_it_would_make_unsafe_or_a_conflict(told, more, flag) -> None:
    preferring = msgspec.structs.replace(MAIL, preference=Use("node2"))
    other = preferring if flag == "CONFLICT" else MAIL
    found = [one for one in told(binding(more=more), node1=(other,), node2=(other,)) if one["code"] == "DV610"]
    assert [f"would become {flag}" in one["message"] for one in found] == [True]


def test_what_it_would_mend_is_an_information(told) -> None:
    post = msgspec.structs.replace(MAIL, bindings=(Use("post"),))
    (one,) = told(binding(), node1=(post,), node2=(MAIL,))
    assert (one["code"], one["message"]) == ("DV611", "192.0.2.50 is BROKEN now, and would be no longer")


SLOW, SLOWER = Settings(view_mature_time=9.0), Settings(view_mature_time=12.0)


def test_settings_that_would_differ_from_other_members_are_a_warning_with_whose_counts(told) -> None:
    (one,) = told("cluster { view_mature_time = 9 }" + binding(), node1=(MAIL,), node2=(MAIL,), node3=(MAIL,))
    assert (one["code"], one["line"], one["column"]) == ("DV612", 1, 30)
    assert one["message"] == "view_mature_time would be 9 on node1, and is 5 on node2, node3"
    assert "the coordinator's is in force (now node2 is coordinator)" in one["hint"]


def test_a_setting_that_its_node_alone_has_otherwise_now_is_not_spoken_of(told) -> None:
    """It is the others that it has to agree with."""
    cluster = "cluster { view_mature_time = 9 }"
    assert told(cluster + binding(), {"node2": SLOW}, node1=(MAIL,), node2=(MAIL,)) == []
    assert told(cluster + binding(), node1=(MAIL,)) == []


def test_members_that_differ_among_themselves_are_named_with_what_they_have(told) -> None:
    said = told(binding(), {"node2": SLOW, "node3": SLOWER}, node1=(MAIL,), node2=(MAIL,), node3=(MAIL,))
    assert [one["message"].partition(" and is ")[2] for one in said] == ["9 on node2", "12 on node3"]


def test_a_node_that_is_no_member_is_an_information(told) -> None:
    (one,) = told(binding(), node2=(MAIL,))
    assert (one["code"], one["message"]) == ("DV613", "node1 is no member of the view now: node2")


def test_without_a_daemon_the_answer_is_no(duravip, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(binding())
    status, out, err = duravip(
        "check", str(tmp_path / "a.conf"), "--against-cluster", "--control", str(tmp_path / "none")
    )
    assert (status, out) == (1, "")
    assert "duravip:" in err
