from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster.clique import partition
from duravip.model import Incarnation, Member, NodeName

A, B, C, D = (Member(NodeName(name), Incarnation(1, 1)) for name in "abcd")


def unless_linked(*pairs: tuple[Member, Member]) -> dict[Member, set[Member]]:
    """All but these pairs have no link."""
    linked, everybody = {frozenset(pair) for pair in pairs}, {A, B, C, D}
    return {one: {other for other in everybody - {one} if {one, other} not in linked} for one in everybody}


def test_nodes_that_all_hear_each_other_are_one_clique() -> None:
    assert partition([C, A, B], unless_linked((A, B), (B, C), (A, C))) == ((A, B, C),)


def test_a_link_that_is_not_transitive_leaves_the_later_name_out() -> None:
    assert partition([A, B, C], unless_linked((A, B), (A, C))) == ((A, B), (C,))


def test_those_left_out_form_cliques_of_their_own() -> None:
    assert partition([A, B, C, D], unless_linked((A, B), (C, D), (B, C))) == ((A, B), (C, D))


@given(
    st.sets(st.sampled_from([A, B, C, D]), min_size=1), st.sets(st.sampled_from(["ab", "ac", "ad", "bc", "bd", "cd"]))
)
def test_every_node_is_in_exactly_one_clique_whose_members_are_all_linked(
    members: set[Member], pairs: set[str]
) -> None:
    apart = unless_linked(
        *((Member(NodeName(p[0]), Incarnation(1, 1)), Member(NodeName(p[1]), Incarnation(1, 1))) for p in pairs)
    )
    cliques = partition(members, apart)
    assert sorted(member for clique in cliques for member in clique) == sorted(members)
    for clique in cliques:
        assert not any(other in apart[one] for one in clique for other in clique)
    assert [clique[0] for clique in cliques] == sorted(clique[0] for clique in cliques)
