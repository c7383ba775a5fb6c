"""Stanzas that nobody reads: normal in Momentum, whose modules are many, unless they look like one of
ours."""

from __future__ import annotations

from collections.abc import Iterable

from duravip.config import schema
from duravip.config.diagnostics import shown
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
    reader.findings.warning(
        "DV403",
        f"the stanza {shown(stanza.keyword)} is not known and has no effect",
        stanza.origin,
        f"did you mean {near}?",
    )
