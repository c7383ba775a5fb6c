"""One scope of a document (`cluster`, one Binding, a plugin's stanza) read by its options, all its mistakes
reported.

A scope may be written in several pieces, which count as one: `binding "x" { ... } binding "x" { ... }`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from duravip.config.diagnostics import Findings, Related, shown
from duravip.config.document import Assignment, Document, Stanza
from duravip.config.options import Option
from duravip.config.spelling import suggestion
from duravip.config.values import convert
from duravip.model import Origin

_BELONGS_TO_SERVICES = {
    "enable_duravip": "a Binding, a binding_group or a Listen",
    "duravip_preference": "a Binding, a binding_group or a Listen",
    "duravip_follow": "a Listen",
}
"""Written anywhere else, these would be ignored where somebody counts on them."""


@dataclass(frozen=True, slots=True)
class Written:
    """A usable value, and where it stands."""

    content: Any
    origin: Origin


@dataclass(frozen=True, slots=True)
class Scope:
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


class Reader:
    """Reads scopes of one document; `findings` gets what is wrong with them."""

    def __init__(self, document: Document, findings: Findings) -> None:
        self.findings = findings
        self._fold_case = document.fold_case
        self._strict = document.strict

    def word(self, written: str) -> str:
        """A keyword or option name as it compares."""
        return written.lower() if self._fold_case else written

    def stanzas(self, parent: Stanza, keyword: str) -> Iterator[Stanza]:
        return (stanza for stanza in parent.stanzas() if self.word(stanza.keyword) == keyword)

    def scope(
        self,
        title: str,
        pieces: Iterable[Stanza],
        options: tuple[Option, ...],
        *,
        ignored: frozenset[str] = frozenset(),
        others_are_normal: bool = False,
    ) -> Scope:
        """`ignored` options are no mistake; with `others_are_normal` no unknown option is, unless it looks
        like one of ours (a language that allows known options only still reports it)."""
        by_name = {option.name: option for option in options}
        renamed = {former: option for option in options for former in option.former_names}
        written: dict[str, Written] = {}
        mentioned: set[str] = set()
        origin = Origin()
        for piece in pieces:
            origin = origin if origin.line else piece.origin
            for assignment in piece.assignments():
                name = self.word(assignment.key)
                if name in by_name:
                    mentioned.add(name)
                    self._read(title, by_name[name], assignment, written)
                elif name in renamed:
                    mentioned.add(renamed[name].name)
                    self._renamed(name, renamed[name], assignment)
                    self._read(title, renamed[name], assignment, written)
                elif name not in ignored:
                    self._unknown(title, name, assignment, by_name, others_are_normal)
        for option in options:
            if option.name in written and written[option.name].content in ("", ()):
                self.missing(title, option, written[option.name].origin, "is empty")
            elif option.name not in mentioned:
                self.missing(title, option, origin, "is missing")
        return Scope(by_name, written, origin)

    def missing(self, title: str, option: Option, origin: Origin, what: str = "is missing") -> None:
        """`what` is the matter with the option: an error, if it is required."""
        if option.required:
            self.findings.error("DV427", f"{title} cannot be used: {option.name} {what}", origin, option.doc)

    def _renamed(self, former: str, option: Option, assignment: Assignment) -> None:
        self.findings.warning(
            "DV437", f"{former} is now called {option.name}", assignment.origin, f"write {option.name} = ..."
        )

    def _read(self, title: str, option: Option, assignment: Assignment, written: dict[str, Written]) -> None:
        content = convert(option, assignment.value, self.findings)
        if content is None:
            return
        place = assignment.value.origin
        before = written.get(option.name)
        if before is not None and before.content != content:
            self.findings.error(
                "DV407",
                f"{title} gives {option.name} twice: {shown(content)} here, {shown(before.content)} before",
                place,
                "keep one of them",
                Related(before.origin, f"{option.name} is {shown(before.content)} here"),
            )
        if content in option.refused:
            self.findings.error(
                "DV405",
                f"{option.name} = {shown(content)} is not available in this version, "
                "and pretending that it were would be unsafe",
                place,
                f"the default is {option.default}",
            )
        elif not option.in_force or content in option.idle:
            self.findings.info(
                "DV404", f"{option.name} is read and has no effect in this version", place, option.instead
            )
        written[option.name] = Written(content, place)

    def _unknown(
        self,
        title: str,
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
