"""One scope of a document (`cluster`, one Binding, a plugin's stanza) read by its options, all its mistakes
reported.

A scope may be written in several pieces, which count as one: `binding "x" { ... } binding "x" { ... }`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from duravip.config.diagnostics import Findings, Related, Severity, shown
from duravip.config.document import Assignment, Document, Stanza
from duravip.config.options import Kind, Option
from duravip.config.spelling import suggestion
from duravip.config.values import convert
from duravip.model import Origin

_NOWHERE = Origin()
_OF_WORDS = frozenset({Kind.TEXT, Kind.TEXTS, Kind.NODES})
_BELONGS_TO_SERVICES = {
    "enable_duravip": "a Binding, a binding_group or a Listen",
    "duravip_preference": "a Binding, a binding_group or a Listen",
    "duravip_follow": "a Listen",
}
"""Written anywhere else, these would be ignored where somebody counts on them."""


class Named(msgspec.Struct, frozen=True, gc=False):
    """What people call a stanza with a name, when they are told of it."""

    keyword: str
    name: str

    def __str__(self) -> str:
        return f"{self.keyword} {shown(self.name)}"


Title = Named | str


class Written(msgspec.Struct, frozen=True, gc=False):
    """A usable value, and where it stands."""

    content: Any
    origin: Origin


class Scope(msgspec.Struct, frozen=True):
    """`written` has the usable values by option name; `get` falls back to the option's default."""

    options: Mapping[str, Option]
    written: Mapping[str, Written]
    origin: Origin

    def get(self, name: str) -> Any:
        if name in self.written:
            return self.written[name].content
        return self.options[name].default

    def where(self, name: str) -> Origin:
        """The place of the value, or else of the scope."""
        return self.written[name].origin if name in self.written else self.origin

    def all(self) -> dict[str, Any]:
        """Every option with its value or default."""
        return {name: self.get(name) for name in self.options}


@dataclass(frozen=True, slots=True)
class _Declared:
    """Options as they are looked up. `mandatory`: those whose absence matters."""

    options: tuple[Option, ...]
    by_name: Mapping[str, Option]
    renamed: Mapping[str, Option]
    mandatory: tuple[Option, ...]


def _torn(document: Document) -> Mapping[str, Sequence[tuple[int, int]]]:
    """File -> the line of each mistake of syntax, behind the line where the stanza begins at the top in which it is."""
    found: dict[str, list[tuple[int, int]]] = {}
    places = [one.origin for one in document.diagnostics if one.severity is Severity.ERROR and one.origin.line]
    begins: dict[str, list[int]] = {place.file: [] for place in places}
    for stanza in document.root.stanzas() if places else ():
        if stanza.origin.file in begins:
            begins[stanza.origin.file].append(stanza.origin.line)
    for lines in begins.values():
        lines.sort()
    for place in places:
        lines = begins[place.file]
        nearest = bisect_right(lines, place.line) - 1
        found.setdefault(place.file, []).append((lines[nearest] if nearest >= 0 else 1, place.line))
    return found


class Reader:
    """Reads scopes of one document; `findings` gets what is wrong with them."""

    def __init__(self, document: Document, findings: Findings) -> None:
        self.findings = findings
        self.word: Callable[[str], str] = str.lower if document.fold_case else str
        """A keyword or option name as it compares."""
        self._strict = document.strict
        self._root = document.root
        self.nested: list[tuple[Stanza, Stanza]] = []
        """What stands inside the stanzas that were read: (the one around it, the stanza)."""
        self._misspelt: set[int] = set()  # ids of stanzas, which the document keeps
        self._top: dict[str, list[Stanza]] = {}
        for stanza in document.root.stanzas():
            self._top.setdefault(self.word(stanza.keyword), []).append(stanza)
        self._declared: dict[int, _Declared] = {}
        self._torn = _torn(document)

    def stanzas(self, parent: Stanza, keyword: str) -> Iterable[Stanza]:
        if parent is self._root:
            return self._top.get(keyword, ())
        return (stanza for stanza in parent.stanzas() if self.word(stanza.keyword) == keyword)

    def note_misspelt(self, stanza: Stanza) -> None:
        self._misspelt.add(id(stanza))

    def is_misspelt(self, stanza: Stanza) -> bool:
        return id(stanza) in self._misspelt

    def is_torn(self, stanza: Origin) -> bool:
        """Whether there is a mistake of syntax in the stanza that begins there, as far as can be told: what is missing
        in it may be what could not be read."""
        return any(begin <= stanza.line <= line for begin, line in self._torn.get(stanza.file, ()))

    def foreign(self, names: frozenset[str]) -> frozenset[str]:
        """The original's names that are no mistake here: none in a language that is our own."""
        return frozenset() if self._strict else names

    def keywords(self) -> Mapping[str, Sequence[Stanza]]:
        """Every keyword at the top, as it compares, and its stanzas in the order of the text."""
        return self._top

    def scope(
        self,
        title: Title,
        pieces: Iterable[Stanza],
        options: tuple[Option, ...],
        *,
        ignored: frozenset[str] = frozenset(),
        others_are_normal: bool = False,
    ) -> Scope:
        """`ignored` options are no mistake; with `others_are_normal` no unknown option is, unless it looks
        like one of ours (a language that allows known options only still reports it)."""
        declared = self._as_declared(options)
        by_name, word = declared.by_name, self.word
        written: dict[str, Written] = {}
        unusable: set[str] = set()
        origin = _NOWHERE
        for piece in pieces:
            if not origin.line:
                origin = piece.origin
            for item in piece.items:
                if not isinstance(item, Assignment):
                    if isinstance(item, Stanza) and piece is not self._root:
                        self.nested.append((piece, item))
                    continue
                name = word(item.key)
                option = by_name.get(name)
                if option is None and name in declared.renamed:
                    option = declared.renamed[name]
                    self._renamed(name, option, item)
                if option is not None:
                    if not self._read(title, option, item, written):
                        unusable.add(option.name)
                elif name not in ignored:
                    self._unknown(title, name, item, by_name, others_are_normal)
        for option in declared.mandatory:
            if option.name in written and written[option.name].content in ("", ()):
                self.missing(title, option, written[option.name].origin, "is empty")
            elif option.name not in written and option.name not in unusable:
                self.missing(title, option, origin, "is missing")
        return Scope(by_name, written, origin)

    def _as_declared(self, options: tuple[Option, ...]) -> _Declared:
        declared = self._declared.get(id(options))
        if declared is None:
            declared = self._declared[id(options)] = _Declared(
                options,
                {option.name: option for option in options},
                {former: option for option in options for former in option.former_names},
                tuple(option for option in options if option.required),
            )
        return declared

    def missing(self, title: Title, option: Option, origin: Origin, what: str = "is missing") -> None:
        """`what` is the matter with the option: an error, if it is required."""
        if option.required and not self.is_torn(origin):
            self.findings.error("DV427", f"{title} cannot be used: {option.name} {what}", origin, option.doc)

    def _renamed(self, former: str, option: Option, assignment: Assignment) -> None:
        self.findings.warning(
            "DV437", f"{former} is now called {option.name}", assignment.origin, f"write {option.name} = ..."
        )

    def _read(self, title: Title, option: Option, assignment: Assignment, written: dict[str, Written]) -> bool:
        """Whether its value is usable."""
        value = assignment.value
        content = convert(option, value, self.findings)
        if content is None:
            return False
        place, name = value.origin, option.name
        before = written.get(name)
        if before is not None and before.content != content:
            overrides = before.origin.file != place.file  # as the original has it: what is read later counts
            (self.findings.warning if overrides else self.findings.error)(
                "DV407",
                f"{title} gives {name} twice: {shown(content)} here, {shown(before.content)} before",
                place,
                "the one here counts" if overrides else "keep one of them",
                Related(before.origin, f"{name} is {shown(before.content)} here"),
            )
        if not option.in_force or (option.idle and content in option.idle):
            self.findings.info(
                "DV404", f"{option.name} is read and has no effect in this version", place, option.instead
            )
        if not value.quoted and content and option.kind in _OF_WORDS:
            self._question_end(option, content, place)
        written[name] = Written(content, place)
        return True

    def _question_end(self, option: Option, content: Any, place: Origin) -> None:
        for word in content if isinstance(content, tuple) else (content,):
            if word[-1:] not in (";", ","):
                continue
            self.findings.warning(
                "DV311",
                f"{option.name}: the {word[-1]} at the end belongs to the value {shown(word)}",
                place,
                "this language has none between items: leave it out, or put the value in quotes",
            )

    def _unknown(
        self,
        title: Title,
        name: str,
        assignment: Assignment,
        known: Mapping[str, Option],
        others_are_normal: bool,
    ) -> None:
        home = _BELONGS_TO_SERVICES.get(name)
        if home:
            code = "DV418" if name == "duravip_follow" else "DV408"
            self.findings.error(code, f"{name} has no effect in {title}", assignment.origin, f"it belongs in {home}")
            return
        near = suggestion(name, known)
        message = f"{title} has no option {shown(assignment.key)}"
        if near or self._strict:
            self.findings.error("DV402", message, assignment.origin, f"did you mean {near}?" if near else "")
        elif not others_are_normal:
            self.findings.warning("DV401", message, assignment.origin, "it has no effect")
