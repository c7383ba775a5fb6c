"""Momentum's language, bullet by bullet as domain.md section 7 has them."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duravip.config.document import Assignment, Document, Stanza, Value
from duravip_plugins import config_momentum
from duravip_plugins.config_momentum import MAX_DIAGNOSTICS, MomentumParser


def parse(text: str) -> Document:
    return MomentumParser().parse(text, file="f")


def plain(stanza: Stanza) -> list[object]:
    """The tree without places: (key, content) and (keyword, name, items)."""
    return [
        (item.key, content(item.value)) if isinstance(item, Assignment) else (item.keyword, item.name, plain(item))
        for item in stanza.items
    ]


def content(value: object) -> object:
    if isinstance(value, Value):
        return content(value.content)
    if isinstance(value, tuple):
        return [(item[0], content(item[1])) if isinstance(item, tuple) else content(item) for item in value]
    return value


def good(text: str) -> list[object]:
    document = parse(text)
    assert document.diagnostics == []
    return plain(document.root)


def wrong(text: str) -> list[tuple[str, int, int]]:
    return [(found.code, found.origin.line, found.origin.column) for found in parse(text).diagnostics]


# --- "White space and newlines only separate"


def test_several_items_may_share_a_line() -> None:
    assert good('a = 1 b = 2 s { c = 3 } d="4"') == [("a", "1"), ("b", "2"), ("s", None, [("c", "3")]), ("d", "4")]


def test_a_value_or_a_brace_may_stand_on_the_next_line() -> None:
    assert good('a\n=\n1\nBinding\n"x"\n{\n}') == [("a", "1"), ("Binding", "x", [])]


def test_there_are_no_semicolons_or_commas_between_items_they_belong_to_the_word() -> None:
    assert good("a = 1; b = 2,") == [("a", "1;"), ("b", "2,")]


def test_a_byte_order_mark_and_windows_line_ends_are_no_words() -> None:
    assert good("\ufeffa = 1\r\nb = 2\r\n") == [("a", "1"), ("b", "2")]


# --- comments


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("# odd \" ' { ( [ quotes\na = 1", [("a", "1")]),
        ("a # here\n = # and here\n 1", [("a", "1")]),
        ("a = ( 1 # ) in an array\n 2 )", [("a", ["1", "2"])]),
        ("a = [ k = v # ] in a dictionary\n ]", [("a", [("k", "v")])]),
        ("a = 1#ends the word", [("a", "1")]),
        ("a = 1 # last line", [("a", "1")]),
    ],
)
def test_a_hash_comments_to_the_end_of_the_line_between_any_tokens(text: str, tree: list[object]) -> None:
    assert good(text) == tree


def test_a_hash_in_quotes_is_no_comment() -> None:
    assert good('a = "x # y"') == [("a", "x # y")]


def test_block_comments_do_not_nest() -> None:
    assert good("/* a /* b */ c = 1") == [("c", "1")]


def test_a_block_comment_starts_only_where_a_token_could() -> None:
    assert good("a = /var/log/* b = 1 /* c */") == [("a", "/var/log/*"), ("b", "1")]


def test_two_slashes_are_no_comment() -> None:
    assert good("uri = digest:///path\nb = //x") == [("uri", "digest:///path"), ("b", "//x")]


# --- bare words


@pytest.mark.parametrize("word", [*":.-*,%$@+~!?&<>|;\\/", "10.0.0.0/8", "a/b", "-5", "0644", "2001:db8::1"])
def test_a_bare_value_may_hold_these(word: str) -> None:
    assert good(f"a = x{word}y b = {word}z") == [("a", f"x{word}y"), ("b", f"{word}z")]


@pytest.mark.parametrize("value", ["-1", "0644", "60/3", "25", "1e3", "enabled"])
def test_numbers_modes_rates_and_ports_are_plain_words(value: str) -> None:
    assert good(f'a = {value} b = "{value}"') == [("a", value), ("b", value)]


@pytest.mark.parametrize("sign", list("{}()[]="))
def test_signs_end_a_bare_word(sign: str) -> None:
    document = parse(f"a = x{sign}y")
    assert content(next(document.root.assignments()).value) == "x" or document.diagnostics


def test_a_single_quote_must_stand_in_double_quotes() -> None:
    assert wrong("a = 'x y'") == [("DV108", 1, 5)]
    assert wrong("a = don't") == [("DV108", 1, 8)]
    assert good('a = "don\'t"') == [("a", "don't")]


# --- quoted strings


def test_quoted_strings_hold_everything_and_raw_newlines_too() -> None:
    assert good('a = "{ } = # /* \n second"\nb = 1') == [("a", "{ } = # /* \n second"), ("b", "1")]


def test_quoted_strings_keep_their_backslashes() -> None:
    assert good(r'a = "^\d+\.\w\\$" b = "\n"') == [("a", r"^\d+\.\w\\$"), ("b", r"\n")]


def test_only_the_backslash_before_a_quote_is_dropped() -> None:
    assert good(r'a = "say \"hi\"" b = "c:\\" c = 1') == [("a", 'say "hi"'), ("b", r"c:\\"), ("c", "1")]


def test_how_a_word_was_written_is_remembered() -> None:
    first, second = parse('a = "x" b = x').root.assignments()
    assert (first.value.quoted, second.value.quoted) == (True, False)


# --- arrays and dictionaries


def test_arrays_hold_words() -> None:
    assert good('a = ( one "two three" 4 ) b = ()') == [("a", ["one", "two three", "4"]), ("b", [])]


def test_dictionary_keys_may_be_dotted_start_with_a_digit_or_be_quoted() -> None:
    assert good('a = [ x.y = 1 4xx = 2 "a key" = "b" ] b = []') == [
        ("a", [("x.y", "1"), ("4xx", "2"), ("a key", "b")]),
        ("b", []),
    ]


# --- stanzas


def test_a_stanza_may_have_a_name_bare_or_quoted_and_stand_inside_another() -> None:
    text = 'cluster { Topology "10.0.0.0/8" { interface = eth1 } } Binding x { }'
    assert good(text) == [
        ("cluster", None, [("Topology", "10.0.0.0/8", [("interface", "eth1")])]),
        ("Binding", "x", []),
    ]


def test_repeated_stanzas_and_the_case_of_words_are_left_to_the_reader_of_the_document() -> None:
    document = parse('BINDING "x" { } binding "x" { }')
    assert document.fold_case
    assert not document.strict
    assert plain(document.root) == [("BINDING", "x", []), ("binding", "x", [])]


def test_every_item_knows_its_line_and_column() -> None:
    document = parse('cluster {\n  a = 1\n\tb =\n   "2" }\nx { }')
    cluster, last = document.root.stanzas()
    a, b = cluster.assignments()
    assert [cluster.origin.line, cluster.origin.column] == [1, 1]
    assert [a.origin.line, a.origin.column, a.value.origin.column] == [2, 3, 7]
    assert [b.origin.line, b.origin.column, b.value.origin.line, b.value.origin.column] == [3, 2, 4, 4]
    assert [last.origin.file, last.origin.line] == ["f", 5]


# --- mistakes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a = 1\nb = "open', [("DV101", 2, 5)]),
        ("a = 1\n /* open", [("DV102", 2, 2)]),
        ("a {\n b {\n }", [("DV103", 1, 1)]),
        ("a = ( 1 2\nb = 3", [("DV103", 1, 5)]),
        ("a = [ k = v\n{ }", [("DV103", 1, 5), ("DV105", 2, 1)]),
    ],
)
def test_what_is_left_open_is_reported_where_it_opens(text: str, found: list[object]) -> None:
    assert wrong(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a {\n  b {\n    x = 1\n}\nc { }\n", [(2, 3, "`b`")]),
        ('a {\n  b "x" {\n    x = 1\n}\nc { }\n', [(2, 3, '`b "x"`')]),
        ("a {\n  x = [ y = z ]  b {\n  }\nc { }\n", [(1, 1, "`a`")]),
        ("a {\n  b {\n  }\nc { }\n", [(1, 1, "`a`")]),
        ("a {\n  b { c {\n  }\n}\n", [(2, 3, "`b`")]),
        ("a {\n  b {\n    c {\n  }\n}\nd { }\n", [(3, 5, "`c`")]),
        ("a {\n  b {\n    c {\nd { }\n", [(1, 1, "`a`"), (2, 3, "`b`"), (3, 5, "`c`")]),
        ("a {\n  b {\n    c {\n}\nd {", [(2, 3, "`b`"), (3, 5, "`c`"), (5, 1, "`d`")]),
        ("a {\n\tb {\n}\n", [(2, 2, "`b`")]),
    ],
)
def test_a_stanza_that_is_closed_by_the_brace_of_one_around_it_is_the_one_left_open(
    text: str, found: list[tuple[int, int, str]]
) -> None:
    """As people indent. What is left open at the end otherwise stays what it is."""
    told = parse(text).diagnostics
    assert [(one.origin.line, one.origin.column, one.message.split("stanza ")[1][:-14]) for one in told] == found
    assert {one.code for one in told} == {"DV103"}


@pytest.mark.parametrize("sign", ["[ b = c ]", "( b )"])
def test_a_forgotten_equals_sign_before_a_bracket_is_one_mistake(sign: str) -> None:
    document = parse(f"a {sign}\nx = 1")
    (found,) = document.diagnostics
    assert (found.code, found.hint) == ("DV105", f"is = missing? a = {sign[0]} ...")
    assert len(document.root.items) == 2


def test_a_stanza_whose_braces_were_forgotten_leaves_none_around_it_open() -> None:
    (found,) = parse('a {\n  b "c"\n  x = 1\n}\n').diagnostics
    assert (found.code, found.origin.line) == ("DV105", 2)


def test_what_is_read_is_freed_at_once() -> None:
    """Commands that read many files do so without the collector of cycles."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        parser = config_momentum._Parser('a { b = "c" } d = ( e ', "f")
        alive = weakref.ref(parser)
        assert parser.document().diagnostics
        del parser
        assert alive() is None
    finally:
        if collecting:
            gc.enable()


def test_an_option_without_a_value_is_named() -> None:
    document = parse("x =\ny = 1\nz = {")
    assert [found.message for found in document.diagnostics][:2] == ["`x` has no value", "`z` has no value"]
    assert plain(document.root)[0] == ("y", "1")


def test_an_empty_value_in_quotes_is_a_value() -> None:
    assert good('x = "" y = 1') == [("x", ""), ("y", "1")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\nb = 1", [("DV105", 1, 1)]),
        ("Binding my name { }", [("DV105", 1, 1)]),
        ("}\na = 1", [("DV106", 1, 1)]),
        ("{ }", [("DV105", 1, 1)]),
        ("= 1", [("DV105", 1, 1), ("DV105", 1, 3)]),
        ("a = ( ( ) )", [("DV105", 1, 7)]),
        ("a = ( b ( c [ d ] ) e ) f = 1", [("DV105", 1, 9)]),
        ("a = ( b ] c = 1", [("DV103", 1, 5)]),
        ("a = [ b c = d ]", [("DV105", 1, 7)]),
        ("a = = 1", [("DV104", 1, 5)]),
        ('Binding "x"\n a = 1\n}', [("DV105", 1, 1)]),
        ("a b\n c = 1\n}", [("DV105", 1, 1)]),
        ("a = [ k = ]", [("DV104", 1, 7)]),
    ],
)
def test_misplaced_words_and_signs_are_reported_where_they_stand(text: str, found: list[object]) -> None:
    assert wrong(text) == found


def test_reading_goes_on_after_a_mistake() -> None:
    document = parse('oops\nBinding "x" { a = 1 }')
    assert plain(document.root) == [("Binding", "x", [("a", "1")])]


@pytest.mark.parametrize("keyword", ["include", "readonly_include", "Include"])
def test_an_include_is_an_item_of_any_scope(keyword: str) -> None:
    document = parse(f'cluster {{ {keyword} "other.conf" }}\n{keyword} a/b.conf x = 1')
    (cluster,) = document.root.stanzas()
    assert [item.target for item in cluster.items] == ["other.conf"]
    assert [getattr(item, "target", None) for item in document.root.items] == [None, "a/b.conf", None]
    assert document.diagnostics == []


def test_a_quoted_include_is_no_include_and_an_include_of_a_stanza_is_a_mistake() -> None:
    assert good('"include" "x" { a = 1 }') == [("include", "x", [("a", "1")])]
    assert wrong("include x { }") == [("DV105", 1, 11)]


def test_a_keyword_in_apostrophes_is_reported_and_taken_for_one() -> None:
    document = parse("'s' { a = 1 } 't' 'n' { }")
    assert [found.code for found in document.diagnostics] == ["DV108"] * 3
    assert plain(document.root) == [("s", None, [("a", "1")]), ("t", "n", [])]


@pytest.mark.parametrize("text", ["a = 1 " * 5, "a = ( 1 2 3 4 5 )", "s { } " * 5, "include x " * 5])
def test_the_number_of_items_is_bounded(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_momentum, "MAX_ITEMS", 4)
    assert [code for code, _, _ in wrong(text)] == ["DV109"]


def test_many_mistakes_do_not_become_endless_reports() -> None:
    found = parse("} " * 1000).diagnostics
    assert len(found) == MAX_DIAGNOSTICS + 1
    assert found[-1].code == "DV109"


def test_deep_nesting_is_a_diagnostic() -> None:
    assert wrong("a {" * 100_000)[0] == ("DV107", 1, 301)


# --- any text


_PIECES = st.sampled_from([*"{}()[]=#\"'\\/*\n ", "a", "x = ", "include ", "/*", "*/", "\0", "\ud800", "\u2028"])


def _diagnosed(document: Document) -> Iterator[tuple[int, int]]:
    for found in document.diagnostics:
        yield found.origin.line, found.origin.column


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(_PIECES, max_size=60).map("".join)))
def test_any_text_gives_a_document_with_places_inside_it(text: str) -> None:
    document = parse(text)
    assert MomentumParser().sniff(text) in (0.2, 0.8)
    lines = text.split("\n")
    for line, column in _diagnosed(document):
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


@pytest.mark.parametrize(
    "piece",
    [
        'Binding "b" {\n a = 1\n}\n',
        *('"', "{", "( a ", "/* ", '\\"', "a = [ b = c\n", "\n", "x ", "'", "a {} b {} {", "  a {\n}\n"),
    ],
)
def test_eight_times_the_text_takes_about_eight_times_as_long(piece: str) -> None:
    """The margin is wide: a quadratic parser would need 64 times as long."""

    def seconds(count: int) -> float:
        text = piece * count
        before = time.process_time()
        parse(text)
        return time.process_time() - before

    short = min(seconds(2_000) for _ in range(3))
    assert min(seconds(16_000) for _ in range(3)) < 24 * short + 0.05
