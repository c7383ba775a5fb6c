"""Momentum's configuration language, as its manual describes and its users write it.

Theory of operation: one pattern (`momentum_text.ITEM`) recognizes whole items: `key = value`, `keyword "name" {`, `}`.
What it does not recognize (arrays, dictionaries, includes, and every mistake) is read token by token. Neither recurses:
the open stanzas are on a stack. Each character is looked at a bounded number of times. After a mistake reading goes on
with the next word that can begin an item.

What is left open is reported where it opens, and what follows from that is not reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from duravip.config.diagnostics import Diagnostic, Severity, shown
from duravip.config.document import Assignment, Document, Include, Stanza, Value
from duravip.model import Origin
from duravip.plugin.api import ConfigParser, hookimpl
from duravip_plugins.momentum_text import ITEM, Lines, Token, Tokens, forgotten_quote, unclosed_stanzas, unquoted
from duravip_plugins.momentum_writer import momentum_comments, write_momentum

MAX_DEPTH = 100  # nested stanzas
MAX_DIAGNOSTICS = 100  # a text with more is no configuration
MAX_ITEMS = 2_000_000  # of some 300 bytes each

_INCLUDES = frozenset({"include", "readonly_include"})
_LOOKS_LIKE = re.compile(r"^[ \t]*[A-Za-z]\w*(?:[ \t]+(?:\"[^\"\n]*\"|[^\s#\"'={}\[\]()]+))?[ \t]*\{", re.MULTILINE)
_EMPTY = 'an empty value is written ""'


class MomentumParser:
    name = "momentum"
    suffixes: tuple[str, ...] = (".conf", ".cfg")

    def sniff(self, text: str) -> float:
        return 0.8 if _LOOKS_LIKE.search(text[:65_536]) else 0.2

    def parse(self, text: str, *, file: str) -> Document:
        return _Parser(text, file).document()

    def write(self, document: Document) -> str:
        return write_momentum(document)

    def comments(self, text: str) -> Sequence[int]:
        return momentum_comments(text)


@hookimpl
def duravip_config_parsers() -> Sequence[ConfigParser]:
    return (MomentumParser(),)


class _StopError(Exception):
    """Reading stops here; what was found so far stands."""


class _Mistakes:
    """What is wrong in a text: of each kind and place one. `ends_open`: where a string or comment opens that is not
    closed."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.found: dict[tuple[str, int], Diagnostic] = {}
        self.ends_open: int | None = None

    def error(self, code: str, message: str, at: int, hint: str = "") -> None:
        if (code, at) in self.found:
            return
        if len(self.found) >= MAX_DIAGNOSTICS:
            raise self.stop("DV109", "too many syntax errors: reading stops here", at, "is this a Momentum file?")
        if code in ("DV101", "DV102"):
            self.ends_open = at
        self.add(code, message, at, hint)

    def stop(self, code: str, message: str, at: int, hint: str = "") -> _StopError:
        self.add(code, message, at, hint)
        return _StopError()

    def add(self, code: str, message: str, at: int, hint: str) -> None:
        self.found[code, at] = Diagnostic(
            severity=Severity.ERROR, code=code, message=message, origin=self._lines.origin(at), hint=hint
        )


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        first = 1 if text.startswith("\ufeff") else 0
        self._text = text
        self._file = file
        self._lines = Lines(text, file, first)
        self._mistakes = _Mistakes(self._lines)
        self._error = self._mistakes.error
        self._tokens = Tokens(text, self._error)
        self._tokens.move(first)
        self._root = Stanza("", None, Origin(file, 1, 1))
        self._open: list[Stanza] = []
        self._items = self._root.items
        self._assumed = 0  # how many { were forgotten
        self._forgiven = 0  # how many } may close a stanza whose { was forgotten
        self._read = 0  # values and stanzas

    def document(self) -> Document:
        try:
            at = self._tokens.at
            while at < len(self._text):
                at = self._careful(self._quick(at))
            self._end()
        except _StopError:
            pass
        return Document(
            file=self._file, root=self._root, diagnostics=list(self._mistakes.found.values()), fold_case=True
        )

    def _quick(self, at: int) -> int:
        """Reads plain items from `at` on; returns where something else begins."""
        match, file, starts = ITEM.match, self._file, self._lines.starts
        line = self._lines.number(at)
        start = starts[line - 1]
        after = starts[line]
        items = self._items
        while found := match(self._text, at):
            kind = found.lastindex
            if kind == 1:
                if not self._open:
                    break
                self._leave()
                items = self._items
                at = found.end()
                continue
            place = found.start(2)
            while place >= after:
                line, start = line + 1, after
                after = starts[line]
            origin = Origin(file, line, place - start + 1)
            key = found[2]
            if key[0] == '"':
                key = unquoted(key)
            if kind == 3:
                place = found.start(3)
                if place >= after:
                    break  # on another line: perhaps the value is missing
                word = found[3]
                value_origin = Origin(file, line, place - start + 1)
                if word[0] == '"':
                    value = Value(unquoted(word), value_origin, True)
                else:
                    value = Value(word, value_origin)
                items.append(Assignment(key, value, origin))
                self._count()
            else:
                name: str | None = None
                if kind == 4:
                    name = found[4]
                    if name[0] == '"':
                        name = unquoted(name)
                    if key.lower() in _INCLUDES:
                        break
                self._enter(Stanza(key, name, origin))
                items = self._items
            at = found.end()
        return at

    def _count(self) -> None:
        self._read += 1
        if self._read > MAX_ITEMS:
            what = f"more than {MAX_ITEMS:,} values and stanzas: reading stops here"
            raise self._mistakes.stop("DV109", what, self._tokens.at)

    def _end(self) -> None:
        """Says what is still open."""
        mistakes = self._mistakes
        if mistakes.ends_open is None:
            self._unclosed()
            return
        opened = mistakes.ends_open
        forgotten = forgotten_quote(self._text, self._lines.starts[0]) if self._text[opened] == '"' else None
        if forgotten is not None:
            opened = forgotten
            mistakes.add("DV101", "this string is not closed where it should be", opened, 'write " where it ends')
        line = self._lines.number(opened)
        begin = self._lines.starts[line - 1]
        mistakes.found = {
            (code, at): found
            for (code, at), found in mistakes.found.items()
            if at < begin or (at == opened and code in ("DV101", "DV102"))
        }
        _cut(self._root, line)

    def _unclosed(self) -> None:
        """Says which stanzas are: those that are left open, unless a } closes another one than it was meant for."""
        if len(self._open) <= self._assumed:
            return
        places = unclosed_stanzas(self._text, self._lines)
        if len(places) != len(self._open):
            places = [self._lines.offset(stanza.origin) for stanza in self._open]
        for at in places[: len(places) - self._assumed]:
            title = shown(" ".join(self._text[at : self._text.index("{", at)].split()))
            self._error("DV103", f"the stanza {title} is not closed", at, "a } is missing")

    # --- stanzas

    def _enter(self, stanza: Stanza) -> None:
        """The { has been read."""
        self._count()
        if len(self._open) >= MAX_DEPTH:
            at = self._lines.offset(stanza.origin)
            raise self._mistakes.stop("DV107", f"more than {MAX_DEPTH} stanzas inside each other", at)
        self._items.append(stanza)
        self._open.append(stanza)
        self._items = stanza.items

    def _leave(self) -> None:
        self._open.pop()
        self._items = self._open[-1].items if self._open else self._root.items

    # --- token by token

    def _careful(self, at: int) -> int:
        """Reads one item from `at` on, whatever it is; returns where it ends."""
        tokens = self._tokens
        tokens.move(at)
        first = tokens.take()
        following = tokens.peek().sign
        if first.sign == "end":
            return len(self._text)
        if first.sign == "}":
            self._close(first)
        elif first.sign == "{":
            self._error("DV105", "a stanza needs a keyword before its {", first.at, 'write: keyword "name" { ... }')
            self._enter(Stanza("{", None, self._lines.origin(first.at)))
        elif first.sign:
            self._error("DV105", f"{shown(first.sign)} stands where an option or a stanza should begin", first.at)
        elif following == "=":
            tokens.take()
            self._assignment(first)
        elif following in ("(", "["):
            hint = f"is = missing? {first.text} = {following} ..."
            self._error("DV105", f"{shown(first.text)} stands alone: neither = nor {{ follows it", first.at, hint)
            self._assignment(first)
        elif following == "{":
            tokens.take()
            self._enter(Stanza(first.text, None, self._lines.origin(first.at)))
        elif first.text.lower() in _INCLUDES and not first.quoted and not following:
            self._items.append(Include(tokens.take().text, self._lines.origin(first.at)))
            self._count()
        elif not following and tokens.peek(1).sign == "{":
            name = tokens.take()
            tokens.take()
            self._enter(Stanza(first.text, name.text, self._lines.origin(first.at)))
        else:
            self._alone(first)
        return tokens.at

    def _close(self, sign: Token) -> None:
        if self._open:
            self._leave()
        elif self._forgiven:
            self._forgiven -= 1
        else:
            self._error("DV106", "this } closes nothing", sign.at, "take it out, or look for a { that is missing above")

    def _alone(self, first: Token) -> None:
        """A word that begins no item. Those that stand alone behind it on its line are no news."""
        words = [first]
        line = self._line(first)
        while self._begins_nothing() and self._line(self._tokens.peek()) == line:
            words.append(self._tokens.take())
        hint = "quote names and values that hold white space"
        if first.text.startswith(("//", ";", "--")):
            hint = "a comment begins with #"
        elif first.text.lower() in _INCLUDES:
            hint = 'write: include "path of a file or folder"'
        elif len(words) == 2 and not words[1].quoted:
            self._forgiven += 1
            hint = f"is = missing? {first.text} = {words[1].text}"
        elif len(words) == 2:
            hint = f'is {{ missing? {first.text} "{words[1].text}" {{ ... }}'
        self._error("DV105", f"{shown(first.text)} stands alone: neither = nor {{ follows it", first.at, hint)
        if len(words) == 2 and words[1].quoted and not self._tokens.peek().sign and self._tokens.peek(1).sign == "=":
            self._assumed += 1
            self._enter(Stanza(first.text, words[1].text, self._lines.origin(first.at)))  # as if the { were there

    def _begins_nothing(self) -> bool:
        """Whether the next token is a word behind which neither = nor { stands."""
        word, second, third = self._tokens.peek(), self._tokens.peek(1), self._tokens.peek(2)
        if word.sign or second.sign in ("=", "{"):
            return False
        return not (second.sign == "" and third.sign == "{" and self._line(second) == self._line(word))

    def _line(self, token: Token) -> int:
        return self._lines.number(token.at)

    # --- values

    def _assignment(self, key: Token) -> None:
        """The = has been taken, or forgotten."""
        first = self._tokens.peek()
        if first.sign == "=":
            self._error("DV104", f"{shown(key.text)} has more than one =", first.at, "leave one")
            self._tokens.take()
            first = self._tokens.peek()
        if first.sign == "(":
            value = self._array()
        elif first.sign == "[":
            value = self._dictionary()
        elif first.sign or self._is_the_next_item(key, first):
            self._error("DV104", f"{shown(key.text)} has no value", key.at, _EMPTY)
            if first.sign == "{":
                self._tokens.take()
                self._enter(Stanza(key.text, None, self._lines.origin(key.at)))
            return
        else:
            value = self._word()
        self._items.append(Assignment(key.text, value, self._lines.origin(key.at)))

    def _is_the_next_item(self, key: Token, word: Token) -> bool:
        """Whether the word where a value should stand begins an item of its own."""
        if word.quoted:
            return False
        if self._tokens.peek(1).sign == "=":
            return True
        second, third = self._tokens.peek(1), self._tokens.peek(2)
        stanza = second.sign == "{" or (
            not second.sign and third.sign == "{" and self._line(second) == self._line(word)
        )
        return stanza and self._line(word) > self._line(key)

    def _word(self) -> Value:
        self._count()
        token = self._tokens.take()
        return Value(token.text, self._lines.origin(token.at), token.quoted)

    def _array(self) -> Value:
        opening = self._tokens.take()
        words: list[Value] = []
        taken: list[Token] = []
        while True:
            if not self._tokens.peek().sign:
                taken = [*taken[-1:], self._tokens.peek()]
                words.append(self._word())
            elif self._tokens.peek().sign in ("(", "["):
                self._nested(self._tokens.take())
                taken = []
            else:
                break
        # A bracket was forgotten before the words that begin the next item.
        begin = {"=": taken[-1:], "{": [word for word in taken if self._line(word) == self._line(taken[-1])]}
        again = begin.get(self._tokens.peek().sign, [])
        self._tokens.give_back(again)
        self._closing(opening, ")")
        return Value(tuple(words[: len(words) - len(again)]), self._lines.origin(opening.at))

    def _dictionary(self) -> Value:
        opening = self._tokens.take()
        pairs: list[tuple[str, Value]] = []
        while not self._tokens.peek().sign:
            if self._tokens.peek(1).sign != "=":
                if not self._begins_nothing():
                    break
                alone = self._tokens.take()
                self._error(
                    "DV105", f"{shown(alone.text)} stands alone in a dictionary", alone.at, "write: key = value"
                )
                continue
            if self._tokens.peek(2).sign in ("(", "[", "{"):
                break  # no value of a dictionary: the bracket was forgotten before this key
            key = self._tokens.take()
            self._tokens.take()
            word = self._tokens.peek()
            if word.sign or (self._tokens.peek(1).sign == "=" and not word.quoted):
                self._error("DV104", f"{shown(key.text)} has no value", key.at, _EMPTY)
                continue
            pairs.append((key.text, self._word()))
        self._closing(opening, "]")
        return Value(tuple(pairs), self._lines.origin(opening.at))

    def _closing(self, opening: Token, sign: str) -> None:
        following = self._tokens.peek().sign
        if following in (")", "]"):
            self._tokens.take()
        if following != sign:
            self._error("DV103", f"this {opening.sign} is not closed", opening.at, f"a {sign} is missing")

    def _nested(self, opening: Token) -> None:
        """Passes over a bracket within an array."""
        self._error("DV105", f"{opening.sign} stands in an array, which holds words only", opening.at)
        depth = 1
        while depth and self._tokens.peek().sign in ("", "(", "[", ")", "]"):
            sign = self._tokens.take().sign
            depth += (sign in ("(", "[")) - (sign in (")", "]"))


def _cut(stanza: Stanza | None, line: int) -> None:
    """Leaves out what begins in `line` or behind it."""
    while stanza is not None:
        stanza.items[:] = [item for item in stanza.items if item.origin.line < line]
        last = stanza.items[-1] if stanza.items else None
        stanza = last if isinstance(last, Stanza) else None
