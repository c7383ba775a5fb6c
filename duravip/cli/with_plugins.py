"""Which plugins a command works with: the installed ones, without those that its configurations disable, and those
that the command line names.

A disabled plugin must not even be imported, and what is disabled stands in a file that plugins read. So plugins whose
names a file mentions, beside the word disable_plugins, wait until the others have read it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from duravip.cli.common import environment_of_all

if TYPE_CHECKING:
    from duravip.plugin.manager import Found, PluginSet

plugin_option: Callable[[Any], Any] = click.option(
    "--plugin",
    "named",
    metavar="MODULE[:OBJECT]",
    multiple=True,
    help="A plugin that is not installed: a module, or an object in one, that can be imported from here. For "
    "those who write plugins. May be given several times.",
)


def plugins_for(files: Sequence[str], named: Sequence[str] = ()) -> PluginSet:
    """`files` are configurations; a plugin is disabled when all of them disable it. Of two plugins that offer the same,
    the one `named` counts. Raises PluginError when a named one is of no use."""
    from duravip.plugin import manager

    texts = [_text(file) for file in files]
    if not named and not any(_DISABLING in text for text in texts):
        return manager.load_plugins()
    if named:
        sys.path.append(os.getcwd())
    found = [*(manager.plugin_at(place) for place in named), *manager.find_plugins()]
    waiting = [one for one in found if one.name not in named and _mentioned(one, texts)]
    plugins = manager.load_plugins(found=[one for one in found if one not in waiting])
    for place in named:
        plugins.require(place)
    disabled = frozenset.intersection(*(_disabled(file, plugins) for file in files)) if waiting else frozenset()
    for one in waiting:
        if one.name in disabled:
            plugins.note_disabled(one)
        else:
            plugins.add(one)
    return plugins


_DISABLING = "disable_plugins"


def _text(file: str) -> str:
    """In small letters, with all that it may include; "" when it cannot be read, which whoever reads it in earnest will
    say."""
    from duravip.config.include import texts

    return "\n".join(texts(file, environment_of_all())).lower()


def _mentioned(one: Found, texts: Sequence[str]) -> bool:
    return any(_DISABLING in text and one.name.lower() in text for text in texts)


def _disabled(file: str, plugins: PluginSet) -> frozenset[str]:
    """What the file disables, as far as the plugins loaded so far can read it."""
    from duravip.config.load import load_file

    config = load_file(
        file,
        parsers=plugins.parsers(),
        plugin_options=plugins.plugin_options(),
        plugin_kinds=plugins.plugin_kinds(),
        environ=environment_of_all(),
        host_name="node",
        resolve=lambda name: (),
    )
    return frozenset(config.local.disable_plugins)
