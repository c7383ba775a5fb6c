"""Balancing is paced: so many VIPs a round, a round so often, and never two holders."""

from __future__ import annotations

import itertools

import pytest

from duravip.model import Settings, make_table
from duravip.testing.situation import VIPS, Situation, entry


@pytest.mark.parametrize(("size", "interval_s"), [(1, 2.0), (2, 1.0), (1, 1.0)])
def test_a_round_moves_so_many_and_the_next_comes_an_interval_later(size: int, interval_s: float) -> None:
    """a has six, and b comes: three go there, by the fewest moves."""
    settings = Settings(view_mature_time=2.0, view_balance_interval=interval_s, balance_set_size=size)
    tables = dict.fromkeys("ab", make_table((entry(vip) for vip in VIPS), settings))
    situation = Situation("a", "b", tables=tables)
    situation.start("a")
    situation.run(4.0)
    assert all(situation.holders(vip) == ["a"] for vip in VIPS)
    situation.start("b")
    taken_at: list[float] = []
    for _ in range(1500):
        situation.run(0.01)
        count = sum(situation.holders(vip) == ["b"] for vip in VIPS)
        assert count >= len(taken_at), "it has given one back"
        taken_at += [situation.now] * (count - len(taken_at))
    assert len(taken_at) == 3
    rounds = [taken_at[first : first + size] for first in range(0, 3, size)]
    assert all(each[-1] - each[0] < 0.1 for each in rounds)
    for before, after in itertools.pairwise(rounds):
        assert after[0] - before[0] == pytest.approx(interval_s, abs=0.1)
    assert situation.diary.violations == []
