"""`duravip convert`: the translation on stdout, what it lacks on stderr."""

from __future__ import annotations

import json
from pathlib import Path

FOUNDING = Path(__file__).parents[2] / "corpus" / "founding"


def test_check_gives_the_same_table_for_both(duravip, tmp_path: Path) -> None:
    original = FOUNDING / "node1.conf"
    status, out, _ = duravip("convert", str(original), "--to", "toml")
    assert status == 0
    (tmp_path / "node1.toml").write_text(out)
    tables = []
    for file in (original, tmp_path / "node1.toml"):
        checked = json.loads(duravip("check", str(file), "--format", "json")[1])
        assert checked["ok"]
        tables.append(checked["vips"])
    assert tables[0] == tables[1] != []


def test_what_is_not_carried_over_is_said_on_stderr(duravip, tmp_path: Path) -> None:
    file = tmp_path / "node1.conf"
    file.write_text("# why\ncluster { nodename = a }\nRelay { }\n/* and */")
    status, out, err = duravip("convert", str(file), "--to", "momentum")
    assert (status, out) == (0, 'cluster {\n  nodename = "a"\n}\n')
    assert f"{file}:3:1: info DV701: the stanza `Relay` is not carried over" in err
    assert f"{file}:1:1: info DV702: 2 comments are not carried over" in err


def test_a_file_with_errors_is_not_translated(duravip, tmp_path: Path) -> None:
    file = tmp_path / "node1.conf"
    file.write_text("cluster { profile = slow }")
    status, out, err = duravip("convert", str(file), "--to", "toml")
    assert (status, out) == (2, "")
    assert "DV303" in err
    assert "has errors" in err
    assert duravip("convert", str(tmp_path / "gone.conf"), "--to", "toml")[0] == 2


def test_a_language_that_nothing_writes_is_refused_with_those_that_there_are(duravip, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("")
    status, _, err = duravip("convert", str(tmp_path / "a.conf"), "--to", "yaml")
    assert status == 2
    assert "only momentum, toml" in err


def test_what_the_other_language_cannot_write_is_the_answer_no(duravip, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[cluster]\nkey_file = 'x y\\'\n")
    status, out, err = duravip("convert", str(tmp_path / "a.toml"), "--to", "momentum")
    assert (status, out) == (1, "")
    assert "cannot write `x y\\`" in err
