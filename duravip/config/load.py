"""Reading a configuration file: from a path to a node's configuration, with a diagnostic for everything
wrong.

This is the only file of this room that touches the disk or asks for a host name's address.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from duravip.config.build import build
from duravip.config.diagnostics import Diagnostic, Severity
from duravip.config.document import Document, Stanza
from duravip.config.endpoints import Resolve
from duravip.config.node_config import NodeConfig
from duravip.config.plugin_stanzas import PluginOptions
from duravip.model import Origin

if TYPE_CHECKING:
    from duravip.plugin.api import ConfigParser

MAX_BYTES = 64 * 1024 * 1024


class UnreadableError(Exception):
    """The file is no text; `diagnostic` says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def load_file(
    path: str | os.PathLike[str],
    *,
    parsers: Sequence[ConfigParser],
    plugin_options: PluginOptions,
    plugin_kinds: Mapping[str, str] | None = None,
    failed_plugins: Mapping[str, str] | None = None,
    name: str | None = None,
    environ: Mapping[str, str] | None = None,
    host_name: str | None = None,
    resolve: Resolve | None = None,
) -> NodeConfig:
    """Reads, parses and builds. Bad input never raises: look at `NodeConfig.errors()`.

    `plugin_options`: stanza name -> the options its plugin declares; `plugin_kinds`: the same names ->
    `transport`, `backend` or `notifier`. `failed_plugins`: names of those that are installed and cannot be used -> why;
    to name one is an error. `name` overrides `nodename`. `environ` (default: the process's) may
    give EC_NODE_NAME. `host_name`: the last resort, default the host's name up to the first dot. `resolve`: a
    host name's addresses, default the system's resolver, which may block.
    """
    file = os.fspath(path)
    try:
        document = parse_text(read_text(path), file=file, parsers=parsers)
    except UnreadableError as error:
        document = _empty(file, error.diagnostic)
    config = build(
        document,
        plugin_options=plugin_options,
        plugin_kinds=plugin_kinds or {},
        failed_plugins=failed_plugins,
        name=name,
        environ=os.environ if environ is None else environ,
        host_name=socket.gethostname().split(".", 1)[0] if host_name is None else host_name,
        resolve=resolve or system_resolve,
    )
    if document.diagnostics and not document.root.items:  # nothing was read: what is missing is no news
        return replace(config, diagnostics=tuple(document.diagnostics))
    return config


def read_text(path: str | os.PathLike[str]) -> str:
    """The file's text. Raises UnreadableError. Never waits: pipes and devices are refused before they are
    read."""
    file = os.fspath(path)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable("DV201", _words(error), file, "check the path and its permissions") from None
    try:
        return _text(descriptor, file)
    except OSError as error:
        raise _unreadable("DV201", _words(error), file, "check the path and its permissions") from None
    finally:
        os.close(descriptor)


def _text(descriptor: int, file: str) -> str:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise _unreadable("DV202", f"this is {what}, not a file", file, "name a configuration file")
    pieces: list[bytes] = []
    size = 0
    while piece := os.read(descriptor, 1024 * 1024):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise _unreadable(
                "DV203",
                f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB",
                file,
                "is this the right file?",
            )
    data = b"".join(pieces)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        start = data.rfind(b"\n", 0, error.start) + 1
        column = len(data[start : error.start].decode("utf-8", errors="replace")) + 1
        raise _unreadable(
            "DV204",
            f"the byte 0x{data[error.start]:02x} is no UTF-8",
            file,
            "save the file as UTF-8",
            line,
            column,
        ) from None
    nul = text.find("\0")
    if nul >= 0:
        line, column = text.count("\n", 0, nul) + 1, nul - text.rfind("\n", 0, nul)
        raise _unreadable("DV204", "there is a NUL character: this is no text file", file, "", line, column)
    return text


def parse_text(text: str, *, file: str, parsers: Sequence[ConfigParser]) -> Document:
    """By the parser whose suffix the file has, else the one that finds the text most likely its own."""
    parser = _parser(text, file, parsers)
    if parser is None:
        return _empty(
            file,
            _diagnostic("DV205", "no plugin that reads configurations is installed", file, "see `duravip plugins`"),
        )
    try:
        document: object = parser.parse(text, file=file)
    except Exception as error:  # a plugin's: problems should be diagnostics, never exceptions
        return _failed(parser, f"{type(error).__name__}: {error}", file)
    if not isinstance(document, Document):
        return _failed(parser, f"it gave {type(document).__name__}, no document", file)
    return document


def _parser(text: str, file: str, parsers: Sequence[ConfigParser]) -> ConfigParser | None:
    lowered = file.lower()
    for parser in parsers:
        if lowered.endswith(parser.suffixes):
            return parser
    return max(parsers, key=lambda parser: _sniffed(parser, text), default=None)


def _sniffed(parser: ConfigParser, text: str) -> float:
    try:
        return float(parser.sniff(text))
    except Exception:  # a plugin's: what fails at this would not read the text either
        return 0.0


def _failed(parser: ConfigParser, why: str, file: str) -> Document:
    return _empty(
        file,
        _diagnostic(
            "DV207",
            f"the language {parser.name} failed on this file: {why}",
            file,
            "a bug in its plugin: `duravip plugins` says whose it is",
        ),
    )


def system_resolve(name: str) -> tuple[str, ...]:
    """A host name's addresses, each once. Raises OSError."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # the name has a part that is too long or empty
        raise OSError(str(error)) from None
    return tuple(sorted({str(answer[4][0]) for answer in answers}))


def _empty(file: str, diagnostic: Diagnostic) -> Document:
    return Document(file=file, root=Stanza("", None, Origin(file)), diagnostics=[diagnostic])


def _words(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"the file cannot be read: {text}"


def _diagnostic(code: str, message: str, file: str, hint: str, line: int = 0, column: int = 0) -> Diagnostic:
    return Diagnostic(severity=Severity.ERROR, code=code, message=message, origin=Origin(file, line, column), hint=hint)


def _unreadable(code: str, message: str, file: str, hint: str, line: int = 0, column: int = 0) -> UnreadableError:
    return UnreadableError(_diagnostic(code, message, file, hint, line, column))
