from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster.charter import (
    ALARM_S,
    CALL_S,
    CLOCK_RATIO,
    EXPIRY_S,
    backers,
    barred_words,
    charter_at_install,
    charter_of,
    founding,
    is_majority,
    majority_since,
    mandate_s,
    missing_at_install,
    no_majority_words,
    roll_of,
    wait_s,
)
from duravip.cluster.messages import Charter, MemberState, MemberStatus, Missing, Roll
from duravip.model import Incarnation, Member, NodeName, Settings, TableDigest

A, B, C, D, E = (NodeName(name) for name in "abcde")
ABC = Roll(members=(A, B, C))
ABCDE = Roll(members=(A, B, C, D, E))
NAMES = (A, B, C, D, E)

rolls = st.builds(
    Roll,
    members=st.sets(st.sampled_from(NAMES), min_size=1).map(lambda names: tuple(sorted(names))),
    tie_breaker=st.sampled_from((*NAMES, "")),
)


def state(name: NodeName, charter: Charter, missing: tuple[Missing, ...] = ()) -> MemberState:
    from duravip.cluster.addresses import AddressSet

    return MemberState(
        member=Member(name, Incarnation(1, 1)),
        previous=None,
        mature=True,
        status=MemberStatus(table=TableDigest("0" * 32)),
        in_force=None,
        held=AddressSet(),
        releasing=AddressSet(),
        charter=charter,
        missing=missing,
    )


@given(rolls, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_two_majorities_of_a_roll_have_a_member_in_common(roll: Roll, one: set[NodeName], other: set[NodeName]) -> None:
    if is_majority(roll, one) and is_majority(roll, other):
        assert one & other & set(roll.members)


def test_the_tie_breaker_decides_an_exact_half_and_without_one_nobody_does() -> None:
    even = Roll(members=(A, B), tie_breaker=B)
    assert is_majority(even, {B})
    assert not is_majority(even, {A})
    assert not is_majority(Roll(members=(A, B)), {B})
    assert not is_majority(Roll(members=(A, B, C, D), tie_breaker=A), {A})


@given(rolls, st.dictionaries(st.sampled_from(NAMES), st.floats(0, 100)))
def test_the_time_that_a_majority_has_reached_is_the_latest_such(roll: Roll, times: dict[NodeName, float]) -> None:
    slowly = [
        min(times[name] for name in some)
        for count in range(1, len(times) + 1)
        for some in combinations(sorted(times), count)
        if is_majority(roll, some)
    ]
    assert majority_since(roll, times) == max(slowly, default=float("-inf"))


def test_a_roll_is_what_a_configuration_says_and_available_says_none() -> None:
    assert roll_of(Settings()) is None
    said = Settings(ownership="strict", members=(A, B), tie_breaker=A, address_lifetime=1.5)
    assert roll_of(said) == Roll(members=(A, B), tie_breaker=A, lifetime_s=2)
    assert charter_of(said) == Charter(generation=0, rolls=(Roll(members=(A, B), tie_breaker=A, lifetime_s=2),))


def test_of_the_charters_in_a_view_those_of_the_highest_generation_count_and_all_of_them() -> None:
    old, joint = Charter(generation=1, rolls=(ABC,)), Charter(generation=2, rolls=(ABC, ABCDE))
    assert charter_at_install([state(A, old), state(B, joint)]) == joint
    one, other = Charter(generation=3, rolls=(ABC,)), Charter(generation=3, rolls=(ABCDE,))
    assert charter_at_install([state(A, one), state(D, other)]) == Charter(generation=3, rolls=(ABC, ABCDE))


def test_nodes_that_have_just_started_go_by_a_roll_that_has_its_majority_whatever_others_say() -> None:
    new = Charter(rolls=(ABC,))
    assert charter_at_install([state(A, new), state(B, new)]) == Charter(generation=1, rolls=(ABC,))
    mistaken = Charter(rolls=(ABCDE,))
    assert charter_at_install([state(A, mistaken), state(B, new), state(C, new)]).rolls == (ABC,)
    undecided = charter_at_install([state(A, mistaken), state(B, new)])
    assert undecided == Charter(generation=0, rolls=(ABC, ABCDE))


def test_a_node_that_started_with_another_list_has_no_voice_for_the_old_one() -> None:
    states = [state(A, Charter(generation=1, rolls=(ABC,))), state(B, Charter(rolls=(ABCDE,)))]
    assert charter_at_install(states).rolls == (ABC,)
    assert backers(ABC, states) == {A}
    assert not is_majority(ABC, backers(ABC, states))


def test_how_long_somebody_is_missing_is_the_shortest_time_that_any_member_knows() -> None:
    charter = Charter(generation=1, rolls=(ABC,))
    here = state(A, charter, (Missing(name=C, for_s=7.0),))
    assert missing_at_install([here, state(B, charter, (Missing(name=C, for_s=5.0),))], charter) == {C: 5.0}
    assert missing_at_install([here, state(B, charter)], charter) == {C: 0.0}  # B has just started, and knows nothing
    removed = state(A, charter, (Missing(name=E, for_s=1.0), Missing(name=C, for_s=3.0)))
    assert missing_at_install([removed, state(B, charter, (Missing(name=C, for_s=3.0),))], charter) == {C: 3.0, E: 1.0}


def test_the_wait_covers_alarm_lifetime_and_lateness_on_clocks_that_are_two_per_cent_off() -> None:
    roll = Roll(members=(A,), lifetime_s=2)
    slow, fast = 0.98, 1.02
    worst_s = (mandate_s(2.0) + ALARM_S + CALL_S + 2.0 + EXPIRY_S) / slow
    assert wait_s([roll]) / fast >= worst_s
    assert wait_s([roll]) == CLOCK_RATIO * (1.0 + 2.0 + 2.5 + 0.5)
    assert wait_s([roll, Roll(members=(B,), lifetime_s=10)]) == wait_s([Roll(members=(B,), lifetime_s=10)])


def test_words_say_who_is_missing_for_a_majority_and_why_a_node_is_barred() -> None:
    assert no_majority_words({ABC: {B}}) == "no majority of the members a, b, c: only b of them here"
    assert barred_words(D, ABC, [ABC]) == "not among the members of its configuration"
    assert barred_words(A, ABCDE, [ABC]) == "with another list of members in its configuration"
    assert barred_words(A, None, [ABC]) == "with another list of members in its configuration"
    assert barred_words(A, ABC, [ABC]) == ""
    assert barred_words(A, None, []) == ""


def test_configurations_that_are_planned_with_are_judged_as_nodes_that_have_just_started() -> None:
    said = Settings(ownership="strict", members=(A, B, C))
    assert founding({A: said, B: said}) == ("", {A: "", B: ""})
    assert founding({A: said})[0] == "no majority of the members a, b, c: only a of them here"
    other = Settings(ownership="strict", members=NAMES)
    assert founding({A: said, B: said, C: other}) == (
        "",
        {A: "", B: "", C: "with another list of members in its configuration"},
    )
    assert founding({A: Settings()}) == ("", {A: ""})
