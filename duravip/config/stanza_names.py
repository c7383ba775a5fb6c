"""Stanzas that nobody reads: normal in Momentum, whose modules are many, unless they look like one of ours, or
enable DuraVIP."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from duravip.config import schema
from duravip.config.diagnostics import Related, shown
from duravip.config.document import Document, Stanza
from duravip.config.scope import Reader
from duravip.config.spelling import suggestion

_INSIDE = {"cluster": ("topology",), "binding_group": ("binding",)}
_LISTENER_ENDING = "_listener"
_TOML_LISTENER = "listener"


def report_odd_stanzas(document: Document, reader: Reader, plugins: Iterable[str]) -> None:
    """A misspelt `webhook` must not switch alerting off unnoticed."""
    ours = schema.STANZAS if document.strict else [word for word in schema.STANZAS if word != _TOML_LISTENER]
    known = (*ours, *sorted(plugins))
    for word, stanzas in reader.keywords().items():
        if word.endswith(_LISTENER_ENDING):
            _inside(reader, stanzas, ("listen",))
        elif word in _INSIDE:
            _inside(reader, stanzas, _INSIDE[word])
        elif word not in known:
            near = suggestion(word, known) or _near_listener(word)
            for stanza in stanzas:
                if near:
                    _misspelt(reader, stanza, near)
                elif document.strict:
                    reader.findings.warning(
                        "DV409",
                        f"the stanza {shown(stanza.keyword)} belongs to no installed plugin",
                        stanza.origin,
                        "it has no effect; `duravip plugins` lists what is installed",
                    )


def report_vain_stanzas(reader: Reader, plugins: Collection[str]) -> None:
    """What enables DuraVIP where no address comes of it, unless a misspelt name is why. After everything else was
    read."""
    for parent, stanza in reader.nested:
        if reader.word(stanza.keyword) not in _expected(reader.word(parent.keyword)):
            _report_vain(reader, parent, stanza)
    for word, stanzas in reader.keywords().items():
        if word not in schema.STANZAS and word not in plugins and not word.endswith(_LISTENER_ENDING):
            for parent in stanzas:
                for stanza in parent.stanzas():
                    _report_vain(reader, parent, stanza)


def _expected(word: str) -> tuple[str, ...]:
    """The keywords of the stanzas that are read inside one of ours."""
    return ("listen",) if word.endswith(_LISTENER_ENDING) or word == _TOML_LISTENER else _INSIDE.get(word, ())


def _report_vain(reader: Reader, parent: Stanza, stanza: Stanza) -> None:
    if reader.is_misspelt(parent) or reader.is_misspelt(stanza):
        return
    for assignment in stanza.assignments():
        if reader.word(assignment.key) == "enable_duravip":
            reader.findings.warning(
                "DV440",
                f"{shown(stanza.keyword)} enables DuraVIP inside {shown(parent.keyword)}, where it is not read",
                assignment.origin,
                "a Binding belongs at the top or in a binding_group, a Listen in a listener: is a } missing?",
                Related(parent.origin, f"{shown(parent.keyword)} begins here"),
            )
    for inner in stanza.stanzas():
        _report_vain(reader, stanza, inner)


def _inside(reader: Reader, parents: Iterable[Stanza], known: tuple[str, ...]) -> None:
    for parent in parents:
        for stanza in parent.stanzas():
            near = suggestion(reader.word(stanza.keyword), known)
            if near:
                _misspelt(reader, stanza, near)


def _near_listener(word: str) -> str | None:
    if word in (_TOML_LISTENER, "listen"):
        return "esmtp_listener"
    kind, mark, ending = word.rpartition("_")
    near = suggestion(ending, (_TOML_LISTENER,)) if mark and kind else None
    return f"{kind}_{near}" if near else None


def _misspelt(reader: Reader, stanza: Stanza, near: str) -> None:
    reader.note_misspelt(stanza)
    reader.findings.warning(
        "DV403",
        f"the stanza {shown(stanza.keyword)} is not known and has no effect",
        stanza.origin,
        f"did you mean {near}?",
    )
