"""What every configuration language must do, as checks that need no test framework.

    check_parser(parser, Sample(text=..., tree=..., broken=...))

raises AssertionError with a sentence when the parser breaks its contract (`duravip.plugin.api.ConfigParser`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from duravip.config.diagnostics import Severity
from duravip.config.document import Assignment, Document, Include, Item, Stanza, Value
from duravip.model import Origin
from duravip.plugin.api import ConfigParser, ConfigWriter

_T = TypeVar("_T")

FILE = "kit/sample"
PROSE = "The quick brown fox jumps over the lazy dog, and nobody configures anything.\n"
_SEED, _DAMAGES = 77, 300
_NASTY = ("", "\n", "\0", "\ufeff", "\u2028", "é" * 10, "{" * 5_000, "[" * 5_000, "(" * 5_000, '"', "'", "=", "/*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """`text`: some ten lines, correct, with stanzas and assignments. `tree`: what it means, as `plain` gives
    it: a list of `(key, content)` for assignments, `(keyword, name, [...])` for stanzas and `("include", target)` for
    includes, in the order of the text;
    keys and keywords in small letters, scalars as text (`"0.3"`, `"true"`), an array as a list, a dictionary as a
    list of pairs. `broken`: at least one text with a mistake of syntax."""

    text: str
    tree: list[Any]
    broken: tuple[str, ...]


def check_parser(parser: ConfigParser, sample: Sample) -> None:
    for check in (
        check_names,
        check_the_sample_is_understood,
        check_places_are_inside_the_text,
        check_line_ends_do_not_matter,
        check_parsing_is_repeatable,
        check_broken_texts_are_diagnosed,
        check_sniffing,
        check_any_text_gives_a_document,
        check_what_it_writes_it_reads,
    ):
        check(parser, sample)


def check_names(parser: ConfigParser, sample: Sample) -> None:
    assert isinstance(parser, ConfigParser), f"{parser!r} lacks something of ConfigParser"
    assert parser.name, "the language has no name"
    assert parser.name.isidentifier(), f"{parser.name!r} is no word that can be given to --format"
    assert parser.suffixes, "no file could ever be recognized by its name"
    assert isinstance(parser.suffixes, tuple), "suffixes must be a tuple"
    for suffix in parser.suffixes:
        assert suffix.startswith("."), f"the suffix {suffix!r} must begin with a dot"
        assert suffix == suffix.lower(), f"the suffix {suffix!r} must be in small letters"


def check_the_sample_is_understood(parser: ConfigParser, sample: Sample) -> None:
    document = parser.parse(sample.text, file=FILE)
    errors = [found.message for found in document.diagnostics if found.severity is Severity.ERROR]
    assert not errors, f"the sample is correct and has errors: {errors}"
    assert document.file == FILE, f"the document names the file {document.file!r}, not the one given"
    assert (document.root.keyword, document.root.name) == ("", None), "the root must have no keyword and no name"
    assert plain(document.root) == sample.tree, f"the sample was understood as {plain(document.root)}"


def check_places_are_inside_the_text(parser: ConfigParser, sample: Sample) -> None:
    """Each value, name and stanza stands where its origin says: at least on a line that holds its word."""
    _assert_inside(parser.parse(sample.text, file=FILE), sample.text)
    lines = sample.text.splitlines()
    shifted = parser.parse("\n\n" + sample.text, file=FILE)
    before = list(_origins(parser.parse(sample.text, file=FILE).root))
    assert [(origin.line - 2, origin.column) for origin in _origins(shifted.root)] == [
        (origin.line, origin.column) for origin in before
    ], "two empty lines before the text do not move its places by two lines"
    for item in _assignments(parser.parse(sample.text, file=FILE).root):
        line = lines[item.origin.line - 1]
        assert item.key in line, f"{item.key} is said to stand on line {item.origin.line}: {line!r}"


def check_line_ends_do_not_matter(parser: ConfigParser, sample: Sample) -> None:
    for name, text in (
        ("Windows line ends", sample.text.replace("\n", "\r\n")),
        ("a byte order mark", "\ufeff" + sample.text),
        ("no end of the last line", sample.text.rstrip("\n")),
    ):
        read = parser.parse(text, file=FILE)
        assert plain(read.root) == sample.tree, f"with {name} the sample was understood as {plain(read.root)}"
        assert not _errors(read), f"with {name} the sample has errors: {read.diagnostics}"


def check_parsing_is_repeatable(parser: ConfigParser, sample: Sample) -> None:
    first = parser.parse(sample.text, file=FILE)
    _document(parser, sample.broken[0])
    assert parser.parse(sample.text, file=FILE) == first, "the same text parsed twice gives two documents"


def check_broken_texts_are_diagnosed(parser: ConfigParser, sample: Sample) -> None:
    assert sample.broken, "the sample has no broken text"
    for text in sample.broken:
        document = _document(parser, text)
        assert _errors(document), f"{text!r} is broken and has no diagnostic of severity error"
        _assert_inside(document, text)


def check_sniffing(parser: ConfigParser, sample: Sample) -> None:
    for text in (sample.text, PROSE, *_NASTY, *sample.broken):
        likely = _sniff(parser, text)
        assert 0.0 <= likely <= 1.0, f"sniff says {likely!r} of {text[:30]!r}: not between 0 and 1"
    assert _sniff(parser, sample.text) > _sniff(parser, PROSE), "sniff finds prose as likely as its own language"


def check_any_text_gives_a_document(parser: ConfigParser, sample: Sample) -> None:
    """Cut, damaged and nasty texts: the same ones at each run."""
    chance = random.Random(_SEED)  # noqa: S311
    cuts = {len(sample.text) * part // 50 for part in range(50)}
    texts = [*_NASTY, PROSE, *(sample.text[:cut] for cut in sorted(cuts))]
    for _ in range(_DAMAGES):
        at = chance.randrange(len(sample.text))
        put = chance.choice((*_NASTY, *"{}[]()=\"'#;,.\\ \n\t", sample.text[at : at + 20]))
        texts.append(sample.text[:at] + put + sample.text[at + chance.randrange(3) :])
    for text in texts:
        _assert_inside(_document(parser, text), text)


def check_what_it_writes_it_reads(parser: ConfigParser, sample: Sample) -> None:
    """Only of a parser that is a ConfigWriter: the sample, written again, means the same, but for the order."""
    if not isinstance(parser, ConfigWriter):
        return
    written = parser.write(parser.parse(sample.text, file=FILE))
    read = parser.parse(written, file=FILE)
    assert not _errors(read), f"what it wrote has errors: {_errors(read)}, in {written!r}"
    assert _unordered(plain(read.root)) == _unordered(sample.tree), f"the sample was written as {written!r}"
    assert not list(parser.comments(written)), "it finds comments where it wrote none"
    for at in parser.comments(sample.text):
        assert 0 <= at < len(sample.text), f"it finds a comment at {at} of a text of {len(sample.text)}"


def _unordered(tree: list[Any]) -> list[Any]:
    """Items by their text, inside as well; an assignment's content as it is."""
    items = [(item[0], item[1], _unordered(item[2])) if len(item) == 3 else item for item in tree]
    return sorted(items, key=repr)


def plain(stanza: Stanza) -> list[Any]:
    """The tree without places: (key, content) for an assignment, (keyword, name, [...]) for a stanza, and
    ("include", target) for what is included; keywords and keys in small letters, scalars as text, an array as a list,
    a dictionary as a list of pairs."""
    return [_plain_item(item) for item in stanza.items]


def _plain_item(item: Item) -> Any:
    match item:
        case Assignment():
            return item.key.lower(), _content(item.value)
        case Include():
            return "include", item.target
        case Stanza():
            return item.keyword.lower(), item.name, plain(item)


def _content(value: Value) -> Any:
    if isinstance(value.content, tuple):
        return [_content(item) if isinstance(item, Value) else (item[0], _content(item[1])) for item in value.content]
    return str(value.content).lower() if isinstance(value.content, bool) else str(value.content)


def _document(parser: ConfigParser, text: str) -> Document:
    return _never_raises(f"parse, given {text[:60]!r}", lambda: parser.parse(text, file=FILE))


def _sniff(parser: ConfigParser, text: str) -> float:
    return _never_raises(f"sniff, given {text[:60]!r}", lambda: parser.sniff(text))


def _never_raises(what: str, call: Callable[[], _T]) -> _T:
    try:
        return call()
    except Exception as error:
        raise AssertionError(f"{what}, raised {error!r}: problems are diagnostics, never exceptions") from error


def _errors(document: Document) -> list[str]:
    return [found.message for found in document.diagnostics if found.severity is Severity.ERROR]


def _assert_inside(document: Document, text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    for origin in (*_origins(document.root), *(found.origin for found in document.diagnostics)):
        assert origin.file == FILE, f"a place is in {origin.file!r}, not in the file given"
        assert 1 <= origin.line <= len(lines), f"line {origin.line} of a text that has {len(lines)}: {text[:60]!r}"
        width = len(lines[origin.line - 1])
        assert 1 <= origin.column <= width + 1, (
            f"column {origin.column} of line {origin.line}, which has {width}: {text[:60]!r}"
        )


def _origins(stanza: Stanza) -> Iterator[Origin]:
    """Of everything but the root."""
    for item in stanza.items:
        yield item.origin
        if isinstance(item, Assignment):
            yield from _value_origins(item.value)
        elif isinstance(item, Stanza):
            yield from _origins(item)


def _value_origins(value: Value) -> Iterator[Origin]:
    yield value.origin
    if isinstance(value.content, tuple):
        for item in value.content:
            yield from _value_origins(item if isinstance(item, Value) else item[1])


def _assignments(stanza: Stanza) -> Iterator[Assignment]:
    for item in stanza.items:
        if isinstance(item, Assignment):
            yield item
        elif isinstance(item, Stanza):
            yield from _assignments(item)
