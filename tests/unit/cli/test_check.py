"""`duravip check`, from files to JSON, text and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from duravip.cli import check as check_module
from duravip.cli.check import check
from duravip.cli.diagnostic_text import SourceLines, excerpt
from duravip.config.options import Kind, Option
from duravip.model import Origin
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

FOUNDING = Path(__file__).parents[2] / "corpus" / "founding"
PARSERS = (MomentumParser(), TomlParser())
ENABLED = "Enable_Duravip = true"


class Plugins:
    """What the command wants of the plugin manager."""

    def parsers(self):
        return PARSERS

    def plugin_options(self):
        return {"multicast": (), "netlink": ()}

    def plugin_kinds(self):
        return {"multicast": "transport", "netlink": "backend"}

    def failures(self):
        return {}


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr("duravip.plugin.manager.load_plugins", Plugins)

    def invoke(*arguments: object):
        return CliRunner().invoke(check_module.command, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def nodes(tmp_path):
    """Writes node1.conf, node2.conf, ... of the texts; gives what `check` says of them as JSON."""

    def write(*texts: str, ending: str = "conf", extra: tuple[str, ...] = ()):
        paths = []
        for number, text in enumerate(texts, 1):
            path = tmp_path / f"node{number}.{ending}"
            path.write_text(text)
            paths.append(str(path))
        return check([*paths, *extra], parsers=PARSERS, plugin_options={}).as_json()

    return write


def found(result, code: str):
    return [one for one in result["diagnostics"] if one["code"] == code]


def binding(address: str, more: str = "", name: str = "example") -> str:
    return f"Binding {name} {{ Bind_Address = {address} {ENABLED} {more} }}\n"


# --- the founding document's three situations


def test_a_listener_on_one_node_only_is_unsafe_with_evidence_of_both(run) -> None:
    """'the DuraVIP subsystem will mark the IP address as "UNSAFE."'"""
    done = run(FOUNDING / "node1.conf", FOUNDING / "node2.conf", "--format", "json")
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["ok"] is True
    assert result["nodes"] == ["node1", "node2"]
    (vip,) = result["vips"]
    assert (vip["address"], vip["flags"], vip["bindings"]) == ("192.168.0.51", ["UNSAFE"], ["example"])
    told = [(one["flag"], one["node"], one["line"], one["value"]) for one in vip["evidence"]]
    assert told == [("UNSAFE", "node1", 3, "esmtp:25, multivip"), ("UNSAFE", "node2", 3, "multivip")]
    assert vip["nodes"]["node1"] == {
        "services": ["esmtp:25", "multivip"],
        "preference": None,
        "preferences": [],
        "follow": None,
        "interface": None,
        "prefix": 32,
    }
    assert {one["severity"] for one in result["diagnostics"]} == {"warning"}
    (flagged,) = found(result, "DV502")
    assert (flagged["file"], flagged["line"], flagged["column"]) == (str(FOUNDING / "node1.conf"), 3, 3)


def test_two_nodes_that_are_each_preferred_are_a_conflict(nodes) -> None:
    """'marked in conflict'"""
    result = nodes(
        binding("192.0.2.1", "Duravip_Preference = node1"), binding("192.0.2.1", "Duravip_Preference = node2")
    )
    assert result["vips"][0]["flags"] == ["CONFLICT"]
    assert len(found(result, "DV501")) == 1


def test_a_binding_name_that_is_not_consistent_is_broken(nodes) -> None:
    """'mark the named DuraVIP instance as "BROKEN,"'"""
    result = nodes(binding("192.0.2.1"), binding("192.0.2.1", name="renamed"))
    assert result["vips"][0]["flags"] == ["BROKEN"]
    assert result["vips"][0]["bindings"] == ["example", "renamed"]
    assert len(found(result, "DV503")) == 1
    assert result["ok"] is True


# --- between nodes


def test_sets_that_are_not_identical_are_an_information(nodes) -> None:
    """'highly recommended that the global set ... are identical on each system'"""
    result = nodes(binding("192.0.2.1"), binding("192.0.2.1") + binding("192.0.2.2", name="other"))
    (one,) = found(result, "DV511")
    assert (one["severity"], one["file"][-10:]) == ("info", "node1.conf")
    assert "192.0.2.2" in one["message"]


def test_enabled_here_and_merely_mentioned_there_is_a_warning(nodes) -> None:
    result = nodes(binding("192.0.2.1"), "\nBinding example { Bind_Address = 192.0.2.1 }")
    (one,) = found(result, "DV512")
    assert (one["severity"], one["line"]) == ("warning", 2)
    assert list(result["vips"][0]["nodes"]) == ["node1"]


def test_different_prefix_lengths_are_a_warning_and_different_interfaces_are_not(nodes) -> None:
    topology = 'Topology "192.0.2.0/24" {{ interface = {} cidrmask = {} }}\n'
    result = nodes(
        topology.format("eth0", 24) + binding("192.0.2.1"), topology.format("eth1", 32) + binding("192.0.2.1")
    )
    assert [one["severity"] for one in found(result, "DV513")] == ["warning"]
    same = nodes(topology.format("eth0", 24) + binding("192.0.2.1"), topology.format("eth1", 24) + binding("192.0.2.1"))
    assert [one["code"] for one in same["diagnostics"] if one["code"].startswith("DV5")] == []


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("", "duravip_balance_set_size = 4", "4 on node2, auto on node1"),
        ("", "view_mature_time = 9s", "9 on node2, 5 on node1"),
        ("members = a", "members = ( a b )", "(a, b) on node2, (a) on node1"),
        ("address_lifetime = 5", "", "10 on node2, 5 on node1"),
    ],
)
def test_settings_that_must_agree_and_differ_are_a_warning(nodes, one, other, words) -> None:
    result = nodes(f"cluster {{ {one} }}", f"cluster {{ {other} }}")
    (difference,) = found(result, "DV510")
    assert difference["severity"] == "warning"
    assert words in difference["message"]


def test_what_differs_on_many_nodes_alike_is_said_once(nodes) -> None:
    few = 'Topology "192.0.2.0/24" { cidrmask = 24 }' + binding("192.0.2.1") + binding("192.0.2.2", name="two")
    many = "cluster { view_mature_time = 9 cluster_group = x }" + binding("192.0.2.1").replace(ENABLED, "")
    result = nodes(few, *[many + binding("192.0.2.2", name="two")] * 5)
    said = {
        code: [one["message"] for one in found(result, code)] for code in ("DV510", "DV511", "DV512", "DV513", "DV515")
    }
    names = "node2, node3, node4, and 2 more"
    assert said == {
        "DV510": [f"view_mature_time must be the same on all nodes: 9 on {names}, 5 on node1"],
        "DV511": [f"{names} do not manage 1 of 2 VIPs: 192.0.2.1"],
        "DV512": [f"192.0.2.1 is a VIP on node1, but on {names} it is not enabled"],
        "DV513": [f"192.0.2.2 has a prefix of 32 bits on {names} and of 24 bits on node1"],
        "DV515": [f"{names}: in the cluster `x`, and node1 in `ec_cluster`: they will ignore each other"],
    }


def test_different_groups_ignore_each_other(nodes) -> None:
    assert len(found(nodes("", "cluster { cluster_group = other }"), "DV515")) == 1


def test_one_nodes_own_address_as_a_vip_of_another_is_an_error(nodes) -> None:
    result = nodes("cluster { nodeaddr = 192.0.2.1 }", binding("192.0.2.1"))
    assert (result["ok"], len(found(result, "DV516"))) == (False, 1)


def test_a_preference_for_none_of_the_nodes_is_a_warning_with_the_name_that_was_probably_meant(nodes) -> None:
    text = binding("192.0.2.1", "Duravip_Preference = Node1.example.com")
    (one,) = found(nodes(text, text), "DV517")
    assert (one["severity"], one["hint"].split("?")[0]) == ("warning", "did you mean node1")
    assert found(nodes(text), "DV517") == []


def test_a_preference_for_none_of_the_members_is_found_in_one_file(nodes) -> None:
    members = "cluster { members = ( node1 node2 ) }"
    assert len(found(nodes(members + binding("192.0.2.1", "Duravip_Preference = node3")), "DV517")) == 1
    assert found(nodes(members + binding("192.0.2.1", "Duravip_Preference = node2")), "DV517") == []


@pytest.mark.parametrize("other", ["MAIL", "mail.example.com", "Mail.example.org"])
def test_names_that_differ_only_in_case_or_domain_are_a_warning(nodes, other) -> None:
    (one,) = found(nodes("cluster { nodename = mail }", f"cluster {{ nodename = {other} }}"), "DV518")
    assert one["severity"] == "warning"
    assert len(one["related"]) == 1
    assert found(nodes("cluster { nodename = mail }", "cluster { nodename = mail2 }"), "DV518") == []


@pytest.mark.parametrize("unicast", ['listen = "192.0.2.1:4860" peers = ( a )', 'peers = ( a "192.0.2.1:4860" )'])
def test_an_address_that_a_transport_calls_a_nodes_own_is_no_vip_on_any_node(tmp_path, unicast) -> None:
    options = {
        "unicast": (Option(name="listen", kind=Kind.TEXT, doc=""), Option(name="peers", kind=Kind.TEXTS, doc=""))
    }
    first, second = tmp_path / "node1.conf", tmp_path / "node2.conf"

    def codes(*texts: str) -> list[str]:
        for path, text in zip((first, second), texts, strict=True):
            path.write_text(text)
        told = check(
            [str(first), str(second)], parsers=PARSERS, plugin_options=options, plugin_kinds={"unicast": "transport"}
        )
        return [one.code for one in told.diagnostics if one.severity.value == "error"]

    assert codes(f"unicast {{ {unicast} }}", binding("192.0.2.1")) == ["DV516"]
    assert codes(f"unicast {{ {unicast} }}" + binding("192.0.2.1"), "") == ["DV423"]
    assert codes(f"unicast {{ {unicast} }}" + binding("192.0.2.2"), "") == []


def test_a_flags_other_places_are_related(nodes) -> None:
    (one,) = found(nodes(binding("192.0.2.1"), "\n" + binding("192.0.2.1", name="other")), "DV503")
    assert [Path(place["file"]).name for place in (one, *one["related"])] == ["node1.conf", "node2.conf"]
    assert one["related"][0]["line"] == 2


def test_two_files_for_one_node_are_an_error(nodes) -> None:
    result = nodes("cluster { nodename = same }", "cluster {\n nodename = same }")
    (one,) = found(result, "DV514")
    assert (result["ok"], result["nodes"], one["line"]) == (False, ["same"], 2)


def test_a_file_with_errors_takes_no_part_in_the_comparison(nodes) -> None:
    result = nodes(binding("192.0.2.1"), binding("192.0.2.1", "Duravip_Preference = true", name="renamed"))
    assert result["nodes"] == ["node1", "node2"]
    assert result["vips"][0]["flags"] == []
    assert result["ok"] is False


# --- names


def test_names_come_from_the_argument_then_nodename_then_the_stem(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EC_NODE_NAME", "never")
    plain, named = tmp_path / "plain.conf", tmp_path / "named.toml"
    plain.write_text("")
    named.write_text("[cluster]\nnodename = 'inside'")

    def names(*arguments: str) -> list[str]:
        return check(arguments, parsers=PARSERS, plugin_options={}).as_json()["nodes"]

    assert names(str(plain), str(named)) == ["inside", "plain"]
    assert names(f"a={plain}", f"b={named}", f"c={plain}") == ["a", "b", "c"]


# --- the command


def test_exit_codes(run, tmp_path) -> None:
    clean, warned, wrong = (tmp_path / f"{name}.conf" for name in ("clean", "warned", "wrong"))
    clean.write_text("cluster { insecure = true }")
    warned.write_text("cluster { }")
    wrong.write_text("cluster {")
    assert run(clean, "--strict").exit_code == 0
    assert run(warned).exit_code == 0
    assert run(warned, "--strict").exit_code == 1
    assert run(wrong).exit_code == 2
    assert run(wrong, "--strict").exit_code == 2
    assert run(tmp_path / "gone.conf").exit_code == 2
    assert run().exit_code == 2


def test_json_is_alone_on_stdout_and_places_count_from_one(run, tmp_path) -> None:
    done = run(tmp_path / "gone.conf", "--format", "json")
    (one,) = json.loads(done.stdout)["diagnostics"]
    assert done.stderr == ""
    assert sorted(one) == ["code", "column", "file", "hint", "line", "message", "related", "severity"]
    assert (one["line"], one["column"], one["code"]) == (1, 1, "DV201")


def test_text_shows_the_line_with_a_mark_and_a_hint_on_stderr_and_the_vips_on_stdout(run, tmp_path) -> None:
    path = tmp_path / "n.conf"
    path.write_text("cluster {\n\tinsecure = 1\n\tprofile = lam\n}\n" + binding("192.0.2.1"))
    done = run(path)
    assert done.stderr.splitlines()[:4] == [
        f"{path}:3:12: error DV303: profile: `lam` is none of its choices",
        "    \tprofile = lam",
        "    \t          ^",
        "    hint: choose one of: lan, fast, wan",
    ]
    assert done.stdout.splitlines() == ["1 node, 0 virtual addresses: 1 error, 1 warning"]


def test_text_without_a_terminal_is_plain_and_aligned(run) -> None:
    done = run(FOUNDING / "node1.conf", FOUNDING / "node2.conf")
    assert done.stdout.splitlines() == [
        "ADDRESS       FLAGS   BINDINGS  PREFERENCE  SERVICES",
        "192.168.0.51  UNSAFE  example   -           node1: esmtp:25 multivip; node2: multivip",
        "2 nodes, 1 virtual address: 0 errors, 5 warnings",
    ]
    assert "\x1b" not in done.output


def test_a_hundred_and_twenty_eight_nodes_fit_in_one_line_for_each_address(run, tmp_path) -> None:
    agree, differ = tmp_path / "agree.conf", tmp_path / "differ.conf"
    agree.write_text("cluster { insecure = true }\n" + binding("192.0.2.1") + binding("192.0.2.2", name="other"))
    differ.write_text(agree.read_text() + 'ESMTP_Listener { Listen "192.0.2.2:25" { } }')
    arguments = [f"n{number:03}={differ if number == 7 else agree}" for number in range(128)]
    done = run(*arguments)
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "ADDRESS FLAGS BINDINGS PREFERENCE SERVICES",
        "192.0.2.1 SAFE example - multivip",
        "192.0.2.2 UNSAFE other - n000,n001,n002 and 124 more: multivip; n007: esmtp:25 multivip",
        "128 nodes, 2 virtual addresses: 0 errors, 5 warnings",
    ]


def test_the_one_of_many_nodes_that_differs_is_named_first_and_pointed_at(run, tmp_path) -> None:
    agree, differ = tmp_path / "agree.conf", tmp_path / "differ.conf"
    agree.write_text("cluster { insecure = true }\n" + binding("192.0.2.1"))
    differ.write_text("cluster { insecure = true }\n\n" + binding("192.0.2.1", name="odd"))
    done = run(*[f"n{number:03}={differ if number == 99 else agree}" for number in range(128)])
    (line,) = [line for line in done.stderr.splitlines() if " DV503: " in line]
    assert line == (
        f"{differ}:3:1: warning DV503: 192.0.2.1 is BROKEN: n099 binds 192.0.2.1 under the name odd; "
        "n000 binds 192.0.2.1 under the name example (126 more nodes likewise)"
    )


def test_what_is_said_of_copies_is_said_once_with_their_names(run, tmp_path) -> None:
    paths = [tmp_path / f"{name}.conf" for name in "abcdef"]
    for path in paths:
        path.write_text("cluster { insecure = true }\n" + binding("192.0.2.1"))
    done = run(*paths)
    (first,) = [line for line in done.stderr.splitlines() if " DV410: " in line]
    assert first.startswith(str(paths[0]))
    at = done.stderr.splitlines().index(first)
    assert done.stderr.splitlines()[at + 4] == (
        f"    the same: {', '.join(f'{path}:2:61' for path in paths[1:4])} and 2 more files"
    )
    assert len(json.loads(run(*paths, "--format", "json").stdout)["diagnostics"]) == 6


def test_an_excerpt_of_a_long_line_keeps_the_mark_under_its_place(tmp_path) -> None:
    path = tmp_path / "long.conf"
    path.write_text("x" * 500 + "HERE" + "y" * 500 + "\x1b")
    line, mark = excerpt(Origin(str(path), 1, 501), SourceLines())
    assert line[mark.index("^") :].startswith("HERE")
    assert len(line) < 120


def test_related_places_are_shown_below_with_their_lines_and_are_in_the_json(run, tmp_path) -> None:
    path = tmp_path / "twice.conf"
    path.write_text("cluster {\n  insecure = true\n  nodename = a\n}\ncluster { nodename = b }\n")
    told = run(path).stderr.splitlines()
    assert told == [
        f"{path}:5:22: error DV407: cluster gives nodename twice: `b` here, `a` before",
        "    cluster { nodename = b }",
        "                         ^",
        f"    {path}:3:14: nodename is `a` here",
        "          nodename = a",
        "                     ^",
        "    hint: keep one of them",
    ]
    (diagnostic,) = json.loads(run(path, "--format", "json").stdout)["diagnostics"]
    assert diagnostic["related"] == [{"file": str(path), "line": 3, "column": 14, "message": "nodename is `a` here"}]


def test_a_place_that_is_not_in_the_file_has_no_excerpt(tmp_path) -> None:
    for line, column in [(0, 0), (7, 1), (1, 99)]:
        path = tmp_path / "short.conf"
        path.write_text("x")
        assert excerpt(Origin(str(path), line, column), SourceLines()) == []
