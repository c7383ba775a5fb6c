"""From a path to a configuration: whatever the path leads to, a diagnostic and never an exception."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duravip.config import load, source
from duravip.config.codes import CODES
from duravip.config.diagnostics import shown
from duravip.config.load import load_file, parse_text, system_resolve
from duravip.config.spelling import suggestion
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

PARSERS = (MomentumParser(), TomlParser())
ROOT = Path(__file__).parents[3]


def read(path):
    return load_file(path, parsers=PARSERS, plugin_options={}, environ={}, host_name="h", resolve=lambda name: ())


def only(config) -> tuple[str, int, int]:
    (found,) = config.diagnostics
    assert found.origin.file == config.file
    return found.code, found.origin.line, found.origin.column


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"a = 1\nb = \xff", ("DV204", 2, 5)),
        ("# ü\nx".encode() + b"\0", ("DV204", 2, 2)),
        (b"\xfe\xff\x00a", ("DV204", 1, 1)),
    ],
)
def test_what_is_no_text_is_reported_where_it_stops_being_one(tmp_path, data, found) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(data)
    assert only(read(path)) == found


def test_a_missing_file_a_directory_and_a_pipe_are_diagnostics(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.conf")
    assert only(read(tmp_path / "gone.conf"))[0] == "DV201"
    assert only(read(tmp_path))[0] == "DV202"
    assert only(read(tmp_path / "pipe.conf"))[0] == "DV202"
    assert only(read("/dev/zero"))[0] == "DV202"
    assert only(read("a\0b"))[0] == "DV201"


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.conf"
    path.write_text("# " + "x" * 2000)
    monkeypatch.setattr(source, "MAX_BYTES", 1000)
    assert only(read(path))[0] == "DV203"


def test_no_parser_at_all_is_a_diagnostic(tmp_path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("")
    config = load_file(path, parsers=(), plugin_options={}, environ={}, host_name="h")
    assert only(config)[0] == "DV205"


@pytest.mark.parametrize(
    ("file", "text", "strict"),
    [
        ("x.conf", "[cluster]", False),
        ("x.TOML", "cluster { }", True),
        ("x", "[cluster]\nnodename = 'n'", True),
        ("x", "cluster {\n nodename = n }", False),
        ("x", "# c\nESMTP_Listener {\n x = [\n a = b ] }", False),
        ("x", "", False),
    ],
)
def test_the_suffix_decides_and_else_the_looks_of_the_text(file, text, strict) -> None:
    assert parse_text(text, file=file, parsers=PARSERS).strict is strict


class Broken:
    name = "broken"
    suffixes = (".broken",)

    def sniff(self, text: str) -> float:
        raise ValueError("no nose")

    def parse(self, text: str, *, file: str) -> None:
        if text:
            raise ValueError("no eyes")


@pytest.mark.parametrize(("text", "why"), [("x", "ValueError: no eyes"), ("", "it gave NoneType, no document")])
def test_a_language_that_fails_is_an_error_in_the_file_and_never_raises(text: str, why: str) -> None:
    found = parse_text(text, file="a.broken", parsers=[Broken()]).diagnostics
    assert [(one.code, one.message) for one in found] == [
        ("DV207", f"the language broken failed on this file: {why}"),
    ]


def test_a_language_that_cannot_guess_is_passed_over() -> None:
    assert not parse_text("[cluster]\nnodename = 'a'\n", file="a", parsers=[Broken(), *PARSERS]).diagnostics


def test_names_that_no_resolver_takes_are_os_errors() -> None:
    with pytest.raises(OSError):
        system_resolve("a" * 64 + ".")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), ending=st.sampled_from(["conf", "toml", "x"]))
def test_any_bytes_give_a_configuration(tmp_path, data, ending) -> None:
    path = tmp_path / f"any.{ending}"
    path.write_bytes(data)
    assert read(path).name == "h"


_WORDS = st.sampled_from(
    [
        *"{}()[]=",
        *(
            "cluster",
            "Binding",
            "binding_group",
            "Topology",
            "E_Listener",
            "Listen",
            "x",
            '"192.0.2.1:25"',
            "192.0.2.1",
        ),
        *("10.0.0.0/8", "Enable_Duravip", "=", "true", "Duravip_Follow", "Duravip_Preference", "Bind_Address", "::1"),
        *(
            "fe80::%1/10",
            "2001:db8::1",
            "\n",
            "heartbeats_per_sec",
            "1e-9",
            "9" * 40,
            "nodename",
            "weight",
            "transports",
        ),
    ]
)
_STANZAS = st.recursive(
    st.tuples(_WORDS, _WORDS).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    lambda inner: st.tuples(_WORDS, _WORDS, st.lists(inner, max_size=3)).map(
        lambda three: f"{three[0]} {three[1]} {{ {' '.join(three[2])} }}"
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_STANZAS, _WORDS), max_size=8).map(" ".join))
def test_any_words_of_ours_in_any_order_give_a_configuration(momentum_text) -> None:
    document = PARSERS[0].parse(momentum_text, file="f")
    config = load.build(
        document,
        plugin_options={},
        plugin_kinds={},
        name=None,
        environ={},
        host_name="h",
        resolve=lambda name: ("192.0.2.1",),
    )
    assert all(found.code in CODES for found in config.diagnostics)
    assert config.table.digest()


_TOML_VALUES = st.recursive(
    st.sampled_from(["true", "1", "-1", "0.5", "inf", "nan", '"x"', '"192.0.2.1"', '"a:25"', "1979-05-27"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(st.sampled_from(["name", "network", "kind", "listen", "bind_address"]), inner).map(
            lambda pair: f"{{ {pair[0]} = {pair[1]} }}"
        ),
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["[cluster]", "[[binding]]", "[[listener]]", "[[topology]]", "[[binding_group]]", "[security]", "[x.y]"]
            ),
            st.tuples(
                st.sampled_from(
                    [
                        "name",
                        "kind",
                        "listen",
                        "network",
                        "bind_address",
                        "enable_duravip",
                        "weight",
                        "members",
                        "topology",
                        "binding",
                        "cluster",
                        "duravip_preference",
                        "duravip_follow",
                        "profile",
                        "mac",
                    ]
                ),
                _TOML_VALUES,
            ).map(lambda pair: f"{pair[0]} = {pair[1]}"),
        ),
        max_size=10,
    ).map("\n".join)
)
def test_any_shape_of_toml_gives_a_configuration(text) -> None:
    document = PARSERS[1].parse(text, file="f")
    config = load.build(
        document,
        plugin_options={},
        plugin_kinds={},
        name=None,
        environ={},
        host_name="h",
        resolve=lambda name: ("192.0.2.1",),
    )
    assert all(found.code in CODES for found in config.diagnostics)
    assert config.table.digest()


# --- codes and words


def test_every_code_that_is_used_is_documented_and_the_other_way_round() -> None:
    """Codes are written as literals where they are used."""
    files = [
        *(ROOT / "duravip/config").glob("*.py"),
        *(ROOT / "duravip/cli").glob("*.py"),
        *(ROOT / "plugins/duravip_plugins").glob("*.py"),
    ]
    texts = [path.read_text() for path in files]
    used = {code for text in texts for code in re.findall(r'"(DV\d{3})"', text)}
    assert used == set(CODES)


def test_what_a_user_wrote_is_quoted_short_and_on_one_line() -> None:
    assert shown("a\nb\x1b[31m") == "`a?b?[31m`"
    assert len(shown("x" * 1000)) == 62


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("webhok", "webhook"),
        ("wbehook", "webhook"),
        ("WEBHOOK", "webhook"),
        ("webhookxx", "webhook"),
        ("webhookxxx", None),
        ("webhook", None),
        ("max", "mac"),
        ("map2", None),
        ("", None),
    ],
)
def test_a_suggestion_is_at_most_two_letters_away(word, near) -> None:
    assert suggestion(word, ("webhook", "mac", "multicast")) == near
