"""The neutral tree that every configuration language is parsed into: what was written, and where.

A document knows nothing of DuraVIP: no option, no default. `config.build` gives it meaning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from duravip.config.diagnostics import Diagnostic
from duravip.model import Origin

Scalar = str | int | float | bool


class Value(msgspec.Struct, frozen=True, gc=False):
    """A value as written. `content` is a scalar, a tuple of Values (array) or a tuple of (key, Value) pairs
    (dictionary). Languages without types give every scalar as str; `quoted` tells how it was written
    there."""

    content: Scalar | tuple[Value, ...] | tuple[tuple[str, Value], ...]
    origin: Origin
    quoted: bool = False


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """`key = value`. `key` is as written; compare it case-insensitively where `Document.fold_case` says
    so."""

    key: str
    value: Value
    origin: Origin


class Include(msgspec.Struct, frozen=True, gc=False):
    """What another file holds stands here. `target`: its path, or a folder's, as written. Parsers only say it;
    `config.include` puts the file's items in its place."""

    target: str
    origin: Origin


class Stanza(msgspec.Struct):
    """`keyword "name" { ... }`, or the root (keyword "", name None). `name`: the text after the keyword, or None.
    `items` keeps the order of the text."""

    keyword: str
    name: str | None
    origin: Origin
    items: list[Item] = []

    def assignments(self) -> Iterator[Assignment]:
        return (item for item in self.items if isinstance(item, Assignment))

    def stanzas(self) -> Iterator[Stanza]:
        return (item for item in self.items if isinstance(item, Stanza))


Item = Assignment | Stanza | Include


@dataclass(slots=True)
class Document:
    """The tree has the same shape for every language: below the root stand `cluster`, `topology` (named by its network;
    inside `cluster`, too), `binding` and `binding_group` (named; bindings may stand inside), `KIND_listener` with a
    `listen` (named `address:port`) for each address inside, and a stanza for each plugin, named or not. All keywords
    and options in small letters, unless `fold_case` says that they compare case-insensitively.

    `strict`: an unknown option in a scope of ours is an error (TOML) rather than a warning (Momentum). `origin.file`
    differs from `file` in what was included."""

    file: str
    root: Stanza
    diagnostics: list[Diagnostic] = field(default_factory=list)
    strict: bool = False
    fold_case: bool = False
