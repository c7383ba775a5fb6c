from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from duravip.sim.shrink import smallest

NUMBERS = st.frozensets(st.integers(0, 30), max_size=20)


@given(whole=NUMBERS, needed=NUMBERS)
def test_what_is_left_is_just_what_is_needed(whole: frozenset[int], needed: frozenset[int]) -> None:
    whole |= needed
    assert smallest(whole, lambda part: needed <= part) == needed


@given(whole=NUMBERS.filter(bool), data=st.data())
def test_of_several_causes_one_is_left_from_which_nothing_can_be_left_out(
    whole: frozenset[int], data: st.DataObject
) -> None:
    causes = data.draw(st.lists(st.frozensets(st.sampled_from(sorted(whole)), min_size=1), min_size=1, max_size=4))

    def breaks(part: frozenset[int]) -> bool:
        return any(cause <= part for cause in causes)

    left = smallest(whole, breaks)
    assert breaks(left)
    assert not any(breaks(left - {one}) for one in left)
