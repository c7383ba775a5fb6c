"""Files that include others: `Include` items become what those files hold.

A path is looked for beside the file that includes it, then along the search path. A folder stands for its files in
alphabetical order, without those whose names begin with a dot and without its sub-folders. A file may be included
more than once, but not from within itself.

Source: domain.md section 7.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from duravip.config.diagnostics import Diagnostic, Related, Severity, shown
from duravip.config.document import Document, Include, Stanza
from duravip.config.source import MAX_BYTES, UnreadableError, read_text
from duravip.model import Origin

MAX_FILES = 1000  # that are looked for, found or not
MAX_CHAIN = 20  # files, each included by the one before
MAX_NESTING = 100  # stanzas inside each other, over all files
MAX_ITEMS = 1_000_000  # that are included

_FILE_URI = "file://"
_MAY_INCLUDE = re.compile(r"include\b[\s\"']*+=?\s*+(\[[^\[\]]*+\]|\S++)", re.IGNORECASE)
_WORDS = re.compile(r"[^\s\"',\[\]{}]+")

SEARCH_PATH = "EC_CONF_SEARCH_PATH"
_NODE_MARK = "{NODENAME}"

Parse = Callable[[str, str], Document]
"""A text and its file's path -> its document, in the language of the including file."""

_Identity = tuple[int, int]  # device and inode: what a path leads to, whatever its name


def search_path(main: str, node: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where includes are looked for when they are not beside the including file. `{NODENAME}` in the variable stands
    for the node's name. By default it is `global`, the node's name and `default` under the configuration's root: the
    folder of the main file, or the one above if that folder is one of the three."""
    written = environ.get(SEARCH_PATH, "")
    if written:
        return tuple(folder.replace(_NODE_MARK, node) for folder in written.split(":") if folder)
    names = ("global", node, "default")
    root = os.path.dirname(os.path.abspath(main))
    if os.path.basename(root) in names:
        root = os.path.dirname(root)
    return tuple(os.path.join(root, name) for name in names)


@dataclass(frozen=True, slots=True)
class _Link:
    """A file in a chain of inclusions. `origin`: where it is included; of the main file, its beginning."""

    path: str
    identity: _Identity
    origin: Origin


class Includes:
    """Puts what is included into one document; what is wrong goes to its diagnostics."""

    def __init__(self, document: Document, parse: Parse, search: Callable[[], Sequence[str]]) -> None:
        self._document = document
        self._parse = parse
        self._search = search
        self._files = self._bytes = self._items = 0
        self._full = False

    def expand(self) -> None:
        file = self._document.file
        self._stanza(self._document.root, (_Link(file, _identity(file), Origin(file, 1, 1)),), 0)

    def _stanza(self, stanza: Stanza, chain: tuple[_Link, ...], depth: int) -> None:
        includes = False
        for item in stanza.items:
            if isinstance(item, Include):
                includes = True
            elif isinstance(item, Stanza) and item.items:
                self._stanza(item, chain, depth + 1)
        if not includes:
            return
        written, stanza.items = stanza.items, []
        for item in written:
            if not isinstance(item, Include):
                stanza.items.append(item)
            elif not self._too_much(item, chain):
                paths = self._paths(item, chain)
                if not paths:
                    self._files += 1
                for path in paths:
                    self._file(path, item, stanza, chain, depth)

    def _paths(self, include: Include, chain: tuple[_Link, ...]) -> list[str]:
        """The files that the target stands for."""
        target = include.target.removeprefix(_FILE_URI)
        if "://" in target or not target:
            what = "only files and folders can be included"
            self._error("DV206", f"{shown(include.target)}: {what}", include, "put its text into a file")
            return []
        folders = _folders(chain[-1].path, self._search())
        try:
            found = _find(target, folders)
        except (OSError, ValueError) as error:
            self._chained("DV206", f"{shown(target)} cannot be read: {error}", chain, include, target)
            return []
        if found is not None:
            return found
        looked = f"it was looked for in {', '.join(folder or '.' for folder in folders)}"
        hint = "check the path" if os.path.isabs(target) else looked
        self._chained("DV206", f"{shown(target)} does not exist", chain, include, target, hint)
        return []

    def _file(self, path: str, include: Include, into: Stanza, chain: tuple[_Link, ...], depth: int) -> None:
        if self._too_much(include, chain):
            return
        self._files += 1
        link = _Link(path, _identity(path), include.origin)
        if any(link.identity == above.identity for above in chain):
            hint = "take one of these includes out"
            self._chained("DV208", f"{shown(path)} includes itself", chain, include, path, hint)
            return
        try:
            text = read_text(path)
        except UnreadableError as error:
            found = error.diagnostic
            if found.origin.line:
                self._document.diagnostics.append(found)
            else:
                self._chained(found.code, f"{shown(path)}: {found.message}", chain, include, path, found.hint)
            return
        self._bytes += len(text)
        document = self._parse(text, path)
        items, deepest = _measure(document.root)
        self._items += items
        if depth + deepest > MAX_NESTING:
            self._error("DV107", f"more than {MAX_NESTING} stanzas inside each other, with this include", include)
            return
        self._document.diagnostics += document.diagnostics
        self._stanza(document.root, (*chain, link), depth)
        into.items += document.root.items

    def _too_much(self, include: Include, chain: tuple[_Link, ...]) -> bool:
        """Whether a bound is reached; says so once."""
        if len(chain) >= MAX_CHAIN:
            self._error("DV210", f"more than {MAX_CHAIN} files include each other in a chain", include)
            return True
        if self._full:
            return True
        if self._files >= MAX_FILES:
            self._error("DV210", f"more than {MAX_FILES:,} files are included", include, "the rest is left out")
        elif self._bytes >= MAX_BYTES or self._items >= MAX_ITEMS:
            self._error("DV203", "all that is included is larger than any configuration may be", include)
        else:
            return False
        self._full = True
        return True

    def _chained(
        self, code: str, message: str, chain: tuple[_Link, ...], include: Include, target: str, hint: str = ""
    ) -> None:
        """Names the chain: `main.conf:3 includes a.conf, a.conf:1 includes b.conf`."""
        steps = [(link.origin, link.path) for link in chain[1:]]
        route = ", ".join(
            f"{origin.file}:{origin.line} includes {path}" for origin, path in (*steps, (include.origin, target))
        )
        related = [Related(origin, f"{path} is included here") for origin, path in reversed(steps)]
        self._error(code, f"{message} ({route})", include, hint, *related)

    def _error(self, code: str, message: str, include: Include, hint: str = "", *related: Related) -> None:
        self._document.diagnostics.append(
            Diagnostic(
                severity=Severity.ERROR,
                code=code,
                message=message,
                origin=include.origin,
                hint=hint,
                related=related,
            )
        )


def _folders(including: str, search: Sequence[str]) -> list[str]:
    """Where to look, in this order."""
    beside = dict.fromkeys((os.path.dirname(including), os.path.dirname(os.path.realpath(including))))
    return [*beside, *search]


def _find(target: str, folders: Sequence[str]) -> list[str] | None:
    """The file, or the files of the folder, that is found first; None if there is none."""
    for folder in folders:
        path = os.path.join(folder, target)
        if os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if not name.startswith("."))
            inside = [os.path.join(path, name) for name in names]
            return [one for one in inside if not os.path.isdir(one)]
        if os.path.lexists(path):
            return [path]
    return None


def texts(main: str, environ: Mapping[str, str]) -> Iterator[str]:
    """The text of a file, and those of the files that it may include, as far as that can be told without knowing its
    language: too many rather than too few. What cannot be read is left out."""
    todo, seen = [main], {main}
    while todo and len(seen) < MAX_FILES:
        path = todo.pop()
        try:
            text = read_text(path)
        except UnreadableError:
            continue
        yield text
        for target in islice(_targets(text), MAX_FILES):
            with contextlib.suppress(OSError, ValueError):
                folders = _folders(path, search_path(main, "", environ))
                found = _find(target.removeprefix(_FILE_URI), folders) or ()
                todo += [one for one in found if one not in seen]
                seen.update(found)


def _targets(text: str) -> Iterator[str]:
    for found in _MAY_INCLUDE.finditer(text) if "include" in text.lower() else ():
        yield from _WORDS.findall(found[1])


def _identity(path: str) -> _Identity:
    """Of what cannot be asked, one that nothing else has."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return (-1, id(path))
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else (-1, id(path))


def _measure(root: Stanza) -> tuple[int, int]:
    """How many items there are, and how deep stanzas stand inside each other."""
    items, deepest = 0, 0
    todo = [(root, 0)]
    while todo:
        stanza, depth = todo.pop()
        items += len(stanza.items)
        deepest = max(deepest, depth)
        todo += [(inner, depth + 1) for inner in stanza.items if isinstance(inner, Stanza)]
    return items, deepest
