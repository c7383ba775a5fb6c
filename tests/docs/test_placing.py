"""docs/explanation/protocol.md, section 17, suffices: a second implementation of what it says about plain VIPs, made
from the page and as simple as can be, comes to the owners that `elect` comes to."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from duravip.cluster.election import Candidate, Circumstances, elect
from duravip.cluster.flags import survey
from duravip.model import Address, NodeName, Reason, VipEntry, make_table

CLUSTERS = 100  # for each seed
Classes = dict[tuple[int, ...], dict[int, int]]  # who may have it -> node -> how many


@functools.cache
def number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


def score(address: str, name: str) -> int:
    return (number(address) ^ number(name)) * 0x9E3779B97F4A7C15 % 2**64


class Second:
    """`names`: all nodes, sorted; `owned`: how many each has already."""

    def __init__(self, names: Sequence[str], weights: Sequence[float], owned: Sequence[int]) -> None:
        self.names, self.weights = names, weights
        self.loads = [1000 * count for count in owned]

    def owners(self, unheld: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
        dealt: dict[str, int] = {}
        for address in sorted(unheld, key=lambda address: ([self.names[node] for node in unheld[address]], address)):
            dealt[address] = min(
                unheld[address],
                key=lambda node: (self.more(node)[0], score(address, self.names[node]), self.names[node]),
            )
            self.loads[dealt[address]] += 1000
        classes: Classes = {unheld[address]: {} for address in sorted(unheld)}
        for address, node in dealt.items():
            counts = classes[unheld[address]]
            counts[node] = counts.get(node, 0) + 1
        before = {nodes: dict(counts) for nodes, counts in classes.items()}
        self.level(classes)
        for nodes, counts in classes.items():
            free = [node for node in nodes for _ in range(counts.get(node, 0) - before[nodes].get(node, 0))]
            for node in nodes:
                here = sorted(a for a in dealt if unheld[a] == nodes and dealt[a] == node)
                for address in here[counts.get(node, 0) :]:
                    dealt[address] = free.pop(0)
        return {address: self.names[node] for address, node in dealt.items()}

    def more(self, node: int, after: int = 0) -> tuple[float, float]:
        load = self.loads[node] + 1000 * after
        return (load + 1000) / self.weights[node], -load / self.weights[node]

    def less(self, node: int, after: int = 0) -> tuple[float, float]:
        load = self.loads[node] - 1000 * after
        return load / self.weights[node], -(load - 1000) / self.weights[node]

    def level(self, classes: Classes) -> None:
        """Moves are not saved here: each step costs nothing."""
        mean = sum(self.loads) / math.fsum(self.weights)
        here = [[nodes for nodes in classes if node in classes[nodes]] for node in range(len(self.names))]
        done: set[int] = set()
        while sources := [node for node in range(len(self.names)) if here[node] and node not in done]:
            source = max(sources, key=lambda node: (self.less(node), -node))
            came: dict[int, int] = {}
            queue = [source]
            for node in queue:
                for target in sorted({target for nodes in here[node] for target in nodes} - done - {source, *came}):
                    came[target] = node
                    queue.append(target)
            target = min(came, key=lambda node: (self.more(node), node), default=source)
            if target == source or not self.more(target) < self.less(source):
                done |= {source, *came}
                continue
            way = [target]
            while way[0] != source:
                way.insert(0, came[way[0]])
            self.carry(classes, here, way, self.amount(source, target, mean))

    def amount(self, source: int, target: int, mean: float) -> int:
        (high, low), (w, w2) = (self.loads[source], self.loads[target]), (self.weights[source], self.weights[target])
        most = min(high - mean * w, mean * w2 - low)
        if most < 1000:
            most = (high * w2 - low * w) / math.fsum((w, w2)) / 2
        amount = max(1, math.floor(most / 1000))
        while amount > 1 and not self.more(target, amount - 1) < self.less(source, amount - 1):
            amount //= 2
        return amount

    def carry(self, classes: Classes, here: list[list[tuple[int, ...]]], way: Sequence[int], amount: int) -> None:
        steps = list(itertools.pairwise(way))
        chosen = [next(nodes for nodes in here[one] if two in nodes) for one, two in steps]
        if len(steps) == 1:
            able = [nodes for nodes in here[way[0]] if way[1] in nodes]
            left = amount
            for nodes in able:
                now = min(left, classes[nodes][way[0]])
                self.shift(classes, here, nodes, (way[0], way[1]), now)
                left -= now
            amount -= left
        else:
            least = min(classes[nodes][one] for nodes, (one, _) in zip(chosen, steps, strict=True))
            amount = min(amount, least) if len(set(chosen)) == len(chosen) else 1
            for nodes, step in zip(chosen, steps, strict=True):
                self.shift(classes, here, nodes, step, amount)
        self.loads[way[0]] -= 1000 * amount
        self.loads[way[-1]] += 1000 * amount

    def shift(
        self,
        classes: Classes,
        here: list[list[tuple[int, ...]]],
        nodes: tuple[int, ...],
        step: tuple[int, int],
        amount: int,
    ) -> None:
        if not amount:
            return
        one, two = step
        counts = classes[nodes]
        counts[one] -= amount
        counts[two] = counts.get(two, 0) + amount
        if not counts[one]:
            del counts[one]
            here[one].remove(nodes)
        if nodes not in here[two]:
            here[two].append(nodes)


@pytest.mark.parametrize("seed", range(4))
def test_another_implementation_made_from_the_page_comes_to_the_same_owners(seed: int) -> None:
    chance = random.Random(seed)
    settled = 0
    for _ in range(CLUSTERS):
        names = [
            NodeName(name) for name in sorted(chance.sample(("n1", "n10", "n2", "N3", "ä", "zz"), chance.randint(1, 6)))
        ]
        weights = [chance.choice((1.0, 1.0, 1.0, 2.0, 0.7, 1.3)) for _ in names]
        kinds = [tuple(sorted(chance.sample(range(len(names)), chance.randint(1, len(names))))) for _ in range(4)]
        vips = sorted({str(Address(f"192.0.2.{chance.randrange(99)}")) for _ in range(chance.randint(0, 40))})
        may_have = {address: chance.choice(kinds) for address in vips}
        pins = {a: chance.choice(nodes) for a, nodes in may_have.items() if chance.random() < 0.2}

        tables = {
            name: make_table([VipEntry(address=Address(a)) for a, nodes in may_have.items() if node in nodes])
            for node, name in enumerate(names)
        }
        given = Circumstances(
            candidates=tuple(Candidate(name=name, weight=w) for name, w in zip(names, weights, strict=True)),
            holders={},
            pins={Address(address): names[node] for address, node in pins.items()},
            view_mature=True,
        )
        elected = elect(survey(tables), given)

        second = Second(names, weights, [list(pins.values()).count(node) for node in range(len(names))])
        dealt = second.owners({address: nodes for address, nodes in may_have.items() if address not in pins})
        ours = {address: made.owner for address, made in elected.items() if made.reason is Reason.LEAST_LOADED}
        assert ours == dealt
        settled += len(set(may_have.values())) > 1
    assert settled > CLUSTERS / 2


def test_the_example_of_the_page_is_so() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "protocol.md").read_text()
    example = re.search(r"`(\S+)` on `(\S+)`: 0x([0-9a-f]+)", page)
    assert example is not None
    assert score(example[1], example[2]) == int(example[3], 16)
