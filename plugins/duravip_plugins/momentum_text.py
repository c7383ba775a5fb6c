"""Momentum's words and signs: what a text in that language is made of, before it means anything.

Rules of this file: white space and comments only separate. A bare word ends at white space, at `#` and at any of
`" ' = { } [ ] ( )`; a `/` belongs to it, and `/*` opens a comment only where a word could begin. In quotes everything
stands for itself, except that `\\"` is a quote; a backslash keeps its meaning of "take the next character with me",
so `"\\\\"` is a closed string.

Every pattern is possessive: a character is looked at a bounded number of times, whatever the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from duravip.model import Origin

_GAP = r"(?:\s++|\#[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+"
_BARE = r"(?!/\*)[^\s\#\"'={}\[\]()]++"
_QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_WORD = rf"(?:{_BARE}|{_QUOTED})"

ITEM = re.compile(
    rf"""
    {_GAP}
    (?: (\}})                                                        # 1: the end of a stanza
      | ({_WORD}) {_GAP}                                             # 2: a key or keyword
        (?: = {_GAP} ({_BARE} (?! {_GAP} [={{] ) | {_QUOTED} )       # 3: its value
          | \{{                                                      #    or a stanza without a name
          | ({_WORD}) {_GAP} \{{                                     # 4: or a stanza's name
        )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
"""The items that make up nearly every text, each whole. `lastindex` says which it is."""

_TOKEN = re.compile(
    rf"""{_GAP} (?: ([{{}}()\[\]=]) | ({_BARE}) | ({_QUOTED}) | ('[^'\n]*+'|'[^\s#"'={{}}\[\]()]*+) | ("|/\*) | \Z )""",
    re.VERBOSE | re.DOTALL,
)
_STRING, _UNCLOSED = 3, 5  # their groups
_BLANKS = re.compile(r"[ \t]*+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Token(NamedTuple):
    """`sign` is the sign itself, or empty for a word, whose content is `text`; the end has `end`. `at` and `end` are
    offsets."""

    sign: str
    text: str
    quoted: bool
    at: int
    end: int


class Tokens:
    """The words and signs from an offset on, one by one, with as many ahead as are asked for. `report(code,
    message, at, hint)` hears of what can be none, perhaps more than once; an unclosed string or comment ends the
    text."""

    def __init__(self, text: str, report: Callable[[str, str, int, str], None]) -> None:
        self._text = text
        self._report = report
        self._ahead: deque[Token] = deque()
        self.at = 0

    def move(self, at: int) -> None:
        """The next token is the first from `at` on."""
        self._ahead.clear()
        self.at = at

    def peek(self, ahead: int = 0) -> Token:
        while len(self._ahead) <= ahead:
            self._ahead.append(self._read(self._ahead[-1].end if self._ahead else self.at))
        return self._ahead[ahead]

    def take(self) -> Token:
        token = self.peek()
        self._ahead.popleft()
        self.at = token.end
        return token

    def give_back(self, tokens: list[Token]) -> None:
        """They were taken last, and follow one another."""
        if tokens:
            self._ahead.extendleft(reversed(tokens))
            self.at = tokens[0].at

    def _read(self, at: int) -> Token:
        found = _TOKEN.match(self._text, at)
        if found is None or found.lastindex is None:
            return Token("end", "", False, len(self._text), len(self._text))
        start, end = found.span(found.lastindex)
        word = found[found.lastindex]
        match found.lastindex:
            case 1:
                return Token(word, "", False, start, end)
            case 2:
                return Token("", word, False, start, end)
            case 3:
                return Token("", unquoted(word), True, start, end)
            case 4:
                self._report("DV108", "a ' may only stand inside double quotes", start, 'write the value as "..."')
                if word.endswith("'", 1):
                    return Token("", word[1:-1], True, start, end)
                return self._read(end)
            case _:
                if word == '"':
                    self._report("DV101", "this string is not closed", start, 'write " where it ends')
                else:
                    self._report("DV102", "this comment is not closed", start, "write */ where it ends")
                return Token("end", "", False, start, len(self._text))


def unquoted(word: str) -> str:
    """The content of a word in double quotes."""
    content = word[1:-1]
    if "\\" not in content:
        return content
    return _ESCAPE.sub(lambda pair: '"' if pair[1] == '"' else pair[0], content)


class Lines:
    """Where offsets stand: lines and columns count from 1. `starts`: where each line begins, and where one more
    would."""

    def __init__(self, text: str, file: str, first: int) -> None:
        """`first`: where the first line begins, behind a byte order mark."""
        self.starts = [first, *accumulate(len(line) + 1 for line in text.split("\n"))]
        self._file = file
        self._indented: dict[int, int] = {}

    def origin(self, at: int) -> Origin:
        line = self.number(at)
        return Origin(self._file, line, at - self.starts[line - 1] + 1)

    def offset(self, origin: Origin) -> int:
        return self.starts[origin.line - 1] + origin.column - 1

    def number(self, at: int) -> int:
        return bisect_right(self.starts, at)

    def indented(self, text: str, line: int) -> int:
        """By how many blanks."""
        if line not in self._indented:
            blank = _BLANKS.match(text, self.starts[line - 1])
            self._indented[line] = len(blank[0]) if blank else 0
        return self._indented[line]


def forgotten_quote(text: str, first: int) -> int | None:
    """Where the string probably opens that was never closed, in a text whose last string is not closed: the first that
    goes over a line's end and whose closing quote has a word right behind it, and so was meant to open."""
    at = first
    while found := _TOKEN.match(text, at):
        end = found.end()
        if found.lastindex in (None, _UNCLOSED) or end >= len(text):
            return None
        if found.lastindex == _STRING and "\n" in found[_STRING] and not (text[end].isspace() or text[end] in ")]}#"):
            return found.start(_STRING)
        at = end
    return None


def unclosed_stanzas(text: str, lines: Lines) -> list[int]:
    """Where the stanzas begin that are not closed, if each } that is the first on its line was meant for one that
    begins in a line which is not further right, as people indent."""
    found: list[int] = []
    open_at: list[int] = []
    words: list[int] = []  # where those begin that may be a keyword and a name

    def indented(at: int) -> int:
        return lines.indented(text, lines.number(at))

    at = lines.starts[0]
    while (piece := _TOKEN.match(text, at)) and piece.lastindex not in (None, _UNCLOSED):
        start, at = piece.start(piece.lastindex or 0), piece.end()
        sign = piece[1]
        if not sign:
            words.append(start)
            continue
        if sign == "{":
            begin = [*words[-1:], start][0]
            same_line = len(words) > 1 and lines.number(words[-2]) == lines.number(begin)
            open_at.append(words[-2] if same_line else begin)
        elif sign == "}" and open_at:
            if lines.starts[lines.number(start) - 1] + indented(start) == start and indented(open_at[0]) <= indented(
                start
            ):
                while indented(open_at[-1]) > indented(start):
                    found.append(open_at.pop())
            open_at.pop()
        words.clear()
        if sign == "=" and (value := _TOKEN.match(text, at)) and not value[1]:
            at = value.end()
    return sorted(found + open_at)
