"""TOML: the same tree as Momentum's, with places for everything."""

from __future__ import annotations

import time

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from duravip.config.document import Assignment, Document, Stanza, Value
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser
from duravip_plugins.toml_places import MAX_DEPTH, find_places


def parse(text: str) -> Document:
    return TomlParser().parse(text, file="f")


def plain(stanza: Stanza) -> list[object]:
    """The tree without places and types, with small letters for keywords and options."""
    return [
        (item.key.lower(), content(item.value))
        if isinstance(item, Assignment)
        else (item.keyword.lower(), item.name, plain(item))
        for item in stanza.items
    ]


def content(value: object) -> object:
    if isinstance(value, Value):
        return content(value.content)
    if isinstance(value, tuple):
        return [(item[0], content(item[1])) if isinstance(item, tuple) else content(item) for item in value]
    return str(value).lower()


@pytest.mark.parametrize(
    ("toml", "momentum"),
    [
        ('[cluster]\nnodename = "n"', "cluster { nodename = n }"),
        ("[multicast]\nport = 4860", "multicast { port = 4860 }"),
        ('[[binding]]\nname = "x"\nenable_duravip = true', 'Binding "x" { Enable_Duravip = true }'),
        ("[binding.x]\nenable_duravip = true", 'Binding "x" { Enable_Duravip = true }'),
        (
            '[[listener]]\nkind = "ESMTP"\nlisten = "a:25"\nenable_duravip = true',
            'ESMTP_Listener { Listen "a:25" { Enable_Duravip = true } }',
        ),
        ('[[topology]]\nnetwork = "10.0.0.0/8"', 'Topology "10.0.0.0/8" { }'),
        ('[[cluster.topology]]\nnetwork = "10.0.0.0/8"', 'cluster { Topology "10.0.0.0/8" { } }'),
        ('topology = [ { network = "10.0.0.0/8", interface = "e" } ]', "Topology 10.0.0.0/8 { interface = e }"),
        ('[syslog.ops]\nevents = [ "a", "b" ]', 'syslog "ops" { events = ( a b ) }'),
        ("[syslog]\na = 1\n[syslog.ops]\nb = 2", 'syslog { a = 1 } syslog "ops" { b = 2 }'),
        ('[[syslog]]\nname = "ops"', 'syslog "ops" { }'),
        ('[syslog.ops]\nheaders = { x = "y" }', 'syslog "ops" { headers = [ x = y ] }'),
        (
            '[[binding_group]]\nname = "g"\n[[binding_group.binding]]\nname = "x"',
            'binding_group "g" { Binding "x" { } }',
        ),
        ('bind_address = "10.0.0.1"', "Bind_Address = 10.0.0.1"),
        ("", ""),
    ],
)
def test_both_languages_describe_the_same_tree(toml: str, momentum: str) -> None:
    ours, theirs = parse(toml), MomentumParser().parse(momentum, file="f")
    assert ours.diagnostics == theirs.diagnostics == []
    assert plain(ours.root) == plain(theirs.root)


def test_the_document_is_strict_and_minds_the_case() -> None:
    document = parse("")
    assert document.strict
    assert not document.fold_case


def test_values_keep_their_types() -> None:
    document = parse('a = true\nb = 1\nc = 0.5\nd = "x"\ne = 2026-11-22T10:00:00Z')
    assert [item.value.content for item in document.root.assignments()] == [
        True,
        1,
        0.5,
        "x",
        "2026-11-22T10:00:00+00:00",
    ]


def test_every_key_and_value_knows_its_place() -> None:
    text = """\
# comment with [brackets] and "quotes
top = 1
[cluster]
 "quoted.key" = '''
raw [x]
y = 1''' # after
a.b = 2
list = [
  "one", # [
  { in = "two" },
]
[[binding]]
name = "x"
bind_address   =   "a"
[[binding]]
name = "y"
bind_address = "b"
"""
    document = parse(text)
    top = next(document.root.assignments())
    cluster, first, second = document.root.stanzas()
    quoted, dotted, listed = cluster.assignments()
    assert (top.origin.line, top.origin.column, top.value.origin.column) == (2, 1, 7)
    assert (cluster.origin.line, cluster.origin.column) == (3, 1)
    assert (quoted.origin.line, quoted.origin.column, quoted.value.origin.column) == (4, 2, 17)
    assert (dotted.origin.line, dotted.origin.column) == (7, 1)
    one, two = listed.value.content
    assert (one.origin.line, one.origin.column) == (9, 3)
    assert (two.content[0][1].origin.line, two.content[0][1].origin.column) == (10, 10)
    assert (first.origin.line, second.origin.line) == (12, 15)
    (address,) = second.assignments()
    assert (address.value.origin.line, address.value.origin.column) == (17, 16)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a = 1\nb = \n", 2, 5), ("a = 1\na = 2", 2, 6), ("[x", 1, 1), ('a = """open', 1, 5), ("\n= 1", 2, 1)],
)
def test_a_syntax_error_is_reported_where_it_is_and_what_is_left_open_where_it_opens(
    text: str, line: int, column: int
) -> None:
    (found,) = parse(text).diagnostics
    assert (found.code, found.origin.line, found.origin.column) == ("DV110", line, column)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[binding]]\nenable_duravip = true", 1),
        ('x = 1\n[[listener]]\nkind = "esmtp"', 2),
        ('[[listener]]\nlisten = "a:25"', 1),
        ("[[topology]]\nnetwork = 5", 1),
        ("[binding]\nenable_duravip = true", 2),
    ],
)
def test_a_table_without_its_name_is_an_error_that_says_which_key(text: str, line: int) -> None:
    (found,) = parse(text).diagnostics
    assert (found.code, found.origin.line) == ("DV111", line)
    assert found.hint


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 5000 + "]" * 5000, "a = " + "[" * 200 + "]" * 200, "a = 1" + "0" * 5000, "a = " + "{b=" * 500],
)
def test_a_monstrous_value_is_a_diagnostic(text: str) -> None:
    assert [found.code for found in parse(text).diagnostics] in (["DV107"], ["DV110"])


_PIECES = st.sampled_from(
    [*"[]{}=,.#\"'\\\n ", "a", "b", "a = 1\n", "[[x]]\n", "[x.y]\n", '"""', "'''", "1979-05-27 07:32:00", "name = "]
)
_TEXTS = st.one_of(st.text(), st.lists(_PIECES, max_size=40).map("".join))


@settings(max_examples=300, deadline=None)
@given(_TEXTS)
def test_any_text_gives_a_document(text: str) -> None:
    document = parse(text)
    assert document.file == "f"
    assert 0 <= TomlParser().sniff(text) <= 1


_KEYS = st.sampled_from(["a", "b", '"c.d"', "'e'", '"\\u0066"', "binding", "name"])
_VALUES = st.recursive(
    st.sampled_from(["1", '"x"', "'[y]'", '"""a\n"b"" """', "'''\n=\n'''", '""""q"""""', "1979-05-27 07:32:00", "inf"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # ]\n".join(items) + "\n]"),
        st.lists(st.tuples(_KEYS, inner), max_size=2, unique_by=lambda pair: pair[0]).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        ),
    ),
    max_leaves=6,
)
_LINES = st.one_of(
    st.tuples(_KEYS, _VALUES).map(lambda pair: f" {pair[0]} = {pair[1]} # c"),
    st.tuples(_KEYS, _KEYS, _VALUES).map(lambda three: f"{three[0]} . {three[1]}={three[2]}"),
    _KEYS.map(lambda key: f"[ {key} ]"),
    _KEYS.map(lambda key: f"[[{key}]]"),
    st.tuples(_KEYS, _KEYS).map(lambda pair: f"[{pair[0]}.{pair[1]}]"),
)


def _paths(tree: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(tree, dict):
        for key, inner in tree.items():
            found += _paths(inner, (*path, key))
    elif isinstance(tree, list):
        for index, inner in enumerate(tree):
            found += _paths(inner, (*path, index))
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(_LINES, max_size=8).map("\n".join))
def test_the_places_cover_exactly_what_tomli_reads(text: str) -> None:
    """The locator is our own: it must agree with tomli about what there is, whatever the text."""
    try:
        tree = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    assert set(find_places(text)) == set(_paths(tree))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('a = "one" # c\nb = [1, # c\n [2, {x = 3}],\n]', id="comments, arrays within arrays"),
        pytest.param('a."b c".d = 1\n"e\\u0041" = 2', id="quoted and dotted keys"),
        pytest.param("[[a.b]]\nx = 1\n[[a.b]]\n[a.b.c]\ny = {p.q = 1, r = []}", id="tables in arrays of tables"),
        pytest.param("a = '''\none\"\"\"two''' # c\nb = \"\"\"\nthree'''\"\"\"", id="texts of many lines"),
        pytest.param("a = 1979-05-27 07:32:00\nb = [1979-05-27 07:32:00, +inf]", id="times with a blank"),
        pytest.param("a = 1", id="no line's end"),
    ],
)
def test_the_places_cover_what_people_write(text: str) -> None:
    assert set(find_places(text)) == set(_paths(tomli.loads(text)))


@pytest.mark.parametrize(
    "deep",
    [f"a = {'[' * 120}{']' * 120}", f"{'.'.join('a' * 120)} = 1", f"[{'.'.join('a' * 120)}]"],
    ids=["arrays", "a dotted key", "a header"],
)
def test_what_is_nested_deeper_than_anything_real_has_no_place_and_all_before_it_has(deep: str) -> None:
    places = find_places(f"z = 1\n{deep}")
    assert places["z",] == ((1, 1), (1, 5))
    assert max(map(len, places)) <= MAX_DEPTH


@pytest.mark.parametrize("text", ["a", "a b", "= 1", "[", '"a', "a = ", "a = [,", "a = {b}", "a = ]", "[a", "\0"])
def test_of_a_text_that_is_no_toml_the_places_before_the_mistake_are_told(text: str) -> None:
    assert find_places(f"z = 1\n{text}\n")["z",] == ((1, 1), (1, 5))


def test_a_large_text_takes_linear_time() -> None:
    def seconds(count: int) -> float:
        text = "".join(f'[[binding]]\nname = "b{n}"\nbind_address = "x"\n' for n in range(count))
        before = time.process_time()
        parse(text)
        return time.process_time() - before

    few, many = (min(seconds(count) for _ in range(3)) for count in (500, 4000))
    assert many < 24 * few  # eight times as much: 64 times as long if it were quadratic
