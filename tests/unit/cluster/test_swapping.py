"""Heavier VIPs and VIPs that should be apart, beside brute force: every small cluster, from every layout."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from duravip.cluster.leveling import UNIT, VipClass
from duravip.cluster.spread import Spread

BALANCE_PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "balance.md"

Value = tuple[int, list[int]]


def value(layout: Sequence[int], weights: Sequence[int], groups: Sequence[str], nodes: int) -> Value:
    """What is to be small: pairs that should be apart and are not; then the loads, the largest first."""
    pairs = itertools.combinations(range(len(layout)), 2)
    met = sum(layout[a] == layout[b] and bool(groups[a]) and groups[a] == groups[b] for a, b in pairs)
    loads = [sum(w for w, at in zip(weights, layout, strict=True) if at == node) for node in range(nodes)]
    return met, sorted(loads, reverse=True)


def settled(layout: Sequence[int], weights: Sequence[int], groups: Sequence[str], nodes: int) -> list[int]:
    everywhere = tuple(range(nodes))
    classes = []
    for node, weight, group in zip(layout, weights, groups, strict=True):
        count = [int(node == other) for other in everywhere]
        sizes = dict.fromkeys(everywhere, weight * UNIT)
        classes.append(VipClass(everywhere, sizes, list(count), count, (group,) if group else ()))
    spread = Spread(classes, [1.0] * nodes, [0] * nodes)
    for _ in range(100):
        spread.improve_singles()
        if not spread.improve_heavy(100):
            return [vips.count.index(1) for vips in classes]
    pytest.fail("it does not end")


def neighbours(layout: Sequence[int], nodes: int) -> Iterator[list[int]]:
    """All that one move or one swap makes of it."""
    for at, target in itertools.product(range(len(layout)), range(nodes)):
        yield [target if at == number else node for number, node in enumerate(layout)]
    for one, two in itertools.combinations(range(len(layout)), 2):
        swapped = list(layout)
        swapped[one], swapped[two] = swapped[two], swapped[one]
        yield swapped


def every_small_cluster() -> Iterator[tuple[int, tuple[int, ...], tuple[str, ...]]]:
    """Nodes, weights, groups."""
    for nodes, vips, largest, with_groups in ((2, 3, 4, True), (2, 5, 3, True), (3, 4, 3, True), (2, 6, 4, False)):
        groups = [("",) * vips, ("a", "a", *[""] * (vips - 2)), ("a",) * (vips - 1) + ("",)]
        for weights in itertools.combinations_with_replacement(range(1, largest + 1), vips):
            for group in groups if with_groups else groups[:1]:
                yield nodes, weights, group


def test_no_single_move_and_no_swap_improves_what_balancing_ends_in_and_that_is_near_the_best() -> None:
    worst = (Fraction(1), "")
    tried = 0
    for nodes, weights, groups in every_small_cluster():
        layouts = list(itertools.product(range(nodes), repeat=len(weights)))
        best = min(value(layout, weights, groups, nodes) for layout in layouts)
        known: set[tuple[int, ...]] = set()
        for start in layouts:
            end = settled(start, weights, groups, nodes)
            tried += 1
            if tuple(end) in known:
                continue
            known.add(tuple(end))
            reached = value(end, weights, groups, nodes)
            assert all(value(other, weights, groups, nodes) >= reached for other in neighbours(end, nodes)), end
            assert reached[0] == best[0], f"{weights} {groups} from {start}: {end} has pairs that could be apart"
            ratio = Fraction(reached[1][0], best[1][0])
            worst = max(worst, (ratio, f"{nodes} nodes, weights {weights}, groups {groups}, from {start}: {end}"))
    print(f"{tried} starts; worst maximum load: {worst[0]} = {float(worst[0]):.3f} times the best ({worst[1]})")
    assert f"{worst[0]} = {float(worst[0]):.3f} times" in BALANCE_PAGE.read_text()


def test_weights_of_nodes_count_in_moves_and_swaps() -> None:
    sizes = {0: 5 * UNIT, 1: 5 * UNIT}
    classes = [VipClass((0, 1), dict(sizes), [3, 0], [3, 0])]
    spread = Spread(classes, [2.0, 1.0], [0, 0])
    assert spread.improve_heavy(10) == 1
    assert classes[0].count == [2, 1]


def test_no_more_move_than_are_allowed_and_a_swap_is_two() -> None:
    def five(count: list[int]) -> VipClass:
        return VipClass((0, 1), {0: 5 * UNIT, 1: 5 * UNIT}, list(count), count)

    def four(count: list[int]) -> VipClass:
        return VipClass((0, 1), {0: 4 * UNIT, 1: 4 * UNIT}, list(count), count)

    spread = Spread([five([2, 0]), four([0, 1])], [1.0, 1.0], [0, 2 * UNIT])
    assert spread.improve_heavy(1) == 0
    assert spread.improve_heavy(2) == 2
