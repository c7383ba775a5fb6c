"""Configuration files, and what they mean: `NAME.conf` or `NAME.toml`, and beside it `NAME.expected`.

Each is read as `check` reads it. Expected are the VIPs, one a line (address, services, Binding names, preference, what
it follows, interface and prefix), and what is said of the file, one a line (severity, code, place; the file too where
it is another one). Not repeated in each: that there is no key (DV420) and no Topology (DV410).

`REWRITE=1 pytest tests/corpus` writes what is expected anew; commit only what you can explain.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from duravip.config.diagnostics import Diagnostic
from duravip.config.load import load_file
from duravip.config.node_config import NodeConfig
from duravip.model import VipEntry
from duravip.plugin.manager import PluginSet, load_plugins

HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("momentum/*.conf"), *HERE.glob("toml/*.toml")])
QUOTED = (
    "White space and newlines only separate",
    "anywhere between tokens",
    "inside `( )` and `[ ]` too",
    "it may contain odd quotes and brackets",
    "`/* */` comments do not nest",
    "start only where a token could",
    "`//` is NOT a comment",
    "so accept a bare `/`",
    "Bare values may hold",
    "Negative numbers are bare words",
    "What is left open (string, stanza, comment, bracket) is reported where it opens",
    "`x =` followed by `y =` is an error that names x",
    "Quoted strings may hold everything, raw newlines too",
    "keep backslashes",
    "Keywords and option names are case-insensitive",
    "Binding and binding_group names are case-sensitive",
    "repeated merges",
    "whose options are their fallback",
    "then the global scope",
    "Dictionary keys may be dotted, start with a digit, or be quoted",
    "Octal modes",
    "IPv6 in `Listen` is bracketed and quoted",
    "are listeners without a VIP",
    "`include`: any scope; file or directory",
)
"""Of domain.md section 7, each sentence; what includes look like in detail is in tests/unit/config/test_include.py."""
SAID_OF_ALL = ("DV410", "DV420")
HOSTS = {"mail.example.com": ("192.0.2.9",), "two.example.com": ("192.0.2.7", "192.0.2.8")}


def resolve(name: str) -> tuple[str, ...]:
    if name not in HOSTS:
        raise OSError("no such host")
    return HOSTS[name]


@cache
def plugins() -> PluginSet:
    return load_plugins()


def read(path: Path) -> NodeConfig:
    return load_file(
        path,
        parsers=plugins().parsers(),
        plugin_options=plugins().plugin_options(),
        plugin_kinds=plugins().plugin_kinds(),
        environ={},
        host_name="host",
        resolve=resolve,
    )


def vip_line(vip: VipEntry) -> str:
    parts = [f"vip {vip.address}: {' '.join(vip.service_names())}"]
    if vip.bindings:
        parts.append(f"named {' '.join(vip.binding_names())}")
    if vip.preference:
        parts.append(f"prefers {' '.join(use.value for use in vip.preferences())}")
    if vip.follow:
        parts.append(f"follows {vip.follow.value}")
    if vip.interface:
        parts.append(f"on {vip.interface}/{vip.prefix}")
    return "; ".join(parts)


def said_line(found: Diagnostic, path: Path) -> str:
    origin = found.origin
    elsewhere = f"{Path(origin.file).relative_to(path.parent)} " if origin.file != str(path) else ""
    return f"{found.severity.value} {found.code} {elsewhere}{origin.line}:{origin.column}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_means_what_is_expected(path: Path) -> None:
    config = read(path)
    lines = [vip_line(vip) for vip in config.table.vips]
    lines += [said_line(found, path) for found in config.diagnostics if found.code not in SAID_OF_ALL]
    expected = path.with_suffix(".expected")
    text = "".join(f"{line}\n" for line in lines)
    if os.environ.get("REWRITE"):
        expected.write_text(text)
    assert expected.read_text() == text


def test_each_sentence_about_the_language_is_quoted_by_a_file() -> None:
    text = "".join(path.read_text(errors="replace") for path in FILES)
    assert [sentence for sentence in QUOTED if sentence not in text] == []


def test_there_are_enough_of_them_and_nothing_else_lies_about() -> None:
    assert len(FILES) >= 150
    expected = {path.with_suffix(".expected") for path in FILES}
    assert set(HERE.rglob("*.expected")) == expected


def test_what_is_broken_is_an_error_and_what_is_not_is_none() -> None:
    for path in FILES:
        errors = [line for line in path.with_suffix(".expected").read_text().splitlines() if line.startswith("error")]
        assert bool(errors) == path.stem.startswith(("broken-", "near-option")), path
