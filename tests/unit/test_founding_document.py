"""What the founding document says about configuration, sentence by sentence, true of parser, build and check.

What it says about decisions is in tests/unit/cluster/test_founding_document.py. The document is
tests/founding_document.txt: "DuraVIP™ Configuration Conflicts and Ambiguities".
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from duravip.cli.check import Checked, check
from duravip.config.build import build
from duravip_plugins.config_momentum import duravip_config_parsers

HERE = Path(__file__).parent
DOCUMENT = (HERE.parent / "founding_document.txt").read_text()
QUOTING = (HERE / "test_founding_document.py", HERE / "cluster" / "test_founding_document.py")

VIP = "192.168.0.51"

# Verbatim from the document.
NODE1 = """\
# node1 configuration
ESMTP_Listener {
Listen "192.168.0.51:25" {
Enable_Duravip = "true"
}
}
Binding example {
Enable_Duravip = "true"
Bind_Address = 192.168.0.51
}
"""
NODE2 = """\
# node2 configuration
Binding example {
Enable_Duravip = "true"
Bind_Address = 192.168.0.51
}
"""


@pytest.fixture
def checked(tmp_path: Path):  # type: ignore[no-untyped-def]
    def check_texts(**texts: str) -> Checked:
        for node, text in texts.items():
            (tmp_path / f"{node}.conf").write_text(text)
        files = [f"{node}={tmp_path / node}.conf" for node in texts]
        return check(files, parsers=duravip_config_parsers(), plugin_options={})

    return check_texts


def codes(found: Checked) -> list[str]:
    return [diagnostic.code for diagnostic in found.diagnostics]


def binding(option: str) -> str:
    return f"Binding example {{\nEnable_Duravip = true\nBind_Address = {VIP}\n{option}\n}}\n"


# --- is any sentence forgotten?


def sentences(document: str) -> list[str]:
    """The prose in sentences; each configuration as one."""
    found: list[str] = []
    prose = document
    for configuration in (NODE1, NODE2):
        assert configuration in document
        prose = prose.replace(configuration, "\n")
        found.append(configuration)
    for line in prose.splitlines():
        found += [part for part in re.split(r'(?<=[.:])\s+|(?<=[.]")\s+', line) if part.strip()]
    return found


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_every_sentence_of_the_document_is_quoted_by_a_test() -> None:
    quoted = squeezed(" ".join(path.read_text() for path in QUOTING))
    every = sentences(DOCUMENT)
    assert len(every) == 23, "the document was split differently"
    assert [sentence for sentence in every if squeezed(sentence) not in quoted] == []


# --- preference


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "False", "enabled"])
def test_a_preference_is_no_boolean(checked, word: str) -> None:  # type: ignore[no-untyped-def]
    """The DuraVIP™ configuration attribute "duravip_preference" is not a boolean attribute that dictates whether the
    locally configured node should prefer a particular IP address."""
    found = checked(node1=binding(f"Duravip_Preference = {word}"))
    assert "DV306" in codes(found)
    assert found.exit_code(strict=False) == 2


def test_a_copied_file_names_the_same_preferred_node() -> None:
    """The reasoning is that if configuration files are copied between machines, two nodes could prefer the same IP
    address.

    It is about the file alone: which node reads it makes no difference to the table.
    """
    parsers = duravip_config_parsers()
    text = binding("Duravip_Preference = node1")
    tables = [
        build(
            parsers[0].parse(text, file="copied.conf"),
            plugin_options={},
            plugin_kinds={},
            name=name,
            environ={},
            host_name=name,
            resolve=lambda host: (),
        ).table
        for name in ("node1", "node2")
    ]
    assert tables[0] == tables[1]


def test_naming_the_node_keeps_copied_files_from_conflicting(checked) -> None:  # type: ignore[no-untyped-def]
    """By requiring the configuration to explicitly name the node that should prefer a specific IP address, the
    likelihood of that configuration is dramatically reduced."""
    copied = binding("Duravip_Preference = node1")
    found = checked(node1=copied, node2=copied)
    assert found.landscape.flags == {}
    assert found.landscape.preferences == {VIP: ("node1",)}


# --- upgrade


def test_a_vip_on_one_service_is_a_vip_on_all_services(checked) -> None:  # type: ignore[no-untyped-def]
    """As detailed in the configuration section, IP addresses that are configured for DuraVIP™ on one service will be
    automatically upgraded to DuraVIP™ on all services."""
    mentioned = f'ESMTP_Listener {{ Listen "{VIP}:25" {{ }} }}\nHTTP_Listener {{ Listen "{VIP}:80" {{ }} }}\n'
    (vip,) = checked(node1=mentioned + binding("")).nodes[0].table.vips
    assert vip.service_names() == ("esmtp:25", "http:80", "multivip")


def test_the_documents_configuration_differs_in_its_listener(checked) -> None:  # type: ignore[no-untyped-def]
    """However, this does not prevent one node from being configured with an ESMTP_Listener on a DuraVIP™ interface
    while another node is configured with the same DuraVIP™ interface yet without an ESMTP_Listener:"""
    found = checked(node1=NODE1, node2=NODE2)
    assert found.exit_code(strict=False) == 0
    (vip,) = found.as_json()["vips"]
    assert vip["flags"] == ["UNSAFE"]
    assert [(item["node"], item["value"]) for item in vip["evidence"]] == [
        ("node1", "esmtp:25, multivip"),
        ("node2", "multivip"),
    ]
    assert [Path(item["file"]).name for item in vip["evidence"]] == ["node1.conf", "node2.conf"]


# --- Binding names


def test_the_binding_name_is_what_the_table_keeps_of_a_binding(checked) -> None:  # type: ignore[no-untyped-def]
    """In Momentum, most mechanisms for assigning a message to a MultiVIP© binding use the Binding name for such
    assignments."""
    (vip,) = checked(node2=NODE2).nodes[0].table.vips
    assert (vip.binding_names(), vip.service_names()) == (("example",), ("multivip",))
    renamed = NODE2.replace("Binding example", "Binding Example")
    (vip,) = checked(node1=NODE2, node2=renamed).as_json()["vips"]
    assert vip["flags"] == ["BROKEN"], "names are case-sensitive"


# --- the recommendation


def test_sets_that_are_not_identical_are_pointed_out(checked) -> None:  # type: ignore[no-untyped-def]
    """As such, it is highly recommended that the global set of bindings and listeners managed under DuraVIP™ are
    identical on each system."""
    more = "Binding another { Enable_Duravip = true Bind_Address = 192.168.0.52 }\n"
    different, identical = checked(node1=NODE2, node2=NODE2 + more), checked(node1=NODE2 + more, node2=NODE2 + more)
    assert ("DV511" in codes(different), "DV511" in codes(identical)) == (True, False)
    assert different.exit_code(strict=False) == 0
