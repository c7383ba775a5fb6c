"""Where the statements of a TOML text that has mistakes begin and end, and what in them is opened and never closed.

Theory of operation: a statement is a header or a pair; it ends with its line, unless a string of several lines or a
bracket is open there. What is still open where the next pair or header begins was never closed: no value of TOML holds
a line that looks like one. Used only for texts that tomli has refused, so guesses are better than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_PIECE = re.compile(
    r'''"""(?:[^\\"]++|\\.|"(?!""))*+""""{0,2}|\'\'\'(?:[^']++|'(?!''))*+\'\'\''{0,2}'''
    r"""|(?!\"{3}|'{3})(?:"(?:[^"\\\n]++|\\[^\n])*+"|'[^'\n]*+')|#[^\n]*+|[^"'\#\[\]{}\n]++""",
    re.DOTALL,
)
_NEXT_STATEMENT = re.compile(
    r"""[ \t]*+(?: (?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+') [ \t]*+ (?:\.[^=\n,\[\]{}]*+)? =    # a pair
              | \[\[?[A-Za-z_][^\]\n]*+\]\]? [ \t]*+ (?:\#[^\n]*+)? $ )                        # a header
    """,
    re.MULTILINE | re.VERBOSE,
)
_CLOSES = {"]": "[", "}": "{"}


class Statement(NamedTuple):
    """Offsets. `opened`: the string or bracket in it that is never closed, or None."""

    start: int
    end: int
    opened: int | None


def statements(text: str) -> Iterator[Statement]:
    at = 0
    while True:
        blank = _BLANK.match(text, at)
        at = blank.end() if blank else at
        if at >= len(text):
            return
        statement = _statement(text, at)
        yield statement
        at = max(statement.end, at + 1)


def _statement(text: str, start: int) -> Statement:
    at = start
    open_brackets: list[int] = []
    while at < len(text):
        piece = _PIECE.match(text, at)
        char = text[at]
        if piece:
            at = piece.end()
        elif char == "\n":
            if not open_brackets:
                break
            if _NEXT_STATEMENT.match(text, at + 1):
                return Statement(start, at, open_brackets[-1])
            at += 1
        elif char in "\"'":
            return _open_string(text, start, at)
        else:
            if char in _CLOSES:
                if open_brackets and text[open_brackets[-1]] == _CLOSES[char]:
                    open_brackets.pop()
            else:
                open_brackets.append(at)
            at += 1
    return Statement(start, at, open_brackets[-1] if open_brackets else None)


def _open_string(text: str, start: int, at: int) -> Statement:
    """A string of several lines is open to the end of the text, another to the end of its line."""
    end = len(text) if text.startswith(('"""', "'''"), at) else text.find("\n", at)
    return Statement(start, len(text) if end < 0 else end, at)
