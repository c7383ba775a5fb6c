"""`duravip check`: what is wrong with configurations, each by itself and all together, before they are
deployed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duravip.cli.common import environment_of_all, split_name, without_collector
from duravip.cli.output import control_option, print_table
from duravip.cli.with_plugins import plugin_option, plugins_for
from duravip.config.diagnostics import Diagnostic, Severity
from duravip.model import NodeName, Origin, address_order

if TYPE_CHECKING:
    from duravip.cluster.flags import Landscape
    from duravip.config.endpoints import Resolve
    from duravip.config.node_config import NodeConfig
    from duravip.config.options import Option
    from duravip.model import Address, VipEntry
    from duravip.plugin.api import ConfigParser

_EPILOG = """\b
Examples:
  duravip check node1.conf
  duravip check node1.conf node2.conf node3.conf
  duravip check a=site.conf b=site.conf --format json --strict
  duravip check node1.conf --against-host
  duravip check node1.conf --against-cluster
  duravip check --explain failure_timeout
  duravip check --explain DV305
"""


@click.command("check", epilog=_EPILOG)
@click.argument("files", metavar="[NAME=]FILE...", nargs=-1, type=click.Path())
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--strict", is_flag=True, help="Exit 1 also for a warning or a flag.")
@click.option("--against-host", is_flag=True, help="Also compare FILE, one node's, with this machine.")
@click.option("--against-cluster", is_flag=True, help="Also compare with what the members run now: asks a daemon here.")
@control_option
@click.option("--explain", "word", metavar="OPTION|CODE", help="Say all about an option, or a diagnostic's code.")
@plugin_option
@without_collector()
def command(
    files: tuple[str, ...],
    style: str,
    strict: bool,
    against_host: bool,
    against_cluster: bool,
    control: str | None,
    word: str | None,
    named: tuple[str, ...],
) -> None:
    """Validate configurations; report CONFLICT, UNSAFE and BROKEN before they are deployed.

    FILE is one node's configuration. The node's name is NAME, else its nodename, else the file's name without
    its ending. Exit 0: no errors; 1: with --strict, a warning or a flag; 2: errors.
    """
    if not files and word is None:
        raise click.UsageError("name at least one FILE")
    if against_host and len(files) != 1:
        raise click.UsageError("--against-host is about one node: name its FILE alone")
    plugins = plugins_for([split_name(file)[1] for file in files], named)
    if word is not None:
        from duravip.cli.explaining import explain

        click.echo(explain(word, plugins.plugin_options()), nl=False)
        return
    checked = check(
        files,
        parsers=plugins.parsers(),
        plugin_options=plugins.plugin_options(),
        plugin_kinds=plugins.plugin_kinds(),
        failed_plugins=plugins.failures(),
    )
    if against_host:
        from duravip.cli.against_host import compare_with, look

        usable = [node for node in checked.nodes if not node.errors()]
        found = [one for node in usable for one in compare_with(look(node, plugins), node)]
        checked = replace(checked, diagnostics=(*checked.diagnostics, *found))
    if against_cluster:
        from duravip.cli.against_cluster import ask
        from duravip.cli.against_cluster import compare_with as compare_with_cluster
        from duravip.runtime.client import find_socket

        usable = [node for node in checked.nodes if not node.errors()]
        differences = compare_with_cluster(ask(find_socket(control)), usable)
        checked = replace(checked, diagnostics=(*checked.diagnostics, *differences))
    if style == "json":
        click.echo(json.dumps(checked.as_json(), indent=2))
    else:
        _print(checked)
    sys.exit(checked.exit_code(strict=strict))


@dataclass(frozen=True, slots=True)
class Checked:
    """`nodes` are all that were given, each name once, sorted by name; `landscape` is the survey of those
    among them that have no errors."""

    nodes: tuple[NodeConfig, ...]
    diagnostics: tuple[Diagnostic, ...]
    landscape: Landscape

    def count(self, severity: Severity) -> int:
        return sum(found.severity is severity for found in self.diagnostics)

    def exit_code(self, *, strict: bool) -> int:
        if self.count(Severity.ERROR):
            return 2
        return int(strict and (self.count(Severity.WARNING) > 0 or bool(self.landscape.flags)))

    def addresses(self) -> list[Address]:
        return sorted(self.landscape.members, key=address_order)

    def flags(self, address: Address) -> list[str]:
        return sorted(flag.value for flag in self.landscape.flags.get(address, {}))

    def entries(self, address: Address) -> dict[NodeName, VipEntry]:
        """The address in the tables of its virtual members, sorted by name."""
        return {node: self.landscape.entries[node][address] for node in self.landscape.members[address]}

    def as_json(self) -> dict[str, Any]:
        """The object of contract.md section 2."""
        return {
            "ok": not self.count(Severity.ERROR),
            "nodes": [node.name for node in self.nodes],
            "diagnostics": [_diagnostic_object(found) for found in self.diagnostics],
            "vips": [self._vip_object(address) for address in self.addresses()],
        }

    def _vip_object(self, address: Address) -> dict[str, Any]:
        entries = self.entries(address)
        raised = self.landscape.flags.get(address, {})
        return {
            "address": address,
            "flags": self.flags(address),
            "evidence": [
                {
                    "flag": one.flag,
                    "node": one.node,
                    "file": one.file,
                    "line": one.line,
                    "value": one.value,
                    "text": one.text,
                }
                for flag in sorted(raised, key=lambda flag: flag.value)
                for one in raised[flag]
            ],
            "bindings": _bindings(entries),
            "nodes": {
                node: {
                    "services": list(entry.service_names()),
                    "preference": entry.preference.value if entry.preference else None,
                    "preferences": [use.value for use in entry.preferences()],
                    "follow": entry.follow.value if entry.follow else None,
                    "interface": entry.interface,
                    "prefix": entry.prefix,
                }
                for node, entry in entries.items()
            },
        }


def check(
    arguments: Sequence[str],
    *,
    parsers: Sequence[ConfigParser],
    plugin_options: Mapping[str, tuple[Option, ...]],
    plugin_kinds: Mapping[str, str] | None = None,
    failed_plugins: Mapping[str, str] | None = None,
    resolve: Resolve | None = None,
) -> Checked:
    """`arguments` are FILE or NAME=FILE. Of two files for one node the first counts; the second is an
    error. `resolve`: a host name's addresses, default the system's."""
    from duravip.cli.between_nodes import compare
    from duravip.cli.reading import read_all
    from duravip.cluster.flags import survey
    from duravip.config.load import load_file

    named = [split_name(argument) for argument in arguments]

    def read(number: int) -> NodeConfig:
        name, path = named[number]
        return load_file(
            path,
            parsers=parsers,
            plugin_options=plugin_options,
            plugin_kinds=plugin_kinds,
            failed_plugins=failed_plugins,
            name=name,
            environ=environment_of_all(),
            host_name=Path(path).stem or "node",
            resolve=resolve,
        )

    nodes: dict[NodeName, NodeConfig] = {}
    diagnostics: list[Diagnostic] = []
    for config in read_all([path for _, path in named], read):
        diagnostics += config.diagnostics
        if config.name in nodes:
            diagnostics.append(_second_file(config, nodes[config.name].file))
        else:
            nodes[config.name] = config
    ordered = tuple(nodes[name] for name in sorted(nodes))
    usable = [node for node in ordered if not node.errors()]
    landscape = survey({node.name: node.table for node in usable})
    if usable:
        diagnostics += compare(usable, landscape)
    return Checked(ordered, tuple(dict.fromkeys(diagnostics)), landscape)  # one file may be several nodes'


def _second_file(config: NodeConfig, first: str) -> Diagnostic:
    return Diagnostic(
        severity=Severity.ERROR,
        code="DV514",
        message=f"this file and {first} are both for node {config.name}",
        origin=config.written.get("nodename", Origin(config.file)),
        hint="give one file per node, and name the nodes with NAME=FILE where the files do not",
    )


def _diagnostic_object(found: Diagnostic) -> dict[str, Any]:
    return {
        "severity": found.severity.value,
        "code": found.code,
        "message": found.message,
        **_place_object(found.origin),
        "hint": found.hint,
        "related": [{**_place_object(related.origin), "message": related.message} for related in found.related],
    }


def _place_object(origin: Origin) -> dict[str, Any]:
    """What stands for a whole file stands at its beginning: lines and columns count from 1."""
    return {"file": origin.file, "line": max(1, origin.line), "column": max(1, origin.column)}


def _bindings(entries: Mapping[NodeName, VipEntry]) -> list[str]:
    return sorted({use.value for entry in entries.values() for use in entry.bindings})


# --- for people ---------------------------------------------------------------------------------------------

_COLUMNS = ("ADDRESS", "FLAGS", "BINDINGS", "PREFERENCE", "SERVICES")
_NAMED = 3  # nodes that a cell names before it only counts the rest


def _print(checked: Checked) -> None:
    """Diagnostics on stderr, the table on stdout."""
    from duravip.cli.diagnostic_text import write_diagnostics

    write_diagnostics(checked.diagnostics)
    rows = [_row(checked, address) for address in checked.addresses()]
    if rows:
        print_table(_COLUMNS, rows)
    click.echo(
        f"{_counted(len(checked.nodes), 'node')}, {_counted(len(rows), 'virtual address', 'es')}: "
        f"{_counted(checked.count(Severity.ERROR), 'error')}, "
        f"{_counted(checked.count(Severity.WARNING), 'warning')}"
    )


def _row(checked: Checked, address: Address) -> tuple[str, str, str, str, str]:
    entries = checked.entries(address)
    ranked = [entry.preferences() for entry in entries.values() if entry.preference is not None]
    preferences = sorted({">".join([use.value for use in uses]) for uses in ranked})
    return (
        address,
        ",".join(checked.flags(address)) or "SAFE",
        ",".join(_bindings(entries)) or "-",
        ",".join(preferences) or "-",
        _services(entries),
    )


def _services(entries: Mapping[NodeName, VipEntry]) -> str:
    """One list where all nodes agree, else one for each list that some of them have."""
    nodes: dict[str, list[NodeName]] = {}
    for node, entry in entries.items():
        nodes.setdefault(" ".join(entry.service_names()), []).append(node)
    if len(nodes) == 1:
        return next(iter(nodes))
    return "; ".join(f"{_some(names)}: {services}" for services, names in nodes.items())


def _some(names: Sequence[NodeName]) -> str:
    more = len(names) - _NAMED
    return ",".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _counted(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural if number != 1 else ''}"
