"""Placing those VIPs that nobody holds.

Rules of this file: pure.

Theory of operation. Each goes to the least loaded node of those that may own it; then they are evened out among
themselves. If the loads are not as even as they can be then, balancing will move what is held, too, and it is looked
ahead: what nobody holds goes where it will be in the end, so that the fewest of the others have to move.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (rendezvous hashing).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from duravip.cluster.breathing import breathe
from duravip.cluster.electorate import Electorate
from duravip.cluster.layout import Layout, Owners, Unit, crowd_of, keep_company, parted, units_of
from duravip.cluster.leveling import UNIT
from duravip.model import Address, NodeName

_MIX: Final = 0x9E3779B97F4A7C15  # 2 ** 64 divided by the golden ratio, as in Fibonacci hashing
_LOW_64_BITS: Final = (1 << 64) - 1
MAX_CLASSES_AT_ONCE: Final = 1024  # that an election evens out; of more, balancing does the rest


def join(electorate: Electorate, unheld: Iterable[Address], owned: Mapping[Address, NodeName]) -> Owners:
    """Those whose group has a home already, and may go there."""
    homes: dict[str, NodeName | None] = {}
    joined: Owners = {}
    for address in unheld:
        group = electorate.landscape.together.get(address)
        if group is None:
            continue
        if group not in homes:
            homes[group] = electorate.home(group, owned)
        home = homes[group]
        if home is not None and home in electorate.eligible(address):
            joined[address] = home
    return joined


def place(electorate: Electorate, unheld: Iterable[Address], owned: Mapping[Address, NodeName]) -> Owners:
    """An owner for each, evened out around the loads of what is `owned`. Groups that should be together, and can be, go
    as one."""
    fixed = electorate.loads(owned.items())
    owners = _dealt(electorate, unheld, owned, fixed)
    _look_ahead(electorate, owners, owned)
    return owners


def _dealt(
    electorate: Electorate, unheld: Iterable[Address], owned: Mapping[Address, NodeName], fixed: list[int]
) -> Owners:
    """As evenly as can be while what is owned stays where it is; `fixed` is the load of that."""
    crowd = crowd_of(electorate, owned)
    loads = list(fixed)
    owners: Owners = {}
    alike: dict[tuple[NodeName, ...], list[Address]] = {}
    others: list[Address] = []
    for address in unheld:
        breathe()
        if electorate.is_plain(address):
            alike.setdefault(electorate.eligible(address), []).append(address)
        else:
            others.append(address)
    units = units_of(electorate, others, {})
    for unit in sorted(units, key=lambda unit: (-max(unit.sizes), unit.addresses)):
        node = _best_place(electorate, unit, loads, crowd)
        loads[unit.nodes[node]] += unit.sizes[node]
        for group in unit.apart:
            on = crowd.setdefault(group, {})
            on[unit.nodes[node]] = on.get(unit.nodes[node], 0) + 1
        owners.update(dict.fromkeys(unit.addresses, electorate.names[unit.nodes[node]]))
    for eligible in sorted(alike):
        breathe()
        _deal_out(electorate, eligible, alike[eligible], loads, owners)
    if not units and len(alike) == 1 and len(set(electorate.node_weights)) == 1:
        return owners  # one class on equal nodes: dealing out was optimal already
    layout = Layout(electorate, owners, fixed, crowd_of(electorate, owned))
    if len(layout.spread.classes) <= MAX_CLASSES_AT_ONCE:
        layout.spread.settle()
        owners.update(layout.transfers())
    return owners


def _look_ahead(electorate: Electorate, owners: Owners, owned: Mapping[Address, NodeName]) -> None:
    """Changes the `owners` of what nobody held to where they will be when balancing has moved what is `owned`."""
    if not owned or electorate.landscape.classes() > MAX_CLASSES_AT_ONCE:
        return
    homes = electorate.homes(owned)
    if not electorate.may_gain(electorate.loads(itertools.chain(homes.items(), owners.items()))):
        return
    movable, fixed = parted(electorate, homes)
    keep_company(electorate, movable, fixed)
    layout = Layout(electorate, {**movable, **owners}, electorate.loads(fixed.items()), {}, owners)
    layout.spread.improve_singles()
    owners.update(layout.welcomed())


def _best_place(electorate: Electorate, unit: Unit, loads: list[int], crowd: Mapping[str, Mapping[int, int]]) -> int:
    """The position in `unit.nodes` where it meets the fewest that it should be apart from; then the least loaded; among
    equals who can carry most followers; then by rendezvous hash."""

    weights = electorate.node_weights
    after = [(loads[number] + UNIT) / weights[number] for number in unit.nodes]
    best: Sequence[int] = range(len(unit.nodes))
    if unit.apart:
        met = [sum(crowd.get(group, {}).get(number, 0) for group in unit.apart) for number in unit.nodes]
        fewest = min(met)
        best = [position for position in best if met[position] == fewest]
    least = min(after[position] for position in best)
    best = [position for position in best if after[position] == least]

    def rank(position: int) -> tuple[int, int]:
        node = electorate.names[unit.nodes[position]]
        carried = sum(len(electorate.carried(address, node)) for address in unit.addresses)
        return -carried, _mixed(_hash(unit.addresses[0]), _hash(node))

    return min(best, key=rank) if len(best) > 1 else best[0]


def _deal_out(
    electorate: Electorate,
    eligible: tuple[NodeName, ...],
    addresses: list[Address],
    loads: list[int],
    owners: Owners,
) -> None:
    """Gives VIPs that weigh 1 to the least loaded of `eligible`, one by one, ties by rendezvous hash."""
    weights, names = electorate.node_weights, electorate.names
    if len(eligible) == 1:
        owners.update(dict.fromkeys(addresses, eligible[0]))
        loads[electorate.number[eligible[0]]] += UNIT * len(addresses)
        return
    hashes = [(_hash(node), electorate.number[node]) for node in eligible]
    after = {number: (loads[number] + UNIT) / weights[number] for _, number in hashes}
    equal: list[tuple[int, int]] = []
    for address in addresses:
        breathe()
        if not equal:
            least = min(after.values())
            equal = [pair for pair in hashes if after[pair[1]] == least]
        if len(equal) == 1:
            _, best = equal.pop()
        else:
            own = _hash(address)
            scores = [((own ^ theirs) * _MIX) & _LOW_64_BITS for theirs, _ in equal]
            _, best = equal.pop(scores.index(min(scores)))
        owners[address] = names[best]
        loads[best] += UNIT
        after[best] = (loads[best] + UNIT) / weights[best]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _mixed(one: int, two: int) -> int:
    """Rendezvous score of an address and a node, of their hashes: the top bits depend on all bits of both."""
    return ((one ^ two) * _MIX) & _LOW_64_BITS
