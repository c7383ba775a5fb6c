"""Reading a configuration file: from a path to a node's configuration, with a diagnostic for everything
wrong.

Only this file, `source` and `include` touch the disk; only this one asks for a host name's address.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from duravip.config.build import build
from duravip.config.diagnostics import Diagnostic, Severity
from duravip.config.document import Document, Stanza
from duravip.config.endpoints import Resolve
from duravip.config.include import Includes, search_path
from duravip.config.node_config import NodeConfig
from duravip.config.plugin_stanzas import PluginOptions
from duravip.config.source import UnreadableError, read_text
from duravip.model import Origin

if TYPE_CHECKING:
    from duravip.plugin.api import ConfigParser


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
    """Reads, with all that is included, parses and builds. Bad input never raises: look at `NodeConfig.errors()`.

    `plugin_options`: stanza name -> the options its plugin declares; `plugin_kinds`: the same names ->
    `transport`, `backend` or `notifier`. `failed_plugins`: names of those that are installed and cannot be used -> why;
    to name one is an error. `name` overrides `nodename`. `environ` (default: the process's) may
    give EC_NODE_NAME and EC_CONF_SEARCH_PATH. `host_name`: the last resort, default the host's name up to the first
    dot. `resolve`: a host name's addresses, default the system's resolver, which may block.
    """
    environ = os.environ if environ is None else environ
    host_name = socket.gethostname().split(".", 1)[0] if host_name is None else host_name
    document = load_document(path, parsers=parsers, name=name, environ=environ, host_name=host_name)
    config = build(
        document,
        plugin_options=plugin_options,
        plugin_kinds=plugin_kinds or {},
        failed_plugins=failed_plugins,
        name=name,
        environ=environ,
        host_name=host_name,
        resolve=resolve or system_resolve,
    )
    if document.diagnostics and not document.root.items:  # nothing was read: what is missing is no news
        return replace(config, diagnostics=tuple(document.diagnostics))
    return config


def load_document(
    path: str | os.PathLike[str],
    *,
    parsers: Sequence[ConfigParser],
    name: str | None = None,
    environ: Mapping[str, str],
    host_name: str,
) -> Document:
    """What stands in the file and in all that it includes, in one tree; what is wrong is in its diagnostics."""
    file = os.fspath(path)
    try:
        text = read_text(path)
    except UnreadableError as error:
        return _empty(file, error.diagnostic)
    parser = parser_for(text, file, parsers)
    document = _parsed(parser, text, file)

    def search() -> tuple[str, ...]:
        node = name or _nodename(document) or environ.get("EC_NODE_NAME") or host_name
        return search_path(file, node, environ)

    Includes(document, lambda included, where: _parsed(parser, included, where), search).expand()
    return document


def _nodename(document: Document) -> str | None:
    """As far as it is known while includes are being looked for."""
    for stanza in document.root.stanzas():
        if stanza.keyword.lower() == "cluster":
            for assignment in stanza.assignments():
                if assignment.key.lower() == "nodename":
                    return str(assignment.value.content)
    return None


def parse_text(text: str, *, file: str, parsers: Sequence[ConfigParser]) -> Document:
    """By the parser whose suffix the file has, else the one that finds the text most likely its own. Includes stay
    what they are."""
    return _parsed(parser_for(text, file, parsers), text, file)


def _parsed(parser: ConfigParser | None, text: str, file: str) -> Document:
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


def parser_for(text: str, file: str, parsers: Sequence[ConfigParser]) -> ConfigParser | None:
    """The one whose suffix the file has, else the one that finds the text most likely its own."""
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


def _diagnostic(code: str, message: str, file: str, hint: str, line: int = 0, column: int = 0) -> Diagnostic:
    return Diagnostic(severity=Severity.ERROR, code=code, message=message, origin=Origin(file, line, column), hint=hint)
