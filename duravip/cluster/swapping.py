"""Moving and swapping VIPs of different weights, or that should be apart, until no single move and no swap improves.

Rules of this file: pure; ties are broken by the order of the classes and the numbers of the nodes.

Theory of operation. A layout is better when fewer pairs that should be apart are together on one node; among such, when
the loads, sorted, are smaller in the first place in which they differ. Only two nodes change in a move or a swap, so
only theirs are compared. The most crowded, then the most loaded node is looked at first, and what improves is taken at
once; the search goes on until a whole round has found nothing: a local optimum. How far it can be from the best is
measured by `tests/unit/cluster/test_swapping.py`, which tries all small clusters.

Classes whose VIPs weigh alike need not be told apart where only loads count: for each pair of nodes the different
weights are compared, not the VIPs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from duravip.cluster.breathing import breathe
from duravip.cluster.leveling import VipClass


class Crowd:
    """How many members of each group that is to be apart are on each node. `fixed`: those that no class counts."""

    def __init__(self, classes: Sequence[VipClass], fixed: Mapping[str, Mapping[int, int]]) -> None:
        self._on: dict[str, dict[int, int]] = {group: dict(nodes) for group, nodes in fixed.items()}
        for vips in classes:
            for group in vips.apart:
                on = self._on.setdefault(group, {})
                for node in vips.nodes:
                    if vips.count[node]:
                        on[node] = on.get(node, 0) + vips.count[node]

    def met(self, apart: Sequence[str], node: int) -> int:
        """The members that one more with these groups would meet on the node."""
        return sum(self._on.get(group, {}).get(node, 0) for group in apart)

    def shift(self, apart: Sequence[str], node: int, change: int) -> None:
        for group in apart:
            on = self._on.setdefault(group, {})
            on[node] = on.get(node, 0) + change


class Swapping:
    """Changes the classes' counts, the `totals` and the `crowd`."""

    def __init__(self, classes: Sequence[VipClass], totals: list[int], weights: Sequence[float], crowd: Crowd) -> None:
        self._classes = classes
        self._totals = totals
        self._weights = weights
        self._crowd = crowd
        self._is_single = [vips.single() for vips in classes]
        self._here: list[dict[int, None]] = [{} for _ in totals]
        for number, vips in enumerate(classes):
            for node in vips.nodes:
                if vips.count[node]:
                    self._here[node][number] = None

    def improve(self, limit: int) -> int:
        """The number of VIPs moved, `limit` at most."""
        moved = 0
        while moved < limit and (steps := self._step(swaps=limit - moved >= 2)):
            moved += steps
        return moved

    def _step(self, *, swaps: bool) -> int:
        order = sorted(range(len(self._totals)), key=lambda node: (-self._relative(node), node))
        for source in order:
            if self._move_from(source):
                return 1
        for source in order if swaps else ():
            for target in reversed(order):
                if target != source and self._swap_between(source, target):
                    return 2
        return 0

    def _relative(self, node: int) -> float:
        return self._totals[node] / self._weights[node]

    # --- single moves

    def _move_from(self, source: int) -> bool:
        """Takes the best move of the first class that has one that improves."""
        load, least = self._relative(source), min(map(self._relative, range(len(self._totals))))
        strongest = max(self._weights)
        for number in self._here[source]:
            breathe()
            vips = self._classes[number]
            if self._is_single[number]:
                continue  # laid out exactly
            if not vips.apart and least + min(vips.sizes.values()) / strongest > load:
                continue
            self._crowd.shift(vips.apart, source, -1)
            leaves = self._crowd.met(vips.apart, source)
            self._crowd.shift(vips.apart, source, 1)
            best: tuple[int, float, int] | None = None
            for target in vips.nodes:
                if target == source:
                    continue
                meets = self._crowd.met(vips.apart, target) - leaves
                if meets > 0:
                    continue
                if meets < 0 or self._evens(source, target, -vips.sizes[source], vips.sizes[target]):
                    rank = (meets, (self._totals[target] + vips.sizes[target]) / self._weights[target], target)
                    best = min(best, rank) if best is not None else rank
            if best is not None:
                self._shift(number, source, best[2])
                return True
        return False

    def _evens(self, one: int, two: int, to_one: int, to_two: int) -> bool:
        """Whether the loads of two nodes are better after such changes."""
        totals, weights = self._totals, self._weights
        before = totals[one] / weights[one], totals[two] / weights[two]
        after = (totals[one] + to_one) / weights[one], (totals[two] + to_two) / weights[two]
        return (max(after), min(after)) < (max(before), min(before))

    # --- swaps

    def _swap_between(self, source: int, target: int) -> bool:
        """Takes the first swap that improves: a heavier VIP, or one that should be apart, for any other."""
        breathe()
        back = self._kinds(target, source)
        for out_kind, number in self._kinds(source, target).items():
            for back_kind, other in back.items():
                if number == other or (self._is_single[number] and self._is_single[other]):
                    continue
                if self._swap_improves(out_kind, back_kind, source, target):
                    self._shift(number, source, target)
                    self._shift(other, target, source)
                    return True
        return False

    def _kinds(self, here: int, there: int) -> dict[tuple[int, int, tuple[str, ...]], int]:
        """What may go from the one node to the other, by load here, load there and groups: the first class of each."""
        kinds: dict[tuple[int, int, tuple[str, ...]], int] = {}
        for number in self._here[here]:
            vips = self._classes[number]
            if there in vips.sizes:
                kinds.setdefault((vips.sizes[here], vips.sizes[there], vips.apart), number)
        return kinds

    def _swap_improves(
        self, out: tuple[int, int, tuple[str, ...]], back: tuple[int, int, tuple[str, ...]], source: int, target: int
    ) -> bool:
        change = 0
        if out[2] or back[2]:
            crowd = self._crowd
            crowd.shift(out[2], source, -1)
            crowd.shift(back[2], target, -1)
            change = crowd.met(out[2], target) + crowd.met(back[2], source)
            change -= crowd.met(out[2], source) + crowd.met(back[2], target)
            crowd.shift(out[2], source, 1)
            crowd.shift(back[2], target, 1)
        return change < 0 or (change == 0 and self._evens(source, target, back[1] - out[0], out[1] - back[0]))

    def _shift(self, number: int, source: int, target: int) -> None:
        vips = self._classes[number]
        vips.count[source] -= 1
        vips.count[target] += 1
        if not vips.count[source]:
            del self._here[source][number]
        self._here[target][number] = None
        self._totals[source] -= vips.sizes[source]
        self._totals[target] += vips.sizes[target]
        self._crowd.shift(vips.apart, source, -1)
        self._crowd.shift(vips.apart, target, 1)
