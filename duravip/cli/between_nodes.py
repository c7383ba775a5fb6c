"""What is wrong between configurations that are each fine: the DV5xx diagnostics of `duravip check`.

The flags themselves come from `cluster.flags`, as in the daemon; this file only puts them into words, and
adds what a running cluster would notice too late.
"""

from __future__ import annotations

from collections.abc import Sequence

from duravip.cluster.flags import Landscape
from duravip.config.diagnostics import Diagnostic, Findings, shown
from duravip.config.node_config import NodeConfig
from duravip.model import Address, Evidence, Flag, NodeName, Origin, VipEntry, address_order

_FLAG_CODES = {
    Flag.CONFLICT: ("DV501", "preferences for it are ignored until one is left; name one node everywhere"),
    Flag.UNSAFE: ("DV502", "it is managed all the same; give every node the same services"),
    Flag.BROKEN: ("DV503", "nobody will own it; give the address the same Binding names everywhere"),
}
_MUST_AGREE = {
    "duravip_balance_set_size": "balance_set_size",
    "view_mature_time": "view_mature_time",
    "view_balance_interval": "view_balance_interval",
    "ownership": "ownership",
    "members": "members",
    "tie_breaker": "tie_breaker",
    "address_lifetime": "address_lifetime",
    "fail_back": "fail_back",
}
"""Option -> field of model.Settings."""

_NAMED = 3  # addresses or sentences that a message names before it only counts the rest


def compare(nodes: Sequence[NodeConfig], landscape: Landscape) -> tuple[Diagnostic, ...]:
    """`nodes` have different names and no errors; `landscape` is the survey of their tables."""
    findings = Findings()
    entries = {node.name: {vip.address: vip for vip in node.table.vips} for node in nodes}
    universe = sorted(landscape.members, key=address_order)
    _flags(universe, landscape, findings)
    _settings(nodes, findings)
    _groups(nodes, findings)
    _sets(nodes, universe, entries, findings)
    _mentions(nodes, landscape, findings)
    _prefixes(universe, landscape, entries, findings)
    _own_addresses(nodes, landscape, findings)
    if len(nodes) > 1:
        _unknown_preferences(nodes, findings)
    return findings.as_found()


def _listed(texts: Sequence[str], separator: str) -> str:
    more = len(texts) - _NAMED
    return separator.join(texts[:_NAMED]) + (f"{separator}and {more} more" if more > 0 else "")


def _flags(universe: Sequence[Address], landscape: Landscape, findings: Findings) -> None:
    for address in universe:
        raised = landscape.flags.get(address, {})
        for flag in sorted(raised, key=lambda flag: flag.value):
            code, hint = _FLAG_CODES[flag]
            evidence = raised[flag]
            origin = _place(evidence[0], landscape.entries[evidence[0].node].get(address))
            said = _listed([one.text for one in evidence], "; ")
            findings.warning(code, f"{address} is {flag.value}: {said}", origin, hint)


def _place(evidence: Evidence, entry: VipEntry | None) -> Origin:
    """Evidence knows the line; the member's table knows the column too."""
    uses = [*entry.services, *entry.bindings, *entry.preferences(), entry.follow] if entry else []
    origins = [use.origin for use in uses if use is not None]
    if entry:
        origins.append(entry.origin)
    for origin in origins:
        if (origin.file, origin.line) == (evidence.file, evidence.line):
            return origin
    return Origin(evidence.file, evidence.line, 1)


def _settings(nodes: Sequence[NodeConfig], findings: Findings) -> None:
    for option, field in _MUST_AGREE.items():
        first = nodes[0]
        for node in nodes[1:]:
            ours, theirs = getattr(node.table.settings, field), getattr(first.table.settings, field)
            if ours != theirs:
                findings.warning(
                    "DV510",
                    f"{option} must be the same on all nodes: {_setting(option, ours)} on {node.name}, "
                    f"{_setting(option, theirs)} on {first.name}",
                    _written(node, option),
                    "where they differ, the coordinator's is in force",
                )


def _setting(option: str, value: object) -> str:
    if option == "duravip_balance_set_size" and value == 0:
        return "auto"
    if isinstance(value, tuple):
        return f"({', '.join(value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _written(node: NodeConfig, option: str) -> Origin:
    return node.written.get(option, Origin(node.file))


def _groups(nodes: Sequence[NodeConfig], findings: Findings) -> None:
    first = nodes[0]
    for node in nodes[1:]:
        if node.local.cluster_group != first.local.cluster_group:
            findings.warning(
                "DV515",
                f"{node.name} is in the cluster {shown(node.local.cluster_group)} and {first.name} in "
                f"{shown(first.local.cluster_group)}: they will ignore each other",
                _written(node, "cluster_group"),
                "give both the same cluster_group",
            )


def _sets(
    nodes: Sequence[NodeConfig],
    universe: Sequence[Address],
    entries: dict[NodeName, dict[Address, VipEntry]],
    findings: Findings,
) -> None:
    for node in nodes:
        lacking = [address for address in universe if address not in entries[node.name]]
        if lacking:
            findings.info(
                "DV511",
                f"{node.name} does not manage {len(lacking)} of {len(universe)} VIPs: {_listed(lacking, ', ')}",
                Origin(node.file),
                "identical sets on all nodes are easier to understand",
            )


def _mentions(nodes: Sequence[NodeConfig], landscape: Landscape, findings: Findings) -> None:
    for node in nodes:
        for address, origin in node.mentioned:
            members = landscape.members.get(address)
            if members:
                findings.warning(
                    "DV512",
                    f"{address} is a VIP on {_listed(members, ', ')}, but on {node.name} it is not enabled",
                    origin,
                    f"{node.name} will never own it nor take it off; write enable_duravip = true there too",
                )


def _prefixes(
    universe: Sequence[Address],
    landscape: Landscape,
    entries: dict[NodeName, dict[Address, VipEntry]],
    findings: Findings,
) -> None:
    for address in universe:
        first, *others = landscape.members[address]
        prefix = entries[first][address].prefix
        for node in others:
            entry = entries[node][address]
            if entry.prefix != prefix:
                findings.warning(
                    "DV513",
                    f"{address} has a prefix of {entry.prefix} bits on {node} and of {prefix} bits on {first}",
                    entry.origin,
                    "give its Topology the same cidrmask everywhere",
                )


def _own_addresses(nodes: Sequence[NodeConfig], landscape: Landscape, findings: Findings) -> None:
    for node in nodes:
        own = Address(node.local.nodeaddr or "")
        for member in landscape.members.get(own, ()):
            if member != node.name:
                findings.error(
                    "DV516",
                    f"{own} is the own address (nodeaddr) of {node.name} and a VIP on {member}",
                    _written(node, "nodeaddr"),
                    "a VIP is an address that no node has by itself",
                )


def _unknown_preferences(nodes: Sequence[NodeConfig], findings: Findings) -> None:
    known = {node.name for node in nodes}
    said: set[str] = set()
    for node in nodes:
        for vip in node.table.vips:
            for wanted in vip.preferences():
                if wanted.value in known or wanted.value in said:
                    continue
                said.add(wanted.value)
                findings.info(
                    "DV517",
                    f"{shown(wanted.value)} is preferred, and is none of the nodes given here",
                    wanted.origin,
                    f"they are {', '.join(sorted(known))}; names are compared whole",
                )
