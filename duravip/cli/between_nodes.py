"""What is wrong between configurations that are each fine: the DV5xx diagnostics of `duravip check`.

The flags themselves come from `cluster.flags`, as in the daemon; this file only puts them into words, and
adds what a running cluster would notice too late. What holds for many nodes alike is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from duravip.cli.common import listed
from duravip.cluster.flags import Landscape, alike, in_words
from duravip.config.diagnostics import Diagnostic, Findings, Related, shown
from duravip.config.node_config import NodeConfig
from duravip.config.reach import NodeAddress, node_addresses
from duravip.config.spelling import suggestion
from duravip.model import Address, Evidence, Flag, NodeName, Origin, Settings, VipEntry, address_order

FLAG_CODES = {
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

V = TypeVar("V")


def compare(nodes: Sequence[NodeConfig], landscape: Landscape) -> tuple[Diagnostic, ...]:
    """`nodes` have different names and no errors; `landscape` is the survey of their tables."""
    findings = Findings()
    universe = sorted(landscape.members, key=address_order)
    _flags(universe, landscape, findings)
    _settings(nodes, findings)
    _groups(nodes, findings)
    _sets(nodes, universe, landscape, findings)
    _mentions(nodes, landscape, findings)
    _prefixes(universe, landscape, findings)
    _own_addresses(nodes, landscape, findings)
    _names(nodes, findings)
    return findings.as_found()


def _called(nodes: Sequence[NodeConfig]) -> str:
    return listed([node.name for node in nodes], ", ")


def _alike(nodes: Sequence[NodeConfig], of: Callable[[NodeConfig], V]) -> list[tuple[V, list[NodeConfig]]]:
    """Each value that nodes have, and those that have it."""
    found: dict[V, list[NodeConfig]] = {}
    for node in nodes:
        found.setdefault(of(node), []).append(node)
    return list(found.items())


def _flags(universe: Sequence[Address], landscape: Landscape, findings: Findings) -> None:
    for address in universe:
        raised = landscape.flags.get(address, {})
        for flag in sorted(raised, key=lambda flag: flag.value):
            code, hint = FLAG_CODES[flag]
            said = listed(in_words(raised[flag]), "; ")
            evidence = telling(raised[flag])
            places = [place(one, landscape.entries[one.node].get(address)) for one in evidence]
            others = (Related(origin, one.text) for origin, one in zip(places[1:], evidence[1:], strict=True))
            findings.warning(code, f"{address} is {flag.value}: {said}", places[0], hint, *others)


def telling(evidence: Iterable[Evidence]) -> list[Evidence]:
    """One of each that say the same, and only then the others."""
    groups = alike(evidence)
    return [*(first for first, *_ in groups), *(one for _, *others in groups for one in others)]


def place(evidence: Evidence, entry: VipEntry | None) -> Origin:
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
    first, *others = nodes
    differing: dict[tuple[str, str, str], list[NodeConfig]] = {}
    for node in others:
        for found in settings_that_differ(node.table.settings, first.table.settings):
            differing.setdefault(found, []).append(node)
    for (option, ours, theirs), where in differing.items():
        findings.warning(
            "DV510",
            f"{option} must be the same on all nodes: {ours} on {_called(where)}, {theirs} on {first.name}",
            _written(where[0], option),
            what_differing_does(option),
            Related(_written(first, option), f"{theirs} on {first.name}"),
        )


def what_differing_does(option: str) -> str:
    if option in ("ownership", "members", "tie_breaker"):
        return "with strict ownership, a node whose list differs from the one in force owns nothing"
    return "where they differ, the coordinator's is in force"


def settings_that_differ(ours: Settings, theirs: Settings) -> Iterator[tuple[str, str, str]]:
    """Option, and both values as people write them."""
    for option, field in _MUST_AGREE.items():
        one, other = getattr(ours, field), getattr(theirs, field)
        if one != other:
            yield option, _setting(option, one), _setting(option, other)


def _setting(option: str, value: object) -> str:
    if option == "duravip_balance_set_size" and value == 0:
        return "auto"
    if isinstance(value, tuple):
        return f"({', '.join(value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _written(node: NodeConfig, option: str) -> Origin:
    return node.written.get(option, Origin(node.file))


def _groups(nodes: Sequence[NodeConfig], findings: Findings) -> None:
    (group, [first, *_]), *others = _alike(nodes, lambda node: node.local.cluster_group)
    for other, where in others:
        findings.warning(
            "DV515",
            f"{_called(where)}: in the cluster {shown(other)}, and {first.name} in {shown(group)}: "
            "they will ignore each other",
            _written(where[0], "cluster_group"),
            "give all the same cluster_group",
            Related(_written(first, "cluster_group"), f"{first.name} is in {shown(group)}"),
        )


def _sets(nodes: Sequence[NodeConfig], universe: Sequence[Address], landscape: Landscape, findings: Findings) -> None:
    def lacking_on(node: NodeConfig) -> tuple[Address, ...]:
        own = landscape.entries[node.name]
        return tuple(a for a in universe if a not in own) if len(own) < len(universe) else ()

    for lacking, where in _alike(nodes, lacking_on):
        if lacking:
            does = "does" if len(where) == 1 else "do"
            findings.info(
                "DV511",
                f"{_called(where)} {does} not manage {len(lacking)} of {len(universe)} VIPs: {listed(lacking, ', ')}",
                Origin(where[0].file),
                "identical sets on all nodes are easier to understand",
            )


def _mentions(nodes: Sequence[NodeConfig], landscape: Landscape, findings: Findings) -> None:
    mentioned: dict[Address, list[tuple[NodeConfig, Origin]]] = {}
    for node in nodes:
        for address, origin in node.mentioned:
            if address in landscape.members:
                mentioned.setdefault(address, []).append((node, origin))
    for address, where in mentioned.items():
        members = landscape.members[address]
        (_, origin), *others = where
        names = _called([node for node, _ in where])
        findings.warning(
            "DV512",
            f"{address} is a VIP on {listed(members, ', ')}, but on {names} it is not enabled",
            origin,
            f"{names} will never own it nor take it off; write enable_duravip = true there too",
            *(Related(landscape.entries[one][address].origin, f"a VIP on {one}") for one in members[:1]),
            *(Related(origin, f"not enabled on {node.name}") for node, origin in others),
            *(Related(landscape.entries[one][address].origin, f"a VIP on {one}") for one in members[1:]),
        )


def _prefixes(universe: Sequence[Address], landscape: Landscape, findings: Findings) -> None:
    entries = landscape.entries
    for address in universe:
        first, *others = landscape.members[address]
        prefix = entries[first][address].prefix
        differing: dict[int, list[NodeName]] = {}
        for node in others:
            if entries[node][address].prefix != prefix:
                differing.setdefault(entries[node][address].prefix, []).append(node)
        for other, where in differing.items():
            findings.warning(
                "DV513",
                f"{address} has a prefix of {other} bits on {listed(where, ', ')} and of {prefix} bits on {first}",
                entries[where[0]][address].origin,
                "give its Topology the same cidrmask everywhere",
                Related(entries[first][address].origin, f"{prefix} bits on {first}"),
            )


def _own_addresses(nodes: Sequence[NodeConfig], landscape: Landscape, findings: Findings) -> None:
    said: set[Address] = set()
    for node in nodes:
        known = [*node_addresses(node.local)]
        if node.local.nodeaddr:
            known.append(NodeAddress(Address(node.local.nodeaddr), "nodeaddr", _written(node, "nodeaddr")))
        for own in known:
            for member in landscape.members.get(own.address, ()):
                if member != node.name and own.address not in said:
                    said.add(own.address)
                    findings.error(
                        "DV516",
                        f"{own.address} is a node's own address ({own.what}, on {node.name}) and a VIP on {member}",
                        own.origin,
                        "a VIP is an address that no node has by itself",
                        Related(landscape.entries[member][own.address].origin, "it is enabled here"),
                    )


# --- names --------------------------------------------------------------------------------------------------------


def _names(nodes: Sequence[NodeConfig], findings: Findings) -> None:
    """Nodes whose names people would take for one, and preferences for nodes that are not there."""
    alike: dict[str, NodeConfig] = {}
    for node in nodes:
        first = alike.setdefault(_short(node.name), node)
        if first is not node:
            findings.warning(
                "DV518",
                f"the nodes {shown(node.name)} and {shown(first.name)} differ only in case or domain",
                _written(node, "nodename"),
                "names are compared whole: if they are one node, give it one name",
                Related(_written(first, "nodename"), f"{shown(first.name)} is here"),
            )
    members = {name for node in nodes for name in node.table.settings.members}
    if len(nodes) > 1 or members:
        _unknown_preferences(nodes, {node.name for node in nodes} | members, findings)


def _short(name: str) -> str:
    return name.lower().partition(".")[0]


def _unknown_preferences(nodes: Sequence[NodeConfig], known: set[NodeName], findings: Findings) -> None:
    said: set[str] = set()
    by_short_name = {_short(name): name for name in sorted(known)}
    for node in nodes:
        for vip in node.table.vips:
            for wanted in vip.preferences() if vip.preference is not None else ():
                if wanted.value in known or wanted.value in said:
                    continue
                said.add(wanted.value)
                near = by_short_name.get(_short(wanted.value)) or suggestion(wanted.value, sorted(known))
                findings.warning(
                    "DV517",
                    f"{shown(wanted.value)} is preferred, and is none of the nodes: {listed(sorted(known), ', ')}",
                    wanted.origin,
                    f"did you mean {near}? Names are compared whole, with case and domain"
                    if near
                    else "names are compared whole; give the files of all nodes",
                )
