"""A document as Momentum's language: the reverse of `config_momentum`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from duravip.config.diagnostics import shown
from duravip.config.document import Assignment, Document, Include, Scalar, Stanza, Value
from duravip.errors import UnsayableError

_INDENT = "  "
_OR_COMMENT = re.compile(r"""(\#[^\n]*+|/\*.*?\*/)|"(?:[^"\\]++|\\.)*+"|[^\s#"'={}\[\]()]++|.""", re.DOTALL)
_BARE = re.compile(r"(?!/\*)[^\s#\"'={}\[\]()]+")
_SAID = {"cluster": "cluster", "topology": "Topology", "binding": "Binding", "listen": "Listen", "security": "Security"}
_LISTENER = re.compile(r"([a-z0-9]+)_listener")
_CANNOT = re.compile(r'(?<!\\)(?:\\\\)*\\(?:"|\Z)')  # a backslash that would take the quote after it along


def write_momentum(document: Document) -> str:
    """Raises UnsayableError for a text that no quoting keeps."""
    return "\n".join(_lines(document.root, "")) + "\n"


def momentum_comments(text: str) -> list[int]:
    """The offset of each."""
    return [found.start() for found in _OR_COMMENT.finditer(text) if found[1]]


def _lines(stanza: Stanza, indent: str) -> Iterator[str]:
    for item in stanza.items:
        if isinstance(item, Assignment):
            yield f"{indent}{_bare_or_quoted(item.key)} = {_value(item.value)}"
            continue
        if isinstance(item, Include):
            yield f"{indent}include {_quoted(item.target)}"
            continue
        name = "" if item.name is None else f" {_quoted(item.name)}"
        head = f"{indent}{_keyword(item.keyword)}{name} {{"
        if item.items:
            yield head
            yield from _lines(item, indent + _INDENT)
            yield f"{indent}}}"
        else:
            yield f"{head} }}"


def _keyword(keyword: str) -> str:
    """As the manual writes it; case does not matter."""
    if listener := _LISTENER.fullmatch(keyword):
        return f"{listener[1].upper()}_Listener"
    return _SAID.get(keyword) or _bare_or_quoted(keyword)


def _value(value: Value) -> str:
    content = value.content
    if not isinstance(content, tuple):
        return _scalar(content)
    words: list[str] = []
    for item in content:
        if isinstance(item, Value):
            words.append(_inner(item))
        else:
            words.append(f"{_bare_or_quoted(item[0])}={_inner(item[1])}")
    opening, closing = ("(", ")") if not content or isinstance(content[0], Value) else ("[", "]")
    return " ".join((opening, *words, closing))


def _inner(value: Value) -> str:
    if isinstance(value.content, tuple):
        raise UnsayableError("Momentum's language has no list inside a list")
    return _scalar(value.content)


def _scalar(scalar: Scalar) -> str:
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return _quoted(scalar) if isinstance(scalar, str) else str(scalar)


def _bare_or_quoted(word: str) -> str:
    return word if _BARE.fullmatch(word) else _quoted(word)


def _quoted(text: str) -> str:
    if not _CANNOT.search(text):
        return '"' + text.replace('"', '\\"') + '"'
    if _BARE.fullmatch(text):
        return text
    raise UnsayableError(f"Momentum's language cannot write {shown(text)}: a backslash before a quote, or at the end")
