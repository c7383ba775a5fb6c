"""docs/explanation/protocol.md, section 17, suffices: a second implementation of what it says about plain VIPs, made
from the page and as simple as can be, comes to the owners that `elect` and `balance` come to."""

from __future__ import annotations

import functools
import hashlib
import math
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from duravip.cluster.balance import balance
from duravip.cluster.election import Candidate, Circumstances, elect
from duravip.cluster.flags import Landscape, survey
from duravip.model import Address, NodeName, Reason, VipEntry, make_table

CLUSTERS = 100  # for each seed


@functools.cache
def number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


def score(address: str, name: str) -> int:
    return (number(address) ^ number(name)) * 0x9E3779B97F4A7C15 % 2**64


class Kind:
    """A class: `nodes` may have its VIPs, `homes` and `counts` say how many of them each has."""

    def __init__(self, nodes: Sequence[int], counts: Sequence[int]) -> None:
        self.nodes, self.homes, self.counts = nodes, list(counts), list(counts)

    def lacks(self, node: int) -> bool:
        return self.counts[node] < self.homes[node]

    def cost(self, one: int, two: int) -> int | None:
        if two not in self.nodes or one == two:
            return None
        return (self.counts[one] <= self.homes[one]) - self.lacks(two)

    def room(self, one: int, two: int) -> int:
        beyond = self.counts[one] - self.homes[one]
        room = beyond if beyond > 0 else self.counts[one]
        return min(room, self.homes[two] - self.counts[two]) if self.lacks(two) else room


class Second:
    """The second implementation. `owned`: how many VIPs each node has that are not to be moved."""

    def __init__(self, names: Sequence[str], weights: Sequence[float], owned: Sequence[int]) -> None:
        self.names, self.weights = names, weights
        self.loads = [1000 * count for count in owned]
        self.nodes = range(len(names))
        self.kinds: list[Kind] = []
        self.here: list[list[Kind]] = []

    # --- what is asked

    def dealt_out(self, unheld: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
        dealt: dict[str, int] = {}
        for address in sorted(unheld, key=lambda address: ([self.names[node] for node in unheld[address]], address)):
            dealt[address] = min(
                unheld[address],
                key=lambda node: (self.more(node)[0], score(address, self.names[node]), self.names[node]),
            )
            self.loads[dealt[address]] += 1000
        self.sort_out(unheld, dealt)
        for kind in self.kinds:
            kind.homes = [0] * len(self.names)
        self.level()
        return self.named({**dealt, **self.moved(unheld, dealt)})

    def balanced(self, may_have: Mapping[str, tuple[int, ...]], held: Mapping[str, int], limit: int) -> dict[str, str]:
        """Those that move."""
        for node in held.values():
            self.loads[node] += 1000
        self.sort_out(may_have, held)
        before = list(self.loads)
        self.level()
        if self.kinds and any(kind.counts != kind.homes for kind in self.kinds):
            self.save_moves()
        self.loads = before
        self.cut(limit)
        return self.named(self.moved(may_have, held))

    # --- classes

    def sort_out(self, may_have: Mapping[str, tuple[int, ...]], owners: Mapping[str, int]) -> None:
        found: dict[tuple[int, ...], Kind] = {}
        for address in sorted(owners):
            kind = found.setdefault(may_have[address], Kind(may_have[address], [0] * len(self.names)))
            kind.counts[owners[address]] += 1
            kind.homes[owners[address]] += 1
        self.kinds = list(found.values())
        self.here = [[kind for kind in self.kinds if kind.counts[node]] for node in self.nodes]

    def moved(self, may_have: Mapping[str, tuple[int, ...]], owners: Mapping[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for kind in self.kinds:
            on = [sorted(a for a in owners if may_have[a] == kind.nodes and owners[a] == node) for node in self.nodes]
            free = [node for node in self.nodes for _ in range(kind.counts[node] - len(on[node]))]
            for node in self.nodes:
                for address in on[node][kind.counts[node] :]:
                    found[address] = free.pop(0)
        return found

    def named(self, owners: Mapping[str, int]) -> dict[str, str]:
        return {address: self.names[node] for address, node in owners.items()}

    # --- costs

    def more(self, node: int, after: int = 0) -> tuple[float, float]:
        load = self.loads[node] + 1000 * after
        return (load + 1000) / self.weights[node], -load / self.weights[node]

    def less(self, node: int, after: int = 0) -> tuple[float, float]:
        load = self.loads[node] - 1000 * after
        return load / self.weights[node], -(load - 1000) / self.weights[node]

    def steps(self, node: int) -> list[tuple[int, int]]:
        """(cost, target), in order."""
        found = {(kind.cost(node, two), two) for kind in self.here[node] for two in kind.nodes if two != node}
        return sorted((cost, two) for cost, two in found if cost is not None)

    # --- levelling

    def level(self) -> None:
        mean = sum(self.loads) / math.fsum(self.weights)
        done: set[int] = set()
        while sources := [node for node in self.nodes if self.here[node] and node not in done]:
            source = max(sources, key=lambda node: (self.less(node), -node))
            came: dict[int, tuple[int, int]] = {}
            sums = {source: 0}
            queue = [source]
            for node in queue:
                for cost, target in self.steps(node):
                    total = sums[node] + cost
                    if target not in done and (target not in sums or total < sums[target]):
                        sums[target], came[target] = total, (node, cost)
                        queue.append(target)
            target = min(came, key=lambda node: (self.more(node), sums[node], node), default=source)
            if target == source or not self.more(target) < self.less(source):
                done |= {source, *came}
                continue
            way = []
            node = target
            while node != source:
                way.append((*came[node], node))
                node = came[node][0]
            self.carry(way[::-1], self.amount(source, target, mean))

    def amount(self, source: int, target: int, mean: float) -> int:
        (high, low), (w, w2) = (self.loads[source], self.loads[target]), (self.weights[source], self.weights[target])
        most = min(high - mean * w, mean * w2 - low)
        if most < 1000:
            most = (high * w2 - low * w) / math.fsum((w, w2)) / 2
        amount = max(1, math.floor(most / 1000))
        while amount > 1 and not self.more(target, amount - 1) < self.less(source, amount - 1):
            amount //= 2
        return amount

    def carry(self, way: Sequence[tuple[int, int, int]], amount: int) -> None:
        (source, cost, _), (_, _, target) = way[0], way[-1]
        if len(way) == 1:
            left = amount
            for kind in list(self.here[source]):
                if left and kind.cost(source, target) == cost:
                    now = min(left, kind.room(source, target))
                    self.shift(kind, source, target, now)
                    left -= now
            amount -= left
        else:
            chosen = [self.first(*step) for step in way]
            amount = min(amount, *(kind.room(one, two) for kind, (one, _, two) in zip(chosen, way, strict=True)))
            if len(set(chosen)) < len(chosen):
                amount = 1
            for kind, (one, _, two) in zip(chosen, way, strict=True):
                self.shift(kind, one, two, amount)
        self.loads[source] -= 1000 * amount
        self.loads[target] += 1000 * amount

    def first(self, one: int, cost: int, two: int) -> Kind:
        return next(kind for kind in self.here[one] if kind.cost(one, two) == cost)

    def shift(self, kind: Kind, one: int, two: int, amount: int) -> None:
        kind.counts[one] -= amount
        kind.counts[two] += amount
        if not kind.counts[one]:
            self.here[one].remove(kind)
        if kind not in self.here[two]:
            self.here[two].append(kind)

    # --- saving moves, and cutting them

    def save_moves(self) -> None:
        while cycle := self.cycle():
            chosen = [(self.first(one, cost, two), one, two) for one, cost, two in cycle if cost is not None]
            for one, cost, two in cycle:
                if cost is None:
                    self.loads[one] += 1000
                    self.loads[two] -= 1000
            for kind, one, two in chosen:
                self.shift(kind, one, two, 1)

    def cycle(self) -> list[tuple[int, int | None, int]]:
        away = [0 for _ in self.nodes]
        via: dict[int, tuple[int, int | None]] = {}
        changed = set(self.nodes)
        while changed:
            active, changed = sorted(changed), set()
            for node in active:
                places = [(None, two) for two in self.nodes if two != node and self.less(two) == self.more(node)]
                for cost, two in [*self.steps(node), *places]:
                    if away[node] + (cost or 0) < away[two]:
                        away[two], via[two] = away[node] + (cost or 0), (node, cost)
                        changed.add(two)
            for first in sorted(via) if changed else ():
                node, passed = first, []
                while node in via and node not in passed:
                    passed.append(node)
                    node = via[node][0]
                if node in passed:
                    return [(*via[one], one) for one in passed[passed.index(node) :]]
        return []

    def cut(self, limit: int) -> None:
        goals = [list(kind.counts) for kind in self.kinds]
        for kind in self.kinds:
            kind.counts = list(kind.homes)
        for _ in range(limit):
            gives = {
                node: [k for k, goal in zip(self.kinds, goals, strict=True) if k.counts[node] > goal[node]]
                for node in self.nodes
            }
            source = max((n for n in self.nodes if gives[n]), key=lambda n: (self.less(n), -n), default=None)
            if source is None:
                return
            goal_of = dict(zip(self.kinds, goals, strict=True))
            targets = {n for kind in gives[source] for n in self.nodes if kind.counts[n] < goal_of[kind][n]}
            target = min(targets, key=lambda n: (self.more(n), n))
            kind = next(kind for kind in gives[source] if kind.counts[target] < goal_of[kind][target])
            kind.counts[source] -= 1
            kind.counts[target] += 1
            self.loads[source] -= 1000
            self.loads[target] += 1000


class Cluster:
    """A small one, by chance, with VIPs that all weigh 1."""

    def __init__(self, chance: random.Random) -> None:
        self.names = sorted(chance.sample(("n1", "n10", "n2", "N3", "\u00e4", "zz"), chance.randint(1, 6)))
        weights = chance.choice(((1.0,), (1.0, 1.0, 1.0, 2.0, 0.7, 1.3)))
        self.weights = [chance.choice(weights) for _ in self.names]
        count = len(self.names)
        kinds = [tuple(sorted(chance.sample(range(count), chance.randint(1, count)))) for _ in range(4)]
        addresses = sorted({f"192.0.2.{chance.randrange(99)}" for _ in range(chance.randint(0, 40))})
        self.may_have = {address: chance.choice(kinds) for address in addresses}
        self.pins = {a: chance.choice(nodes) for a, nodes in self.may_have.items() if chance.random() < 0.2}
        self.free = {a: nodes for a, nodes in self.may_have.items() if a not in self.pins}

    def landscape(self) -> Landscape:
        return survey(
            {
                NodeName(name): make_table(
                    [VipEntry(address=Address(a)) for a, nodes in self.may_have.items() if node in nodes]
                )
                for node, name in enumerate(self.names)
            }
        )

    def circumstances(self, held: Mapping[str, int]) -> Circumstances:
        return Circumstances(
            candidates=tuple(
                Candidate(name=NodeName(name), weight=w) for name, w in zip(self.names, self.weights, strict=True)
            ),
            holders={Address(address): (NodeName(self.names[node]),) for address, node in held.items()},
            pins={Address(address): NodeName(self.names[node]) for address, node in self.pins.items()},
            view_mature=True,
        )

    def second(self) -> Second:
        pinned = list(self.pins.values())
        return Second(self.names, self.weights, [pinned.count(node) for node in range(len(self.names))])


@pytest.mark.parametrize("seed", range(4))
def test_another_implementation_deals_out_likewise(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(CLUSTERS):
        cluster = Cluster(chance)
        elected = elect(cluster.landscape(), cluster.circumstances({}))
        ours = {address: made.owner for address, made in elected.items() if made.reason is Reason.LEAST_LOADED}
        assert ours == cluster.second().dealt_out(cluster.free)


@pytest.mark.parametrize("seed", range(4))
def test_another_implementation_balances_likewise(seed: int) -> None:
    chance = random.Random(seed)
    moves = 0
    for _ in range(CLUSTERS):
        cluster, limit = Cluster(chance), chance.choice((1, 3, 1000))
        crowded = chance.random() < 0.5  # else held evenly, more or less
        held = {a: nodes[0] if crowded else chance.choice(nodes) for a, nodes in cluster.free.items()}
        landscape, given = cluster.landscape(), cluster.circumstances({**held, **cluster.pins})
        moved = balance(landscape, given, elect(landscape, given), limit)
        assert {a: made.owner for a, made in moved.items()} == cluster.second().balanced(cluster.may_have, held, limit)
        moves += len(moved)
    assert moves > CLUSTERS


def test_the_example_of_the_page_is_so() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "protocol.md").read_text()
    example = re.search(r"`(\S+)` on `(\S+)`: 0x([0-9a-f]+)", page)
    assert example is not None
    assert score(example[1], example[2]) == int(example[3], 16)
