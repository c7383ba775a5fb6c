"""`duravip release`: every DuraVIP off this machine, when no daemon is left to do it."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from duravip.cli.output import format_option, print_json
from duravip.cli.run import read, refuse_errors
from duravip.cli.with_plugins import plugin_option, plugins_for
from duravip.errors import UsageError

if TYPE_CHECKING:
    from duravip.config.node_config import NodeConfig
    from duravip.plugin.manager import PluginSet
    from duravip.runtime.releasing import Released


@click.command(
    "release",
    epilog="""\b
Examples:
  duravip release --all
  duravip release --all -c /etc/duravip/duravip.conf
  duravip release --all --force --format json
""",
)
@click.option("--all", "everything", is_flag=True, help="Every DuraVIP. There is no other choice; it must be said.")
@click.option(
    "-c",
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(),
    help="The node's configuration: goes by its table too, and looks for its daemon alone.",
)
@click.option("--node", metavar="NAME", help="With -c: in place of nodename, as with `run`.")
@click.option("--force", is_flag=True, help="Even while a daemon runs: it puts back what it owns.")
@format_option
@plugin_option
def command(
    *, everything: bool, file: str | None, node: str | None, force: bool, style: str, named: tuple[str, ...]
) -> None:
    """Take every DuraVIP off this machine, after a daemon and its guard have died together. For root only.

    By the mark that every address of a DuraVIP bears, and, with -c, by the configuration's table; no other address is
    touched. Interfaces of virtual hardware addresses are removed. Without -c all installed backends are tried; one that
    cannot be opened here is passed over.

    Refused with exit status 1 while a daemon runs: without -c, any that has its state directory in /var/lib/duravip or
    its control socket in /run/duravip. None of them can start meanwhile, and the guard of one that has just died is
    waited for. Nothing to take off is no failure.
    """
    if not everything:
        raise UsageError("say --all: it takes every DuraVIP off this machine")
    if node is not None and file is None:
        raise UsageError("--node goes with -c: without a configuration no name is asked for")
    plugins = plugins_for([file] if file is not None else [], named)
    config = _read(file, plugins, node) if file is not None else None
    released = _release(plugins, config, force=force)
    for sentence in (*released.passed_over, *released.failures):
        click.echo(f"duravip: {sentence}", err=True)
    if style == "json":
        print_json(released.as_json())
    else:
        _print(released)
    if released.failures:
        sys.exit(1)


def _read(file: str, plugins: PluginSet, node: str | None) -> NodeConfig:
    config = read(file, plugins, node=node, control=None)
    refuse_errors(config, f"nothing was taken off: {file} has errors; without -c it goes by the mark alone")
    return config


def _release(plugins: PluginSet, config: NodeConfig | None, *, force: bool) -> Released:
    import logging

    import trio

    from duravip.runtime.log import logging_to
    from duravip.runtime.releasing import alone, release

    with ExitStack() as stack:
        stack.enter_context(logging_to(level=logging.ERROR))  # what backends warn of is about daemons
        if not force:
            stack.enter_context(alone(config))
        return trio.run(release, plugins, config)


def _print(released: Released) -> None:
    lines = [f"took off {address}" for address in released.addresses]
    lines += [f"removed the interface {name}" for name in released.interfaces]
    if not lines and not released.failures:
        lines = ["There was nothing of ours to take off."]
    if lines:
        click.echo("\n".join(lines))
