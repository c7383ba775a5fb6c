"""What commands that read several configurations share."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from duravip.errors import UsageError
from duravip.model import NodeName

if TYPE_CHECKING:
    from duravip.cli.check import Checked
    from duravip.config.node_config import NodeConfig


_NAMED = 3  # nodes, addresses or sentences that are named before the rest is only counted


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """For what has hundreds of thousands of objects at once, no cycle among them, and ends soon: looking for cycles is
    time lost."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def split_name(argument: str) -> tuple[NodeName | None, str]:
    """`NAME=FILE` as (NAME, FILE), a mere FILE as (None, FILE). What stands before `=` is a name without
    `/`. Raises UsageError when FILE is empty."""
    name, equals, path = argument.partition("=")
    if equals and name and "/" not in name:
        if not path:
            raise UsageError(f"{argument}: the file's name after `=` is empty; write NAME=FILE")
        return NodeName(name), path
    if not argument:
        raise UsageError("the name of a FILE is empty; write FILE or NAME=FILE")
    return None, argument


def listed(texts: Sequence[str], separator: str) -> str:
    """The first few of them, and how many more there are."""
    more = len(texts) - _NAMED
    return separator.join(texts[:_NAMED]) + (f"{separator}and {more} more" if more > 0 else "")


def read_nodes(files: Sequence[str], purpose: str) -> tuple[NodeConfig, ...]:
    """What `check` reads, sorted by name, for what needs all nodes. Errors go to stderr, then UsageError is raised."""
    return read_checked(files, purpose).nodes


def read_checked(files: Sequence[str], purpose: str) -> Checked:
    """All that `check` finds, as `read_nodes`: all nodes are in its landscape."""
    from duravip.cli.check import check
    from duravip.cli.diagnostic_text import write_diagnostics
    from duravip.cli.with_plugins import plugins_for
    from duravip.config.diagnostics import Severity

    plugins = plugins_for([split_name(file)[1] for file in files])
    checked = check(
        files,
        parsers=plugins.parsers(),
        plugin_options=plugins.plugin_options(),
        plugin_kinds=plugins.plugin_kinds(),
    )
    if not checked.count(Severity.ERROR):
        return checked
    write_diagnostics(found for found in checked.diagnostics if found.severity is Severity.ERROR)
    raise UsageError(f"no {purpose} for an invalid configuration; `duravip check` says more")


def environment_of_all() -> dict[str, str]:
    """What a command that reads the files of several nodes takes from the environment: where included files are, but
    not who this node is."""
    from duravip.config.include import SEARCH_PATH

    return {SEARCH_PATH: os.environ[SEARCH_PATH]} if SEARCH_PATH in os.environ else {}
