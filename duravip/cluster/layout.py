"""VIPs that may be moved about, in classes of interchangeable ones: between addresses and the counts of `spread`.

Rules of this file: pure. `spread` decides with numbers; this file turns addresses into classes and back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from duravip.cluster.breathing import breathe
from duravip.cluster.electorate import Electorate
from duravip.cluster.leveling import VipClass
from duravip.cluster.spread import Spread
from duravip.model import Address, NodeName

Owners = dict[Address, NodeName]


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


def parted(electorate: Electorate, owned: Mapping[Address, NodeName]) -> tuple[Owners, Owners]:
    """Of those that are owned, followers aside: what balancing may move, and what keeps its place."""
    movable: Owners = {}
    fixed: Owners = {}
    for address, owner in owned.items():
        breathe()
        may_move = owner in electorate.eligible(address) and not electorate.is_bound(address)
        (movable if may_move else fixed)[address] = owner
    return movable, fixed


def keep_company(electorate: Electorate, movable: Owners, fixed: Owners) -> None:
    """Those whose group is where it should be, because of one that is bound to be there, keep their places too."""
    for address in [a for a in movable if _is_with_bound_company(electorate, a, fixed)]:
        fixed[address] = movable.pop(address)


def _is_with_bound_company(electorate: Electorate, address: Address, fixed: Mapping[Address, NodeName]) -> bool:
    """Whether it belongs to a group that is kept where a member of it is bound to be."""
    group = electorate.landscape.together.get(address)
    if group is None:
        return False
    home = electorate.home(group, fixed)
    return home is not None and home in electorate.eligible(address)


class Layout:
    """VIPs that may be moved about, in classes, around the `fixed` loads of everything else, and the `crowd` of those
    that they should not meet. Every VIP of `owners` has an owner that is eligible for it, and the members of one unit
    have the same. One with followers goes only where all that it carries now can follow. The `newcomers` among them
    have been given to somebody just now: that they go elsewhere is no move."""

    def __init__(
        self,
        electorate: Electorate,
        owners: Mapping[Address, NodeName],
        fixed: list[int],
        crowd: Mapping[str, Mapping[int, int]],
        newcomers: Collection[Address] = (),
    ) -> None:
        self._names = electorate.names
        keys: dict[tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]], int] = {}
        self._placed: list[dict[int, list[tuple[Address, ...]]]] = []
        self._new: list[dict[int, list[tuple[Address, ...]]]] = []
        classes: list[VipClass] = []

        def class_of(nodes: tuple[int, ...], sizes: tuple[int, ...], apart: tuple[str, ...]) -> int:
            which = keys.setdefault((nodes, sizes, apart), len(classes))
            if which == len(classes):
                empty = [0] * len(self._names)
                classes.append(VipClass(nodes, dict(zip(nodes, sizes, strict=True)), empty, list(empty), apart))
                self._placed.append({})
                self._new.append({})
            return which

        def put(which: int, owner: NodeName, unit: tuple[Address, ...]) -> None:
            is_new = all(address in newcomers for address in unit)
            units = (self._new if is_new else self._placed)[which]
            units.setdefault(electorate.number[owner], []).append(unit)

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
            put(which, owners[address], (address,))
        for unit in units_of(electorate, others, owners):
            owner = owners[unit.addresses[0]]
            able = self._able(electorate, unit, owner)
            sizes = tuple(size for number, size in zip(unit.nodes, unit.sizes, strict=True) if number in able)
            which = class_of(tuple(number for number in unit.nodes if number in able), sizes, unit.apart)
            put(which, owner, unit.addresses)
        for vips, placed, new in zip(classes, self._placed, self._new, strict=True):
            for node, units in placed.items():
                vips.start[node] = vips.count[node] = len(units)
            for node, units in new.items():
                vips.count[node] += len(units)
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

    def welcomed(self) -> Owners:
        """The newcomers, and their owners once everything is where it should be in the end: who was given one keeps it,
        as far as there is room for it beside what stays there."""
        owners: Owners = {}
        for vips, new in zip(self.spread.classes, self._new, strict=True):
            breathe()
            room = {node: vips.count[node] - min(vips.start[node], vips.count[node]) for node in vips.nodes}
            waiting: list[tuple[Address, ...]] = []
            for node, units in sorted(new.items()):
                stay = min(room[node], len(units))
                room[node] -= stay
                waiting += units[stay:]
                for unit in units[:stay]:
                    owners.update(dict.fromkeys(unit, self._names[node]))
            places = (node for node in vips.nodes for _ in range(room[node]))
            for unit, node in zip(waiting, places, strict=False):  # what is left over is for those that move
                owners.update(dict.fromkeys(unit, self._names[node]))
        return owners
