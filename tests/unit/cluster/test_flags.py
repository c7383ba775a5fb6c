"""What the tables of the online members say together: SAFE, CONFLICT, UNSAFE, BROKEN, and who follows
whom."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster import reading
from duravip.cluster.flags import Landscape, alike, in_words, survey
from duravip.cluster.stepwise import at_once
from duravip.model import Address, Flag, NodeName, Origin, Table, Use, VipEntry, make_table

A, B, C, D = (Address(f"192.0.2.{number}") for number in (1, 2, 3, 4))


def vip(
    address: str,
    services: str = "multivip",
    names: str = "",
    prefer: str = "",
    follow: str = "",
    file: str = "x.conf",
    weight: float = 1.0,
) -> VipEntry:
    """`services` and `names` are separated by spaces; places are the file and lines 1, 2, ... in that
    order."""
    ranked = tuple(Use(name, Origin(file, 30, 1)) for name in prefer.split())
    return VipEntry(
        address=Address(address),
        services=tuple(Use(word, Origin(file, 10 + line, 1)) for line, word in enumerate(sorted(services.split()))),
        bindings=tuple(Use(word, Origin(file, 20 + line, 1)) for line, word in enumerate(sorted(names.split()))),
        preference=ranked[0] if ranked else None,
        alternatives=ranked[1:],
        follow=Use(follow, Origin(file, 40, 1)) if follow else None,
        weight=weight,
        origin=Origin(file, 1, 1),
    )


def tables(**entries: list[VipEntry]) -> dict[NodeName, Table]:
    return {NodeName(node): make_table(vips) for node, vips in entries.items()}


def flags_of(landscape: Landscape, address: Address = A) -> list[str]:
    return [flag.value for flag in landscape.flags.get(address, {})]


def evidence(landscape: Landscape, flag: Flag, address: Address = A) -> list[tuple[str, str]]:
    return [(item.node, item.value) for item in landscape.flags[address][flag]]


# --- membership


def test_digests_that_are_known_already_change_nothing() -> None:
    given = tables(a=[vip(A, names="x")], b=[vip(A, names="y")], c=[vip(A, names="x")], d=[vip(B)])
    assert survey(given, {node: table.digest() for node, table in given.items()}) == survey(given)


def test_an_empty_cluster_has_an_empty_landscape() -> None:
    found = survey({})
    assert (found.universe, dict(found.members), dict(found.flags)) == ((), {}, {})


def test_virtual_members_are_the_online_nodes_whose_table_has_the_address() -> None:
    found = survey(tables(n2=[vip(A), vip(B)], n1=[vip(B)], n3=[vip(C)]))
    assert found.universe == (A, B, C)
    assert found.members == {A: ("n2",), B: ("n1", "n2"), C: ("n3",)}
    assert found.entries[NodeName("n1")] == {B: vip(B)}


def test_members_are_sorted_by_name_however_their_tables_come() -> None:
    same = survey(tables(n3=[vip(A)], n1=[vip(A)], n2=[vip(A)]))
    differ = survey(tables(n3=[vip(A)], n2=[vip(A), vip(B)], n1=[vip(A)]))
    assert same.members[A] == differ.members[A] == ("n1", "n2", "n3")
    assert list(same.entries) == ["n1", "n2", "n3"]


def test_the_universe_is_in_text_order() -> None:
    found = survey(tables(n1=[vip("192.0.2.9"), vip("192.0.2.10"), vip("2001:db8::1")]))
    assert found.universe == ("192.0.2.10", "192.0.2.9", "2001:db8::1")


# --- SAFE


def test_equal_tables_are_safe() -> None:
    found = survey(tables(n1=[vip(A, "multivip esmtp:25", "a", prefer="n1")], n2=[vip(A, "multivip esmtp:25", "a")]))
    assert found.flags == {}


def test_places_and_interfaces_do_not_matter() -> None:
    one, two = vip(A, "multivip", "a", file="1.conf"), vip(A, "multivip", "a", file="2.conf")
    assert survey(tables(n1=[one], n2=[two])).flags == {}


def test_a_vip_of_one_node_only_is_safe() -> None:
    assert survey(tables(n1=[vip(A, "multivip", "a", prefer="n2")], n2=[vip(B)])).flags == {}


# --- CONFLICT


def test_two_online_virtual_members_named_as_preferred_owner_are_a_conflict() -> None:
    found = survey(tables(n1=[vip(A, prefer="n1", file="1")], n2=[vip(A, prefer="n2", file="2")], n3=[vip(A)]))
    assert flags_of(found) == ["CONFLICT"]
    assert A not in found.preferences
    assert [(e.node, e.value, e.file, e.line) for e in found.flags[A][Flag.CONFLICT]] == [
        ("n1", "n1", "1", 30),
        ("n2", "n2", "2", 30),
    ]


def test_any_members_table_may_name_any_node() -> None:
    found = survey(tables(n1=[vip(A, prefer="n2")], n2=[vip(A)]))
    assert found.preferences == {A: ("n2",)}


def test_none_beside_one_name_is_undisputed() -> None:
    found = survey(tables(n1=[vip(A, prefer="n1")], n2=[vip(A)]))
    assert (flags_of(found), found.preferences) == ([], {A: ("n1",)})


def test_two_members_naming_the_same_node_agree() -> None:
    found = survey(tables(n1=[vip(A, prefer="n1")], n2=[vip(A, prefer="n1")]))
    assert (flags_of(found), found.preferences) == ([], {A: ("n1",)})


def test_a_conflict_is_cleared_when_only_one_of_the_named_is_online() -> None:
    both = tables(n1=[vip(A, prefer="n1")], n2=[vip(A, prefer="n2")], n3=[vip(A)])
    del both[NodeName("n2")]
    found = survey(both)
    assert (flags_of(found), found.preferences) == ([], {A: ("n1",)})


def test_the_name_of_an_offline_node_does_not_count() -> None:
    found = survey(tables(n1=[vip(A, prefer="n9")], n2=[vip(A, prefer="n2")]))
    assert (flags_of(found), found.preferences) == ([], {A: ("n2",)})


def test_the_name_of_an_online_node_that_is_no_virtual_member_does_not_count() -> None:
    found = survey(tables(n1=[vip(A, prefer="n3")], n2=[vip(A, prefer="n2")], n3=[vip(B)]))
    assert (flags_of(found), found.preferences) == ([], {A: ("n2",)})


def test_names_are_compared_whole_and_case_sensitively() -> None:
    assert survey(tables(n1=[vip(A, prefer="N1")], n2=[vip(A, prefer="n2.example")])).preferences == {}


# --- ranked preferences


def test_a_list_names_as_preferred_owner_the_first_of_it_who_is_online() -> None:
    found = survey(tables(n1=[vip(A, prefer="n9 n2 n1")], n2=[vip(A, prefer="n2")], n3=[vip(A)]))
    assert (flags_of(found), found.preferences) == ([], {A: ("n2", "n1")})


def test_lists_with_different_first_online_names_are_a_conflict_until_one_of_these_goes() -> None:
    lists = tables(n1=[vip(A, prefer="n1 n2")], n2=[vip(A, prefer="n2 n1")], n3=[vip(A)])
    found = survey(lists)
    assert (flags_of(found), found.preferences) == (["CONFLICT"], {})
    assert [(e.node, e.value) for e in found.flags[A][Flag.CONFLICT]] == [("n1", "n1"), ("n2", "n2")]
    del lists[NodeName("n1")]
    assert (flags_of(survey(lists)), survey(lists).preferences) == ([], {A: ("n2",)})


def test_lists_that_differ_behind_their_first_names_count_as_far_as_they_agree_and_are_no_conflict() -> None:
    found = survey(tables(n1=[vip(A, prefer="n1 n2 n3")], n2=[vip(A, prefer="n1 n3 n2")], n3=[vip(A, prefer="n1")]))
    assert (flags_of(found), found.preferences) == ([], {A: ("n1",)})
    shorter = survey(tables(n1=[vip(A, prefer="n1 n2 n3")], n2=[vip(A, prefer="n1 n2")], n3=[vip(A)]))
    assert (flags_of(shorter), shorter.preferences) == ([], {A: ("n1", "n2", "n3")})


# --- UNSAFE


def test_a_listener_on_one_member_only_is_unsafe_with_evidence_from_all() -> None:
    found = survey(tables(n1=[vip(A, "multivip esmtp:25", "a", file="1")], n2=[vip(A, "multivip", "a", file="2")]))
    assert flags_of(found) == ["UNSAFE"]
    assert evidence(found, Flag.UNSAFE) == [("n1", "esmtp:25, multivip"), ("n2", "multivip")]
    first, second = found.flags[A][Flag.UNSAFE]
    assert (first.file, first.line) == ("1", 10), "the place of the listener that the other lacks"
    assert (second.file, second.line) == ("2", 1)
    assert first.text == "n1 runs esmtp:25, multivip on 192.0.2.1"


def test_flagged_addresses_stand_in_order_whatever_is_wrong_with_them() -> None:
    one = [vip(A, names="a"), vip(B, "esmtp:25"), vip(C, names="c")]
    found = survey(tables(n1=one, n2=[vip(A, names="x"), vip(B), vip(C, names="y")]))
    assert list(found.flags) == [A, B, C]


@pytest.mark.parametrize("other_weight", [1.0, 2.0], ids=["tables alike", "tables that differ"])
def test_what_follows_is_in_no_group_of_its_own(other_weight: float) -> None:
    free, following = (
        msgspec.structs.replace(vip(address, follow=follow), anti_affinity="x", together="y")
        for address, follow in ((A, ""), (B, A))
    )
    found = survey(tables(n1=[free, following], n2=[msgspec.structs.replace(free, weight=other_weight), following]))
    assert found.follows == {B: A}
    assert (found.apart, found.together, found.companies) == ({A: "x"}, {A: "y"}, {"y": (A,)})


@pytest.mark.parametrize("nodes", [("n1",), ("n1", "n2")])
def test_weights_has_only_what_is_not_one(nodes: tuple[str, ...]) -> None:
    entries = [vip(A), vip(B, weight=3.0)]
    assert survey(tables(**dict.fromkeys(nodes, entries))).weights == {B: 3.0}


def test_every_evidence_is_a_sentence_of_its_own() -> None:
    found = survey(
        tables(
            n1=[vip(A, prefer="n1"), vip(B, "esmtp:25 multivip"), vip(C, follow=A), vip(D, names="a b")],
            n2=[vip(A, prefer="n9 n2"), vip(B, ""), vip(C), vip(D, names="a")],
        )
    ).flags
    assert {flag: [(one.value, one.text) for one in said[flag]] for said in found.values() for flag in said} == {
        Flag.CONFLICT: [
            ("n1", f"n1 names n1 as the preferred owner of {A}"),
            ("n2", f"n2 names n2 as the preferred owner of {A}"),
        ],
        Flag.UNSAFE: [
            (f"follows {A}", f"on n1, {C} follows {A}: the members disagree, so it follows nothing"),
            ("follows nothing", f"on n2, {C} follows nothing: the members disagree, so it follows nothing"),
        ],
        Flag.BROKEN: [
            ("a, b", f"n1 binds {D} under the names a, b"),
            ("a", f"n2 binds {D} under the name a"),
        ],
    }
    assert [one.text for one in found[B][Flag.UNSAFE]] == [
        f"n1 runs esmtp:25, multivip on {B}",
        f"n2 runs no service on {B}",
    ]


def test_a_name_that_two_members_bind_to_different_addresses_is_told_with_every_place() -> None:
    names = [*"abcdefgh"]
    here, there = vip(A, names=" ".join(names)), vip(B, names=" ".join(names))
    found = survey(tables(n1=[here], n2=[there], n3=[here])).flags
    under = f"under the names {', '.join(names)}"
    assert [one.text for one in found[A][Flag.BROKEN]] == [
        f"n1 binds {A} {under}",
        f"n3 binds {A} {under}",
        *(f"n2 binds the name {name} to {B}" for name in names),
    ]
    assert [one.text for one in found[B][Flag.BROKEN]] == [
        f"n2 binds {B} {under}",
        *(f"{node} binds the name {name} to {A}" for name in names for node in ("n1", "n3")),
    ]


def test_a_names_places_are_told_in_the_order_of_the_nodes() -> None:
    found = survey(
        tables(n1=[vip(A, names="x")], n2=[vip(B, names="x")], n3=[vip(A, names="x")], n4=[vip(C, names="x")])
    )
    assert [one.node for one in found.flags[C][Flag.BROKEN]] == ["n4", "n1", "n2", "n3"]


def test_whom_it_follows_is_told_with_its_place_and_that_it_follows_nothing_with_the_entrys() -> None:
    found = survey(tables(n1=[vip(A), vip(C, follow=A)], n2=[vip(A), vip(C)])).flags
    assert [one.line for one in found[C][Flag.UNSAFE]] == [40, 1]


def test_behind_a_place_where_rankings_differ_nobody_is_preferred() -> None:
    found = survey(tables(n1=[vip(A, prefer="n1 n2 n4")], n2=[vip(A, prefer="n1 n3 n4")], n3=[vip(A)], n4=[vip(A)]))
    assert found.preferences == {A: ("n1",)}


def test_evidence_is_told_by_what_it_says_the_rarest_first() -> None:
    same, other = vip(A, names="a"), vip(A, names="b")
    found = survey(tables(n1=[same], n2=[same], n3=[other], n4=[same])).flags[A][Flag.BROKEN]
    assert [[one.node for one in group] for group in alike(found)] == [["n3"], ["n1", "n2", "n4"]]
    assert in_words(found) == [
        f"n3 binds {A} under the name b",
        f"n1 binds {A} under the name a (2 more nodes likewise)",
    ]


def test_a_member_without_any_service_is_said_to_run_none() -> None:
    found = survey(tables(n1=[vip(A, "esmtp:25")], n2=[vip(A, "")]))
    assert [one.text for one in found.flags[A][Flag.UNSAFE]] == [
        "n1 runs esmtp:25 on 192.0.2.1",
        "n2 runs no service on 192.0.2.1",
    ]


def test_different_ports_are_unsafe() -> None:
    assert flags_of(survey(tables(n1=[vip(A, "esmtp:25")], n2=[vip(A, "esmtp:26")]))) == ["UNSAFE"]


def test_a_member_without_a_binding_is_a_service_difference_and_no_name_mismatch() -> None:
    found = survey(tables(n1=[vip(A, "multivip esmtp:25", "a")], n2=[vip(A, "esmtp:25")]))
    assert flags_of(found) == ["UNSAFE"]


def test_members_that_share_a_table_all_give_evidence() -> None:
    found = survey(tables(n1=[vip(A)], n2=[vip(A, "esmtp:25")], n3=[vip(A)]))
    assert evidence(found, Flag.UNSAFE) == [("n1", "multivip"), ("n2", "esmtp:25"), ("n3", "multivip")]


# --- BROKEN


def test_different_binding_names_on_one_address_are_broken() -> None:
    found = survey(tables(n1=[vip(A, "multivip", "a", file="1")], n2=[vip(A, "multivip", "b", file="2")]))
    assert flags_of(found) == ["BROKEN"]
    assert [(e.node, e.value, e.file, e.line) for e in found.flags[A][Flag.BROKEN]] == [
        ("n1", "a", "1", 20),
        ("n2", "b", "2", 20),
    ]


def test_names_are_compared_as_sets() -> None:
    same = survey(tables(n1=[vip(A, names="a b")], n2=[vip(A, names="b a")]))
    less = survey(tables(n1=[vip(A, names="a b")], n2=[vip(A, names="a")]))
    assert (flags_of(same), flags_of(less)) == ([], ["BROKEN"])


def test_one_name_bound_to_different_vips_breaks_both() -> None:
    found = survey(tables(n1=[vip(A, names="x", file="1")], n2=[vip(B, names="x", file="2")], n3=[vip(C, names="y")]))
    assert (flags_of(found, A), flags_of(found, B), flags_of(found, C)) == (["BROKEN"], ["BROKEN"], [])
    assert [(e.node, e.value, e.file) for e in found.flags[A][Flag.BROKEN]] == [("n1", "x", "1"), ("n2", "x", "2")]
    assert found.flags[A][Flag.BROKEN][1].text == "n2 binds the name x to 192.0.2.2"


def test_what_all_say_the_same_about_is_broken_where_its_name_is_bound_elsewhere_too() -> None:
    found = survey(tables(n1=[vip(A, names="x"), vip(B, names="x"), vip(C, names="y")], n2=[vip(A, names="x"), vip(C)]))
    assert (flags_of(found, A), flags_of(found, B), flags_of(found, C)) == (["BROKEN"], ["BROKEN"], [])


def test_swapped_names_break_both_addresses() -> None:
    found = survey(tables(n1=[vip(A, names="x"), vip(B, names="y")], n2=[vip(A, names="y"), vip(B, names="x")]))
    assert (flags_of(found, A), flags_of(found, B)) == (["BROKEN"], ["BROKEN"])


def test_a_member_without_any_name_there_breaks_nothing() -> None:
    found = survey(tables(n1=[vip(A, names="x")], n2=[vip(A)], n3=[vip(A, names="x")]))
    assert flags_of(found) == []


def test_several_flags_hold_at_once_in_alphabetical_order() -> None:
    found = survey(
        tables(n1=[vip(A, "multivip esmtp:25", "a", prefer="n1")], n2=[vip(A, "multivip", "b", prefer="n2")])
    )
    assert flags_of(found) == ["BROKEN", "CONFLICT", "UNSAFE"]


# --- following


def test_chains_resolve_to_their_end() -> None:
    found = survey(tables(n1=[vip(A), vip(B, follow=A), vip(C, follow=B)], n2=[vip(A), vip(B, follow=A)]))
    assert found.follows == {B: A, C: A}
    assert found.followers == {A: (B, C)}


def test_members_that_disagree_whom_it_follows_are_unsafe_and_it_follows_nothing() -> None:
    found = survey(tables(n1=[vip(A), vip(B), vip(C, follow=A)], n2=[vip(A), vip(B), vip(C, follow=B)]))
    assert (flags_of(found, C), found.follows) == (["UNSAFE"], {})
    assert evidence(found, Flag.UNSAFE, C) == [("n1", "follows 192.0.2.1"), ("n2", "follows 192.0.2.2")]


def test_following_here_and_standing_alone_there_is_a_disagreement() -> None:
    found = survey(tables(n1=[vip(A), vip(B, follow=A)], n2=[vip(A), vip(B)]))
    assert (flags_of(found, B), found.follows) == (["UNSAFE"], {})


def test_a_chain_over_an_address_whose_following_is_ignored_ends_there() -> None:
    found = survey(tables(n1=[vip(A), vip(B, follow=A), vip(C, follow=B)], n2=[vip(B), vip(C, follow=B)]))
    assert found.follows == {C: B}


def test_a_loop_across_nodes_is_ignored_by_all_in_it_and_ends_the_chains_into_it() -> None:
    found = survey(tables(n1=[vip(A, follow=B), vip(D, follow=A)], n2=[vip(B, follow=C)], n3=[vip(C, follow=A)]))
    assert found.follows == {D: A}


def test_what_nobody_has_can_still_be_the_end_of_a_chain() -> None:
    assert survey(tables(n1=[vip(B, follow=A)])).follows == {B: A}


# --- the rest


def test_the_weight_of_a_vip_is_the_largest_that_a_member_gives() -> None:
    assert survey(tables(n1=[vip(A, weight=2.0)], n2=[vip(A), vip(B)])).weights == {A: 2.0}


words = st.sampled_from(["a", "b"])
entries = st.builds(
    vip,
    st.sampled_from([A, B, C]),
    st.sampled_from(["multivip", "esmtp:25", "multivip esmtp:25"]),
    st.sampled_from(["", "p", "q", "p q"]),
    st.sampled_from(["", "n1", "n2", "n3", "n1 n2", "n2 n1", "n3 n1"]),
    st.sampled_from(["", D]),
)


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 40), max_size=25))
def test_chains_end_where_they_end_when_each_is_walked_by_itself(pointing: dict[int, int]) -> None:
    direct = {address(number): address(followed) for number, followed in pointing.items()}
    entries = [vip(one, follow=followed) for one, followed in direct.items()]
    assert dict(survey(tables(n1=entries)).follows) == walked(direct)


def walked(direct: dict[Address, Address]) -> dict[Address, Address]:
    def chain(start: Address) -> list[Address]:
        found = [start]
        while found[-1] in direct and direct[found[-1]] not in found:
            found.append(direct[found[-1]])
        return found

    looping = {one for one in direct if direct.get(chain(one)[-1]) == one}
    return {
        one: next(after for after in chain(one)[1:] if after not in direct or after in looping)
        for one in direct
        if one not in looping
    }


def address(number: int) -> Address:
    return Address(f"192.0.2.{number}")


def test_a_long_chain_is_walked_once() -> None:
    """Of 20,000 each of which follows the next: that many walks to the end take a minute."""
    entries = [vip(f"10.0.{n >> 8}.{n & 255}", follow=f"10.0.{n + 1 >> 8}.{n + 1 & 255}") for n in range(20_000)]
    assert set(survey(tables(n1=entries, n2=entries)).follows.values()) == {"10.0.78.32"}


clusters = st.dictionaries(
    st.sampled_from([NodeName("n1"), NodeName("n2"), NodeName("n3")]),
    st.lists(entries, unique_by=lambda entry: entry.address).map(make_table),
)


@given(clusters, st.randoms())
def test_the_order_of_the_nodes_does_not_matter(cluster: dict[NodeName, Table], random) -> None:  # type: ignore[no-untyped-def]
    items = list(cluster.items())
    random.shuffle(items)
    assert survey(dict(items)) == survey(cluster)


def renamed(table: Table, names: dict[str, str]) -> Table:
    return make_table(
        VipEntry(
            address=entry.address,
            services=entry.services,
            bindings=entry.bindings,
            preference=Use(names[entry.preference.value], entry.preference.origin) if entry.preference else None,
            alternatives=tuple(Use(names[use.value], use.origin) for use in entry.alternatives),
            follow=entry.follow,
            origin=entry.origin,
        )
        for entry in table.vips
    )


@given(clusters)
def test_a_table_that_is_read_in_many_small_steps_is_read_the_same(cluster: dict[NodeName, Table]) -> None:
    for table in cluster.values():
        reading._readings.clear()
        expected = at_once(reading.reading(table, table.digest()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "STEP_ENTRIES", 1)
            reading._readings.clear()
            steps, count, found = reading.reading(table, table.digest()), 0, None
            while found is None:
                try:
                    next(steps)
                except StopIteration as done:
                    found = done.value
                count += 1
        assert (found.entries, found.meanings) == (expected.entries, expected.meanings)
        assert count == len(table.vips) + 1


@given(clusters)
def test_members_with_one_table_are_surveyed_as_members_with_equal_tables_are(cluster: dict[NodeName, Table]) -> None:
    for table in cluster.values():
        equal = {node: make_table(table.vips) for node in cluster}
        assert survey(dict.fromkeys(cluster, table)) == survey(equal)
        assert list(survey(dict.fromkeys(cluster, table)).preferences) == list(survey(equal).preferences)


@given(clusters)
def test_other_names_for_the_nodes_give_the_same_flags(cluster: dict[NodeName, Table]) -> None:
    names = {"n1": "zoe", "n2": "adam", "n3": "mia"}
    before, after = survey(cluster), survey({NodeName(names[n]): renamed(t, names) for n, t in cluster.items()})
    assert {a: set(f) for a, f in before.flags.items()} == {a: set(f) for a, f in after.flags.items()}
    assert {a: tuple(names[n] for n in ranking) for a, ranking in before.preferences.items()} == after.preferences
    assert {(a, f, names[e.node]) for a, by in before.flags.items() for f, items in by.items() for e in items} == {
        (a, f, e.node) for a, by in after.flags.items() for f, items in by.items() for e in items
    }


@given(clusters)
def test_flags_are_what_the_definitions_say(cluster: dict[NodeName, Table]) -> None:
    """The same by the slow, obvious definitions of domain.md section 4."""
    found = survey(cluster)
    for address in {entry.address for table in cluster.values() for entry in table.vips}:
        at = {n: e for n, t in cluster.items() for e in t.vips if e.address == address}
        firsts = [[use.value for use in e.preferences() if use.value in at] for e in at.values()]
        named = {first[0] for first in firsts if first}
        expected = {Flag.CONFLICT} if len(named) > 1 else set()
        if len({(e.service_names(), e.follow.value if e.follow else None) for e in at.values()}) > 1:
            expected.add(Flag.UNSAFE)
        broken = len({e.binding_names() for e in at.values() if e.bindings}) > 1
        for name in {name for e in at.values() for name in e.binding_names()}:
            bound = {n: frozenset(e.address for e in t.vips if name in e.binding_names()) for n, t in cluster.items()}
            broken |= len({addresses for addresses in bound.values() if addresses}) > 1
        if broken:
            expected.add(Flag.BROKEN)
        assert set(found.flags.get(address, {})) == expected


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_the_hash_seed_does_not_matter(seed: str) -> None:
    program = (
        "from duravip.cluster.flags import survey\n"
        "from duravip.cluster.election import Candidate, Circumstances, elect\n"
        "from duravip.model import *\n"
        "def e(i, n): return VipEntry(address=Address(f'192.0.2.{i}'), services=(Use('multivip'),), "
        "bindings=(Use(f'b{i % 7}{n if i % 5 == 0 else 0}'),), preference=Use(f'n{i % 4}') if i % 3 == n else None)\n"
        "t = {NodeName(f'n{n}'): make_table(e(i, n) for i in range(60) if i % (n + 2)) for n in range(3)}\n"
        "s = survey(t)\n"
        "g = Circumstances(candidates=tuple(Candidate(name=n) for n in sorted(t)), holders={}, view_mature=True)\n"
        "print(s, elect(s, g))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": one, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for one in (seed, "4711")
    }
    assert len(outputs) == 1
    assert b"BROKEN" in outputs.pop()


# --- groups


def test_groups_are_the_same_whether_members_share_one_table_or_have_equal_ones() -> None:
    entries = [
        msgspec.structs.replace(vip(A, names="a"), anti_affinity="apart", together="site"),
        vip(B, names="b"),
        msgspec.structs.replace(vip(C, "esmtp:25", follow=A), anti_affinity="apart", together="site"),
    ]
    shared = make_table(entries)
    one, several = survey({NodeName("n1"): shared, NodeName("n2"): shared}), survey(tables(n1=entries, n2=entries))
    for found in (one, several):
        assert found.apart == {A: "apart"}, "what follows goes where the other goes, and B is in no group"
        assert found.together == {A: "site"}


def test_members_that_name_different_groups_for_an_address_name_none() -> None:
    def grouped(word: str) -> list[VipEntry]:
        return [msgspec.structs.replace(vip(A, names="a"), anti_affinity=word, together=word)]

    assert survey(tables(n1=grouped("x"), n2=grouped(""))).apart == {A: "x"}
    differing = survey(tables(n1=grouped("x"), n2=grouped("y")))
    assert (differing.apart, differing.together) == ({}, {})


def test_names_differ_also_behind_members_without_a_binding() -> None:
    """ "two virtual members that both bind the address use different sets of names" """
    found = survey(tables(n1=[vip(A, "http:80")], n2=[vip(A, names="x")], n3=[vip(A, names="y")]))
    assert flags_of(found) == ["BROKEN", "UNSAFE"]
    assert evidence(found, Flag.BROKEN) == [("n2", "x"), ("n3", "y")]


def test_an_address_in_order_does_not_hide_a_broken_one_behind_it() -> None:
    fine = vip(A, names="a")
    found = survey(
        tables(n1=[fine, vip(B, names="x"), vip(C, names="p")], n2=[fine, vip(B, names="y"), vip(C, names="q")])
    )
    assert [flags_of(found, address) for address in (A, B, C)] == [[], ["BROKEN"], ["BROKEN"]]
