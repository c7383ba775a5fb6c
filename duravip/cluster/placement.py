"""Laying out VIPs over nodes: placing those that nobody holds, and naming the VIPs that an evened-out layout
moves.

Rules of this file: pure. `spread` decides with numbers; this file turns addresses into classes and back.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (rendezvous hashing).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from duravip.cluster.electorate import Electorate
from duravip.cluster.spread import UNIT, Spread, VipClass
from duravip.model import Address, NodeName

_MIX = 0x9E3779B97F4A7C15  # 2 ** 64 divided by the golden ratio, as in Fibonacci hashing
_LOW_64_BITS = (1 << 64) - 1


def place(electorate: Electorate, unheld: list[Address], fixed: list[int]) -> dict[Address, NodeName]:
    """An owner for each, evened out around the `fixed` loads of the candidates."""
    loads = list(fixed)
    owners: dict[Address, NodeName] = {}
    alike: dict[tuple[NodeName, ...], list[Address]] = {}
    heavy: list[Address] = []
    for address in unheld:
        if electorate.is_plain(address):
            alike.setdefault(electorate.eligible(address), []).append(address)
        else:
            heavy.append(address)
    heavy.sort(key=lambda address: (-max(electorate.size(address, n) for n in electorate.eligible(address)), address))
    for address in heavy:
        owners[address] = _least_loaded(electorate, address, loads)
        loads[electorate.number[owners[address]]] += electorate.size(address, owners[address])
    for eligible in sorted(alike):
        _deal_out(electorate, eligible, alike[eligible], loads, owners)
    if not heavy and len(alike) == 1 and len(set(electorate.node_weights)) == 1:
        return owners  # one class on equal nodes: dealing out was optimal already
    layout = Layout(electorate, owners, fixed)
    layout.spread.settle()
    owners.update(layout.transfers())
    return owners


def _least_loaded(electorate: Electorate, address: Address, loads: list[int]) -> NodeName:
    """Least loaded first; among equals who can carry most followers; then by rendezvous hash."""

    def rank(node: NodeName) -> tuple[float, int, int]:
        number = electorate.number[node]
        load = (loads[number] + UNIT) / electorate.node_weights[number]
        return load, -len(electorate.carried(address, node)), _mixed(_hash(address), _hash(node))

    return min(electorate.eligible(address), key=rank)


def _deal_out(
    electorate: Electorate,
    eligible: tuple[NodeName, ...],
    addresses: list[Address],
    loads: list[int],
    owners: dict[Address, NodeName],
) -> None:
    """Gives VIPs that weigh 1 to the least loaded of `eligible`, one by one, ties by rendezvous hash."""
    weights, names = electorate.node_weights, electorate.names
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


class Layout:
    """VIPs that may be moved about, in classes, around the fixed loads of everything else. Every VIP of
    `owners` has an owner that is eligible for it. One with followers goes only where all that it carries now
    can follow."""

    def __init__(self, electorate: Electorate, owners: Mapping[Address, NodeName], fixed: list[int]) -> None:
        self._names = electorate.names
        keys: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        self._addresses: list[dict[int, list[Address]]] = []
        classes: list[VipClass] = []
        plain: dict[tuple[NodeName, ...], int] = {}
        for address in sorted(owners):
            here = electorate.number[owners[address]]
            eligible = electorate.eligible(address)
            which = plain.get(eligible) if electorate.is_plain(address) else None
            if which is None:
                nodes, sizes = self._where(electorate, address, owners[address], eligible)
                which = keys.setdefault((nodes, sizes), len(classes))
                if which == len(classes):
                    empty = [0] * len(self._names)
                    classes.append(VipClass(nodes, dict(zip(nodes, sizes, strict=True)), empty, list(empty)))
                    self._addresses.append({})
                if electorate.is_plain(address):
                    plain[eligible] = which
            self._addresses[which].setdefault(here, []).append(address)
        for vips, placed in zip(classes, self._addresses, strict=True):
            for node, addresses in placed.items():
                vips.start[node] = vips.count[node] = len(addresses)
        self.spread = Spread(classes, electorate.node_weights, fixed)

    @staticmethod
    def _where(
        electorate: Electorate, address: Address, owner: NodeName, eligible: tuple[NodeName, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if address in electorate.landscape.followers:
            carried = set(electorate.carried(address, owner))
            eligible = tuple(node for node in eligible if carried <= set(electorate.carried(address, node)))
        return (
            tuple(electorate.number[node] for node in eligible),
            tuple(electorate.size(address, node) for node in eligible),
        )

    def transfers(self) -> dict[Address, NodeName]:
        """The VIPs whose owner changes, and their new owners: within a class the last addresses of a node
        go."""
        moved: dict[Address, NodeName] = {}
        for vips, placed in zip(self.spread.classes, self._addresses, strict=True):
            leaving = [
                address
                for node in vips.nodes
                for address in placed.get(node, [])[vips.count[node] :][: max(0, vips.start[node] - vips.count[node])]
            ]
            arriving = [node for node in vips.nodes for _ in range(vips.count[node] - vips.start[node])]
            moved.update((address, self._names[node]) for address, node in zip(leaving, arriving, strict=True))
        return moved
