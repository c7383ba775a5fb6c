"""What the tables of the online members say together: who is a virtual member of what, and what is wrong with
it.

Rules of this file: pure; no clock, no randomness, no I/O; the order of the input mapping does not matter.
Nothing here depends on maturity, drain or eligibility: flags are about configurations.

Theory of operation: `survey` reads each distinct table once (nodes with the same file share one), lines up
the entries for each address and compares them. Only an address with two or more different entries can be
flagged, except for a Binding name that different members bind to different addresses, which is looked for by
name, if some table says something else about an address that has it. Members that all share one table have no
differences, so none are looked for.

Source: founding document, domain.md sections 4 and 5.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from duravip.model import Address, Evidence, Flag, NodeName, Origin, Table, TableDigest, Use, VipEntry

Entries = Mapping[Address, VipEntry]
Named = TypeVar("Named", bound=str)
Flags = Mapping[Address, Mapping[Flag, tuple[Evidence, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """Everything that follows from the tables of the online members alone. Compute it once per change of
    tables.

    `universe` is in text order. `members` are sorted by name. `flags` has flagged addresses only.
    `preferences` has an address only when online virtual members are named and the first of them is undisputed: who
    should own it, the best first (see `_ranking`). `follows` maps to the
    END of the chain, which may be an address outside the universe; it has only what all virtual members agree
    upon. `followers` is its reverse, sorted. `weights` has only what is not 1. `apart` and `together` name the
    groups of VIPs that do not follow, where no two tables name different ones; `companies` has the members of each
    group that should be together, sorted.
    """

    universe: tuple[Address, ...]
    members: Mapping[Address, tuple[NodeName, ...]]
    entries: Mapping[NodeName, Entries]
    flags: Flags
    preferences: Mapping[Address, tuple[NodeName, ...]]
    follows: Mapping[Address, Address]
    followers: Mapping[Address, tuple[Address, ...]]
    weights: Mapping[Address, float]
    apart: Mapping[Address, str]
    together: Mapping[Address, str]
    companies: Mapping[str, tuple[Address, ...]]


@dataclass(frozen=True, slots=True)
class _Shared:
    """One distinct table, and the nodes (sorted) that have it."""

    entries: dict[Address, VipEntry]
    nodes: tuple[NodeName, ...]


def survey(tables: Mapping[NodeName, Table], digests: Mapping[NodeName, TableDigest] | None = None) -> Landscape:
    """`tables`: for each online member whose table is in force, that table. `digests`: theirs, if they are known."""
    if tables and _alike(list({id(table): table for table in tables.values()}.values())):
        return _survey_alike(tables)
    distinct = _distinct(tables, digests if digests is not None else _digests(tables))
    members, lines = _line_up(distinct)
    universe = tuple(members)
    found: dict[Address, dict[Flag, tuple[Evidence, ...]]] = {}
    preferences: dict[Address, tuple[NodeName, ...]] = {}
    direct: dict[Address, Address] = {}
    weights: dict[Address, float] = {}
    apart: dict[Address, str] = {}
    together: dict[Address, str] = {}
    uneven: list[Address] = []  # not every table says the same about these
    for address in universe:
        line = lines[address]
        first = line[0][1]
        is_even = _is_even(line)
        if not is_even or len(line) < len(distinct):
            uneven.append(address)
        if is_even:
            if first.preference is not None and (online := _online(first, members[address])):
                preferences[address] = tuple(dict.fromkeys(online))
            if first.follow is not None:
                direct[address] = Address(first.follow.value)
            if first.anti_affinity:
                apart[address] = first.anti_affinity
            if first.together:
                together[address] = first.together
            if first.weight != 1.0:
                weights[address] = first.weight
            continue
        if all(entry.preference is None for _, entry in line):
            rankings: list[tuple[NodeName, ...]] = []
        else:
            rankings = _rankings(line, members[address])
        if ranking := _ranking(rankings):
            preferences[address] = ranking
        elif rankings:
            found.setdefault(address, {})[Flag.CONFLICT] = _conflict_evidence(line, members[address])
        if first.follow is not None and all(_followed(entry) == first.follow.value for _, entry in line):
            direct[address] = Address(first.follow.value)
        if word := _only(entry.anti_affinity for _, entry in line):
            apart[address] = word
        if word := _only(entry.together for _, entry in line):
            together[address] = word
        weight = max(entry.weight for _, entry in line)
        if weight != 1.0:
            weights[address] = weight
        if unsafe := _unsafe_evidence(line):
            found.setdefault(address, {})[Flag.UNSAFE] = unsafe
    for address, broken in _broken(uneven, lines, distinct).items():
        found.setdefault(address, {})[Flag.BROKEN] = broken
    follows = _resolve(direct)
    joined = {address: word for address, word in together.items() if address not in follows}
    return Landscape(
        universe=universe,
        members=members,
        entries={node: shared.entries for shared in distinct for node in shared.nodes},
        flags={
            address: dict(sorted(found[address].items(), key=lambda item: item[0].value)) for address in sorted(found)
        },
        preferences=preferences,
        follows=follows,
        followers=_reverse(follows),
        weights=weights,
        apart={address: word for address, word in apart.items() if address not in follows},
        together=joined,
        companies=_reverse(joined),
    )


def _alike(tables: Sequence[Table]) -> bool:
    """Whether they say the same, wherever it is written."""
    if len({len(table.vips) for table in tables}) != 1:
        return False
    first, *others = tables
    meanings = [_meaning(entry) for entry in first.vips] if others else []
    return all(all(map(operator.eq, map(_meaning, other.vips), meanings)) for other in others)


def _is_even(line: _Line) -> bool:
    """Whether the tables that contain an address say the same about it."""
    first = line[0][1]
    others = [entry for _, entry in line[1:] if entry is not first]
    if not others:
        return True
    meaning = _meaning(first)
    return all(_meaning(entry) == meaning for entry in others)


def _meaning(entry: VipEntry) -> tuple[object, ...]:
    """All of an entry that this file compares."""
    return (
        entry.address,
        [use.value for use in entry.services],
        [use.value for use in entry.bindings],
        entry.preference and [use.value for use in entry.preferences()],
        entry.follow and entry.follow.value,
        entry.weight,
        entry.anti_affinity,
        entry.together,
    )


def _survey_alike(tables: Mapping[NodeName, Table]) -> Landscape:
    """All members' tables say the same, as they should: nothing can be flagged, and after a failure this is what the
    survivors wait for."""
    nodes = tuple(sorted(tables))
    of_table = {id(table): {entry.address: entry for entry in table.vips} for table in tables.values()}
    entries = of_table[id(tables[nodes[0]])]
    online = frozenset(nodes)
    follows = _resolve({a: Address(e.follow.value) for a, e in entries.items() if e.follow is not None})
    joined = {a: entry.together for a, entry in entries.items() if entry.together and a not in follows}
    return Landscape(
        universe=tuple(entries),
        members=dict.fromkeys(entries, nodes),
        entries={node: of_table[id(tables[node])] for node in nodes},
        flags={},
        preferences={
            address: ranking
            for address, entry in entries.items()
            if entry.preference is not None and (ranking := _online(entry, online))
        },
        follows=follows,
        followers=_reverse(follows),
        weights={address: entry.weight for address, entry in entries.items() if entry.weight != 1.0},
        apart={a: entry.anti_affinity for a, entry in entries.items() if entry.anti_affinity and a not in follows},
        together=joined,
        companies=_reverse(joined),
    )


def _only(words: Iterable[str]) -> str:
    """The one that is given, if those that are do not differ."""
    given = set(words) - {""}
    return given.pop() if len(given) == 1 else ""


# --- lining up ----------------------------------------------------------------------------------------------------

_Line = Sequence[tuple[_Shared, VipEntry]]
"""The distinct tables that contain an address, each with its entry, by the smallest name of their nodes."""


def _digests(tables: Mapping[NodeName, Table]) -> dict[NodeName, TableDigest]:
    of_table = {id(table): table for table in tables.values()}
    found = {number: table.digest() for number, table in of_table.items()}
    return {node: found[id(table)] for node, table in tables.items()}


def _distinct(tables: Mapping[NodeName, Table], digests: Mapping[NodeName, TableDigest]) -> tuple[_Shared, ...]:
    nodes: dict[TableDigest, list[NodeName]] = {}
    contents: dict[TableDigest, Table] = {}
    for node in sorted(tables):
        nodes.setdefault(digests[node], []).append(node)
        contents.setdefault(digests[node], tables[node])
    return tuple(
        _Shared({entry.address: entry for entry in contents[digest].vips}, tuple(names))
        for digest, names in nodes.items()
    )


def _line_up(
    distinct: Sequence[_Shared],
) -> tuple[dict[Address, tuple[NodeName, ...]], Mapping[Address, _Line]]:
    lines: dict[Address, list[tuple[_Shared, VipEntry]]] = {}
    for shared in distinct:
        for address, entry in shared.entries.items():
            lines.setdefault(address, []).append((shared, entry))
    seen: dict[tuple[int, ...], tuple[NodeName, ...]] = {}
    members: dict[Address, tuple[NodeName, ...]] = {}
    everybody = tuple(sorted(node for shared in distinct for node in shared.nodes))
    for address in sorted(lines):
        line = lines[address]
        if len(line) == len(distinct):
            members[address] = everybody
            continue
        key = tuple([id(shared) for shared, _ in line])
        if key not in seen:
            seen[key] = tuple(sorted(node for shared, _ in line for node in shared.nodes))
        members[address] = seen[key]
    return members, lines


def _each(line: _Line) -> list[tuple[NodeName, VipEntry]]:
    """Every virtual member with its entry, sorted by name."""
    return sorted(((node, entry) for shared, entry in line for node in shared.nodes), key=lambda item: item[0])


# --- CONFLICT -----------------------------------------------------------------------------------------------------


def _online(entry: VipEntry, members: Collection[NodeName]) -> tuple[NodeName, ...]:
    """The online virtual members that an entry names, the best first: the first is whom it prefers."""
    return tuple(NodeName(use.value) for use in entry.preferences() if use.value in members)


def _rankings(line: _Line, members: tuple[NodeName, ...]) -> list[tuple[NodeName, ...]]:
    """What the tables say that name online virtual members, each different ranking once."""
    return list(dict.fromkeys(ranking for _, entry in line if (ranking := _online(entry, members))))


def _ranking(rankings: Iterable[tuple[NodeName, ...]]) -> tuple[NodeName, ...]:
    """As far as all agree: place by place, until two that name anybody there differ. Empty where they differ in the
    first place already: that is the conflict."""
    agreed: list[NodeName] = []
    for named in zip_longest(*rankings):
        ways = set(named) - {None}
        if len(ways) > 1:
            break
        agreed += ways
    return tuple(dict.fromkeys(agreed))


def _conflict_evidence(line: _Line, members: tuple[NodeName, ...]) -> tuple[Evidence, ...]:
    found = []
    for node, entry in _each(line):
        if online := _online(entry, members):
            [use, *_] = (use for use in entry.preferences() if use.value == online[0])
            text = f"{node} names {use.value} as the preferred owner of {entry.address}"
            found.append(_evidence(Flag.CONFLICT, node, use.origin, use.value, text))
    return tuple(found)


# --- UNSAFE -------------------------------------------------------------------------------------------------------


def _followed(entry: VipEntry) -> str | None:
    return entry.follow.value if entry.follow is not None else None


def _unsafe_evidence(line: _Line) -> tuple[Evidence, ...]:
    first = line[0][1]
    evidence: list[Evidence] = []
    if any(entry.services != first.services and entry.service_names() != first.service_names() for _, entry in line):
        common = set.intersection(*(set(entry.service_names()) for _, entry in line))
        for node, entry in _each(line):
            own = next((use for use in entry.services if use.value not in common), None)
            value = ", ".join(entry.service_names())
            text = f"{node} runs {value or 'no service'} on {entry.address}"
            evidence.append(_evidence(Flag.UNSAFE, node, own.origin if own else entry.origin, value, text))
    if any(_followed(entry) != _followed(first) for _, entry in line):
        for node, entry in _each(line):
            place = entry.follow.origin if entry.follow is not None else entry.origin
            value = f"follows {_followed(entry) or 'nothing'}"
            text = f"on {node}, {entry.address} {value}: the members disagree, so it follows nothing"
            evidence.append(_evidence(Flag.UNSAFE, node, place, value, text))
    return tuple(evidence)


# --- BROKEN -------------------------------------------------------------------------------------------------------


def _broken(
    uneven: Sequence[Address], lines: Mapping[Address, _Line], distinct: tuple[_Shared, ...]
) -> dict[Address, tuple[Evidence, ...]]:
    """Addresses whose Binding names do not match, with the evidence."""
    suspects = {name for address in uneven for _, entry in lines[address] for name in entry.binding_names()}
    scattered = _scattered_names(suspects, distinct)
    found: dict[Address, tuple[Evidence, ...]] = {}
    for address in lines if scattered else uneven:
        line = lines[address]
        guilty = (
            {name for _, entry in line for name in entry.binding_names() if name in scattered} if scattered else set()
        )
        if not guilty and not _names_differ(line):
            continue
        evidence: list[Evidence] = []
        for node, entry in _each(line):
            if entry.bindings:
                value = ", ".join(entry.binding_names())
                text = f"{node} binds {address} under the name{'s' * (len(entry.bindings) > 1)} {value}"
                evidence.append(_evidence(Flag.BROKEN, node, entry.bindings[0].origin, value, text))
        for name in sorted(guilty):
            for node, use, elsewhere in scattered[name]:
                if elsewhere != address:
                    text = f"{node} binds the name {name} to {elsewhere}"
                    evidence.append(_evidence(Flag.BROKEN, node, use.origin, name, text))
        found[address] = tuple(evidence)
    return found


def _names_differ(line: _Line) -> bool:
    if len(line) == 1:
        return False
    first: VipEntry | None = None
    for _, entry in line:
        if not entry.bindings:
            continue
        if first is None:
            first = entry
        elif entry.bindings != first.bindings and entry.binding_names() != first.binding_names():
            return True
    return False


def _scattered_names(
    suspects: Collection[str], distinct: tuple[_Shared, ...]
) -> dict[str, list[tuple[NodeName, Use, Address]]]:
    """Binding names that two members bind to different sets of DuraVIPs: every place, by node, then
    address. `suspects`: all those of addresses that not every table says the same about; what others name is the same
    everywhere."""
    if not suspects:
        return {}
    places: dict[str, dict[int, list[tuple[Use, Address]]]] = {}
    for position, shared in enumerate(distinct):
        for address, entry in shared.entries.items():
            for use in entry.bindings:
                if use.value not in suspects:
                    continue
                places.setdefault(use.value, {}).setdefault(position, []).append((use, address))
    return {
        name: sorted(
            (
                (node, use, address)
                for position, uses in by_table.items()
                for use, address in uses
                for node in distinct[position].nodes
            ),
            key=lambda place: (place[0], place[2]),
        )
        for name, by_table in places.items()
        if len(by_table) > 1 and len({tuple(sorted(address for _, address in uses)) for uses in by_table.values()}) > 1
    }


# --- following ----------------------------------------------------------------------------------------------------


def _resolve(direct: Mapping[Address, Address]) -> dict[Address, Address]:
    """Each follower's end of chain. Those on a loop follow nothing, and a chain that leads into a loop ends
    there."""
    looping = {address for address in direct if _on_loop(address, direct)}
    ends: dict[Address, Address] = {}
    for address in sorted(direct):
        if address in looping:
            continue
        end = direct[address]
        while end in direct and end not in looping:
            end = direct[end]
        ends[address] = end
    return ends


def _on_loop(address: Address, direct: Mapping[Address, Address]) -> bool:
    seen: set[Address] = set()
    at = address
    while at in direct and at not in seen:
        seen.add(at)
        at = direct[at]
    return at == address and at in seen


def _reverse(pointing: Mapping[Address, Named]) -> dict[Named, tuple[Address, ...]]:
    found: dict[Named, list[Address]] = {}
    for address in sorted(pointing):
        found.setdefault(pointing[address], []).append(address)
    return {end: tuple(addresses) for end, addresses in sorted(found.items())}


def alike(evidence: Iterable[Evidence]) -> list[tuple[Evidence, ...]]:
    """Those that say the same of different nodes are together; what is said of the fewest, which is probably the
    mistake, comes first."""
    groups: dict[str, list[Evidence]] = {}
    for one in evidence:
        groups.setdefault(one.text.replace(one.node, "", 1), []).append(one)
    return sorted(map(tuple, groups.values()), key=len)


def in_words(evidence: Iterable[Evidence]) -> list[str]:
    """A sentence for all that say the same."""
    return [first.text + _likewise(len(others)) for first, *others in alike(evidence)]


def _likewise(count: int) -> str:
    return f" ({count} more node{'s' if count > 1 else ''} likewise)" if count else ""


def _evidence(flag: Flag, node: NodeName, origin: Origin, value: str, text: str) -> Evidence:
    return Evidence(flag=flag.value, node=node, file=origin.file, line=origin.line, value=value, text=text)
