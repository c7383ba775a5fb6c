"""`duravip check --against-cluster`: what the members run now, and what these files would make of it. It only asks.

The flags come from `cluster.flags`: once over the tables in force, once with the files' in place of their nodes'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from duravip.cli.between_nodes import FLAG_CODES, place, settings_that_differ, telling, what_differing_does
from duravip.cli.common import listed
from duravip.cluster.flags import Landscape, survey
from duravip.config.diagnostics import Diagnostic, Findings, Related
from duravip.config.node_config import NodeConfig
from duravip.model import NodeName, Origin, Settings, Table, VipEntry, address_order, make_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The tables in force of all members; `coordinator`: whose settings count, "" while there is no view."""

    coordinator: NodeName
    tables: Mapping[NodeName, Table]


def ask(path: str) -> Running:
    """Raises ControlError."""
    from duravip.runtime.client import request

    answer = request(path, {"command": "tables"})
    entries = msgspec.convert(answer["tables"], dict[NodeName, tuple[VipEntry, ...]])
    settings = msgspec.convert(answer["settings"], dict[NodeName, Settings])
    return Running(
        coordinator=NodeName(answer["coordinator"]),
        tables={name: make_table(vips, settings[name]) for name, vips in entries.items()},
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
                f"{node.name} is no member of the view now: {listed(sorted(running.tables), ', ') or 'nobody is'}",
                node.written.get("nodename", Origin(node.file)),
                "names are compared whole; a node that is new joins when it is started",
            )
    _settings(running, nodes, findings)
    return findings.as_found()


def _settings(running: Running, nodes: Sequence[NodeConfig], findings: Findings) -> None:
    """What would differ from members that keep theirs. Files that differ from each other have DV510 already."""
    given = {node.name for node in nodes}
    for node in nodes:
        others: dict[tuple[str, str, str], list[NodeName]] = {}
        for name in sorted(running.tables.keys() - given):
            for differing in settings_that_differ(node.table.settings, running.tables[name].settings):
                others.setdefault(differing, []).append(name)
        for (option, ours, theirs), names in others.items():
            findings.warning(
                "DV612",
                f"{option} would be {ours} on {node.name}, and is {theirs} on {listed(names, ', ')}",
                node.written.get(option, Origin(node.file)),
                f"{what_differing_does(option)} (now {running.coordinator} is coordinator): edit the files of "
                "all nodes, then `duravip reload --cluster`",
            )


def _flags(before: Landscape, after: Landscape, changed: set[NodeName], findings: Findings) -> None:
    for address in sorted({*before.flags, *after.flags}, key=address_order):
        had, has = before.flags.get(address, {}), after.flags.get(address, {})
        for flag in sorted({*had, *has}, key=lambda flag: flag.value):
            if flag in has and flag not in had:
                evidence = sorted(telling(has[flag]), key=lambda one: one.node not in changed)
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
