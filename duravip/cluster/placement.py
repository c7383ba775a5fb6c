"""Laying out VIPs over nodes: placing those that nobody holds, and naming the VIPs that an evened-out layout
moves.

Rules of this file: pure. `spread` decides with numbers; this file turns addresses into classes and back.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (rendezvous hashing).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from duravip.cluster.breathing import breathe
from duravip.cluster.electorate import Electorate
from duravip.cluster.leveling import UNIT, VipClass
from duravip.cluster.spread import Spread
from duravip.model import Address, NodeName

_MIX = 0x9E3779B97F4A7C15  # 2 ** 64 divided by the golden ratio, as in Fibonacci hashing
_LOW_64_BITS = (1 << 64) - 1
MAX_CLASSES_AT_ONCE = 512  # that an election evens out; of more, balancing does the rest

Owners = dict[Address, NodeName]


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


@dataclass(frozen=True, slots=True)
class Unit:
    """VIPs that move as one, the first of them by address text first: one with its followers, or a group that is kept
    together. `nodes` (numbers) may own all of it, `sizes` is its load on each. `apart`: the groups whose members it
    should not meet, once for each VIP of it that is in one."""

    addresses: tuple[Address, ...]
    nodes: tuple[int, ...]
    sizes: tuple[int, ...]
    apart: tuple[str, ...]


def units_of(electorate: Electorate, addresses: Iterable[Address], owners: Mapping[Address, NodeName]) -> list[Unit]:
    """Those of a group that have the same owner, or none, are one unit if some node may own all of the group, else each
    is one. In the order of their first addresses."""
    lone: dict[tuple[tuple[NodeName, ...], int], tuple[tuple[int, ...], tuple[int, ...]]] = {}
    whole: dict[str, bool] = {}
    found: dict[tuple[str, NodeName | None, bool], list[Address]] = {}
    for address in sorted(addresses):
        group = electorate.landscape.together.get(address)
        if group is not None and group not in whole:
            whole[group] = bool(electorate.common(group))
        joins = group is not None and whole[group]
        key = (group, owners.get(address), True) if group is not None and joins else (address, None, False)
        found.setdefault(key, []).append(address)
    units = []
    for members in found.values():
        if len(members) > 1 or not electorate.is_lone(members[0]):
            units.append(_unit(electorate, tuple(members)))
            continue
        kind = electorate.eligible(members[0]), electorate.own_size(members[0])
        if kind not in lone:
            nodes = tuple(electorate.number[node] for node in kind[0])
            lone[kind] = nodes, (kind[1],) * len(nodes)
        units.append(Unit((members[0],), *lone[kind], ()))
    return units


def _unit(electorate: Electorate, addresses: tuple[Address, ...]) -> Unit:
    able = [set(electorate.eligible(address)) for address in addresses]
    nodes = sorted(set.intersection(*able))
    return Unit(
        addresses,
        tuple(electorate.number[node] for node in nodes),
        tuple(sum(electorate.size(address, node) for address in addresses) for node in nodes),
        tuple(sorted(electorate.landscape.apart[a] for a in addresses if a in electorate.landscape.apart)),
    )


def crowd_of(electorate: Electorate, owned: Mapping[Address, NodeName]) -> dict[str, dict[int, int]]:
    """Of each group that is to be apart: how many each node (by number) owns."""
    crowd: dict[str, dict[int, int]] = {}
    for address, group in electorate.landscape.apart.items():
        if address in owned:
            on, node = crowd.setdefault(group, {}), electorate.number[owned[address]]
            on[node] = on.get(node, 0) + 1
    return crowd


class Layout:
    """VIPs that may be moved about, in classes, around the `fixed` loads of everything else, and the `crowd` of those
    that they should not meet. Every VIP of `owners` has an owner that is eligible for it, and the members of one unit
    have the same. One with followers goes only where all that it carries now can follow."""

    def __init__(
        self,
        electorate: Electorate,
        owners: Mapping[Address, NodeName],
        fixed: list[int],
        crowd: Mapping[str, Mapping[int, int]],
    ) -> None:
        self._names = electorate.names
        keys: dict[tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]], int] = {}
        self._placed: list[dict[int, list[tuple[Address, ...]]]] = []
        classes: list[VipClass] = []

        def class_of(nodes: tuple[int, ...], sizes: tuple[int, ...], apart: tuple[str, ...]) -> int:
            which = keys.setdefault((nodes, sizes, apart), len(classes))
            if which == len(classes):
                empty = [0] * len(self._names)
                classes.append(VipClass(nodes, dict(zip(nodes, sizes, strict=True)), empty, list(empty), apart))
                self._placed.append({})
            return which

        alike: dict[tuple[tuple[NodeName, ...], int], int] = {}
        others: list[Address] = []
        for address in sorted(owners):
            breathe()
            if not electorate.is_lone(address):
                others.append(address)
                continue
            key = electorate.eligible(address), electorate.own_size(address)
            which = alike.get(key, -1)
            if which < 0:
                nodes = tuple(electorate.number[node] for node in key[0])
                which = alike[key] = class_of(nodes, (key[1],) * len(nodes), ())
            self._placed[which].setdefault(electorate.number[owners[address]], []).append((address,))
        for unit in units_of(electorate, others, owners):
            owner = owners[unit.addresses[0]]
            able = self._able(electorate, unit, owner)
            sizes = tuple(size for number, size in zip(unit.nodes, unit.sizes, strict=True) if number in able)
            which = class_of(tuple(number for number in unit.nodes if number in able), sizes, unit.apart)
            self._placed[which].setdefault(electorate.number[owner], []).append(unit.addresses)
        for vips, placed in zip(classes, self._placed, strict=True):
            for node, units in placed.items():
                vips.start[node] = vips.count[node] = len(units)
        self.spread = Spread(classes, electorate.node_weights, fixed, crowd)

    @staticmethod
    def _able(electorate: Electorate, unit: Unit, owner: NodeName) -> set[int]:
        """The nodes that can carry all that the owner carries with the unit."""

        def carried(node: NodeName) -> set[Address]:
            return {follower for address in unit.addresses for follower in electorate.carried(address, node)}

        if not any(address in electorate.landscape.followers for address in unit.addresses):
            return set(unit.nodes)
        here = carried(owner)
        return {number for number in unit.nodes if here <= carried(electorate.names[number])}

    def transfers(self) -> Owners:
        """The VIPs whose owner changes, and their new owners: within a class the last of a node go."""
        moved: Owners = {}
        for vips, placed in zip(self.spread.classes, self._placed, strict=True):
            breathe()
            leaving = [
                unit
                for node in vips.nodes
                for unit in placed.get(node, [])[vips.count[node] :][: max(0, vips.start[node] - vips.count[node])]
            ]
            arriving = [node for node in vips.nodes for _ in range(vips.count[node] - vips.start[node])]
            for unit, node in zip(leaving, arriving, strict=True):
                moved.update(dict.fromkeys(unit, self._names[node]))
        return moved
