"""The kit accepts both of our languages, and finds each of several ways to break the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from duravip.config.document import Assignment, Document, Stanza, Value
from duravip.model import Origin
from duravip.testing.parser_kit import Sample, check_parser
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

TREE = [
    ("cluster", None, [("nodename", "node1"), ("heartbeat_interval", "0.3"), ("transports", ["multicast", "unicast"])]),
    ("binding", "alpha", [("bind_address", "10.77.0.51"), ("enable_duravip", "true")]),
    ("topology", "10.77.0.0/24", [("interface", "eth0")]),
]
MOMENTUM = Sample(
    text="""\
# a comment
cluster {
    nodename = node1
    heartbeat_interval = 0.3
    transports = ( multicast "unicast" )
}
Binding "alpha" { Bind_Address = 10.77.0.51  Enable_Duravip = true }
Topology "10.77.0.0/24" {
    interface = "eth0" /* and this */
}
""",
    tree=TREE,
    broken=("cluster {", "}", "cluster { a = }", 'x = "open'),
)
TOML = Sample(
    text="""\
# a comment
[cluster]
nodename = "node1"
heartbeat_interval = 0.3
transports = ["multicast", "unicast"]

[[binding]]
name = "alpha"
bind_address = "10.77.0.51"
enable_duravip = true

[[topology]]
network = "10.77.0.0/24"
interface = "eth0"
""",
    tree=TREE,
    broken=("[cluster", "a = ", "a = 1\na = 2\n", "[[binding]]\nbind_address = 1\n"),
)


def test_momentum_passes() -> None:
    check_parser(MomentumParser(), MOMENTUM)


def test_toml_passes() -> None:
    check_parser(TomlParser(), TOML)


class Raises(TomlParser):
    def parse(self, text: str, *, file: str) -> Document:
        if "[cluster]" not in text:
            raise ValueError("this is no TOML")
        return super().parse(text, file=file)


class AlwaysFine(TomlParser):
    def parse(self, text: str, *, file: str) -> Document:
        document = super().parse(text, file=file)
        document.diagnostics.clear()
        return document


class Forgets(TomlParser):
    def parse(self, text: str, *, file: str) -> Document:
        return super().parse(text, file="somewhere")


class Nowhere(TomlParser):
    def parse(self, text: str, *, file: str) -> Document:
        document = super().parse(text, file=file)
        for stanza in document.root.stanzas():
            stanza.origin = Origin(file)
        return document


class Remembers(TomlParser):
    def __init__(self) -> None:
        self.parsed = 0

    def parse(self, text: str, *, file: str) -> Document:
        self.parsed += 1
        document = super().parse(text, file=file)
        if self.parsed > 8 and text == TOML.text:
            first = document.root.items[0]
            assert isinstance(first, Stanza)
            first.items.append(Assignment("n", Value(self.parsed, first.origin), first.origin))
        return document


class MindsLineEnds(TomlParser):
    def parse(self, text: str, *, file: str) -> Document:
        return super().parse(text.replace("\r", "x"), file=file)


class Shouts(TomlParser):
    suffixes = (".TOML",)


class Certain(TomlParser):
    def sniff(self, text: str) -> float:
        return 1.0


class Excessive(TomlParser):
    def sniff(self, text: str) -> float:
        return 100.0


class Fragile(TomlParser):
    def sniff(self, text: str) -> float:
        return 0.1 if text[0] == "\0" else 0.9


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Raises, "never exceptions"),
        (AlwaysFine, "no diagnostic of severity error"),
        (Forgets, "names the file 'somewhere'"),
        (Nowhere, "line 0"),
        (Remembers, "two documents"),
        (MindsLineEnds, "Windows line ends"),
        (Shouts, "small letters"),
        (Certain, "prose as likely"),
        (Excessive, "not between 0 and 1"),
        (Fragile, "sniff.*never exceptions"),
    ],
)
def test_a_broken_parser_is_found_out(broken: Callable[[], TomlParser], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_parser(broken(), TOML)


def test_a_parser_that_misunderstands_is_found_out() -> None:
    with pytest.raises(AssertionError, match="was understood as"):
        check_parser(TomlParser(), Sample(text=TOML.text, tree=TREE[:2], broken=TOML.broken))
