"""The best layout of VIPs that all weigh 1, by the fewest moves: exact, and counted by classes.

Rules of this file: pure arithmetic on nodes 0..n-1. Sets of nodes are whole numbers, a bit for each node: 64 nodes are
one machine word, and a search of the whole graph costs some dozens of operations.

Theory of operation. The aim is the smallest possible maximum load, then the smallest second, and so on: the minimum of
the sum over all nodes of M ** load for a very large M, a separable convex cost. One more VIP on a node costs M ** high
- M ** low, so costs compare as the pair (high, -low). A layout is best exactly when no chain of moves from one node to
another gains (`_improve`): a VIP of one class goes from the first node to the second, one of perhaps another class from
the second to the third, ... Among the best layouts, one needs the fewest moves exactly when no cycle of changes saves
any (`_save_moves`).

Two nodes are joined by an arc for the best class that has a VIP on the one and may have it on the other. Its cost is
the number of moves that it adds, compared with where the VIPs were: taking away one that was there costs 1, putting
back one that was taken saves 1. Chains are taken by the cheapest way, and as many VIPs at once as that way and the
difference of loads allow. A node from which nothing gains is done with, and so is all that its chains can reach: chains
that start at less loaded nodes never touch those again.

Source: Harvey, Ladner, Lovasz and Tamir, "Semi-matchings for bipartite graphs and load balancing" (cost-reducing
paths); Murota on M-convex functions (why pairs of nodes suffice with node weights too); Klein (cancelling negative
cycles).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from duravip.cluster.breathing import breathe

UNIT: Final = 1000
"""The load of a VIP of weight 1. Loads are whole numbers, so that they add up exactly in any order."""

Cost = tuple[float, float]


@dataclass(slots=True)
class VipClass:
    """Interchangeable VIPs. `nodes`: who may have them, ascending. `sizes[node]`: load one of them is there.
    `start[node]` and `count[node]`: how many were and are there; both are 0 outside `nodes`. `apart`: groups whose
    members are to be on different nodes, once for each VIP of the group that moves along."""

    nodes: tuple[int, ...]
    sizes: dict[int, int]
    start: list[int]
    count: list[int]
    apart: tuple[str, ...] = ()

    def single(self) -> bool:
        return not self.apart and all(size == UNIT for size in self.sizes.values())

    def moves(self) -> int:
        breathe()
        return sum(max(0, was - now) for was, now in zip(self.start, self.count, strict=True))


def one_more(total: int, weight: float) -> Cost:
    """What one more VIP of weight 1 costs on a node."""
    return (total + UNIT) / weight, -(total / weight)


def one_less(total: int, weight: float) -> Cost:
    """What one VIP of weight 1 less saves there."""
    return total / weight, -((total - UNIT) / weight)


def level(singles: Sequence[VipClass], totals: list[int], weights: Sequence[float], *, save_moves: bool) -> None:
    """Changes the classes' counts, and the `totals` (the loads of all nodes) with them. Without `save_moves` it does
    not matter where the VIPs were."""
    homes = [vips.start if save_moves else [0] * len(totals) for vips in singles]
    leveling = _Leveling(singles, homes, totals, weights)
    if save_moves and any(vips.moves() for vips in singles):
        leveling.save_moves()  # a chain can be the cheapest only where no cycle saves
    leveling.improve()
    if save_moves and any(vips.moves() for vips in singles):
        leveling.save_moves()


class _Arcs:
    """Where VIPs of a node may go, as sets of nodes: saving a move, at no cost, for a move more. `stale`: something has
    changed."""

    __slots__ = ("dear", "even", "saving", "stale")

    def __init__(self, saving: int = 0, even: int = 0, dear: int = 0, *, stale: bool = True) -> None:
        self.saving = saving
        self.even = even
        self.dear = dear
        self.stale = stale

    def by_cost(self) -> tuple[tuple[int, int], ...]:
        return (-1, self.saving), (0, self.even), (1, self.dear)


_Step = tuple[int, int, int]  # from a node to a node, at a cost in moves


class _Leveling:
    """`homes`: for each class, how many of it a node may give without a move that was none before."""

    def __init__(
        self,
        singles: Sequence[VipClass],
        homes: Sequence[Sequence[int]],
        totals: list[int],
        weights: Sequence[float],
    ) -> None:
        self._singles = singles
        self._homes = homes
        self._totals = totals
        self._weights = weights
        self._everywhere = [_bits(vips.nodes) for vips in singles]
        self._lacking = [
            _bits([n for n in vips.nodes if vips.count[n] < home[n]]) for vips, home in zip(singles, homes, strict=True)
        ]
        self._here: list[dict[int, None]] = [{} for _ in totals]  # the classes that have VIPs on the node
        for number, vips in enumerate(singles):
            breathe()
            for node in vips.nodes:
                if vips.count[node]:
                    self._here[node][number] = None
        self._kept = [_Arcs() for _ in totals]

    # --- the graph

    def _arcs(self, node: int) -> _Arcs:
        arcs = self._kept[node]
        if arcs.stale:
            saving = even = dear = 0
            for number in self._here[node]:
                if self._singles[number].count[node] > self._homes[number][node]:
                    saving |= self._lacking[number]
                    even |= self._everywhere[number]
                else:
                    even |= self._lacking[number]
                    dear |= self._everywhere[number]
            self._kept[node] = arcs = _Arcs(saving, even, dear, stale=False)
        return arcs

    def _class_for(self, source: int, target: int, cost: int) -> int:
        """The first class that goes this way at this cost."""
        for number in self._here[source]:
            if self._cost(number, source, target) == cost:
                return number
        raise AssertionError("an arc without a class: a bug in duravip")

    def _cost(self, number: int, source: int, target: int) -> int | None:
        """Of one of the class, in moves; None: it may not go there."""
        if not self._everywhere[number] >> target & 1:
            return None
        leaves = self._singles[number].count[source] <= self._homes[number][source]
        return leaves - (self._lacking[number] >> target & 1)

    def _room(self, number: int, source: int, target: int) -> int:
        """How many of the class can go this way at the same cost."""
        count, home = self._singles[number].count, self._homes[number]
        surplus = count[source] - home[source]
        room = surplus if surplus > 0 else count[source]
        lacking = home[target] - count[target]
        return min(room, lacking) if lacking > 0 else room

    def _shift(self, number: int, source: int, target: int, amount: int) -> None:
        vips = self._singles[number]
        vips.count[source] -= amount
        vips.count[target] += amount
        if not vips.count[source]:
            del self._here[source][number]
        self._here[target][number] = None
        self._kept[source].stale = self._kept[target].stale = True
        lacking = self._lacking[number]
        for node in (source, target):
            lacks = vips.count[node] < self._homes[number][node]
            lacking = lacking | 1 << node if lacks else lacking & ~(1 << node)
        if lacking != self._lacking[number]:
            self._lacking[number] = lacking
            for node in vips.nodes:
                if vips.count[node]:
                    self._kept[node].stale = True

    # --- the best loads

    def improve(self) -> None:
        totals, weights = self._totals, self._weights
        mean = sum(totals) / math.fsum(weights)
        done = 0
        while True:
            sources = [node for node in range(len(totals)) if self._here[node] and not done >> node & 1]
            if not sources:
                return
            source = max(sources, key=lambda node: (one_less(totals[node], weights[node]), -node))
            steps = self._reach(source, done)
            target = min(
                steps, key=lambda node: (one_more(totals[node], weights[node]), steps[node][2], node), default=source
            )
            if target == source or not self._gains(source, target, 1):
                done |= 1 << source | _bits(steps)
                continue
            self._carry(source, target, steps, mean)

    def _gains(self, source: int, target: int, number: int) -> bool:
        """Whether the last of so many VIPs that go gains."""
        saved = one_less(self._totals[source] - (number - 1) * UNIT, self._weights[source])
        return one_more(self._totals[target] + (number - 1) * UNIT, self._weights[target]) < saved

    def _reach(self, source: int, done: int) -> dict[int, _Step]:
        """The last step of the cheapest chain from `source` to each node that it leads to: from where, at which cost,
        and the cost of all."""
        steps: dict[int, _Step] = {}
        at_cost = {0: 1 << source}  # exactly so far
        distance = {source: 0}
        waiting = deque([source])
        while waiting:
            breathe()
            node = waiting.popleft()
            for cost, targets in self._arcs(node).by_cost():
                total = distance[node] + cost
                nearer = done
                for other, nodes in at_cost.items():
                    if other <= total:
                        nearer |= nodes
                for target in _nodes(targets & ~nearer):
                    if target in distance:
                        at_cost[distance[target]] &= ~(1 << target)
                    at_cost[total] = at_cost.get(total, 0) | 1 << target
                    distance[target] = total
                    steps[target] = node, cost, total
                    waiting.append(target)
        return steps

    def _carry(self, source: int, target: int, steps: dict[int, _Step], mean: float) -> None:
        """As many as gain, and as have room; no more than bring either end to the mean load, or half of the way to each
        other where that does not divide them."""
        way: list[tuple[int, int, int]] = []
        node = target
        while node != source:
            before, cost, _ = steps[node]
            way.append((self._class_for(before, node, cost), before, node))
            node = before
        totals, weights = self._totals, self._weights
        over = totals[source] - mean * weights[source]
        under = mean * weights[target] - totals[target]
        between = (totals[source] * weights[target] - totals[target] * weights[source]) / math.fsum(
            weights[node] for node in (source, target)
        )
        most = min(over, under) if min(over, under) >= UNIT else between / 2
        amount = max(1, int(most / UNIT))
        while amount > 1 and not self._gains(source, target, amount):
            amount //= 2
        if len(way) == 1:
            amount = self._shift_directly(source, target, steps[target][1], amount)
        else:
            amount = min(amount, *(self._room(*step) for step in way))
            if len({number for number, _, _ in way}) < len(way):
                amount = 1
            for number, before, node in way:
                self._shift(number, before, node, amount)
        totals[source] -= amount * UNIT
        totals[target] += amount * UNIT

    def _shift_directly(self, source: int, target: int, cost: int, most: int) -> int:
        """So many, of whatever classes go this way at this cost; how many there were."""
        left = most
        for number in list(self._here[source]):
            if left and self._cost(number, source, target) == cost:
                amount = min(left, self._room(number, source, target))
                self._shift(number, source, target, amount)
                left -= amount
        return most - left

    # --- the fewest moves

    def save_moves(self) -> None:
        """Cancels cycles that leave the sorted loads as they are and need fewer moves, until there is none."""
        while cycle := self._saving_cycle():
            shifts = []
            for source, target, cost in cycle:
                if cost is None:  # loads change places
                    self._totals[source] += UNIT
                    self._totals[target] -= UNIT
                else:
                    shifts.append((self._class_for(source, target, cost), source, target))
            for shift in shifts:
                self._shift(*shift, 1)

    def _exchanges(self) -> list[int]:
        """For each node, those with one VIP more than it, so to say: it may gain one when they lose one."""
        saved: dict[Cost, int] = {}
        for node, (total, weight) in enumerate(zip(self._totals, self._weights, strict=True)):
            less = one_less(total, weight)
            saved[less] = saved.get(less, 0) | 1 << node
        return [
            saved.get(one_more(total, weight), 0) for total, weight in zip(self._totals, self._weights, strict=True)
        ]

    def _saving_cycle(self) -> list[tuple[int, int, int | None]]:
        """The steps of a cycle that saves moves, as Bellman and Ford find it; empty when there is none."""
        exchanges = self._exchanges()
        distance = [0] * len(self._totals)
        at_distance = {0: (1 << len(distance)) - 1}
        via: dict[int, tuple[int, int | None]] = {}
        changed = set(range(len(distance)))
        while changed:
            active, changed = sorted(changed), set()
            for node in active:
                breathe()
                for cost, targets in (*self._arcs(node).by_cost(), (None, exchanges[node])):
                    total = distance[node] + (cost or 0)
                    nearer = 0
                    for other, nodes in at_distance.items():
                        if other <= total:
                            nearer |= nodes
                    for target in _nodes(targets & ~nearer & ~(1 << node)):
                        at_distance[distance[target]] &= ~(1 << target)
                        at_distance[total] = at_distance.get(total, 0) | 1 << target
                        distance[target] = total
                        via[target] = node, cost
                        changed.add(target)
            if changed and (cycle := _cycle_among(via, len(distance))):
                return cycle
        return []


def _cycle_among(via: dict[int, tuple[int, int | None]], count: int) -> list[tuple[int, int, int | None]]:
    """A cycle among the remembered steps (it is always one that saves); empty when there is none."""
    seen = [-1] * count
    for first in sorted(via):
        node = first
        while node in via and seen[node] < 0:
            seen[node] = first
            node = via[node][0]
        if node in via and seen[node] == first:
            cycle = []
            end = node
            while True:
                before, cost = via[node]
                cycle.append((before, node, cost))
                node = before
                if node == end:
                    return cycle
    return []


def _bits(nodes: Iterable[int]) -> int:
    breathe()  # there are as many calls as classes
    bits = 0
    for node in nodes:
        bits |= 1 << node
    return bits


def _nodes(bits: int) -> Iterator[int]:
    """Ascending."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
