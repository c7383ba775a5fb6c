"""A document, as another language can say it: what is ours, each option once, with values of its kind; and what is left
behind.

Rules of this file: pure. The document has been built without errors; nothing here decides what an option means.

Theory of operation: the tree is walked by the shape of the schema. Stanzas that count as one are merged, as `build`
merges them; keywords and options are in small letters; values are those that `scope` reads, so that a language with
types gets types. Everything that no scope of ours or of a plugin reads is left behind, and said once for each kind of
it: it has no effect here, but somebody may look for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from duravip.config import schema
from duravip.config.diagnostics import Diagnostic, Findings, shown
from duravip.config.document import Assignment, Document, Stanza, Value
from duravip.config.options import Kind, Option
from duravip.config.scope import Reader, Written
from duravip.model import Origin

_LISTENER_ENDING = "_listener"


@dataclass(frozen=True, slots=True)
class _Shape:
    """What may stand in a stanza: options, and stanzas by their keyword."""

    options: tuple[Option, ...]
    inside: Mapping[str, _Shape] = field(default_factory=dict)


_TOPOLOGY, _BINDING = _Shape(schema.TOPOLOGY), _Shape(schema.BINDING)
_LISTENER = _Shape(schema.LISTENER, {"listen": _Shape(schema.LISTEN)})
_OURS: Mapping[str, _Shape] = {
    "cluster": _Shape(schema.CLUSTER, {"topology": _TOPOLOGY}),
    "security": _Shape(schema.SECURITY),
    "topology": _TOPOLOGY,
    "binding_group": _Shape(schema.BINDING_GROUP, {"binding": _BINDING}),
    "binding": _BINDING,
}


@dataclass(frozen=True, slots=True)
class Translation:
    """`document` has places of the original. `left_behind` says what is not in it."""

    document: Document
    left_behind: tuple[Diagnostic, ...]


def translate(
    document: Document, plugin_options: Mapping[str, tuple[Option, ...]], comments: Sequence[Origin] = ()
) -> Translation:
    """`comments`: where there are some in the document's text."""
    plugins = {stanza: _Shape(options) for stanza, options in plugin_options.items()}
    walk = _Walk(document)
    root = Stanza("", None, document.root.origin)
    walk.fill(root, [document.root], _Shape(schema.GLOBAL, {**_OURS, **plugins}))
    return Translation(Document(file=document.file, root=root), walk.left_behind(comments))


class _Walk:
    def __init__(self, document: Document) -> None:
        self._reader = Reader(document, Findings())
        self._unread: dict[str, list[Origin]] = {}

    def left_behind(self, comments: Sequence[Origin]) -> tuple[Diagnostic, ...]:
        findings = Findings()
        for what, origins in self._unread.items():
            times = f" ({len(origins)} times, here first)" if len(origins) > 1 else ""
            findings.info("DV701", f"{what} is not carried over{times}", origins[0], "it is none of duravip's")
        if comments:
            count = f"{len(comments)} comments are" if len(comments) > 1 else "a comment is"
            findings.info("DV702", f"{count} not carried over", comments[0], "copy what is worth keeping")
        return findings.as_found()

    def fill(self, target: Stanza, pieces: list[Stanza], shape: _Shape) -> None:
        """What all `pieces` of one stanza say together."""
        scope = self._reader.scope("", pieces, shape.options, others_are_normal=True)
        kinds = {option.name: option.kind for option in shape.options}
        target.items += [Assignment(name, _value(one, kinds[name]), one.origin) for name, one in scope.written.items()]
        known = {name for option in shape.options for name in (option.name, *option.former_names)}
        where = f" in {target.keyword}" if target.keyword else ""
        for piece in pieces:
            for assignment in piece.assignments():
                if self._reader.word(assignment.key) not in known:
                    self._leave(f"the option {shown(assignment.key)}{where}", assignment.origin)
        parts: dict[tuple[str, str | None], list[Stanza]] = {}
        for stanza in (stanza for piece in pieces for stanza in piece.stanzas()):
            keyword = self._reader.word(stanza.keyword)
            if self._shape(keyword, target, shape) is None:
                self._leave(f"the stanza {shown(stanza.keyword)}{where}", stanza.origin)
            else:
                parts.setdefault((keyword, stanza.name), []).append(stanza)
        for keyword, name in _by_keyword(parts):
            inner_shape = self._shape(keyword, target, shape)
            assert inner_shape is not None
            same = parts[keyword, name]
            inner = Stanza(keyword, name, same[0].origin)
            self.fill(inner, same, inner_shape)
            target.items.append(_pushed_down(inner) if inner_shape is _LISTENER else inner)

    def _shape(self, keyword: str, parent: Stanza, shape: _Shape) -> _Shape | None:
        if not parent.keyword and keyword.endswith(_LISTENER_ENDING) and keyword != _LISTENER_ENDING:
            return _LISTENER
        return shape.inside.get(keyword)

    def _leave(self, what: str, origin: Origin) -> None:
        self._unread.setdefault(what, []).append(origin)


def _pushed_down(listener: Stanza) -> Stanza:
    """Switched off by its Listens, one by one: not every language has listeners that hold several."""
    off = [item for item in listener.assignments() if item.value.content is False]
    listens = list(listener.stanzas())
    for listen in listens if off else ():
        listen.items = [*(item for item in listen.assignments() if item.key != off[0].key), *off]
    return Stanza(listener.keyword, listener.name, listener.origin, [*listens])


def _by_keyword(parts: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Stanzas of one keyword together, the keywords and the stanzas in the order of the text."""
    first: dict[str, int] = {}
    for keyword, _ in parts:
        first.setdefault(keyword, len(first))
    return sorted(parts, key=lambda part: first[part[0]])


def _value(written: Written, kind: Kind) -> Value:
    """With the type that its option gives it; a number that is whole is written so, and a single node's name alone."""
    content, origin = written.content, written.origin
    if kind is Kind.NODES and len(content) < 2:
        return Value("".join(content), origin, True)
    if isinstance(content, tuple):
        return Value(tuple(Value(text, origin, True) for text in content), origin)
    if isinstance(content, float) and content.is_integer():
        content = int(content)
    return Value(content, origin, isinstance(content, str))
