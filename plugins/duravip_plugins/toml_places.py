"""Where the keys and values of a TOML text stand: what tomli does not tell.

Theory of operation: one pass over a text that tomli has accepted, so that it need not look for mistakes.
Headers say which table the following keys are in; each array of tables counts its tables. Strings are skipped
whole, inline tables and arrays are entered. A place that is missing here (nested deeper than MAX_DEPTH) only
makes an error message less precise.
"""

from __future__ import annotations

import contextlib
import re

import tomli

Path = tuple[str | int, ...]
Place = tuple[int, int]
Places = dict[Path, tuple[Place, Place]]
"""Path -> (line and column of the key or header, line and column of the value), counting from 1."""

MAX_DEPTH = 100

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
STRINGS = (
    re.compile(r'"""(?:[^\\"]++|\\.|"(?!""))*+""""{0,2}', re.DOTALL),
    re.compile(r"'''(?:[^']++|'(?!''))*+''''{0,2}"),
    re.compile(r'"(?:[^"\\\n]++|\\.)*+"'),
    re.compile(r"'[^'\n]*+'"),
)
_PLAIN = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2} (?=[0-9]{2}:))?[^\s,\]}#]+")
_SIMPLE = re.compile(
    r"""((?:[ \t\r\n]++|\#[^\n]*+)*+)"""
    r"""(?:([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+("[^"\\\n]*+"(?!")|'[^'\n]*+'(?!')|[^\s\[\]{}"'\#]++)"""
    r"""|\[\[([A-Za-z0-9_-]++)\]\])[ \t]*+(?:\#[^\n]*+)?(?=\r?\n|\Z)"""
)
"""`key = value` or `[[table]]` on one line, as nearly all are, and what is blank before it."""


class _LostError(Exception):
    """The text is nested too deep, or is not what this scanner expects."""


def find_places(text: str) -> Places:
    """`text` must be valid TOML; for any other text some places are missing."""
    scanner = _Scanner(text)
    with contextlib.suppress(_LostError):
        scanner.document()
    return scanner.places


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._counted_to = 0
        self._table: Path = ()
        self._arrays: dict[Path, int] = {}
        self.places: Places = {}

    def document(self) -> None:
        text = self._text
        while self._simple_lines():
            if text.startswith("[", self._at):
                self._header()
            else:
                self._pair(self._table)
                end = text.find("\n", self._at)  # over a comment
                self._at = len(text) if end < 0 else end

    def _simple_lines(self) -> bool:
        """Reads all that follow each other; False at the end of the text."""
        if len(self._table) >= MAX_DEPTH:
            raise _LostError
        text, places, arrays, table = self._text, self.places, self._arrays, self._table
        while found := _SIMPLE.match(text, self._at):
            self._at = found.end(1)
            place = line, column = self._here()
            key, array = found.group(2, 4)
            if key is not None:
                places[(*table, key)] = place, (line, column + found.start(3) - self._at)
            else:
                number = arrays[(array,)] = arrays.get((array,), -1) + 1
                table = array, number
                places.setdefault((array,), (place, place))
                places[table] = place, place
            self._at = found.end()
        self._table = table
        return self._skip_blank()

    def _skip_blank(self) -> bool:
        """False at the end of the text."""
        blank = _BLANK.match(self._text, self._at)
        if blank:
            self._at = blank.end()
        return self._at < len(self._text)

    def _here(self) -> Place:
        newlines = self._text.count("\n", self._counted_to, self._at)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", self._counted_to, self._at) + 1
        self._counted_to = self._at
        return self._line, self._at - self._line_start + 1

    def _record(self, path: Path, key: Place, value: Place) -> None:
        if len(path) > MAX_DEPTH:
            raise _LostError
        self.places[path] = (key, value)

    def _header(self) -> None:
        place = self._here()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        path: Path = ()
        keys = self._keys()
        for number, key in enumerate(keys):
            path = (*path, key)
            if is_array and number == len(keys) - 1:
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                self.places.setdefault(path, (place, place))
                path = (*path, self._arrays[path])
            if number < len(keys) - 1:
                self.places.setdefault(path, (place, place))
        self._record(path, place, place)
        self._table = path
        self._skip_blank()
        self._at += 2 if is_array else 1

    def _keys(self) -> list[str]:
        """A dotted key; stands after it and the blanks behind it."""
        keys: list[str] = []
        while True:
            self._skip_blank()
            keys.append(self._key())
            if len(keys) > MAX_DEPTH:
                raise _LostError
            self._skip_blank()
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        bare = _BARE_KEY.match(self._text, self._at)
        if bare:
            self._at = bare.end()
            return bare[0]
        start = self._at
        if not self._string():
            raise _LostError
        raw = self._text[start : self._at]
        return str(tomli.loads(f"key = {raw}")["key"]) if "\\" in raw else raw[1:-1]

    def _string(self) -> bool:
        """Steps over a string, if one stands here."""
        if not self._text.startswith(('"', "'"), self._at):
            return False
        for pattern in STRINGS:
            found = pattern.match(self._text, self._at)
            if found:
                self._at = found.end()
                return True
        raise _LostError

    def _pair(self, table: Path) -> None:
        """`key = value`, in `table`."""
        self._skip_blank()
        place = self._here()
        keys = self._keys()
        if not self._text.startswith("=", self._at):
            raise _LostError
        self._at += 1
        self._skip_blank()
        path = table
        for key in keys[:-1]:
            path = (*path, key)
            self.places.setdefault(path, (place, place))
        self._value((*path, keys[-1]), place)

    def _value(self, path: Path, key: Place | None) -> None:
        here = self._here()
        self._record(path, key or here, here)
        if self._string():
            return
        if self._text.startswith("[", self._at):
            self._at += 1
            index = 0
            while self._skip_blank() and not self._text.startswith("]", self._at):
                if self._text.startswith(",", self._at):
                    self._at += 1
                    continue
                self._value((*path, index), None)
                index += 1
            self._at += 1
        elif self._text.startswith("{", self._at):
            self._at += 1
            while self._skip_blank() and not self._text.startswith("}", self._at):
                if self._text.startswith(",", self._at):
                    self._at += 1
                    continue
                self._pair(path)
            self._at += 1
        else:
            plain = _PLAIN.match(self._text, self._at)
            if plain is None:
                raise _LostError
            self._at = plain.end()
