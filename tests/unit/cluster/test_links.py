"""Links that are missing, beside a slow version that looks at every pair each time."""

from __future__ import annotations

import math
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster.links import Links
from duravip.model import Incarnation, Member, NodeName

EVERYBODY = [Member(NodeName(name), Incarnation(1, 1)) for name in "abcde"]
A, B, C = EVERYBODY[:3]

somebody = st.frozensets(st.sampled_from(EVERYBODY))


@given(st.lists(st.dictionaries(st.sampled_from(EVERYBODY), somebody), max_size=8))
def test_a_pair_is_missing_as_long_as_one_of_the_two_does_not_take_the_other_for_alive(
    updates: list[dict[Member, frozenset[Member]]],
) -> None:
    links, expected = Links(), dict[tuple[Member, Member], float]()
    for now, rows in enumerate(updates):
        links.update(rows, float(now))
        expected = {
            (one, other): expected.get((one, other), float(now))
            for one, other in combinations(sorted(rows), 2)
            if one not in rows[other] or other not in rows[one]
        }
        assert links.missing_since == expected
        assert links.oldest_since() == min(expected.values(), default=math.inf)
        for length_s in (0.0, 1.0, 3.0):
            ends = [since + length_s for since in expected.values()]
            assert links.next_at(length_s, now) == min((at for at in ends if at > now), default=math.inf)
            lasting = {pair for pair, since in expected.items() if now - since >= length_s}
            apart = links.missing_for(length_s, now)
            assert {(one, other) for one in apart for other in apart[one] if one < other} == lasting
            assert all(one in apart[other] for one in apart for other in apart[one])


def test_a_link_between_some_and_others_is_looked_for_both_ways() -> None:
    links = Links()
    links.update({A: frozenset({B, C}), B: frozenset({A}), C: frozenset({A, B})}, 0.0)
    assert links.are_whole([A], [B, C])
    assert not links.are_whole([C], [B])
    assert not links.are_whole([B], [A, C])


def test_what_was_missing_while_nobody_looked_counts_for_nothing() -> None:
    links, nobody = Links(), frozenset[Member]()
    rows = {A: nobody, B: nobody}
    links.update(rows, 1.0)
    links.pass_over(5.0)
    links.update(rows, 7.0)
    assert links.missing_since == {(A, B): 6.0}
    links.forget()
    assert links.missing_since == {}
    links.update(rows, 8.0)
    assert links.missing_since == {(A, B): 8.0}
