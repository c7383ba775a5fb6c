"""The earliest of many times, beside a slow version that looks at all."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster.agenda import Agenda
from duravip.model import NodeName

names = st.sampled_from([NodeName(name) for name in "abcd"])


@given(st.lists(st.tuples(names, st.one_of(st.none(), st.integers(0, 20))), max_size=100))
def test_the_earliest_of_the_last_times_that_were_said_counts(said: list[tuple[NodeName, int | None]]) -> None:
    agenda, slow = Agenda(), dict[NodeName, float]()
    for name, at in said:
        if at is None:
            agenda.drop(name)
            slow.pop(name, None)
        else:
            agenda.put(name, float(at))
            slow[name] = float(at)
        assert agenda.earliest() == min(slow.values(), default=math.inf)
