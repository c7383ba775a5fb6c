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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from duravip.cluster.following import resolve, reverse
from duravip.cluster.reading import Reading, reading
from duravip.cluster.stepwise import at_once
from duravip.model import Address, Evidence, Flag, NodeName, Origin, Table, TableDigest, Use, VipEntry

MAX_PLACES: Final = 65_536  # that are named as evidence of Binding names that do not match, in all
MAX_NAMES: Final = 256  # of services or Bindings, in one piece of evidence

Entries = dict[Address, VipEntry]
Flags = dict[Address, dict[Flag, tuple[Evidence, ...]]]


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
    members: dict[Address, tuple[NodeName, ...]]
    entries: dict[NodeName, Entries]
    flags: Flags
    preferences: dict[Address, tuple[NodeName, ...]]
    follows: dict[Address, Address]
    followers: dict[Address, tuple[Address, ...]]
    weights: dict[Address, float]
    apart: dict[Address, str]
    together: dict[Address, str]
    companies: dict[str, tuple[Address, ...]]

    def classes(self) -> int:
        """The number of different sets of nodes that have something in their tables."""
        return len(set(self.members.values()))


Survey = Callable[[Mapping[NodeName, Table], Mapping[NodeName, TableDigest]], Landscape]
"""As `survey`, which this file has."""


class _Shared:
    """One distinct table, and the nodes (sorted) that have it."""

    def __init__(self, reading: Reading, nodes: tuple[NodeName, ...]) -> None:
        self.entries = reading.entries
        self.meanings = reading.meanings
        self.nodes = nodes


def survey(tables: Mapping[NodeName, Table], digests: Mapping[NodeName, TableDigest] | None = None) -> Landscape:
    """`tables`: for each online member whose table is in force, that table. `digests`: theirs, if they are known."""
    distinct = _distinct(tables, digests if digests is not None else _digests(tables))
    agreed = _Agreed()
    if distinct and all(shared.meanings == distinct[0].meanings for shared in distinct[1:]):
        # As they should: nothing can be flagged, and after a failure this is what the survivors wait for.
        nodes = tuple(sorted(tables))
        for address, entry in distinct[0].entries.items():
            agreed.take(address, entry, nodes)
        return _landscape(distinct, dict.fromkeys(distinct[0].entries, nodes), agreed, {})
    members = _members(distinct)
    found: dict[Address, dict[Flag, tuple[Evidence, ...]]] = {}
    uneven: list[Address] = []  # not every table says the same about these
    for address, nodes in members.items():
        has_it = [shared for shared in distinct if address in shared.meanings]
        meaning = has_it[0].meanings[address]
        is_even = True
        for shared in has_it:
            is_even = is_even and shared.meanings[address] == meaning
        if not is_even or len(has_it) < len(distinct):
            uneven.append(address)
        if is_even:
            agreed.take(address, has_it[0].entries[address], nodes)
            continue
        line = _line(distinct, address)
        if conflict := agreed.settle(address, line, nodes):
            found.setdefault(address, {})[Flag.CONFLICT] = conflict
        if unsafe := _unsafe_evidence(line):
            found.setdefault(address, {})[Flag.UNSAFE] = unsafe
    for address, broken in _broken(uneven, members, distinct).items():
        found.setdefault(address, {})[Flag.BROKEN] = broken
    return _landscape(distinct, members, agreed, found)


class _Agreed:
    """What the tables say that name it, as far as they do not differ, by address."""

    def __init__(self) -> None:
        self.preferences: dict[Address, tuple[NodeName, ...]] = {}
        self.direct: dict[Address, Address] = {}
        self.weights: dict[Address, float] = {}
        self.apart: dict[Address, str] = {}
        self.together: dict[Address, str] = {}

    def take(self, address: Address, entry: VipEntry, nodes: tuple[NodeName, ...]) -> None:
        """All tables that contain it, those of `nodes`, say this."""
        if entry.preference is not None and (online := _online(entry, nodes)):
            self.preferences[address] = online
        if entry.follow is not None:
            self.direct[address] = Address(entry.follow.value)
        if entry.weight != 1.0:
            self.weights[address] = entry.weight
        if entry.anti_affinity:
            self.apart[address] = entry.anti_affinity
        if entry.together:
            self.together[address] = entry.together

    def settle(self, address: Address, line: _Line, nodes: tuple[NodeName, ...]) -> tuple[Evidence, ...]:
        """They differ; returns the evidence, if it is about who should own it."""
        first = line[0][1]
        rankings = _rankings(line, nodes)
        ranking = _ranking(rankings)
        if ranking:
            self.preferences[address] = ranking
        if first.follow is not None and all(_followed(entry) == first.follow.value for _, entry in line):
            self.direct[address] = Address(first.follow.value)
        if word := _only(entry.anti_affinity for _, entry in line):
            self.apart[address] = word
        if word := _only(entry.together for _, entry in line):
            self.together[address] = word
        weight = max(entry.weight for _, entry in line)
        if weight != 1.0:
            self.weights[address] = weight
        return _conflict_evidence(line, nodes) if rankings and not ranking else ()


def _landscape(
    distinct: Sequence[_Shared],
    members: dict[Address, tuple[NodeName, ...]],
    agreed: _Agreed,
    found: Mapping[Address, Mapping[Flag, tuple[Evidence, ...]]],
) -> Landscape:
    follows = resolve(agreed.direct)
    joined = {address: word for address, word in agreed.together.items() if address not in follows}
    return Landscape(
        universe=tuple(members),
        members=members,
        entries={node: shared.entries for shared in distinct for node in shared.nodes},
        flags={
            address: dict(sorted(found[address].items(), key=lambda item: item[0].value)) for address in sorted(found)
        },
        preferences=agreed.preferences,
        follows=follows,
        followers=reverse(follows),
        weights=agreed.weights,
        apart={address: word for address, word in agreed.apart.items() if address not in follows},
        together=joined,
        companies=reverse(joined),
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
    return tuple(_Shared(at_once(reading(contents[digest], digest)), tuple(names)) for digest, names in nodes.items())


def _members(distinct: Sequence[_Shared]) -> dict[Address, tuple[NodeName, ...]]:
    """Whose tables contain each address, in the order of addresses."""
    everybody = tuple(sorted(node for shared in distinct for node in shared.nodes))
    universe: set[Address] = set()
    common = set(distinct[0].entries) if distinct else set()
    for shared in distinct:
        universe.update(shared.entries)
        common.intersection_update(shared.entries)
    seen: dict[tuple[int, ...], tuple[NodeName, ...]] = {}
    members: dict[Address, tuple[NodeName, ...]] = {}
    for address in sorted(universe):
        if address in common:
            members[address] = everybody
            continue
        key = tuple([number for number, shared in enumerate(distinct) if address in shared.entries])
        if key not in seen:
            seen[key] = tuple(sorted(node for number in key for node in distinct[number].nodes))
        members[address] = seen[key]
    return members


def _line(distinct: Sequence[_Shared], address: Address) -> _Line:
    return [(shared, shared.entries[address]) for shared in distinct if address in shared.entries]


def _each(line: _Line) -> list[tuple[NodeName, VipEntry]]:
    """Every virtual member with its entry, sorted by name."""
    return sorted(((node, entry) for shared, entry in line for node in shared.nodes), key=lambda item: item[0])


# --- CONFLICT -----------------------------------------------------------------------------------------------------


def _online(entry: VipEntry, nodes: tuple[NodeName, ...]) -> tuple[NodeName, ...]:
    """The online virtual members that an entry names, each once, the best first: the first is whom it prefers."""
    named = entry.preferences()
    if len(named) == 1:  # or none, as mostly
        return (NodeName(named[0].value),) if named[0].value in nodes else ()
    return tuple(dict.fromkeys(NodeName(use.value) for use in named if use.value in nodes))


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
            value = _listed(entry.service_names())
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
    uneven: Sequence[Address], universe: Iterable[Address], distinct: tuple[_Shared, ...]
) -> dict[Address, tuple[Evidence, ...]]:
    """Addresses whose Binding names do not match, with the evidence."""
    lines: dict[Address, _Line] = {}
    suspects: set[str] = set()
    for address in uneven:
        line = lines[address] = _line(distinct, address)
        suspects.update(name for _, entry in line for name in entry.binding_names())
    scattered = _scattered_names(suspects, distinct)
    found: dict[Address, tuple[Evidence, ...]] = {}
    room = MAX_PLACES
    for address in universe if scattered else uneven:
        line = lines[address] if address in lines else _line(distinct, address)
        guilty = (
            {name for _, entry in line for name in entry.binding_names() if name in scattered} if scattered else set()
        )
        if not guilty and not _names_differ(line):
            continue
        evidence: list[Evidence] = []
        for node, entry in _each(line):
            if entry.bindings:
                value = _listed(entry.binding_names())
                text = f"{node} binds {address} under the name{'s' * (len(entry.bindings) > 1)} {value}"
                evidence.append(_evidence(Flag.BROKEN, node, entry.bindings[0].origin, value, text))
        for name in sorted(guilty):
            places = scattered[name][:room]
            room -= len(places)
            for node, use, elsewhere in places:
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
    found: dict[str, list[tuple[NodeName, Use, Address]]] = {}
    for name, by_table in places.items():
        if len(by_table) > 1 and len({tuple(sorted(map(_address_of, uses))) for uses in by_table.values()}) > 1:
            found[name] = _places(by_table, distinct)
    return found


def _places(
    by_table: Mapping[int, Sequence[tuple[Use, Address]]], distinct: tuple[_Shared, ...]
) -> list[tuple[NodeName, Use, Address]]:
    """In order; of very many, those of the first nodes."""
    nodes = sorted((node, position) for position in by_table for node in distinct[position].nodes)
    found: list[tuple[NodeName, Use, Address]] = []
    for node, position in nodes:
        if len(found) >= MAX_PLACES:
            break
        found += [(node, use, address) for use, address in sorted(by_table[position], key=_address_of)]
    return found


def _address_of(place: tuple[Use, Address]) -> Address:
    return place[1]


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


def _listed(names: Sequence[str]) -> str:
    """With as many names as a line may have."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _evidence(flag: Flag, node: NodeName, origin: Origin, value: str, text: str) -> Evidence:
    return Evidence(flag=flag.value, node=node, file=origin.file, line=origin.line, value=value, text=text)
