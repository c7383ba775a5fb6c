"""A document as TOML: the reverse of `config_toml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from duravip.config.document import Document, Scalar, Stanza, Value
from duravip_plugins.toml_places import STRINGS

_OR_COMMENT = re.compile("|".join(["(#[^\n]*+)", *(string.pattern for string in STRINGS), "."]), re.DOTALL)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LISTENER_ENDING = "_listener"
_NAMED_BY = {"binding": "name", "binding_group": "name", "topology": "network"}
_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')
_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def write_toml(document: Document) -> str:
    return "\n\n".join(_tables(document.root, ())) + "\n"


def toml_comments(text: str) -> list[int]:
    """The offset of each."""
    return [found.start() for found in _OR_COMMENT.finditer(text) if found[1]]


def _tables(stanza: Stanza, path: tuple[str, ...]) -> Iterator[str]:
    """What stands in the stanza itself, then the tables inside it; pieces between which a line is left."""
    lines = [_line(item.key, item.value) for item in stanza.assignments()]
    if lines and not path:
        yield "\n".join(lines)
    inside = list(stanza.stanzas())
    for inner in inside:
        if not path and inner.keyword.endswith(_LISTENER_ENDING):
            yield from _listeners(inner)
            continue
        here = (*path, inner.keyword)
        by = _NAMED_BY.get(inner.keyword)
        if by or any(other.keyword == inner.keyword and other.name is None and not _own(other) for other in inside):
            header = f"[[{_dotted(here)}]]"
            named = [] if inner.name is None else [_line(by or "name", inner.name)]
        else:
            here = here if inner.name is None else (*here, inner.name)
            header, named = f"[{_dotted(here)}]", []
        yield "\n".join([header, *named, *_own(inner)])
        yield from _tables(inner, here)


def _own(stanza: Stanza) -> list[str]:
    return [_line(item.key, item.value) for item in stanza.assignments()]


def _listeners(stanza: Stanza) -> Iterator[str]:
    """One table for each Listen; what the listener says counts for each of them."""
    kind = stanza.keyword.removesuffix(_LISTENER_ENDING)
    name = [] if stanza.name is None else [_line("name", stanza.name)]
    shared = {item.key: item for item in stanza.assignments()}
    for listen in stanza.stanzas():
        said = {item.key: item for item in listen.assignments()} | shared
        lines = [_line(item.key, item.value) for item in said.values()]
        yield "\n".join(["[[listener]]", _line("kind", kind), _line("listen", listen.name or ""), *name, *lines])


def _line(key: str, value: Value | Scalar) -> str:
    return f"{_key(key)} = {_value(value) if isinstance(value, Value) else _scalar(value)}"


def _value(value: Value) -> str:
    content = value.content
    if not isinstance(content, tuple):
        return _scalar(content)
    if content and not isinstance(content[0], Value):
        pairs = (f"{_key(item[0])} = {_value(item[1])}" for item in content if not isinstance(item, Value))
        return "{ " + ", ".join(pairs) + " }"
    return "[" + ", ".join(_value(item) for item in content if isinstance(item, Value)) + "]"


def _scalar(scalar: Scalar) -> str:
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    return _string(scalar) if isinstance(scalar, str) else str(scalar)


def _dotted(keys: Iterable[str]) -> str:
    return ".".join(map(_key, keys))


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    return '"' + _ESCAPED.sub(lambda found: _ESCAPES.get(found[0], f"\\u{ord(found[0]):04x}"), text) + '"'
