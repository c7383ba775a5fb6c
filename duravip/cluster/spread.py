"""Evening out loads: which VIPs should move, counted by classes of interchangeable VIPs.

Rules of this file: pure arithmetic. Nodes are numbers 0..n-1 (the order of their names), VIPs are counted,
not named, so that 10,240 VIPs cost no more than the handful of classes they fall into.

Theory of operation. The aim is the smallest possible maximum load, then the smallest second, and so on. That
is the minimum of the sum over all nodes of M ** load for a very large M: a separable convex cost. One more
VIP on a node costs M ** high - M ** low, so costs compare as the pair (high, -low). For VIPs that all weigh 1
a layout is optimal exactly when no path of moves from one node to another gains (`improve_singles`); a layout
so found is then brought to the fewest moves by cancelling cycles that change no load and save moves
(`_save_moves`). Classes of heavier VIPs (weights, VIPs with followers) are a partition problem and NP-hard:
there, `improve_heavy` takes a single move or a swap that gains, until there is none.

Source: Harvey, Ladner, Lovasz and Tamir, "Semi-matchings for bipartite graphs and load balancing"
(cost-reducing paths); Murota on M-convex functions (why pairs of nodes suffice with node weights too).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

UNIT = 1000
"""The load of a VIP of weight 1. Loads are whole numbers, so that they add up exactly in any order."""

_Cost = tuple[float, float]


@dataclass(slots=True)
class VipClass:
    """Interchangeable VIPs. `nodes`: who may have them, ascending. `sizes[node]`: load one of them is there.
    `start[node]` and `count[node]`: how many were and are there; both are 0 outside `nodes`."""

    nodes: tuple[int, ...]
    sizes: dict[int, int]
    start: list[int]
    count: list[int]

    def single(self) -> bool:
        return all(size == UNIT for size in self.sizes.values())

    def moves(self) -> int:
        return sum(max(0, was - now) for was, now in zip(self.start, self.count, strict=True))


@dataclass(slots=True)
class Spread:
    """Loads of all nodes while classes are moved about. `fixed[node]`: load that cannot move; `weights[node]`
    > 0."""

    classes: Sequence[VipClass]
    weights: Sequence[float]
    fixed: Sequence[int]

    def totals(self) -> list[int]:
        totals = list(self.fixed)
        for vips in self.classes:
            for node in vips.nodes:
                totals[node] += vips.count[node] * vips.sizes[node]
        return totals

    def improve_singles(self, *, save_moves: bool = True) -> None:
        """Makes the layout of the VIPs that weigh 1 optimal around all others, then, unless where they were does
        not matter, saves moves."""
        singles = [vips for vips in self.classes if vips.single()]
        totals = self.totals()
        for vips in singles:
            _level(vips, totals, self.weights)
        while _improve_by_path(singles, totals, self.weights):
            pass
        if save_moves and any(vips.moves() for vips in singles):
            _save_moves(singles, totals, self.weights)

    def improve_heavy(self, *, swaps: bool = True) -> int:
        """Takes the first single move, else swap, with a heavier VIP that improves the loads. Returns the
        number of VIPs moved: 0 (none improves), 1 or 2."""
        heavy = [vips for vips in self.classes if not vips.single()]
        totals = self.totals()
        for vips in heavy:
            for source, target in _occupied_pairs(vips):
                if self._improves(totals, source, target, -vips.sizes[source], vips.sizes[target]):
                    _shift(vips, source, target)
                    return 1
        for vips in heavy if swaps else ():
            for source, target in _occupied_pairs(vips):
                for other in self.classes:
                    if other is vips or not other.count[target] or source not in other.sizes:
                        continue
                    out = other.sizes[source] - vips.sizes[source]
                    back = vips.sizes[target] - other.sizes[target]
                    if self._improves(totals, source, target, out, back):
                        _shift(vips, source, target)
                        _shift(other, target, source)
                        return 2
        return 0

    def settle(self) -> None:
        """Both, until neither improves anything, wherever the VIPs were."""
        self.improve_singles(save_moves=False)
        while self.improve_heavy():
            self.improve_singles(save_moves=False)

    def cut(self, limit: int) -> None:
        """Takes back all but `limit` of the moves of singles made since the start: those stay that relieve
        the most loaded node first, in favour of the least loaded one."""
        singles = [vips for vips in self.classes if vips.single() and vips.moves()]
        if sum(vips.moves() for vips in singles) <= limit:
            return
        goals = [list(vips.count) for vips in singles]
        for vips in singles:
            vips.count[:] = vips.start
        totals = self.totals()
        for _ in range(limit):
            steps: list[tuple[_Cost, _Cost, VipClass, int, int]] = []
            for vips, goal in zip(singles, goals, strict=True):
                leaving = [node for node in vips.nodes if vips.count[node] > goal[node]]
                if leaving:
                    arriving = [node for node in vips.nodes if vips.count[node] < goal[node]]
                    source = max(leaving, key=lambda node: _one_less(totals[node], self.weights[node]))
                    target = min(arriving, key=lambda node: _one_more(totals[node], self.weights[node]))
                    saved = _one_less(totals[source], self.weights[source])
                    high, low = _one_more(totals[target], self.weights[target])
                    steps.append((saved, (-high, -low), vips, source, target))
            _, _, vips, source, target = max(steps, key=lambda step: step[:2])
            _shift(vips, source, target)
            totals[source] -= UNIT
            totals[target] += UNIT

    def _improves(self, totals: Sequence[int], one: int, two: int, to_one: int, to_two: int) -> bool:
        before = totals[one] / self.weights[one], totals[two] / self.weights[two]
        after = (totals[one] + to_one) / self.weights[one], (totals[two] + to_two) / self.weights[two]
        return sorted(after, reverse=True) < sorted(before, reverse=True)


def _occupied_pairs(vips: VipClass) -> list[tuple[int, int]]:
    return [
        (source, target) for source in vips.nodes if vips.count[source] for target in vips.nodes if target != source
    ]


def _shift(vips: VipClass, source: int, target: int) -> None:
    vips.count[source] -= 1
    vips.count[target] += 1


# --- costs --------------------------------------------------------------------------------------------------------


def _one_more(total: int, weight: float) -> _Cost:
    """What one more VIP of weight 1 costs on a node."""
    return (total + UNIT) / weight, -(total / weight)


def _one_less(total: int, weight: float) -> _Cost:
    """What one VIP of weight 1 less saves there."""
    return total / weight, -((total - UNIT) / weight)


# --- finding the best loads ---------------------------------------------------------------------------------------


def _level(vips: VipClass, totals: list[int], weights: Sequence[float]) -> None:
    """Lays out one class anew, optimally around everything else, if that improves anything."""
    gains = [_one_less(totals[node], weights[node]) for node in vips.nodes if vips.count[node]]
    if not gains or max(gains) <= min(_one_more(totals[node], weights[node]) for node in vips.nodes):
        return
    how_many = sum(vips.count)
    for node in vips.nodes:
        totals[node] -= vips.count[node] * UNIT
        vips.count[node] = 0

    def price(node: int) -> tuple[_Cost, bool, int]:
        return _one_more(totals[node], weights[node]), vips.count[node] >= vips.start[node], node

    prices = [price(node) for node in vips.nodes]
    heapq.heapify(prices)
    for _ in range(how_many):
        node = prices[0][2]
        totals[node] += UNIT
        vips.count[node] += 1
        heapq.heapreplace(prices, price(node))


def _improve_by_path(singles: Sequence[VipClass], totals: list[int], weights: Sequence[float]) -> bool:
    """Carries out one chain of moves that gains: from the node where one less saves most, to the cheapest one
    in reach, by the fewest moves. False: there is none."""
    sources = sorted(
        {node for vips in singles for node in vips.nodes if vips.count[node]},
        key=lambda node: (_one_less(totals[node], weights[node]), -node),
        reverse=True,
    )
    done: set[int] = set()
    for source in sources:
        if source in done:
            continue
        steps = _reach(source, singles, done)
        saved = _one_less(totals[source], weights[source])
        target = min(
            (node for node in steps if node != source),
            key=lambda node: _one_more(totals[node], weights[node]),
            default=source,
        )
        if target != source and _one_more(totals[target], weights[target]) < saved:
            totals[source] -= UNIT
            totals[target] += UNIT
            node = target
            while node != source:
                before, vips = steps[node]
                _shift(vips, before, node)
                node = before
            return True
        # Whatever is in reach of a node in reach was looked at just now, and would save no more from there.
        done.add(source)
        done.update(steps)
    return False


def _reach(source: int, singles: Sequence[VipClass], done: set[int]) -> dict[int, tuple[int, VipClass]]:
    """For each node that a chain of moves from `source` can end at, nearest first: the last step, from where
    and of which class."""
    steps: dict[int, tuple[int, VipClass]] = {}
    waiting = deque([source])
    unused = list(singles)
    while waiting:
        node = waiting.popleft()
        left = []
        for vips in unused:
            if not vips.count[node]:
                left.append(vips)
                continue
            for target in vips.nodes:
                if target != source and target not in steps and target not in done:
                    steps[target] = node, vips
                    waiting.append(target)
        unused = left
    return steps


# --- the fewest moves ---------------------------------------------------------------------------------------------


def _save_moves(singles: Sequence[VipClass], totals: list[int], weights: Sequence[float]) -> None:
    """Cancels cycles that leave the sorted loads as they are and need fewer moves, until there is none."""
    while cycle := _saving_cycle(singles, totals, weights):
        for kind, where, node in cycle:
            if kind == "out":
                singles[where].count[node] -= 1
            elif kind == "in":
                singles[where].count[node] += 1
            elif kind == "less":
                totals[node] -= UNIT
            else:
                totals[node] += UNIT


_Arc = tuple[int, int, int, tuple[str, int, int]]


def _arcs(singles: Sequence[VipClass], totals: Sequence[int], weights: Sequence[float]) -> tuple[int, list[_Arc]]:
    """The graph of single changes: (from, to, moves it adds, what it does), and its number of vertices.

    A VIP of a class leaves a node (node to class) and arrives at another (class to node). Loads may be
    exchanged: one node gives up exactly what another gains (node to level, level to node).
    """
    nodes = len(totals)
    arcs: list[_Arc] = []
    for number, vips in enumerate(singles):
        vertex = nodes + number
        for node in vips.nodes:
            if vips.count[node]:
                arcs.append((node, vertex, int(vips.count[node] <= vips.start[node]), ("out", number, node)))
            arcs.append((vertex, node, -int(vips.count[node] < vips.start[node]), ("in", number, node)))
    levels: dict[_Cost, int] = {}
    for node in range(nodes):
        more = _one_more(totals[node], weights[node])
        arcs.append((node, levels.setdefault(more, nodes + len(singles) + len(levels)), 0, ("more", 0, node)))
    for node in range(nodes):
        less = _one_less(totals[node], weights[node])
        if less in levels:
            arcs.append((levels[less], node, 0, ("less", 0, node)))
    return nodes + len(singles) + len(levels), arcs


def _saving_cycle(
    singles: Sequence[VipClass], totals: Sequence[int], weights: Sequence[float]
) -> list[tuple[str, int, int]]:
    """The changes of a cycle that saves moves, found as Bellman and Ford do; empty when there is none."""
    vertices, arcs = _arcs(singles, totals, weights)
    distance = [0] * vertices
    via: list[_Arc | None] = [None] * vertices
    changed = True
    while changed:
        changed = False
        for arc in arcs:
            start, end, cost, _ = arc
            if distance[start] + cost < distance[end]:
                distance[end] = distance[start] + cost
                via[end] = arc
                changed = True
        if changed and (cycle := _cycle_among(via)):
            return cycle
    return []


def _cycle_among(via: Sequence[_Arc | None]) -> list[tuple[str, int, int]]:
    """A cycle among the remembered arcs (it is always one of negative cost), as changes; empty when there is
    none."""
    seen = [-1] * len(via)
    for first in range(len(via)):
        at = first
        while seen[at] < 0:
            seen[at] = first
            arc = via[at]
            if arc is None:
                break
            at = arc[0]
        else:
            if seen[at] == first:
                return _changes_around(at, via)
    return []


def _changes_around(vertex: int, via: Sequence[_Arc | None]) -> list[tuple[str, int, int]]:
    changes: list[tuple[str, int, int]] = []
    at = vertex
    while True:
        arc = via[at]
        assert arc is not None
        changes.append(arc[3])
        at = arc[0]
        if at == vertex:
            return changes
