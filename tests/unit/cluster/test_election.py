"""Who owns a VIP, and why: one rule after the other, then what must hold for every cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster.addresses import AddressSet
from duravip.cluster.election import (
    HANDOVERS_AT_ONCE,
    MEND_BROKEN,
    Candidate,
    Circumstances,
    elect,
    reason_text,
    why_not_move,
    wording,
    words,
)
from duravip.cluster.electorate import Electorate
from duravip.cluster.flags import survey
from duravip.cluster.messages import Blocked
from duravip.model import (
    Address,
    Decision,
    Incarnation,
    NodeName,
    Reason,
    Table,
    Use,
    ViewId,
    VipEntry,
    make_table,
)

A, B, C, D = (Address(f"192.0.2.{number}") for number in (1, 2, 3, 4))
N1, N2, N3, N4 = (NodeName(f"n{number}") for number in (1, 2, 3, 4))


def vip(address: str, *, names: str = "", prefer: str = "", follow: str = "", weight: float = 1.0) -> VipEntry:
    ranked = tuple(Use(name) for name in prefer.split())
    return VipEntry(
        address=Address(address),
        services=(Use("multivip"),),
        bindings=tuple(Use(name) for name in sorted(names.split())),
        preference=ranked[0] if ranked else None,
        alternatives=ranked[1:],
        follow=Use(follow) if follow else None,
        weight=weight,
    )


def vips(count: int, prefer: str = "") -> list[VipEntry]:
    return [vip(f"198.51.100.{number}", prefer=prefer) for number in range(count)]


def tables(**entries: list[VipEntry]) -> dict[NodeName, Table]:
    return {NodeName(node): make_table(of_node) for node, of_node in entries.items()}


def circumstances(
    *candidates: Candidate | NodeName,
    holders: Mapping[Address, tuple[NodeName, ...]] | None = None,
    pins: Mapping[Address, NodeName] | None = None,
    view_mature: bool = True,
    moving: int = 0,
) -> Circumstances:
    return Circumstances(
        candidates=tuple(one if isinstance(one, Candidate) else Candidate(name=one) for one in candidates),
        holders=holders or {},
        claims=holders or {},
        pins=pins or {},
        view_mature=view_mature,
        moving=moving,
    )


def fed_back(given: Circumstances, decisions: Mapping[Address, Decision]) -> Circumstances:
    """The next election's circumstances, once these decisions are carried out."""
    holders = {a: (d.owner,) for a, d in decisions.items() if d.owner is not None}
    return replace(given, holders=holders, claims=holders)


# --- the order of the rules


def test_a_broken_vip_is_owned_by_nobody_not_even_its_holder_pin_or_preferred() -> None:
    landscape = survey(tables(n1=[vip(A, names="a", prefer="n1")], n2=[vip(A, names="b")]))
    given = circumstances(N1, N2, holders={A: (N1,)}, pins={A: N1})
    assert elect(landscape, given) == {A: Decision(None, Reason.BROKEN)}


def test_a_pin_beats_preference_and_holder() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n1")], n2=[vip(A)]))
    assert elect(landscape, circumstances(N1, N2, holders={A: (N1,)}, pins={A: N2}))[A] == Decision(N2, Reason.PINNED)


def test_a_pin_to_a_node_that_may_not_own_is_passed_over() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)]))
    given = circumstances(N1, Candidate(name=N2, drained=True), holders={A: (N1,)}, pins={A: N2})
    assert elect(landscape, given)[A] == Decision(N1, Reason.HOLDER)


def test_an_unheld_vip_goes_to_its_preferred_owner_at_once() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)]))
    assert elect(landscape, circumstances(N1, N2, view_mature=False))[A] == Decision(N2, Reason.PREFERRED)


def test_a_held_vip_goes_to_its_preferred_owner_when_the_view_is_mature() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)]))
    given = circumstances(N1, N2, holders={A: (N1,)}, view_mature=False)
    assert elect(landscape, given)[A] == Decision(N1, Reason.HOLDER)
    assert elect(landscape, replace(given, view_mature=True))[A] == Decision(N2, Reason.PREFERRED)


@pytest.mark.parametrize("fail_back", ["never", "manual"])
def test_fail_back_can_be_forbidden_for_held_vips_only(fail_back: str) -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2"), vip(B, prefer="n2")], n2=[vip(A), vip(B)]))
    decisions = elect(landscape, replace(circumstances(N1, N2, holders={A: (N1,)}), fail_back=fail_back))
    assert decisions == {A: Decision(N1, Reason.HOLDER), B: Decision(N2, Reason.PREFERRED)}


def test_a_vip_whose_holder_may_not_own_it_any_more_counts_as_unheld() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)], n3=[vip(A)]))
    given = circumstances(Candidate(name=N1, drained=True), N2, N3, holders={A: (N1,)}, view_mature=False)
    assert elect(landscape, given)[A] == Decision(N2, Reason.PREFERRED)


@pytest.mark.parametrize(
    "preferred",
    [
        Candidate(name=N2, mature=False),
        Candidate(name=N2, drained=True),
        Candidate(name=N2, leaving=True),
        Candidate(name=N2, blocked=Blocked(everything="no carrier on eth0")),
        Candidate(name=N2, blocked=Blocked(addresses=AddressSet([A]))),
    ],
    ids=["immature", "drained", "leaving", "blocked", "blocked for the address"],
)
def test_a_preference_for_a_node_that_may_not_own_means_ordinary_election(preferred: Candidate) -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)]))
    assert elect(landscape, circumstances(N1, preferred))[A] == Decision(N1, Reason.LEAST_LOADED)
    assert not landscape.flags, "and is no flag"


def test_a_conflict_is_settled_by_ordinary_election() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n1")], n2=[vip(A, prefer="n2")], n3=[vip(A)]))
    assert elect(landscape, circumstances(N1, N2, N3, holders={A: (N3,)}))[A] == Decision(N3, Reason.HOLDER)


def test_of_several_preferences_the_first_counts_that_can_be_honoured() -> None:
    landscape = survey(dict.fromkeys(("n1", "n2", "n3"), tables(n=[vip(A, prefer="n3 n2 n1")])["n"]))
    drained = Candidate(name=N3, drained=True)
    given = circumstances(N1, N2, drained, holders={A: (N1,)})
    decision = elect(landscape, given)[A]
    assert decision == Decision(N2, Reason.PREFERRED)
    assert words(A, decision, landscape, given) == "n2 is preferred; n3 drained, which comes first"
    assert elect(landscape, circumstances(N1, N2, N3, holders={A: (N2,)}))[A] == Decision(N3, Reason.PREFERRED)
    waiting = circumstances(N1, N2, N3, holders={A: (N2,)}, view_mature=False)
    assert elect(landscape, waiting)[A] == Decision(N2, Reason.HOLDER)
    text = words(A, Decision(N2, Reason.HOLDER), landscape, waiting)
    assert text == "n2 holds it already; n3 is preferred and gets it when the view is mature"


def test_what_a_drained_or_leaving_node_holds_is_handed_over_a_few_at_a_time() -> None:
    here = [*vips(50), vip("192.0.2.99", follow="198.51.100.49")]
    landscape = survey(tables(n1=here, n2=here))
    for going in (Candidate(name=N1, drained=True), Candidate(name=N1, leaving=True)):
        given = circumstances(going, N2, holders={one.address: (N1,) for one in here})
        decisions = elect(landscape, given)
        assert sum(made.owner == N2 for made in decisions.values()) == HANDOVERS_AT_ONCE == 16
        assert decisions[Address("192.0.2.99")] == Decision(N1, Reason.FOLLOWS), "it stays with what it follows"
        waiting = next(address for address, made in decisions.items() if made == Decision(N1, Reason.HOLDER))
        text = words(waiting, decisions[waiting], landscape, given)
        assert text == "n1 holds it until it is its turn to be handed over"
        assert N2 not in {made.owner for made in elect(landscape, replace(given, moving=1)).values()}


def test_a_drained_node_is_not_given_what_it_does_not_have() -> None:
    here = [*vips(50), vip("192.0.2.99", follow="198.51.100.49")]
    landscape = survey(tables(n1=here, n2=here))
    drained = Candidate(name=N1, drained=True)
    given = replace(circumstances(drained, N2, holders={one.address: (N1,) for one in here}), claims={})
    assert {made.owner for made in elect(landscape, given).values()} == {N2}
    followed, follower = Address("198.51.100.49"), Address("192.0.2.99")
    given = replace(given, claims={followed: (N1,)}, moving=16)
    decisions = elect(landscape, given)
    assert decisions[followed] == Decision(N1, Reason.HOLDER)
    assert decisions[follower] == Decision(None, Reason.CANNOT_FOLLOW), "it has only what it follows"


@pytest.mark.parametrize(("universe", "at_a_time"), [(543, 16), (544, 17)])
def test_of_very_many_a_32nd_is_handed_over_at_a_time(universe: int, at_a_time: int) -> None:
    many = [vip(f"10.0.{number // 256}.{number % 256}") for number in range(universe)]
    holders = {one.address: (N1,) for one in many}
    decisions = elect(
        survey(tables(n1=many, n2=many)), circumstances(Candidate(name=N1, drained=True), N2, holders=holders)
    )
    assert sum(made.owner == N2 for made in decisions.values()) == at_a_time


def test_without_the_majority_nobody_owns_anything_but_what_is_broken_is_called_so() -> None:
    landscape = survey(tables(n1=[vip(A), vip(B, names="a")], n2=[vip(A), vip(B, names="b")]))
    given = replace(circumstances(N1, N2, holders={A: (N1,)}, pins={A: N2}), no_majority="one of three")
    assert elect(landscape, given) == {A: Decision(None, Reason.NO_MAJORITY), B: Decision(None, Reason.BROKEN)}


def test_what_is_kept_together_is_not_spread_as_well() -> None:
    group = [msgspec.structs.replace(one, together="g") for one in (vip(A), vip(B), vip(C), vip(D))]
    made = elect(survey(tables(n1=group, n2=group)), circumstances(N1, N2, holders={A: (N2,)}))
    assert made == {A: Decision(N2, Reason.HOLDER)} | dict.fromkeys((B, C, D), Decision(N2, Reason.TOGETHER))


def test_why_an_operator_cannot_move_an_address_is_said_the_cause_first() -> None:
    landscape = survey(tables(n1=[vip(A), vip(B, names="a"), vip(C, follow=A)], n2=[vip(A), vip(B, names="b"), vip(D)]))
    given = circumstances(N1, Candidate(name=N2, drained=True))
    assert why_not_move(landscape, given, A, N1) == ""
    assert why_not_move(landscape, given, A, N2) == "n2 drained"
    assert why_not_move(landscape, given, A, N3) == "n3 is no member of the view; its members are n1, n2"
    assert why_not_move(landscape, given, B, N1) == f"{B} is BROKEN: nobody may have it until the Binding names agree"
    assert why_not_move(landscape, given, Address("192.0.2.9"), N1) == "192.0.2.9 is in nobody's table"
    assert why_not_move(landscape, replace(given, no_majority="no majority"), A, N1) == "no majority"
    following = survey(tables(n1=[vip(A), vip(C, follow=A)]))
    assert why_not_move(following, circumstances(N1), C, N1) == f"{C} follows {A}: move that"


@pytest.mark.parametrize(
    ("fail_back", "mature", "said"),
    [
        ("never", True, "; n2 is preferred, but fail_back is never"),
        ("manual", True, f"; n2 is preferred, and `duravip move {A} auto` gives it back (fail_back is manual)"),
        ("when-mature", False, "; n2 is preferred and gets it when the view is mature"),
        ("when-mature", True, "; n2 is preferred and gets it when other moves are done"),
    ],
)
def test_the_reason_says_when_a_preferred_node_gets_what_another_holds(fail_back: str, mature: bool, said: str) -> None:
    entries = [vip(A, prefer="n2")]
    given = replace(circumstances(N1, N2, holders={A: (N1,)}, view_mature=mature), fail_back=fail_back)
    held = Decision(N1, Reason.HOLDER)
    assert words(A, held, survey(tables(n1=entries, n2=entries)), given) == f"n1 holds it already{said}"


def test_a_drained_node_that_is_blocked_or_lacks_the_address_keeps_nothing() -> None:
    here = vips(50)
    landscape = survey(tables(n1=here, n2=here))
    for blocked in (Blocked(everything="no carrier"), Blocked(addresses=AddressSet(one.address for one in here))):
        given = circumstances(
            Candidate(name=N1, drained=True, blocked=blocked), N2, holders={one.address: (N1,) for one in here}
        )
        assert {made.owner for made in elect(landscape, given).values()} == {N2}


def test_a_drained_node_that_the_charter_bars_keeps_nothing() -> None:
    here = vips(50)
    landscape = survey(tables(n1=here, n2=here))
    for going in (Candidate(name=N1, drained=True), Candidate(name=N1, leaving=True)):
        barred = replace(going, barred="not among the members of its configuration")
        given = circumstances(barred, N2, holders={one.address: (N1,) for one in here})
        assert {made.owner for made in elect(landscape, given).values()} == {N2}


def test_preferences_for_what_is_held_are_followed_a_few_at_a_time_once_nothing_is_on_its_way() -> None:
    here = vips(50, prefer="n2")
    landscape = survey(tables(n1=here, n2=here))
    given = circumstances(N1, N2, holders={one.address: (N1,) for one in here})
    assert sum(d.owner == N2 for d in elect(landscape, given).values()) == HANDOVERS_AT_ONCE == 16
    assert sum(d.owner == N2 for d in elect(landscape, replace(given, moving=1)).values()) == 0


def test_the_present_holder_stays_although_others_have_less() -> None:
    here = vips(6)
    landscape = survey(tables(n1=here, n2=here))
    given = circumstances(N1, N2, holders={one.address: (N1,) for one in here})
    assert set(elect(landscape, given).values()) == {Decision(N1, Reason.HOLDER)}


# --- a merge

OLD, OTHER = (ViewId(epoch, N1, Incarnation(1, 1)) for epoch in (4, 5))


def test_the_winner_of_a_merge_brings_more_members_of_its_previous_view() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)], n3=[vip(A)]))
    members = (Candidate(name=N1, previous=OLD), Candidate(name=N2, previous=OTHER), Candidate(name=N3, previous=OTHER))
    given = circumstances(*members, holders={A: (N1, N2)})
    assert elect(landscape, given)[A] == Decision(N2, Reason.MERGE)


def test_equal_parts_of_a_merge_are_told_apart_by_name() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)]))
    members = (Candidate(name=N1, previous=OLD), Candidate(name=N2, previous=OTHER))
    assert elect(landscape, circumstances(*members, holders={A: (N1, N2)}))[A] == Decision(N1, Reason.MERGE)


def test_a_preferred_owner_among_several_holders_wins_the_merge_at_once() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)]))
    given = circumstances(N1, N2, holders={A: (N1, N2)}, view_mature=False)
    assert elect(landscape, given)[A] == Decision(N2, Reason.PREFERRED)


def test_a_holder_that_may_not_own_takes_no_part_in_a_merge() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)]))
    given = circumstances(Candidate(name=N1, mature=False), N2, holders={A: (N1, N2)})
    assert elect(landscape, given)[A] == Decision(N2, Reason.HOLDER)


# --- eligibility and load


def test_a_follower_that_nobody_may_own_says_so_and_why() -> None:
    """Not only that the owner of what it follows may not."""
    landscape = survey(tables(n1=[vip(A), vip(B, follow=A)], n2=[vip(A), vip(B, follow=A)]))
    blocked = Blocked(addresses=AddressSet([B]))
    given = circumstances(Candidate(name=N1, blocked=blocked), Candidate(name=N2, blocked=blocked))
    made = elect(landscape, given)[B]
    assert made == Decision(None, Reason.CANNOT_FOLLOW)
    assert words(B, made, landscape, given) == (
        "follows 192.0.2.1, no eligible member: n1 blocked for this address, n2 blocked for this address"
    )


def test_a_broken_follower_is_owned_by_nobody_whoever_owns_what_it_follows() -> None:
    landscape = survey(tables(n1=[vip(A), vip(B, names="a", follow=A)], n2=[vip(A), vip(B, names="b", follow=A)]))
    made = elect(landscape, circumstances(N1, N2, holders={A: (N1,), B: (N1,)}))
    assert made == {A: Decision(N1, Reason.HOLDER), B: Decision(None, Reason.BROKEN)}


def test_of_two_holders_the_one_that_is_not_drained_keeps_it_however_many_are_on_their_way() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)]))
    given = circumstances(Candidate(name=N1, drained=True), N2, holders={A: (N1, N2)}, moving=1)
    assert elect(landscape, given) == {A: Decision(N2, Reason.HOLDER)}


def test_a_decision_about_what_follows_no_more_can_still_be_told() -> None:
    landscape, given = survey(tables(n1=[vip(A)])), circumstances(N1)
    assert words(A, Decision(None, Reason.FOLLOWED_UNOWNED), landscape, given) == (
        "follows another address, which nobody owns"
    )


@pytest.mark.parametrize(
    ("address", "reason", "sentence"),
    [
        (B, Reason.FOLLOWS, "follows 192.0.2.1, which n1 owns"),
        (A, Reason.PINNED, "pinned to n1"),
        (A, Reason.MERGE, "n1 keeps it: of several holders, more share its past, or its name is smaller"),
        (A, Reason.BALANCED, "n1 was given it to even out the loads"),
        (A, Reason.TOGETHER, "n1 is where `its group` is kept together"),
        (C, Reason.TOGETHER, "n1 is where `g` is kept together"),
    ],
)
def test_each_reason_has_a_sentence(address: Address, reason: Reason, sentence: str) -> None:
    entries = [vip(A), vip(B, follow=A), msgspec.structs.replace(vip(C), together="g")]
    landscape, given = survey(tables(n1=entries, n2=entries)), circumstances(N1, N2)
    assert words(address, Decision(N1, reason), landscape, given) == sentence


@pytest.mark.parametrize(
    ("prefer", "clause"),
    [
        ("n2", "n2 drained, which is preferred"),
        ("n2 n3", "n2 drained, n3 drained, which are preferred"),
        ("n2 n1", "n2 drained, which comes first"),
        ("n2 n3 n1", "n2 drained, n3 drained, which come first"),
    ],
)
def test_why_those_before_the_owner_are_passed_over_is_said(prefer: str, clause: str) -> None:
    landscape = survey(tables(**{node: [vip(A, prefer=prefer)] for node in ("n1", "n2", "n3")}))
    given = circumstances(N1, Candidate(name=N2, drained=True), Candidate(name=N3, drained=True))
    assert words(A, Decision(N1, Reason.HOLDER), landscape, given) == f"n1 holds it already; {clause}"


def test_what_is_blocked_somewhere_is_told_by_itself() -> None:
    entries = [vip(A, prefer="n2 n3"), vip(B, prefer="n2 n3")]
    landscape = survey(tables(**dict.fromkeys(("n1", "n2", "n3"), entries)))
    given = circumstances(
        N1,
        Candidate(name=N2, blocked=Blocked(addresses=AddressSet([A]))),
        Candidate(name=N3, blocked=Blocked(addresses=AddressSet([B]))),
    )
    say = wording(Electorate(landscape, given))
    told = {address: say(address, Decision(N1, Reason.HOLDER)) for address in (A, B)}
    assert "; n3 is preferred" in told[A]
    assert "; n2 is preferred" in told[B]


def test_what_no_table_has_is_said_to_be_in_none() -> None:
    landscape, given = survey(tables(n1=[vip(A)])), circumstances(N1)
    assert words(B, Decision(None, Reason.NOBODY_ELIGIBLE), landscape, given) == (
        "no eligible member: no online table has it"
    )


@pytest.mark.parametrize(
    ("nodes", "told"), [(4, "n4 drained"), (5, "n4 drained, and 1 more"), (9, "n4 drained, and 5 more")]
)
def test_a_reason_names_four_nodes_and_counts_the_rest(nodes: int, told: str) -> None:
    names = [NodeName(f"n{number}") for number in range(1, nodes + 1)]
    landscape = survey(tables(**{name: [vip(A)] for name in names}))
    given = circumstances(*(Candidate(name=name, drained=True) for name in names))
    assert words(A, Decision(None, Reason.NOBODY_ELIGIBLE), landscape, given) == (
        f"no eligible member: n1 drained, n2 drained, n3 drained, {told}"
    )


def test_nobody_owns_what_nobody_may() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)]))
    given = circumstances(Candidate(name=N1, mature=False), Candidate(name=N2, drained=True), holders={A: (N1,)})
    assert elect(landscape, given)[A] == Decision(None, Reason.NOBODY_ELIGIBLE)


def test_a_member_without_a_table_in_force_owns_nothing() -> None:
    landscape = survey(tables(n1=[vip(A)]))
    assert elect(landscape, circumstances(N1, N2, holders={A: (N2,)}))[A] == Decision(N1, Reason.LEAST_LOADED)


def test_unheld_vips_are_spread_evenly() -> None:
    here = vips(12)
    landscape = survey(tables(n1=here, n2=here, n3=here))
    owners = [decision.owner for decision in elect(landscape, circumstances(N1, N2, N3)).values()]
    assert [owners.count(node) for node in (N1, N2, N3)] == [4, 4, 4]


def test_node_weights_share_the_load_in_proportion() -> None:
    here = vips(12)
    landscape = survey(tables(n1=here, n2=here))
    given = circumstances(Candidate(name=N1, weight=1.0), Candidate(name=N2, weight=3.0))
    owners = [decision.owner for decision in elect(landscape, given).values()]
    assert [owners.count(node) for node in (N1, N2)] == [3, 9]


def test_a_broken_vip_counts_to_nobodys_load() -> None:
    """n1 holds three, all broken: the next two go one to each."""
    broken = [vip(f"203.0.113.{n}", names=f"a{n}") for n in range(3)]
    mended = [vip(f"203.0.113.{n}", names=f"b{n}") for n in range(3)]
    landscape = survey(tables(n1=[*broken, vip(A), vip(B)], n2=[*mended, vip(A), vip(B)]))
    decisions = elect(landscape, circumstances(N1, N2, holders={one.address: (N1,) for one in broken}))
    assert {decisions[A].owner, decisions[B].owner} == {N1, N2}


def test_overlapping_virtual_memberships_are_spread_as_well_as_can_be() -> None:
    """Dealing out one by one in order of address would give n1 two."""
    landscape = survey(tables(n1=[vip(A), vip(B), vip(C)], n2=[vip(A), vip(B)], n3=[vip(A)]))
    decisions = elect(landscape, circumstances(N1, N2, N3))
    assert {address: decision.owner for address, decision in decisions.items()} == {A: N3, B: N2, C: N1}


# --- following


def test_a_follower_is_owned_by_the_owner_of_the_end_of_its_chain() -> None:
    here = [vip(A, prefer="n2"), vip(B, follow=A), vip(C, follow=B)]
    decisions = elect(survey(tables(n1=here, n2=here)), circumstances(N1, N2))
    assert [decisions[address] for address in (B, C)] == [Decision(N2, Reason.FOLLOWS)] * 2


def test_the_follower_moves_with_what_it_follows_although_another_holds_it() -> None:
    here = [vip(A), vip(B, follow=A)]
    given = circumstances(N1, N2, holders={A: (N2,), B: (N1,)})
    assert elect(survey(tables(n1=here, n2=here)), given)[B] == Decision(N2, Reason.FOLLOWS)


def test_the_follower_of_a_vip_that_nobody_owns_is_owned_by_nobody_and_not_flagged() -> None:
    landscape = survey(tables(n1=[vip(A, names="a"), vip(B, follow=A)], n2=[vip(A, names="b"), vip(B, follow=A)]))
    assert elect(landscape, circumstances(N1, N2))[B] == Decision(None, Reason.FOLLOWED_UNOWNED)
    assert B not in landscape.flags


def test_the_follower_of_an_address_in_nobodys_table_is_owned_by_nobody() -> None:
    landscape = survey(tables(n1=[vip(B, follow=A)]))
    assert elect(landscape, circumstances(N1)) == {B: Decision(None, Reason.FOLLOWED_UNOWNED)}


def test_a_follower_that_the_owner_lacks_is_unowned_with_that_reason() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n1")], n2=[vip(A), vip(B, follow=A)]))
    given = circumstances(N1, N2)
    assert elect(landscape, given)[B] == Decision(None, Reason.CANNOT_FOLLOW)
    assert words(B, Decision(None, Reason.CANNOT_FOLLOW), landscape, given) == (
        "follows 192.0.2.1, whose owner cannot have it, only n2"
    )


def test_a_follower_that_is_blocked_at_the_owner_is_unowned() -> None:
    here = [vip(A, prefer="n1"), vip(B, follow=A)]
    given = circumstances(Candidate(name=N1, blocked=Blocked(addresses=AddressSet([B]))), N2)
    assert elect(survey(tables(n1=here, n2=here)), given)[B] == Decision(None, Reason.CANNOT_FOLLOW)


@pytest.mark.parametrize("able", [N1, N2, N3])
def test_among_equal_candidates_the_one_that_can_carry_all_followers_is_taken(able: NodeName) -> None:
    everyone = {node: make_table([vip(A)]) for node in (N1, N2, N3)}
    everyone[able] = make_table([vip(A), vip(B, follow=A), vip(C, follow=A)])
    decisions = elect(survey(everyone), circumstances(N1, N2, N3))
    assert {decision.owner for decision in decisions.values()} == {able}


def test_followers_count_to_the_load_of_the_owner() -> None:
    here = [vip(A), vip(B, follow=A), vip(C, follow=A), *vips(3)]
    decisions = elect(survey(tables(n1=here, n2=here)), circumstances(N1, N2))
    owners = [decision.owner for decision in decisions.values()]
    assert (owners.count(N1), owners.count(N2)) == (3, 3)
    assert len({decisions[address].owner for address in (A, B, C)}) == 1


# --- words


def test_the_reason_names_why_nobody_may_own_it() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)], n3=[vip(A)], n4=[vip(A)]))
    given = circumstances(
        Candidate(name=N1, mature=False),
        Candidate(name=N2, drained=True),
        Candidate(name=N3, blocked=Blocked(everything="no carrier")),
        Candidate(name=N4, blocked=Blocked(addresses=AddressSet([A]))),
    )
    assert words(A, elect(landscape, given)[A], landscape, given) == (
        "no eligible member: n1 immature, n2 drained, n3 blocked (no carrier), n4 blocked for this address"
    )


def test_a_node_that_leaves_is_not_called_drained() -> None:
    landscape = survey(tables(n1=[vip(A)], n2=[vip(A)]))
    given = circumstances(Candidate(name=N1, leaving=True), Candidate(name=N2, leaving=True, drained=True))
    assert words(A, elect(landscape, given)[A], landscape, given) == "no eligible member: n1 leaving, n2 leaving"


def test_what_one_member_leaves_to_a_stranger_nobody_may_own_and_the_reason_says_so() -> None:
    landscape = survey(tables(n1=[vip(A), vip(B)], n2=[vip(A), vip(B)]))
    given = circumstances(Candidate(name=N1, drained=True, blocked=Blocked(claimed=AddressSet([A]))), N2, pins={A: N2})
    decided = elect(landscape, given)
    assert decided[A] == Decision(None, Reason.NOBODY_ELIGIBLE)
    assert decided[B].owner == N2
    assert words(A, decided[A], landscape, given) == (
        "no eligible member: n1 leaves it to a stranger on the network, n2 waits until the stranger has gone"
    )


def test_the_reason_says_that_a_node_is_preferred() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)]))
    given = circumstances(N1, N2)
    assert words(A, elect(landscape, given)[A], landscape, given) == "n2 is preferred"


def test_the_reason_says_why_a_preference_is_not_honoured() -> None:
    landscape = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)]))
    given = circumstances(N1, Candidate(name=N2, mature=False), holders={A: (N1,)})
    decision = Decision(N1, Reason.HOLDER)
    assert words(A, decision, landscape, given) == "n1 holds it already; n2 immature, which is preferred"
    waiting = circumstances(N1, N2, holders={A: (N1,)}, view_mature=False)
    assert "n2 is preferred and gets it when the view is mature" in words(A, decision, landscape, waiting)


def test_the_reason_for_broken_names_the_names() -> None:
    landscape = survey(tables(n1=[vip(A, names="a")], n2=[vip(A, names="b")]))
    text = words(A, Decision(None, Reason.BROKEN), landscape, circumstances(N1, N2))
    assert text == f"BROKEN: n1 binds 192.0.2.1 under the name a; n2 binds 192.0.2.1 under the name b. {MEND_BROKEN}"


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_words_even_when_the_tables_have_changed_since(reason: Reason) -> None:
    decision = Decision(N1, reason)
    assert reason_text(decision)
    assert words(A, decision, survey({}), circumstances(N2))


# --- for every cluster

nodes = st.sampled_from([N1, N2, N3, N4])
addresses = [Address(f"192.0.2.{number}") for number in range(1, 9)]
some_entries = st.lists(
    st.builds(
        vip,
        st.sampled_from(addresses),
        names=st.sampled_from(["", "", "a", "b"]),
        prefer=st.sampled_from(["", "", "", "n1", "n2"]),
        follow=st.sampled_from(["", "", "", "192.0.2.1", "192.0.2.2"]),
        weight=st.sampled_from([1.0, 1.0, 1.0, 2.0]),
    ),
    unique_by=lambda entry: entry.address,
).map(lambda found: make_table(entry for entry in found if not entry.follow or entry.follow.value != entry.address))
clusters = st.dictionaries(nodes, some_entries, min_size=1)


@st.composite
def situations(draw: st.DrawFn) -> tuple[dict[NodeName, Table], Circumstances]:
    cluster = draw(clusters)
    members = sorted(set(cluster) | set(draw(st.lists(nodes, max_size=1))))
    candidates = tuple(
        Candidate(
            name=name,
            mature=draw(st.integers(0, 5)) > 0,
            drained=draw(st.integers(0, 5)) == 0,
            leaving=draw(st.integers(0, 5)) == 0,
            blocked=Blocked(addresses=AddressSet(draw(st.lists(st.sampled_from(addresses), max_size=1)))),
            weight=draw(st.sampled_from([1.0, 1.0, 2.0])),
            previous=draw(st.sampled_from([None, OLD, OTHER])),
        )
        for name in members
    )
    holders = draw(
        st.dictionaries(st.sampled_from(addresses), st.sets(st.sampled_from(members)).map(sorted).map(tuple))
    )
    pins = draw(st.dictionaries(st.sampled_from(addresses), nodes, max_size=1))
    mature = draw(st.booleans())
    claims = draw(st.sampled_from([holders, {}]))
    return cluster, Circumstances(
        candidates=candidates, holders=holders, claims=claims, pins=pins, view_mature=mature, moving=0
    )


@given(situations(), st.randoms())
def test_the_order_in_which_the_members_came_does_not_matter(situation, random) -> None:  # type: ignore[no-untyped-def]
    cluster, circumstances_ = situation
    items, holders = list(cluster.items()), list(circumstances_.holders.items())
    random.shuffle(items)
    random.shuffle(holders)
    shuffled = replace(circumstances_, holders=dict(holders))
    one, two = elect(survey(cluster), circumstances_), elect(survey(dict(items)), shuffled)
    assert list(one.items()) == list(two.items())


@given(situations())
def test_every_owner_may_own_and_every_vip_that_can_be_owned_is(situation) -> None:  # type: ignore[no-untyped-def]
    cluster, given_ = situation
    landscape = survey(cluster)
    decisions = elect(landscape, given_)
    able = {c.name: c for c in given_.candidates if c.mature and not c.drained and not c.leaving}
    assert tuple(decisions) == landscape.universe
    for address, decision in decisions.items():
        eligible = {n for n in landscape.members[address] if n in able and address not in able[n].blocked.addresses}
        if decision.owner is None:
            ordinary = decision.reason not in {Reason.BROKEN, Reason.FOLLOWED_UNOWNED, Reason.CANNOT_FOLLOW}
            assert not (ordinary and eligible)
        else:
            assert decision.owner in eligible
        assert words(address, decision, landscape, given_)


@given(situations())
def test_what_is_said_of_many_addresses_is_what_is_said_of_each(situation) -> None:  # type: ignore[no-untyped-def]
    clusters, given_ = situation
    landscape = survey(clusters)
    say = wording(Electorate(landscape, given_))
    for address, decision in elect(landscape, given_).items():
        assert say(address, decision) == words(address, decision, landscape, given_)


@given(situations())
def test_an_election_repeated_with_its_own_outcome_changes_no_owner(situation) -> None:  # type: ignore[no-untyped-def]
    cluster, given_ = situation
    landscape = survey(cluster)
    first = elect(landscape, given_)
    second = elect(landscape, fed_back(given_, first))
    assert {a: d.owner for a, d in first.items()} == {a: d.owner for a, d in second.items()}
    assert elect(landscape, fed_back(given_, second)) == second


@given(clusters, nodes)
def test_when_a_node_dies_only_its_vips_move(cluster: dict[NodeName, Table], dead: NodeName) -> None:
    """Where the death changes no flag and no preference, as between nodes with equal tables."""
    table = next(iter(cluster.values()))
    equal = dict.fromkeys([*cluster, N3, N4], table)
    everyone = Circumstances(
        candidates=tuple(Candidate(name=name) for name in sorted(equal)), holders={}, view_mature=True
    )
    before = elect(survey(equal), everyone)
    left = {name: one for name, one in equal.items() if name != dead}
    after_death = fed_back(everyone, before)
    survivors = tuple(one for one in everyone.candidates if one.name != dead)
    holders = {address: held for address, held in after_death.holders.items() if held != (dead,)}
    after = elect(survey(left), replace(after_death, candidates=survivors, holders=holders, view_mature=False))
    for address, decision in before.items():
        if decision.owner != dead:
            assert after[address].owner == decision.owner


# --- the least loaded, in words


@pytest.mark.parametrize(
    ("members", "group", "said"),
    [
        (("n1", "n2"), "", "is the least loaded eligible member"),
        (("n1", "n2"), "g", "is the least loaded eligible member, as far from the rest of `g` as there is room"),
        (("n1",), "", "is the only eligible member"),
        (("n1",), "g", "is the only eligible member"),
    ],
)
def test_the_reason_names_a_group_only_where_there_was_a_choice(members, group, said) -> None:
    entry = msgspec.structs.replace(vip(A, names="a"), anti_affinity=group)
    landscape = survey(tables(**{node: [entry] for node in members}))
    given = circumstances(*(NodeName(node) for node in members))
    decision = elect(landscape, given)[A]
    assert words(A, decision, landscape, given) == f"{decision.owner} {said}"


def test_whatever_decides_about_one_address_the_next_ones_are_decided_too() -> None:
    """Pinned; preferred, while unheld and while held elsewhere; held; and none of it."""
    e = Address("192.0.2.5")
    entries = [vip(A), vip(B, prefer="n2"), vip(C, prefer="n2"), vip(D), vip(e)]
    landscape = survey(tables(n1=entries, n2=entries))
    decided = elect(landscape, circumstances(N1, N2, holders={C: (N1,), D: (N1,)}, pins={A: N1}))
    assert [decided[address].reason for address in (A, B, C, D, e)] == [
        Reason.PINNED,
        Reason.PREFERRED,
        Reason.PREFERRED,
        Reason.HOLDER,
        Reason.LEAST_LOADED,
    ]
