"""Momentum's configuration language, as its manual describes and its users write it.

Theory of operation: a lexer cuts the text into words and signs, each with its place; a parser without
recursion makes stanzas and assignments of them, keeping the open stanzas on a stack. Both look at each
character a bounded number of times. After a mistake the parser reports it and goes on with the next word that
can begin an item.

The words: bare ones end at white space, at `#` and at any of `" ' = { } [ ] ( )`; a `/` belongs to the word,
and `/*` opens a comment only where a word could begin. In quotes everything stands for itself, except that
`\\"` is a quote; a backslash keeps its meaning of "take the next character with me", so `"\\\\"` is a closed
string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from duravip.config.diagnostics import Diagnostic, Severity, shown
from duravip.config.document import Assignment, Document, Stanza, Value
from duravip.model import Origin
from duravip.plugin.api import ConfigParser, hookimpl

MAX_DEPTH = 100  # nested stanzas
MAX_DIAGNOSTICS = 100  # a text with more is no configuration

_SPACE = re.compile(r"\s+")
_BARE = re.compile(r"[^\s#\"'={}\[\]()]+")
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"'([^'\n]*)'")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SIGNS = frozenset("{}()[]=")
_INCLUDES = frozenset({"include", "readonly_include"})
_LOOKS_LIKE = re.compile(r"^[ \t]*[A-Za-z]\w*(?:[ \t]+(?:\"[^\"\n]*\"|[^\s#\"'={}\[\]()]+))?[ \t]*\{", re.MULTILINE)


class _Token(NamedTuple):
    """`sign` is the sign itself, or empty for a word, whose content is `text`."""

    sign: str
    text: str
    quoted: bool
    line: int
    column: int


class MomentumParser:
    name = "momentum"
    suffixes: tuple[str, ...] = (".conf", ".cfg")

    def sniff(self, text: str) -> float:
        return 0.8 if _LOOKS_LIKE.search(text[:65_536]) else 0.2

    def parse(self, text: str, *, file: str) -> Document:
        return _Parser(text, file).document()


@hookimpl
def duravip_config_parsers() -> Sequence[ConfigParser]:
    return (MomentumParser(),)


class _TooManyError(Exception):
    """Reading stops here; what was found so far stands."""


class _Report:
    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Diagnostic] = []

    def origin(self, token: _Token) -> Origin:
        return Origin(self.file, token.line, token.column)

    def error(self, code: str, message: str, token: _Token, hint: str = "") -> None:
        if len(self.found) >= MAX_DIAGNOSTICS:
            self._add("DV109", "too many syntax errors: reading stops here", token, "is this a Momentum file?")
            raise _TooManyError
        self._add(code, message, token, hint)

    def _add(self, code: str, message: str, token: _Token, hint: str) -> None:
        self.found.append(
            Diagnostic(severity=Severity.ERROR, code=code, message=message, origin=self.origin(token), hint=hint)
        )


def _tokens(text: str, report: _Report) -> list[_Token]:
    """All words and signs. An unclosed string or comment is reported where it opens and ends the text."""
    tokens: list[_Token] = []
    at = 1 if text.startswith("\ufeff") else 0
    line, line_start = 1, at
    while at < len(text):
        char = text[at]
        here = _Token(char, "", False, line, at - line_start + 1)
        if char.isspace():
            space = _SPACE.match(text, at)
            end = space.end() if space else at + 1
        elif char == "#":
            newline = text.find("\n", at)
            end = len(text) if newline < 0 else newline
        elif text.startswith("/*", at):
            close = text.find("*/", at + 2)
            if close < 0:
                report.error("DV102", "this comment is not closed", here, "write */ where it ends")
                break
            end = close + 2
        elif char == '"':
            string = _QUOTED.match(text, at)
            if string is None:
                report.error("DV101", "this string is not closed", here, 'write " where it ends')
                break
            end = string.end()
            tokens.append(here._replace(sign="", text=_unescaped(string[1]), quoted=True))
        elif char in _SIGNS:
            end = at + 1
            tokens.append(here)
        elif char == "'":
            report.error("DV108", "a ' may only stand inside double quotes", here, 'write the value as "..."')
            single = _SINGLE_QUOTED.match(text, at)
            lone = _BARE.match(text, at + 1)
            end = single.end() if single else lone.end() if lone else at + 1
            if single:
                tokens.append(here._replace(sign="", text=single[1], quoted=True))
        else:
            word = _BARE.match(text, at)
            end = word.end() if word else at + 1
            tokens.append(here._replace(sign="", text=text[at:end]))
        newlines = text.count("\n", at, end)
        if newlines:
            line += newlines
            line_start = text.rfind("\n", at, end) + 1
        at = end
    return tokens


def _unescaped(content: str) -> str:
    if "\\" not in content:
        return content
    return _ESCAPE.sub(lambda pair: '"' if pair[1] == '"' else pair[0], content)


_END = _Token("end", "", False, 0, 0)


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._report = _Report(file)
        self._root = Stanza("", None, Origin(file, 1, 1))
        self._open: list[tuple[Stanza, _Token]] = []
        self._tokens: list[_Token] = []
        self._next = 0
        self._text = text

    def document(self) -> Document:
        try:
            self._tokens = _tokens(self._text, self._report)
            while self._peek() is not _END:
                self._item()
            for stanza, token in self._open:
                title = stanza.keyword + (f' "{stanza.name}"' if stanza.name is not None else "")
                self._report.error("DV103", f"the stanza {shown(title)} is not closed", token, "a } is missing")
        except _TooManyError:
            pass
        return Document(file=self._report.file, root=self._root, diagnostics=self._report.found, fold_case=True)

    def _peek(self, ahead: int = 0) -> _Token:
        at = self._next + ahead
        return self._tokens[at] if at < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token

    def _scope(self) -> Stanza:
        return self._open[-1][0] if self._open else self._root

    def _item(self) -> None:
        first = self._take()
        if first.sign == "}":
            if self._open:
                self._open.pop()
            else:
                self._report.error("DV106", "this } closes nothing", first)
        elif first.sign == "{":
            self._report.error("DV105", "a stanza needs a keyword before its {", first, 'write: keyword "name" { ... }')
            self._enter(first, None)
        elif first.sign:
            self._report.error("DV105", f"{shown(first.sign)} stands where an option or a stanza should begin", first)
        elif self._peek().sign == "=":
            self._take()
            self._assignment(first)
        elif self._peek().sign == "{":
            self._take()
            self._enter(first, None)
        elif first.text.lower() in _INCLUDES and not first.quoted and not self._peek().sign:
            self._include(first)
        elif not self._peek().sign and self._peek(1).sign == "{":
            name = self._take()
            self._take()
            self._enter(first, name)
        else:
            self._report.error(
                "DV105",
                f"{shown(first.text)} stands alone: neither = nor {{ follows it",
                first,
                "quote names and values that hold white space",
            )

    def _include(self, keyword: _Token) -> None:
        target = self._take()
        self._report.error(
            "DV206",
            f"{keyword.text} {shown(target.text)}: including files is not supported yet in this version",
            keyword,
            "put the included text into this file",
        )

    def _enter(self, keyword: _Token, name: _Token | None) -> None:
        """The { has been taken."""
        if len(self._open) >= MAX_DEPTH:
            self._report.error("DV107", f"more than {MAX_DEPTH} stanzas inside each other", keyword)
            raise _TooManyError
        stanza = Stanza(keyword.text, name.text if name else None, self._report.origin(keyword))
        self._scope().items.append(stanza)
        self._open.append((stanza, keyword))

    def _assignment(self, key: _Token) -> None:
        """The = has been taken."""
        first = self._peek()
        if first.sign == "(":
            value = self._array()
        elif first.sign == "[":
            value = self._dictionary()
        elif first.sign or (self._peek(1).sign == "=" and not first.quoted):
            self._report.error("DV104", f"{shown(key.text)} has no value", key, 'an empty value is written ""')
            if first.sign == "{":
                self._take()
                self._enter(key, None)
            return
        else:
            value = self._word()
        self._scope().items.append(Assignment(key.text, value, self._report.origin(key)))

    def _word(self) -> Value:
        token = self._take()
        return Value(token.text, self._report.origin(token), token.quoted)

    def _array(self) -> Value:
        opening = self._take()
        words: list[Value] = []
        while not self._peek().sign:
            words.append(self._word())
        if self._peek().sign == "=" and words:
            self._next -= 1  # the last word begins the next item: the bracket was forgotten before it
            words.pop()
        self._close(opening, ")")
        return Value(tuple(words), self._report.origin(opening))

    def _dictionary(self) -> Value:
        opening = self._take()
        pairs: list[tuple[str, Value]] = []
        while not self._peek().sign and self._peek(1).sign == "=":
            key = self._take()
            self._take()
            if self._peek().sign or (self._peek(1).sign == "=" and not self._peek().quoted):
                self._report.error("DV104", f"{shown(key.text)} has no value", key, 'an empty value is written ""')
                continue
            pairs.append((key.text, self._word()))
        self._close(opening, "]")
        return Value(tuple(pairs), self._report.origin(opening))

    def _close(self, opening: _Token, sign: str) -> None:
        if self._peek().sign == sign:
            self._take()
            return
        self._report.error("DV103", f"this {opening.sign} is not closed", opening, f"a {sign} is missing")
