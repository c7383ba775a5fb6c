"""`duravip convert`: a configuration in another language, with the same table."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from duravip.cli.with_plugins import plugin_option, plugins_for
from duravip.config.document import Stanza
from duravip.errors import UsageError

if TYPE_CHECKING:
    from duravip.config.document import Document
    from duravip.model import Origin
    from duravip.plugin.api import ConfigParser, ConfigWriter

_EPILOG = """\b
Examples:
  duravip convert ecelerity.conf --to toml > node1.toml
  duravip convert node1.toml --to momentum > node1.conf
"""


@click.command("convert", epilog=_EPILOG)
@click.argument("file", type=click.Path())
@click.option("--to", "language", metavar="LANGUAGE", required=True, help="toml, momentum, or a plugin's language.")
@plugin_option
def command(file: str, language: str, named: tuple[str, ...]) -> None:
    """Translate a configuration; `check` gives the same table for both.

    The translation goes to stdout. What is not in it is said on stderr: comments, and what is none of duravip's. Files
    that are included become part of it. A configuration with errors is not translated: exit 2, as with `check`. Exit 1:
    the other language has no way to write something.
    """
    from duravip.cli.diagnostic_text import write_diagnostics
    from duravip.config.load import load_document, load_file
    from duravip.config.translation import translate

    plugins = plugins_for([file], named)
    writer = _writer(language, plugins.parsers())
    parsers, host_name = plugins.parsers(), Path(file).stem or "node"
    config = load_file(
        file,
        parsers=parsers,
        host_name=host_name,
        plugin_options=plugins.plugin_options(),
        plugin_kinds=plugins.plugin_kinds(),
        failed_plugins=plugins.failures(),
    )
    if errors := config.errors():
        write_diagnostics(errors)
        raise UsageError(f"not translated: {file} has errors")
    document = load_document(file, parsers=parsers, environ=os.environ, host_name=host_name)
    translation = translate(document, plugins.plugin_options(), _comments(document, parsers))
    text = writer.write(translation.document)
    write_diagnostics(translation.left_behind)
    sys.stdout.write(text)


def _comments(document: Document, parsers: Sequence[ConfigParser]) -> list[Origin]:
    """In all files that the document is made of; none where its language cannot tell."""
    from duravip.config.load import parser_for
    from duravip.config.source import read_text
    from duravip.model import Origin
    from duravip.plugin.api import ConfigWriter

    found: list[Origin] = []
    for file in dict.fromkeys((document.file, *_files(document.root))):
        text = read_text(file)
        parser = parser_for(text, file, parsers)
        if isinstance(parser, ConfigWriter):
            for at in parser.comments(text):
                line_start = text.rfind("\n", 0, at) + 1
                found.append(Origin(file, text.count("\n", 0, at) + 1, at - line_start + 1))
    return found


def _files(stanza: Stanza) -> Iterator[str]:
    for item in stanza.items:
        yield item.origin.file
        if isinstance(item, Stanza):
            yield from _files(item)


def _writer(language: str, parsers: Sequence[ConfigParser]) -> ConfigWriter:
    from duravip.plugin.api import ConfigWriter

    writers = {parser.name: parser for parser in parsers if isinstance(parser, ConfigWriter)}
    if language not in writers:
        raise UsageError(f"--to {language}: no plugin writes that, only {', '.join(sorted(writers)) or 'none'}")
    return writers[language]
