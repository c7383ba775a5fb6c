"""A small bound of what docs/explanation/model.md has run: no order of events violates a property, and each deliberate
bug has a shortest history that the explorer finds."""

import pytest

from duravip.sim.explorer import Bounds, explore

NONE = Bounds()


@pytest.mark.parametrize(
    ("situation", "bounds", "horizon_s"),
    [
        ("boot", NONE, 5.0),
        ("rest", Bounds(crashes=1), 3.0),
        ("rest", Bounds(cuts=1), 1.2),
        ("move", NONE, 0.9),
        ("leave", NONE, 1.2),
    ],
)
def test_in_whatever_order_things_happen_no_property_is_violated(
    situation: str, bounds: Bounds, horizon_s: float
) -> None:
    found = explore(situation, bounds, horizon_s=horizon_s, limit=20_000)
    assert found.violation == "", "\n".join(found.trace)
    assert found.complete
    assert found.states > 50


@pytest.mark.parametrize(
    ("bug", "situation", "rule"),
    [
        ("no-release-before-a-move", "move", "S1"),
        ("merge-forgets-claims", "merge", "S1"),
        ("broken-stays", "break", "S2"),
    ],
)
def test_a_deliberate_bug_is_found_with_the_shortest_history_that_shows_it(bug: str, situation: str, rule: str) -> None:
    found = explore(situation, NONE, horizon_s=3.0, limit=20_000, bug=bug)
    assert found.violation.startswith(rule)
    assert 0 < len(found.trace) < 40
    assert not explore(situation, NONE, horizon_s=3.0, limit=max(2, found.states)).violation


def test_the_same_search_has_the_same_extent() -> None:
    first, second = (explore("break", NONE, horizon_s=0.3, limit=300) for _ in range(2))
    assert (first.states, first.transitions, first.depth) == (second.states, second.transitions, second.depth)
    assert not first.violation
