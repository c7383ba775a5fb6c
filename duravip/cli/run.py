"""`duravip run`: the daemon, in the foreground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from duravip.cli.with_plugins import plugin_option, plugins_for
from duravip.config import schema
from duravip.errors import DuravipError, UsageError, leaves

if TYPE_CHECKING:
    from duravip.config.node_config import NodeConfig
    from duravip.plugin.manager import PluginSet


@click.command(
    "run",
    epilog="""\b
Examples:
  duravip run -c /etc/duravip/node1.conf
  duravip run -c site.conf --node node2 --control /run/duravip/node2.sock

\b
Signals:
  SIGTERM, SIGINT  hand over, leave, exit 0; a second one: take everything off at once
  SIGHUP           read the configuration again
""",
)
@click.option(
    "-c", "--config", "file", metavar="FILE", required=True, type=click.Path(), help="The node's configuration."
)
@click.option("--node", metavar="NAME", help=f"In place of nodename. {schema.of_cluster('nodename').doc}")
@click.option(
    "--control", metavar="PATH", type=click.Path(), help=f"In place of control. {schema.of_cluster('control').doc}"
)
@plugin_option
def command(file: str, node: str | None, control: str | None, named: tuple[str, ...]) -> None:
    """Run the daemon in the foreground: join the cluster, and own what it gives this node.

    Logs to stderr. Ready when the log says so; tells NOTIFY_SOCKET, if set.
    """
    plugins = plugins_for([file], named)
    config = read(file, plugins, node=node, control=control)
    refuse_errors(config, f"not started: {file} has errors")
    _live(config, plugins, lambda: read(file, plugins, node=node, control=control))


def read(file: str, plugins: PluginSet, *, node: str | None, control: str | None) -> NodeConfig:
    from duravip.config.load import load_file
    from duravip.model import NodeName

    config = load_file(
        file,
        parsers=plugins.parsers(),
        plugin_options=plugins.plugin_options(),
        plugin_kinds=plugins.plugin_kinds(),
        failed_plugins=plugins.failures(),
        name=NodeName(node) if node else None,
        host_name=plugins.nodename(),
    )
    if control is None:
        return config
    return replace(config, local=replace(config.local, control=control))


def refuse_errors(config: NodeConfig, refusal: str) -> None:
    """Raises UsageError with that sentence, the diagnostics being on stderr, when there is an error among them."""
    if config.errors():
        from duravip.cli.diagnostic_text import write_diagnostics

        write_diagnostics(config.diagnostics)
        raise UsageError(refusal)


def _live(config: NodeConfig, plugins: PluginSet, reread: Callable[[], NodeConfig]) -> None:
    import logging
    import resource

    import trio

    from duravip.runtime.daemon import Daemon, Host, run_daemon
    from duravip.runtime.ending import end_anyway
    from duravip.runtime.log import logging_to

    # A process that crashes keeps its files, and so its guard waiting, until its core is written, with the key in it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with logging_to():
        try:
            trio.run(run_daemon, Daemon(config, plugins, reread=reread, host=Host(end_anyway=end_anyway)))
        except BaseException as error:
            known = [leaf for leaf in leaves(error) if isinstance(leaf, DuravipError)]
            if known:
                raise known[0] from None
            logging.getLogger("duravip").critical("a bug in duravip ends this daemon", exc_info=error)
            raise DuravipError("ended by a bug in duravip; the log says where. Please report it") from None
