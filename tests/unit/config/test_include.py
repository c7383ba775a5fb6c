"""domain.md section 7: "`include`: any scope; file or directory (its files in alphabetical order, no dot files,
no sub-directories); first beside the including file, then along the search path (`EC_CONF_SEARCH_PATH`,
colon-separated; by default `global`, the node's name, `default` under the configuration root). A missing file, or a
loop, is an error that names the chain."
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from duravip.config import include
from duravip.config.document import Document
from duravip.config.include import texts
from duravip.config.load import load_document, load_file
from duravip.testing.parser_kit import plain
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

PARSERS = (MomentumParser(), TomlParser())


@pytest.fixture
def tree(tmp_path: Path):
    """`tree(**texts)` writes files (`__` stands for /), and gives their folder."""

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            path = tmp_path / (name.replace("__", "/") + ".conf")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def read(main: Path, environ: Mapping[str, str] | None = None, name: str | None = None) -> Document:
    return load_document(main, parsers=PARSERS, name=name, environ=environ or {}, host_name="host")


def good(main: Path, environ: Mapping[str, str] | None = None, name: str | None = None) -> list[object]:
    document = read(main, environ, name)
    assert document.diagnostics == []
    return plain(document.root)


def only(document: Document) -> tuple[str, str, int]:
    (found,) = document.diagnostics
    return found.code, Path(found.origin.file).name, found.origin.line


# --- what it stands for


@pytest.mark.parametrize("word", ["include", "readonly_include", "INCLUDE"])
def test_a_files_items_stand_where_it_is_included(tree, word) -> None:
    folder = tree(main=f'a = 1\n{word} "b.conf"\nc = 3', b="b = 2")
    assert good(folder / "main.conf") == [("a", "1"), ("b", "2"), ("c", "3")]


def test_any_scope_may_include(tree) -> None:
    folder = tree(
        main='cluster { include t.conf }\nESMTP_Listener { Listen "*:25" { include "l.conf" } }',
        t='Topology "10.0.0.0/8" { include i.conf }',
        i="interface = eth1",
        l="enable = false",
    )
    assert good(folder / "main.conf") == [
        ("cluster", None, [("topology", "10.0.0.0/8", [("interface", "eth1")])]),
        ("esmtp_listener", None, [("listen", "*:25", [("enable", "false")])]),
    ]


def test_what_is_included_knows_its_own_place(tree) -> None:
    folder = tree(main="\ninclude b.conf", b="\n\n  b = x")
    (item,) = read(folder / "main.conf").root.items
    assert (item.origin.file, item.origin.line, item.origin.column) == (str(folder / "b.conf"), 3, 3)


def test_a_folder_stands_for_its_files_in_alphabetical_order(tree) -> None:
    """ "its files in alphabetical order, no dot files, no sub-directories" """
    folder = tree(main='include "d"', d__b="b = 1", d__a="a = 1", d__Z="z = 1", d__sub__c="c = 1")
    (folder / "d" / ".hidden.conf").write_text("h = 1")
    (folder / "d" / "10").write_text("ten = 1")
    (folder / "d" / "link").symlink_to(folder / "d" / "sub")
    assert good(folder / "main.conf") == [("ten", "1"), ("z", "1"), ("a", "1"), ("b", "1")]


def test_an_empty_folder_is_no_mistake(tree) -> None:
    folder = tree(main="include d")
    (folder / "d").mkdir()
    assert good(folder / "main.conf") == []


def test_a_file_may_be_included_twice(tree) -> None:
    folder = tree(main="include b.conf s { include b.conf }", b="b = 1")
    assert good(folder / "main.conf") == [("b", "1"), ("s", None, [("b", "1")])]


def test_a_uri_may_name_the_file(tree) -> None:
    folder = tree(b="b = 1")
    (folder / "main.conf").write_text(f'include "file://{folder}/b.conf"')
    assert good(folder / "main.conf") == [("b", "1")]


@pytest.mark.parametrize("target", ['"http://example.com/x.conf"', '""'])
def test_nothing_else_can_be_included(tree, target) -> None:
    assert only(read(tree(main=f"\ninclude {target}") / "main.conf")) == ("DV206", "main.conf", 2)


def test_toml_includes_too(tmp_path) -> None:
    (tmp_path / "main.toml").write_text('include = ["a.toml", "b.toml"]\n[cluster]\ninclude = "c.toml"\n')
    (tmp_path / "a.toml").write_text("[[binding]]\nname = 'x'\n")
    (tmp_path / "b.toml").write_text("bind_address = '192.0.2.1'\n")
    (tmp_path / "c.toml").write_text("nodename = 'n'\n[[topology]]\nnetwork = '10.0.0.0/8'\n")
    assert good(tmp_path / "main.toml") == [
        ("binding", "x", []),
        ("bind_address", "192.0.2.1"),
        ("cluster", None, [("nodename", "n"), ("topology", "10.0.0.0/8", [])]),
    ]


# --- where it is looked for


def test_first_beside_the_including_file(tree) -> None:
    folder = tree(main="include sub/a.conf", sub__a="include b.conf", sub__b="here = 1", b="there = 1")
    assert good(folder / "main.conf") == [("here", "1")]


def test_then_along_the_search_path_of_the_environment(tree) -> None:
    folder = tree(main="include b.conf", two__b="two = 1", three__b="three = 1", node7__b="seven = 1")
    paths = [folder / "one", folder / "two", folder / "three"]
    environ = {"EC_CONF_SEARCH_PATH": ":".join(map(str, paths))}
    assert good(folder / "main.conf", environ) == [("two", "1")]
    environ = {"EC_CONF_SEARCH_PATH": f"{folder}/{{NODENAME}}::{folder}/two"}
    assert good(folder / "main.conf", environ, name="node7") == [("seven", "1")]


def test_by_default_global_the_nodes_name_and_default_under_the_configuration_root(tree) -> None:
    folder = tree(
        main="include a.conf include b.conf include c.conf",
        global__a="a = global",
        n1__a="a = n1",
        n1__b="b = n1",
        default__a="a = default",
        default__b="b = default",
        default__c="c = default",
    )
    expected = [("a", "global"), ("b", "n1"), ("c", "default")]
    assert good(folder / "main.conf", name="n1") == expected
    (folder / "main.conf").rename(folder / "default" / "main.conf")
    (folder / "default" / "a.conf").unlink()
    (folder / "default" / "b.conf").unlink()
    assert good(folder / "default" / "main.conf", name="n1") == expected


@pytest.mark.parametrize(
    ("name", "main", "environ", "node"),
    [
        ("given", "cluster { nodename = written }", {"EC_NODE_NAME": "env"}, "given"),
        (None, "CLUSTER { NodeName = written }", {"EC_NODE_NAME": "env"}, "written"),
        (None, "include name.conf", {"EC_NODE_NAME": "env"}, "included"),
        (None, "cluster { }", {"EC_NODE_NAME": "env"}, "env"),
        (None, "", {}, "host"),
    ],
)
def test_the_nodes_name_on_the_search_path_is_the_nodes_name(tree, name, main, environ, node) -> None:
    names = ("given", "written", "included", "env", "host")
    folder = tree(
        main=main + "\ninclude b.conf",
        name="cluster { nodename = included }",
        **{f"{one}__b": f"b = {one}" for one in names},
    )
    assert good(folder / "main.conf", environ, name)[-1] == ("b", node)


def test_beside_a_link_and_beside_what_it_leads_to(tree) -> None:
    folder = tree(real__main="include b.conf include c.conf", real__b="b = real", real__c="c = real", b="b = link")
    (folder / "main.conf").symlink_to(folder / "real" / "main.conf")
    assert good(folder / "main.conf") == [("b", "link"), ("c", "real")]


# --- "A missing file, or a loop, is an error that names the chain"


def test_a_missing_file_names_the_chain(tree) -> None:
    folder = tree(main="\ninclude a.conf", a="\n\ns { include gone.conf }")
    (found,) = read(folder / "main.conf").diagnostics
    assert (found.code, found.origin.file, found.origin.line) == ("DV206", str(folder / "a.conf"), 3)
    assert f"{folder}/main.conf:2 includes {folder}/a.conf, {folder}/a.conf:3 includes gone.conf" in found.message
    assert str(folder / "default") in found.hint
    assert [related.origin.line for related in found.related] == [2]


@pytest.mark.parametrize(
    ("texts", "file", "line"),
    [
        ({"main": "\ninclude main.conf"}, "main.conf", 2),
        ({"main": "include a.conf", "a": "include b.conf", "b": "x { include main.conf }"}, "b.conf", 1),
        ({"main": "include d", "d__a": "include ../d"}, "a.conf", 1),
    ],
)
def test_a_loop_names_the_chain(tree, texts, file, line) -> None:
    folder = tree(**texts)
    document = read(folder / "main.conf")
    assert only(document) == ("DV208", file, line)
    assert "main.conf" in document.diagnostics[0].message


def test_a_loop_through_links_is_found(tree) -> None:
    folder = tree(main="include other.conf")
    (folder / "other.conf").symlink_to(folder / "main.conf")
    assert only(read(folder / "main.conf"))[0] == "DV208"


def test_a_dangling_link_and_one_that_leads_to_itself_are_errors_at_the_include(tree) -> None:
    folder = tree(main="a = 1\ninclude gone include self")
    (folder / "gone").symlink_to(folder / "nowhere")
    (folder / "self").symlink_to(folder / "self")
    found = read(folder / "main.conf").diagnostics
    assert [(one.code, one.origin.line) for one in found] == [("DV201", 2), ("DV201", 2)]


def test_what_is_no_file_is_an_error_at_the_include_and_does_not_block(tree) -> None:
    folder = tree(main="include pipe\ninclude /dev/zero\ninclude socket\ninclude d")
    os.mkfifo(folder / "pipe")
    (folder / "d").mkdir()
    os.mkfifo(folder / "d" / "another")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        found = read(folder / "main.conf").diagnostics
    assert [(one.code, one.origin.line) for one in found] == [
        ("DV202", 1),
        ("DV202", 2),
        ("DV202", 3),
        ("DV202", 4),
    ]


def test_what_is_wrong_within_an_included_file_is_reported_there(tree) -> None:
    folder = tree(main="include a.conf\ninclude b.conf\nc = 1", a="x = 1\n}", b="")
    (folder / "b.conf").write_bytes(b"\n\n\xff")
    document = read(folder / "main.conf")
    places = [(one.code, Path(one.origin.file).name, one.origin.line) for one in document.diagnostics]
    assert places == [("DV106", "a.conf", 2), ("DV204", "b.conf", 3)]
    assert plain(document.root) == [("x", "1"), ("c", "1")]


def test_a_folder_that_cannot_be_listed_is_an_error_at_the_include(tree, monkeypatch) -> None:
    folder = tree(main="\ninclude d", d__a="")

    def listing(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", listing)
    assert only(read(folder / "main.conf")) == ("DV206", "main.conf", 2)


def test_the_texts_that_a_file_may_include_are_found_without_its_language(tree) -> None:
    folder = tree(main='include "a.conf"\ninclude gone # include main.conf', a="x include = ['d'] z", d__b="include")
    (folder / "d" / "nul").write_bytes(b"\0")
    assert sorted(texts(str(folder / "main.conf"), {}))[0] == "include"
    assert len(list(texts(str(folder / "main.conf"), {}))) == 3


# --- bounds


def test_the_number_of_files_is_bounded(tree, monkeypatch) -> None:
    monkeypatch.setattr(include, "MAX_FILES", 5)
    folder = tree(main="include d\ninclude d", d__a="a = 1", d__b="b = 1", d__c="c = 1")
    document = read(folder / "main.conf")
    assert only(document) == ("DV210", "main.conf", 2)
    assert len(document.root.items) == 5


def test_so_is_the_number_of_those_that_are_looked_for_in_vain(tree, monkeypatch) -> None:
    monkeypatch.setattr(include, "MAX_FILES", 5)
    missing = "".join(f"include none{number}.conf\n" for number in range(20))
    found = read(tree(main=missing) / "main.conf").diagnostics
    assert [one.code for one in found] == ["DV206"] * 5 + ["DV210"]


@pytest.mark.parametrize("text", ["include" + " " * 100_000, "include [" * 20_000, "include \n" * 20_000])
def test_to_find_the_texts_takes_linear_time_whatever_there_is(tmp_path, text) -> None:
    (tmp_path / "main.conf").write_text(text)
    began = time.process_time()
    assert list(texts(str(tmp_path / "main.conf"), {})) == [text]
    assert time.process_time() - began < 5.0, "about 0.1 s; it was two minutes for the blanks"


def test_twice_as_many_files_in_each_level_are_bounded(tree, monkeypatch) -> None:
    """Twenty levels would be a million files."""
    monkeypatch.setattr(include, "MAX_FILES", 50)
    texts = {f"f{level}": f"include f{level + 1}.conf\ninclude f{level + 1}.conf" for level in range(18)}
    folder = tree(**texts, f18="x = 1")
    assert only(read(folder / "f0.conf"))[0] == "DV210"


def test_the_length_of_a_chain_is_bounded(tree) -> None:
    texts = {f"f{level}": f"include f{level + 1}.conf" for level in range(30)}
    assert only(read(tree(**texts, f30="") / "f0.conf"))[0] == "DV210"


@pytest.mark.parametrize("bound", ["MAX_BYTES", "MAX_ITEMS"])
def test_the_size_of_all_is_bounded(tree, monkeypatch, bound) -> None:
    monkeypatch.setattr(include, bound, 3)
    folder = tree(main="include a.conf\ninclude a.conf\ninclude a.conf", a="a = 1 b = 2 c = 3 d = 4")
    assert only(read(folder / "main.conf")) == ("DV203", "main.conf", 2)


def test_the_nesting_of_all_is_bounded(tree) -> None:
    down, up = "s { " * 60, " }" * 60
    folder = tree(main=f"{down} include a.conf {up}", a=down + up)
    assert only(read(folder / "main.conf"))[0] == "DV107"


# --- overriding


def test_what_is_read_later_overrides_what_another_file_says_as_in_the_original(tree) -> None:
    folder = tree(main="include default.conf\ncluster { weight = 2 }", default="cluster { weight = 1 }")
    config = load_file(folder / "main.conf", parsers=PARSERS, plugin_options={}, environ={}, host_name="h")
    assert config.local.weight == 2.0
    assert config.errors() == ()
    (found,) = [one for one in config.diagnostics if one.code == "DV407"]
    assert found.origin.file == str(folder / "main.conf")
    assert found.related[0].origin.file == str(folder / "default.conf")
