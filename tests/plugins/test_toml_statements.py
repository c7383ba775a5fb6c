"""Where the statements of a TOML text end, and what in them is left open."""

from __future__ import annotations

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from duravip_plugins.config_toml import TomlParser
from duravip_plugins.toml_statements import statements


def cut(text: str) -> list[tuple[str, str | None]]:
    """Each statement, and the rest of its line from what is left open."""
    return [
        (text[one.start : one.end], None if one.opened is None else text[one.opened :].split("\n")[0])
        for one in statements(text)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" # only this\n", []),
        ("[a]\nb = 1 # c\n\n d.e = 'x'", [("[a]", None), ("b = 1 # c", None), ("d.e = 'x'", None)]),
        ("a = [\n 1, # ]\n [2],\n]\nb = 2", [("a = [\n 1, # ]\n [2],\n]", None), ("b = 2", None)]),
        ('a = """\n[b]\n"""\nb = 2', [('a = """\n[b]\n"""', None), ("b = 2", None)]),
        ("a = '''\nx = 1'''", [("a = '''\nx = 1'''", None)]),
        ('a = [ "x"\nb = 1', [('a = [ "x"', '[ "x"'), ("b = 1", None)]),
        ("a = [ 1,\n[[b]]\nc = 1", [("a = [ 1,", "[ 1,"), ("[[b]]", None), ("c = 1", None)]),
        ('a = "x\nb = 1', [('a = "x', '"x'), ("b = 1", None)]),
        ('a = """x\nb = 1', [('a = """x\nb = 1', '"""x')]),
        ("a = {\n", [("a = {\n", "{")]),
        ("a ] = 1", [("a ] = 1", None)]),
    ],
)
def test_statements_end_with_their_lines_unless_something_is_open(text: str, found: list[object]) -> None:
    assert cut(text) == found


@given(st.text("[]{}=\"'#\n ab1,\\."))
def test_statements_of_any_text_follow_one_another(text: str) -> None:
    at = 0
    for statement in statements(text):
        assert at <= statement.start <= statement.end <= len(text)
        assert statement.opened is None or statement.start <= statement.opened < len(text)
        at = statement.end


def codes(text: str) -> list[tuple[str, int]]:
    return [(one.code, one.origin.line) for one in TomlParser().parse(text, file="f").diagnostics]


def test_after_a_mistake_the_rest_is_read() -> None:
    text = "a = x\n[cluster]\nnodename = n1\nweight = 2\n[bad\nkey = 1\n[multicast]\nport = 1\n"
    document = TomlParser().parse(text, file="f")
    assert codes(text) == [("DV110", 1), ("DV110", 3), ("DV110", 5)]
    cluster, multicast = document.root.stanzas()
    assert [item.key for item in cluster.assignments()] == ["weight"]
    assert [item.key for item in multicast.assignments()] == ["port"]
    assert next(multicast.assignments()).origin.line == 8


def test_mistakes_are_counted_and_large_texts_not_read_again() -> None:
    assert len(codes("a = x\n" * 100)) == 20
    assert len(codes("a = x\n" * 50_000)) == 1


def test_a_text_of_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip_plugins.config_toml.MAX_ITEMS", 3)
    assert codes("a = [1, 2, 3]\nb = 1") == [("DV109", 1)]


def test_a_number_that_python_refuses_has_no_place() -> None:
    with pytest.raises(ValueError) as raised:
        tomli.loads("a = 1" + "0" * 5000)
    assert not isinstance(raised.value, tomli.TOMLDecodeError)
    assert codes("a = 1" + "0" * 5000) == [("DV110", 1)]
