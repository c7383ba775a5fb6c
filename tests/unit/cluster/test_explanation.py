"""Why a VIP has its owner, why nobody else has it, and who would if a node went."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given as given_examples
from hypothesis import settings
from hypothesis import strategies as st

from duravip.cluster.election import Candidate, Circumstances, elect, words
from duravip.cluster.explanation import Explanation, Grounds, explain
from duravip.cluster.flags import survey
from duravip.cluster.messages import Roll
from duravip.model import Address, NodeName, Table, Use, VipEntry, make_table

N1, N2, N3 = NODES = tuple(NodeName(f"n{number}") for number in (1, 2, 3))
A, B = Address("192.0.2.1"), Address("192.0.2.2")


def vip(address: Address = A, *, prefer: str = "", follow: str = "", name: str = "") -> VipEntry:
    return VipEntry(
        address=address,
        bindings=(Use(name),) if name else (),
        preference=Use(prefer) if prefer else None,
        follow=Use(follow) if follow else None,
    )


def explained(
    tables: Mapping[NodeName, list[VipEntry]],
    *candidates: Candidate,
    holders: Mapping[Address, tuple[NodeName, ...]] | None = None,
    pins: Mapping[Address, NodeName] | None = None,
    address: Address = A,
) -> Explanation:
    made: dict[NodeName, Table] = {node: make_table(vips) for node, vips in tables.items()}
    given = Circumstances(
        candidates=tuple(sorted(candidates, key=lambda one: one.name)) or tuple(Candidate(name=n) for n in made),
        holders=holders or {},
        pins=pins or {},
        view_mature=True,
    )
    found = explain(address, Grounds(tables=made, given=given, decisions=elect(survey(made), given)))
    assert found is not None
    return found


def why(found: Explanation) -> dict[str, tuple[bool, str]]:
    return {one.node: (one.eligible, one.why) for one in found.candidates}


def test_the_owner_has_the_words_of_the_election_and_every_other_member_says_why_not() -> None:
    tables = {N1: [vip()], N2: [vip()], N3: [vip(B)]}
    found = explained(tables, holders={A: (N1,)})
    assert (found.owner, found.reason) == (N1, "n1 holds it already")
    assert why(found) == {
        N1: (True, "n1 holds it already"),
        N2: (True, "n1 holds it, and what is held stays"),
        N3: (False, "n3 without it in its table"),
    }


def test_a_drained_member_and_one_that_is_not_preferred_say_so() -> None:
    everywhere = {node: [vip(prefer="n2")] for node in NODES}
    found = explained(everywhere, Candidate(name=N1), Candidate(name=N2), Candidate(name=N3, drained=True))
    assert why(found) == {
        N1: (True, "n2 is preferred"),
        N2: (True, "n2 is preferred"),
        N3: (False, "n3 drained"),
    }
    pinned = explained(everywhere, pins={A: N1})
    assert why(pinned)[N2] == (True, "it is pinned to n1")


def test_nobody_may_have_a_broken_address_and_it_says_who_would_mend_it_by_going() -> None:
    found = explained({N1: [vip(name="a")], N2: [vip(name="b")], N3: [vip(name="b")]})
    assert found.owner is None
    assert found.reason.startswith("BROKEN: n1 binds 192.0.2.1 under the name a")
    assert {one.eligible for one in found.candidates} == {False}
    assert found.if_down[N1] in (N2, N3)
    assert found.if_down[N2] is None


def test_if_the_owner_goes_another_gets_it_and_if_another_goes_it_stays() -> None:
    tables = {N1: [vip(), vip(B)], N2: [vip(), vip(B)], N3: [vip(B)]}
    assert explained(tables, holders={A: (N1,), B: (N3,)}).if_down == {N1: N2, N2: N1}
    alone = explained({N1: [vip()], N2: [vip(B)]}, holders={A: (N1,)})
    assert alone.if_down == {N1: None}


def test_a_follower_goes_where_what_it_follows_goes() -> None:
    both = [vip(), vip(B, follow=A)]
    found = explained({N1: both, N2: both}, holders={A: (N1,), B: (N1,)}, address=B)
    assert found.reason == f"follows {A}, which n1 owns"
    assert why(found)[N2] == (True, f"it follows {A}, which n1 owns")
    assert found.if_down == {N1: N2, N2: N1}


def test_an_address_of_nobodys_table_is_not_explained() -> None:
    given = Circumstances(candidates=(), holders={}, view_mature=True)
    assert explain(A, Grounds(tables={}, given=given, decisions={})) is None


@settings(max_examples=60)
@given_examples(
    st.lists(
        st.tuples(st.sets(st.sampled_from(NODES), min_size=1), st.sampled_from(["", "n1", "n2"]), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_who_gets_it_if_a_node_goes_is_whom_the_election_without_the_node_takes(vips) -> None:  # type: ignore[no-untyped-def]
    addresses = [Address(f"192.0.2.{number}") for number in range(len(vips))]
    tables = {
        node: make_table(
            vip(address, prefer=prefer)
            for address, (may, prefer, _) in zip(addresses, vips, strict=True)
            if node in may
        )
        for node in NODES
    }
    holders = {a: (min(may),) for a, (may, _, held) in zip(addresses, vips, strict=True) if held}
    given = Circumstances(candidates=tuple(Candidate(name=n) for n in NODES), holders=holders, view_mature=True)
    landscape = survey(tables)
    decisions = elect(landscape, given)
    now = {address: (made.owner,) for address, made in decisions.items() if made.owner is not None}
    grounds = Grounds(
        tables=tables,
        given=Circumstances(candidates=given.candidates, holders=now, view_mature=True),
        decisions=decisions,
    )
    for address in landscape.universe:
        found = explain(address, grounds)
        assert found is not None
        assert found.reason == words(address, decisions[address], landscape, grounds.given)
        for gone, heir in found.if_down.items():
            rest = Circumstances(
                candidates=tuple(one for one in given.candidates if one.name != gone),
                holders={a: nodes for a, nodes in now.items() if nodes != (gone,)},
                view_mature=False,
            )
            after = elect(survey({node: table for node, table in tables.items() if node != gone}), rest)
            assert heir == (after[address].owner if address in after else None)


@pytest.mark.parametrize("owner", ["preferred", "holder", "pinned"])
def test_the_owner_is_always_among_the_candidates_and_eligible(owner: str) -> None:
    everywhere = {node: [vip(prefer="n2" if owner == "preferred" else "")] for node in NODES}
    found = explained(everywhere, holders={A: (N1,)}, pins={A: N3} if owner == "pinned" else {})
    assert [one.eligible for one in found.candidates if one.node == found.owner] == [True]


def test_if_a_node_went_without_which_there_is_no_majority_nobody_would_own_it() -> None:
    """`strict` ownership; n3 is a member of the list, and off."""
    tables = {node: make_table([vip()]) for node in (N1, N2)}
    given = Circumstances(candidates=(Candidate(name=N1), Candidate(name=N2)), holders={A: (N1,)}, view_mature=True)
    decisions = elect(survey(tables), given)

    def if_down(*members: NodeName) -> Mapping[NodeName, NodeName | None]:
        roll = Roll(members=members, tie_breaker="", lifetime_s=2)
        backers = {roll: frozenset((N1, N2))}
        found = explain(A, Grounds(tables=tables, given=given, decisions=decisions, backers=backers))
        assert found is not None
        return found.if_down

    assert if_down(N1, N2, N3) == {N1: None, N2: None}
    assert if_down(N1) == {N1: None, N2: N1}
