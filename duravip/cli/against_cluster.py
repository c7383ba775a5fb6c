"""`duravip check --against-cluster`: what the members run now, and what these files would make of it. It only asks.

The flags come from `cluster.flags`: once over the tables in force, once with the files' in place of their nodes'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from duravip.cli.between_nodes import FLAG_CODES, place, settings_that_differ
from duravip.cluster.flags import Landscape, survey
from duravip.config.diagnostics import Diagnostic, Findings, Related
from duravip.config.node_config import NodeConfig
from duravip.model import NodeName, Origin, Settings, Table, VipEntry, address_order, make_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the daemon `asked` knows: the tables in force of all members, and its own settings."""

    asked: NodeName
    settings: Settings
    tables: Mapping[NodeName, Table]


def ask(path: str) -> Running:
    """Raises ControlError."""
    from duravip.runtime.client import request

    tables = request(path, {"command": "tables"})
    info = request(path, {"command": "info"})
    entries = msgspec.convert(tables["tables"], dict[str, tuple[VipEntry, ...]])
    return Running(
        asked=NodeName(tables["node"]),
        settings=msgspec.convert(info["settings"], Settings),
        tables={NodeName(name): make_table(vips) for name, vips in entries.items()},
    )


def compare_with(running: Running, nodes: Sequence[NodeConfig]) -> tuple[Diagnostic, ...]:
    findings = Findings()
    before = survey(running.tables)
    after = survey({**running.tables, **{node.name: node.table for node in nodes}})
    _flags(before, after, {node.name for node in nodes}, findings)
    for node in nodes:
        if node.name not in running.tables:
            findings.info(
                "DV613",
                f"{node.name} is no member of the view now: {', '.join(sorted(running.tables)) or 'nobody is'}",
                node.written.get("nodename", Origin(node.file)),
                "names are compared whole; a node that is new joins when it is started",
            )
        for option, ours, theirs in settings_that_differ(node.table.settings, running.settings):
            findings.warning(
                "DV612",
                f"{option} would be {ours} on {node.name}, and {running.asked} runs with {theirs}",
                node.written.get(option, Origin(node.file)),
                "change it on all nodes: edit every file, then `duravip reload --cluster`",
            )
    return findings.as_found()


def _flags(before: Landscape, after: Landscape, changed: set[NodeName], findings: Findings) -> None:
    for address in sorted({*before.flags, *after.flags}, key=address_order):
        had, has = before.flags.get(address, {}), after.flags.get(address, {})
        for flag in sorted({*had, *has}, key=lambda flag: flag.value):
            if flag in has and flag not in had:
                evidence = sorted(has[flag], key=lambda one: one.node not in changed)
                first, *others = ((place(one, after.entries[one.node].get(address)), one.text) for one in evidence)
                hint = f"{FLAG_CODES[flag][1]}; `duravip reload --cluster` changes all nodes at once"
                findings.warning(
                    "DV610",
                    f"{address} would become {flag.value}: {first[1]}",
                    first[0],
                    hint,
                    *(Related(*other) for other in others),
                )
            elif flag in had and flag not in has:
                one = next((one for one in had[flag] if one.node in changed), had[flag][0])
                findings.info(
                    "DV611",
                    f"{address} is {flag.value} now, and would be no longer",
                    place(one, before.entries[one.node].get(address)),
                )
