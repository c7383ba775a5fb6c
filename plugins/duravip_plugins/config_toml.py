"""TOML as a configuration language: the same tree as Momentum's, with types.

tomli gives the values and the syntax errors; `toml_places` says where each key and value stands. This module
makes stanzas of tables: `[[binding]] name = "x"` is `Binding "x" { }`, `[[listener]] kind = "esmtp"  listen =
"a:25"` is `ESMTP_Listener { Listen "a:25" { } }`, `[[topology]] network = "n"` is `Topology "n" { }`, `[syslog.ops]` is
`syslog "ops" { }`, `[cluster]` is `cluster { }`, and `include = "x.toml"` is `include x.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import tomli

from duravip.config.diagnostics import Diagnostic, Severity, shown
from duravip.config.document import Assignment, Document, Include, Stanza, Value
from duravip.model import Origin
from duravip.plugin.api import ConfigParser, hookimpl
from duravip_plugins.toml_places import MAX_DEPTH, Path, Places, find_places
from duravip_plugins.toml_statements import Statement, statements
from duravip_plugins.toml_writer import toml_comments, write_toml

_LISTENER = "listener"
_INCLUDE = "include"
MAX_DIAGNOSTICS = 20  # mistakes of syntax that are looked for in one text
MAX_RETRIED = 256 * 1024  # characters of a text that is read on with after a mistake
MAX_ITEMS = 1_000_000
_EVERYTHING = re.compile(r"[^\n]")
_KINDS = {"[": "array", "{": "inline table", '"': "string", "'": "string"}
_NAMED_BY = {"binding": "name", "binding_group": "name", "topology": "network"}
_INSIDE = {"cluster": ("topology",), "binding_group": ("binding",)}
_UNNAMED = ("cluster", "security")
_HEADER = re.compile(r"^[ \t]*\[\[?[ \t]*[\w\"'.-]+[ \t]*\]\]?[ \t]*(?:#.*)?\r?$", re.MULTILINE)
_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


class TomlParser:
    name = "toml"
    suffixes: tuple[str, ...] = (".toml",)

    def sniff(self, text: str) -> float:
        return 0.9 if _HEADER.search(text[:65_536]) else 0.1

    def parse(self, text: str, *, file: str) -> Document:
        text = text.removeprefix("\ufeff")
        document = Document(file=file, root=Stanza("", None, Origin(file, 1, 1)), strict=True)
        try:
            tree, text = _tree(document, text)
        except RecursionError:
            _report(document, "DV107", "values are nested too deep", Origin(file, 1, 1))
        else:
            _Builder(document, find_places(text)).build(tree)
        return document

    def write(self, document: Document) -> str:
        return write_toml(document)

    def comments(self, text: str) -> Sequence[int]:
        return toml_comments(text)


@hookimpl
def duravip_config_parsers() -> Sequence[ConfigParser]:
    return (TomlParser(),)


def _report(document: Document, code: str, message: str, origin: Origin, hint: str = "") -> None:
    document.diagnostics.append(
        Diagnostic(severity=Severity.ERROR, code=code, message=message, origin=origin, hint=hint)
    )


def _tree(document: Document, text: str) -> tuple[dict[str, Any], str]:
    """What the text says, and the text without the statements that are no TOML: they are reported."""
    if text.count("=") + text.count(",") > MAX_ITEMS:
        _report(document, "DV109", f"more than {MAX_ITEMS:,} values", Origin(document.file, 1, 1))
        return {}, ""
    while True:
        try:
            return tomli.loads(text), text
        except ValueError as wrong:  # TOMLDecodeError, and Python's own limit on the digits of a number
            broken = _report_syntax(document, text, wrong)
        if broken is None or len(document.diagnostics) >= MAX_DIAGNOSTICS or len(text) > MAX_RETRIED:
            return {}, ""
        text = text[: broken.start] + _EVERYTHING.sub(" ", text[broken.start : broken.end]) + text[broken.end :]


def _report_syntax(document: Document, text: str, wrong: ValueError) -> Statement | None:
    """The statement in which the mistake is, if it can be told."""
    message = str(wrong)
    place = _PLACE.search(message)
    if place:
        message = message[: place.start()]
    line, column = 1, 1
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    elif place:
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    lines = text.split("\n")
    at = sum(map(len, lines[: line - 1])) + line - 1 + column - 1
    broken: Statement | None = None
    for statement in statements(text) if place else ():
        if statement.start > at:
            break
        broken = statement
        if statement.opened is not None:  # tomli stops at the first mistake: this is the one
            break
    if broken is not None and broken.opened is not None:
        what = "header" if broken.opened == broken.start else _KINDS[text[broken.opened]]
        message = f"this {what} is not closed"
        line, column = text.count("\n", 0, broken.opened) + 1, broken.opened - text.rfind("\n", 0, broken.opened)
    _report(document, "DV110", f"not valid TOML: {message}", Origin(document.file, line, column))
    if broken is not None and text[broken.start] == "[":  # a header: nobody knows whose the pairs below it are
        following = next((one for one in statements(text) if one.start > broken.start and text[one.start] == "["), None)
        return broken._replace(end=following.start if following else len(text))
    return broken


class _Builder:
    """Makes stanzas and assignments of tables. A path names a table or value: keys, and numbers in arrays."""

    def __init__(self, document: Document, places: Places) -> None:
        self._document = document
        self._places = places
        self._too_deep = False

    def build(self, tree: Mapping[str, Any]) -> None:
        self._fill(self._document.root, tree, (), skip=())

    def _key_origin(self, path: Path) -> Origin:
        return self._origin(path, 0)

    def _value_origin(self, path: Path) -> Origin:
        return self._origin(path, 1)

    def _origin(self, path: Path, which: int) -> Origin:
        while path and path not in self._places:
            path, which = path[:-1], 0
        line, column = self._places[path][which] if path else (1, 1)
        return Origin(self._document.file, line, column)

    def _wrong_shape(self, message: str, path: Path, hint: str) -> None:
        _report(self._document, "DV111", message, self._key_origin(path), hint)

    def _fill(self, stanza: Stanza, table: Mapping[str, Any], path: Path, *, skip: tuple[str, ...]) -> None:
        for key, content in table.items():
            if key in skip:
                continue
            here = (*path, key)
            if key == _INCLUDE and (targets := self._targets(content, here)):
                stanza.items += targets
            elif self._is_section(stanza, key, content):
                self._section(stanza, key, content, here)
            else:
                stanza.items.append(Assignment(key, self._value(content, here), self._key_origin(here)))

    def _targets(self, content: Any, path: Path) -> list[Include]:
        """Of a path or a list of paths; empty for what is neither."""
        if isinstance(content, str):
            return [Include(content, self._value_origin(path))]
        if isinstance(content, list) and all(isinstance(target, str) for target in content):
            return [Include(target, self._value_origin((*path, number))) for number, target in enumerate(content)]
        return []

    def _is_section(self, stanza: Stanza, key: str, content: Any) -> bool:
        if stanza is not self._document.root and key not in _INSIDE.get(stanza.keyword, ()):
            return False
        return isinstance(content, dict) or (
            isinstance(content, list) and bool(content) and all(isinstance(item, dict) for item in content)
        )

    def _section(self, parent: Stanza, key: str, content: Any, path: Path) -> None:
        if isinstance(content, list):
            for index, table in enumerate(content):
                self._numbered(parent, key, table, (*path, index))
        elif key == _LISTENER:
            self._numbered(parent, key, content, path)
        elif key in _UNNAMED:
            self._stanza(parent, key, None, content, path, skip=())
        elif key in _NAMED_BY:
            if _NAMED_BY[key] in content and not isinstance(content[_NAMED_BY[key]], dict):
                self._numbered(parent, key, content, path)
                return
            for name, table in content.items():
                if isinstance(table, dict):
                    self._stanza(parent, key, name, table, (*path, name), skip=())
                else:
                    self._wrong_shape(
                        f"{shown(name)} stands in no {key}", (*path, name), f"begin each {key} with [[{key}]]"
                    )
        else:
            named = {name: table for name, table in content.items() if isinstance(table, dict)}
            if not named or len(named) < len(content):
                self._stanza(parent, key, None, content, path, skip=tuple(named))
            for name, table in named.items():
                self._stanza(parent, key, name, table, (*path, name), skip=())

    def _numbered(self, parent: Stanza, key: str, table: Mapping[str, Any], path: Path) -> None:
        """One table of an array: its name stands inside it."""
        if key == _LISTENER:
            self._listener(parent, table, path)
            return
        by = _NAMED_BY.get(key, "name")
        name = table.get(by)
        if name is None and key not in _NAMED_BY:
            self._stanza(parent, key, None, table, path, skip=())
        elif isinstance(name, str):
            self._stanza(parent, key, name, table, path, skip=(by,))
        else:
            self._wrong_shape(f"[[{key}]] needs {by}, a string", path, f'write {by} = "..." in it')

    def _listener(self, parent: Stanza, table: Mapping[str, Any], path: Path) -> None:
        kind, listen = table.get("kind"), table.get("listen")
        if not isinstance(kind, str) or not kind or not isinstance(listen, str):
            self._wrong_shape(
                "[[listener]] needs kind and listen, both strings",
                path,
                'write kind = "esmtp" and listen = "192.0.2.1:25" in it',
            )
            return
        name = table.get("name")
        own_name = name if isinstance(name, str) else None
        stanza = Stanza(f"{kind.lower()}_listener", own_name, self._key_origin(path))
        inner = Stanza("listen", listen, self._key_origin(path))
        self._fill(inner, table, path, skip=("kind", "listen") if own_name is None else ("kind", "listen", "name"))
        stanza.items.append(inner)
        parent.items.append(stanza)

    def _stanza(
        self,
        parent: Stanza,
        keyword: str,
        name: str | None,
        table: Mapping[str, Any],
        path: Path,
        *,
        skip: tuple[str, ...],
    ) -> None:
        stanza = Stanza(keyword, name, self._key_origin(path))
        self._fill(stanza, table, path, skip=skip)
        parent.items.append(stanza)

    def _value(self, content: Any, path: Path) -> Value:
        origin = self._value_origin(path)
        if isinstance(content, dict | list) and len(path) > MAX_DEPTH:
            if not self._too_deep:
                self._too_deep = True
                _report(self._document, "DV107", "values are nested too deep", origin)
            return Value("", origin)
        if isinstance(content, dict):
            return Value(tuple((key, self._value(item, (*path, key))) for key, item in content.items()), origin)
        if isinstance(content, list):
            return Value(tuple(self._value(item, (*path, index)) for index, item in enumerate(content)), origin)
        if isinstance(content, str | int | float):
            return Value(content, origin, isinstance(content, str))
        return Value(content.isoformat(), origin)  # a date or a time
