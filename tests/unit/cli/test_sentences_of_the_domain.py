"""Everything that the description of the domain calls an error, a warning or an information: each sentence, and what
`check` says. Sentences stand as they are there; `...` stands for words left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from duravip.cli.check import check
from duravip.config.options import Kind, Option
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

PARSERS = (MomentumParser(), TomlParser())
PLUGINS = {"webhook": (Option(name="url", kind=Kind.TEXT, doc=""),)}
VIP = "Binding a { Bind_Address = 192.0.2.1 Enable_Duravip = true %s }\n"
FOLLOWER = 'ESMTP_Listener { Listen "192.0.2.9:25" { Duravip_Follow = %s } }\n'

ONE: list[tuple[str, str, str, str]] = [
    # sentence, text of node1.conf, code, severity
    (
        "A DuraVIP equal to the node's own main address is an error.",
        "cluster { nodeaddr = 192.0.2.1 }" + VIP % "",
        "DV423",
        "error",
    ),
    (
        "`true`, `yes`, `on`, `1` and so on as a preference is an error",
        VIP % "Duravip_Preference = yes",
        "DV306",
        "error",
    ),
    ("Another unknown option in a scope of ours is a warning", "cluster { colour = blue }", "DV401", "warning"),
    (
        "and an error with a suggestion when it is within two letters of one of ours",
        "cluster { nodnaem = a }",
        "DV402",
        "error",
    ),
    ("a misspelt `webhook` must not switch alerting off unnoticed", "webhok { url = x }", "DV403", "warning"),
    ("the delay is read and ignored with an info", "cluster { heartbeat_start_delay = 15 }", "DV404", "info"),
    ("duravip_balance_set_size ... at least 1", "cluster { duravip_balance_set_size = 0 }", "DV302", "error"),
    (
        "default 3.5 x the interval, below 2.5 x is an error",
        "cluster { heartbeat_interval = 1 failure_timeout = 2.4 }",
        "DV421",
        "error",
    ),
    ("neither: `run` refuses, `check` warns", "cluster { nodename = a }", "DV420", "warning"),
    ("Names are case-sensitive, no space, no colon.", 'Binding "a:b" { Bind_Address = 192.0.2.1 }', "DV308", "error"),
    ("No Topology for a VIP: `interface` is null and `check` warns", VIP % "", "DV410", "warning"),
    (
        "Two Topologies of equal length that match are an error",
        "Topology 192.0.2.0/24 { interface = a } Topology 192.0.2.128/24 { interface = b }",
        "DV411",
        "error",
    ),
    ("must resolve to exactly one address", "Binding a { Bind_Address = two.example.com }", "DV305", "error"),
    ("Only a Listen may follow", VIP % "Duravip_Follow = 192.0.2.2", "DV418", "error"),
    (
        "Not together with `enable_duravip`",
        VIP % "" + FOLLOWER % "a Enable_Duravip = true",
        "DV414",
        "error",
    ),
    (
        "or `duravip_preference` on the same Listen",
        VIP % "" + FOLLOWER % "a Duravip_Preference = n",
        "DV419",
        "error",
    ),
    (
        "Its address must differ from the followed address.",
        'Binding a { Bind_Address = 192.0.2.1 } ESMTP_Listener { Listen "192.0.2.1:25" { Duravip_Follow = a } }',
        "DV417",
        "error",
    ),
    (
        "a loop ... is an error",
        FOLLOWER % "192.0.2.8" + 'HTTP_Listener { Listen "192.0.2.8:80" { Duravip_Follow = 192.0.2.9 } }',
        "DV415",
        "error",
    ),
    ("a dangling name is an error", FOLLOWER % "nobody", "DV416", "error"),
    (
        "Different preferences ... for one address within one configuration are errors",
        VIP % "Duravip_Preference = n" + "Binding b { Bind_Address = 192.0.2.1 Duravip_Preference = m }",
        "DV412",
        "error",
    ),
    (
        "or different things to follow",
        VIP % ""
        + "Binding b { Bind_Address = 192.0.2.2 Enable_Duravip = true }"
        + FOLLOWER % "a"
        + 'HTTP_Listener { Listen "192.0.2.9:80" { Duravip_Follow = b } }',
        "DV413",
        "error",
    ),
    (
        "as is an address that follows here and is enabled there",
        VIP % "" + FOLLOWER % "a" + "Binding b { Bind_Address = 192.0.2.9 Enable_Duravip = true }",
        "DV414",
        "error",
    ),
    ("What is left open (string ...) is reported where it opens", 'a = "b', "DV101", "error"),
    ("What is left open (... comment ...) is reported where it opens", "/* b", "DV102", "error"),
    ("What is left open (... stanza ...) is reported where it opens", "cluster {", "DV103", "error"),
    ("What is left open (... bracket) is reported where it opens", "a = ( b", "DV103", "error"),
    ("`x =` followed by `y =` is an error that names x", "x =\ny = 1", "DV104", "error"),
    ("A missing file ... is an error that names the chain", 'include "gone"', "DV206", "error"),
    ("or a loop, is an error that names the chain", 'include "node1.conf"', "DV208", "error"),
]

TWO: list[tuple[str, str, str, str, str]] = [
    (
        "CONFLICT ... two different ONLINE virtual members are each named",
        VIP % "Duravip_Preference = node1",
        VIP % "Duravip_Preference = node2",
        "DV501",
        "warning",
    ),
    (
        "UNSAFE ... one has the listener, another does not",
        VIP % "" + 'ESMTP_Listener { Listen "192.0.2.1:25" { } }',
        VIP % "",
        "DV502",
        "warning",
    ),
    (
        "BROKEN ... use different sets of names",
        VIP % "",
        (VIP % "").replace("Binding a", "Binding b"),
        "DV503",
        "warning",
    ),
    (
        "merely mentioned on node2 ... `check` warns",
        VIP % "",
        "Binding a { Bind_Address = 192.0.2.1 }",
        "DV512",
        "warning",
    ),
    ("Sets that are not identical on all members are an information in `check`", VIP % "", "", "DV511", "info"),
    (
        "different prefix lengths between nodes are a warning",
        "Topology 192.0.2.0/24 { interface = a }" + VIP % "",
        "Topology 192.0.2.0/24 { interface = a cidrmask = 24 }" + VIP % "",
        "DV513",
        "warning",
    ),
    ("clusters with different names ignore each other", "cluster { cluster_group = a }", "", "DV515", "warning"),
    *(
        (
            "Settings that must agree ... the difference is an event and is shown",
            f"cluster {{ {one} }}",
            f"cluster {{ {other} }}",
            "DV510",
            "warning",
        )
        for one, other in (
            ("duravip_balance_set_size = 2", ""),
            ("address_lifetime = 20", ""),
            ("fail_back = never", ""),
            ("view_mature_time = 1", "view_mature_time = 2"),
        )
    ),
]


def resolve(name: str) -> tuple[str, ...]:
    return ("192.0.2.7", "192.0.2.8")


def found(folder: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> list[tuple[str, str]]:
    monkeypatch.chdir(folder)
    for name, text in texts.items():
        Path(f"{name}.conf").write_text(text)
    told = check([f"{name}.conf" for name in texts], parsers=PARSERS, plugin_options=PLUGINS, resolve=resolve)
    return [(one.code, one.severity.value) for one in told.diagnostics]


@pytest.mark.parametrize(("sentence", "text", "code", "severity"), ONE, ids=[row[0] for row in ONE])
def test_within_one_configuration(tmp_path, monkeypatch, sentence, text, code, severity) -> None:
    assert (code, severity) in found(tmp_path, monkeypatch, node1=text)


@pytest.mark.parametrize(
    ("sentence", "one", "other", "code", "severity"), TWO, ids=[f"{row[0]} {row[1]}" for row in TWO]
)
def test_between_two(tmp_path, monkeypatch, sentence, one, other, code, severity) -> None:
    assert (code, severity) in found(tmp_path, monkeypatch, node1=one, node2=other)


def test_in_toml_an_unknown_option_is_always_an_error(tmp_path: Path) -> None:
    """ "(in TOML: always an error)" """
    (tmp_path / "a.toml").write_text("[cluster]\ncolour = 'blue'\n")
    told = check([str(tmp_path / "a.toml")], parsers=PARSERS, plugin_options={})
    assert ("DV402", "error") in [(one.code, one.severity.value) for one in told.diagnostics]


def test_different_interfaces_on_different_nodes_are_fine(tmp_path, monkeypatch) -> None:
    """ "different interfaces on different nodes are fine" """
    texts = {f"node{n}": f"Topology 192.0.2.0/24 {{ interface = eth{n} }}" + VIP % "" for n in (1, 2)}
    assert [code for code, _ in found(tmp_path, monkeypatch, **texts) if code != "DV420"] == []
