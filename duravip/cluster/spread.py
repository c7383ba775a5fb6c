"""Evening out loads: which VIPs should move, counted by classes of interchangeable VIPs.

Rules of this file: pure arithmetic. Nodes are numbers 0..n-1 (the order of their names), VIPs are counted, not named,
so that 10,240 VIPs cost no more than the handful of classes they fall into.

Theory of operation. The aim is the smallest possible maximum load, then the smallest second, and so on. VIPs that all
weigh 1 are laid out exactly (`leveling`). Classes of heavier VIPs (weights, VIPs with followers, groups that stay
together) and of those that are to be apart from others are a partition problem and NP-hard: there, a single move or a
swap that improves is taken, until there is none (`swapping`). What is to be apart counts before loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from duravip.cluster.breathing import breathe
from duravip.cluster.leveling import UNIT, VipClass, level, one_less, one_more
from duravip.cluster.swapping import Crowd, Swapping


@dataclass(slots=True)
class Spread:
    """Loads of all nodes while classes are moved about. `fixed[node]`: load that cannot move; `weights[node]`
    > 0. `crowd`: for each group whose members are to be apart, how many cannot move from a node."""

    classes: Sequence[VipClass]
    weights: Sequence[float]
    fixed: Sequence[int]
    crowd: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def totals(self) -> list[int]:
        totals = list(self.fixed)
        for vips in self.classes:
            for node in vips.nodes:
                totals[node] += vips.count[node] * vips.sizes[node]
        return totals

    def improve_singles(self, *, save_moves: bool = True) -> None:
        """Makes the layout of the VIPs that weigh 1 optimal around all others; unless where they were does not matter,
        by the fewest moves."""
        level(self._singles(), self.totals(), self.weights, save_moves=save_moves)

    def improve_heavy(self, limit: int) -> int:
        """Takes single moves and swaps with heavier VIPs that improve, `limit` moves at most (a swap is two). Returns
        the number of VIPs moved; 0: none improves."""
        if all(vips.single() for vips in self.classes):
            return 0
        return Swapping(self.classes, self.totals(), self.weights, Crowd(self.classes, self.crowd)).improve(limit)

    def settle(self) -> None:
        """Both, until neither improves anything, wherever the VIPs were."""
        self.improve_singles(save_moves=False)
        while self.improve_heavy(1 << 30):
            self.improve_singles(save_moves=False)

    def cut(self, limit: int) -> None:
        """Takes back all but `limit` of the moves of singles made since the start: those stay that relieve
        the most loaded node first, in favour of the least loaded one."""
        singles = [vips for vips in self._singles() if vips.moves()]
        if sum(vips.moves() for vips in singles) <= limit:
            return
        goals = [list(vips.count) for vips in singles]
        leaving: list[dict[int, None]] = [{} for _ in self.fixed]
        for number, (vips, goal) in enumerate(zip(singles, goals, strict=True)):
            breathe()
            vips.count[:] = vips.start
            for node in vips.nodes:
                if vips.count[node] > goal[node]:
                    leaving[node][number] = None
        totals = self.totals()
        arriving = [{n for n in v.nodes if v.count[n] < g[n]} for v, g in zip(singles, goals, strict=True)]
        for _ in range(limit):
            source = max(
                (node for node in range(len(totals)) if leaving[node]),
                key=lambda node: (one_less(totals[node], self.weights[node]), -node),
            )
            cheapest: dict[int, int] = {}  # target -> class
            for number in leaving[source]:
                breathe()
                for node in arriving[number]:
                    cheapest.setdefault(node, number)
            target = min(cheapest, key=lambda node: (one_more(totals[node], self.weights[node]), node))
            number = cheapest[target]
            vips, goal = singles[number], goals[number]
            vips.count[source] -= 1
            vips.count[target] += 1
            if vips.count[source] == goal[source]:
                del leaving[source][number]
            if vips.count[target] == goal[target]:
                arriving[number].discard(target)
            totals[source] -= UNIT
            totals[target] += UNIT

    def _singles(self) -> list[VipClass]:
        return [vips for vips in self.classes if vips.single()]
