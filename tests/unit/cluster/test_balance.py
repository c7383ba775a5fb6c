"""Balancing: as even as can be, by the fewest moves, and then quiet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from duravip.cluster.balance import balance, settle
from duravip.cluster.election import Candidate, Circumstances, elect
from duravip.cluster.flags import Landscape, survey
from duravip.model import Address, Decision, NodeName, Reason, Use, VipEntry, make_table

N1, N2, N3 = NODES = tuple(NodeName(f"n{number}") for number in (1, 2, 3))
Owners = dict[Address, NodeName]


def vip(number: int, *, prefer: str = "", follow: str = "", weight: float = 1.0) -> VipEntry:
    return VipEntry(
        address=address(number),
        preference=Use(prefer) if prefer else None,
        follow=Use(follow) if follow else None,
        weight=weight,
    )


def address(number: int) -> Address:
    return Address(f"192.0.{number // 250}.{number % 250 + 1}")


def alike(count: int, nodes: tuple[NodeName, ...] = NODES, **more: str) -> Landscape:
    table = make_table(vip(number, **more) for number in range(count))  # type: ignore[arg-type]
    return survey(dict.fromkeys(nodes, table))


def held(owners: Mapping[Address, NodeName], *candidates: Candidate | NodeName) -> Circumstances:
    return Circumstances(
        candidates=tuple(one if isinstance(one, Candidate) else Candidate(name=one) for one in candidates),
        holders={where: (owner,) for where, owner in owners.items()},
        view_mature=True,
    )


def owners_after(landscape: Landscape, given_: Circumstances, limit: int) -> tuple[Owners, int]:
    """The owners after one round, and how many VIPs moved."""
    decisions = elect(landscape, given_)
    changed = balance(landscape, given_, decisions, limit)
    decisions.update(changed)
    return {where: made.owner for where, made in decisions.items() if made.owner}, len(changed)


def counts(owners: Mapping[Address, NodeName], nodes: tuple[NodeName, ...] = NODES) -> list[int]:
    return [list(owners.values()).count(node) for node in nodes]


def test_a_balanced_cluster_is_left_alone() -> None:
    landscape = alike(7)
    given_ = held({}, *NODES)
    assert balance(landscape, given_, elect(landscape, given_), 100) == {}


def test_a_joining_node_gets_its_share_and_nothing_else_moves() -> None:
    owners = {address(number): (N1, N2)[number % 2] for number in range(12)}
    after, moves = owners_after(alike(12), held(owners, *NODES), 100)
    assert counts(after) == [4, 4, 4]
    assert moves == 4
    assert all(after[where] in (owner, N3) for where, owner in owners.items())


def test_what_moves_says_so() -> None:
    owners = {address(number): N1 for number in range(2)}
    given_ = held(owners, N1, N2)
    landscape = alike(2, (N1, N2))
    assert list(balance(landscape, given_, elect(landscape, given_), 5).values()) == [Decision(N2, Reason.BALANCED)]


def test_no_vip_moves_for_a_mere_swap_of_loads() -> None:
    owners = {address(0): N1, address(1): N1, address(2): N2}
    _, moves = owners_after(alike(3, (N1, N2)), held(owners, N1, N2), 9)
    assert moves == 0


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_round_moves_no_more_than_the_limit_and_the_rounds_end_in_balance(limit: int) -> None:
    owners = {address(number): N1 for number in range(30)}
    moved = 0
    for _ in range(40):
        owners, moves = owners_after(alike(30), held(owners, *NODES), limit)
        assert moves <= limit
        moved += moves
        if not moves:
            break
    assert (counts(owners), moved) == ([10, 10, 10], 20)


def test_the_most_loaded_node_is_relieved_first() -> None:
    owners = {address(number): N1 if number < 9 else N2 for number in range(15)}
    after, _ = owners_after(alike(15), held(owners, *NODES), 3)
    assert counts(after) == [6, 6, 3]


def test_a_chain_of_moves_is_found_where_no_single_move_helps() -> None:
    """n1 is full of VIPs that n2 may have, n2 of those that n3 may have; n1 cannot give to n3."""
    first, second = make_table([vip(0), vip(1)]), make_table([vip(2)])
    both = make_table([*first.vips, *second.vips])
    landscape = survey({N1: first, N2: both, N3: second})
    owners = {address(0): N1, address(1): N1, address(2): N2}
    after, moves = owners_after(landscape, held(owners, *NODES), 10)
    assert (counts(after), moves) == ([1, 1, 1], 2)
    for _ in range(2):  # one at a time it comes to the same
        owners, moves = owners_after(landscape, held(owners, *NODES), 1)
        assert moves == 1
    assert counts(owners) == [1, 1, 1]


# --- what may not move


def test_preferred_vips_stay_and_their_load_counts() -> None:
    table = make_table([*(vip(number, prefer="n1") for number in range(4)), *(vip(n) for n in range(4, 8))])
    landscape = survey({N1: table, N2: table})
    given_ = held({address(number): N1 for number in range(8)}, N1, N2)
    after, moves = owners_after(landscape, given_, 100)
    assert (counts(after, (N1, N2)), moves) == ([4, 4], 4)
    assert all(after[address(number)] == N1 for number in range(4))


def test_pinned_vips_stay() -> None:
    given_ = held({address(number): N1 for number in range(2)}, N1, N2)
    given_ = replace(given_, pins={address(number): N1 for number in range(2)})
    assert owners_after(alike(2, (N1, N2)), given_, 100)[1] == 0


def test_a_preference_for_a_node_that_may_not_own_holds_nothing_back() -> None:
    given_ = held({address(number): N1 for number in range(4)}, N1, N2, Candidate(name=N3, mature=False))
    after, _ = owners_after(alike(4, prefer="n3"), given_, 100)
    assert counts(after) == [2, 2, 0]


def test_followers_move_with_what_they_follow() -> None:
    table = make_table([vip(0), vip(1), vip(2, follow=address(1)), vip(3, follow=address(1)), vip(4)])
    landscape = survey({N1: table, N2: table})
    given_ = held({address(number): N1 for number in range(5)}, N1, N2)
    settled = settle(landscape, given_)
    owners = [settled[address(number)].owner for number in range(5)]
    assert owners[1] == owners[2] == owners[3]
    assert sorted([owners.count(N1), owners.count(N2)]) == [2, 3]


def test_the_round_that_moves_a_vip_moves_its_followers_and_counts_one_move() -> None:
    table = make_table([vip(0), vip(1, follow=address(0)), vip(2), vip(3, follow=address(2))])
    landscape = survey({N1: table, N2: table})
    given_ = held({address(number): N1 for number in range(4)}, N1, N2)
    changed = balance(landscape, given_, elect(landscape, given_), 1)
    assert changed == {address(2): Decision(N2, Reason.BALANCED), address(3): Decision(N2, Reason.FOLLOWS)}


def test_nothing_moves_to_where_its_followers_cannot_go() -> None:
    all_of_it = make_table([vip(0), vip(1, follow=address(0)), vip(2)])
    landscape = survey({N1: all_of_it, N2: make_table([vip(0), vip(2)])})
    after, _ = owners_after(landscape, held({address(number): N1 for number in range(3)}, N1, N2), 100)
    assert after == {address(0): N1, address(1): N1, address(2): N2}


def test_heavy_vips_are_swapped_when_no_single_move_improves() -> None:
    """5 + 5 beside 4 + 2: no VIP can move alone, but one 5 against the 4 gives 9 and 7."""
    weights = (5.0, 5.0, 4.0, 2.0)
    table = make_table(vip(number, weight=weight) for number, weight in enumerate(weights))
    owners = {address(number): (N1, N1, N2, N2)[number] for number in range(4)}
    after, moves = owners_after(survey({N1: table, N2: table}), held(owners, N1, N2), 10)
    loads = [sum(w for n, w in enumerate(weights) if after[address(n)] == node) for node in (N1, N2)]
    assert (sorted(loads), moves) == ([7.0, 9.0], 2)


# --- against brute force


def load_vector(owners: tuple[int, ...], weights: tuple[Fraction, ...]) -> list[Fraction]:
    return sorted((owners.count(node) / weight for node, weight in enumerate(weights)), reverse=True)


@st.composite
def small_clusters(draw: st.DrawFn) -> tuple[list[list[int]], list[int], tuple[Fraction, ...]]:
    """For each VIP who may have it and who has it; the nodes' weights."""
    nodes = draw(st.integers(2, 4))
    count = draw(st.integers(1, 6))
    may = [sorted(draw(st.sets(st.integers(0, nodes - 1), min_size=1))) for _ in range(count)]
    has = [draw(st.sampled_from(one)) for one in may]
    weights = tuple(draw(st.sampled_from([Fraction(1), Fraction(1), Fraction(2), Fraction(3)])) for _ in range(nodes))
    return may, has, weights


def as_cluster(
    may: list[list[int]], weights: tuple[Fraction, ...]
) -> tuple[Landscape, tuple[Candidate, ...], list[NodeName]]:
    names = [NodeName(f"n{number}") for number in range(len(weights))]
    tables = {
        name: make_table(vip(number) for number, nodes in enumerate(may) if node in nodes)
        for node, name in enumerate(names)
    }
    return survey(tables), tuple(Candidate(name=n, weight=float(w)) for n, w in zip(names, weights, strict=True)), names


@settings(max_examples=150, deadline=None)
@given(small_clusters())
@example(([[0, 1], [0, 1], [1, 2]], [0, 0, 1], (Fraction(1),) * 3))
def test_balance_is_as_good_as_any_layout_and_needs_the_fewest_moves(cluster) -> None:  # type: ignore[no-untyped-def]
    may, has, weights = cluster
    landscape, candidates, names = as_cluster(may, weights)
    given_ = held({address(number): names[node] for number, node in enumerate(has)}, *candidates)
    after, moves = owners_after(landscape, given_, len(has))
    layouts = list(itertools.product(*may))
    best = min(load_vector(layout, weights) for layout in layouts)
    fewest = min(
        sum(one != other for one, other in zip(layout, has, strict=True))
        for layout in layouts
        if load_vector(layout, weights) == best
    )
    result = tuple(names.index(after[address(number)]) for number in range(len(has)))
    assert load_vector(result, weights) == best
    assert moves == fewest


@settings(max_examples=100, deadline=None)
@given(small_clusters(), st.integers(1, 3))
def test_rounds_of_any_size_come_to_the_best_layout_by_the_fewest_moves(cluster, limit: int) -> None:  # type: ignore[no-untyped-def]
    may, has, weights = cluster
    landscape, candidates, names = as_cluster(may, weights)
    owners = {address(number): names[node] for number, node in enumerate(has)}
    at_once, fewest = owners_after(landscape, held(owners, *candidates), len(has))
    moved = 0
    for _ in range(len(has) + 1):
        owners, moves = owners_after(landscape, held(owners, *candidates), limit)
        assert moves <= limit
        moved += moves
    assert moved == fewest
    numbers, best = ([names.index(found[address(n)]) for n in range(len(has))] for found in (owners, at_once))
    assert load_vector(tuple(numbers), weights) == load_vector(tuple(best), weights)


@settings(max_examples=200, deadline=None)
@given(small_clusters(), st.lists(st.sampled_from(["held", "held", "unheld", "preferred"]), min_size=6, max_size=6))
def test_what_nobody_has_goes_where_it_costs_the_fewest_moves_of_the_others(cluster, kinds: list[str]) -> None:  # type: ignore[no-untyped-def]
    may, has, weights = cluster
    _, candidates, names = as_cluster(may, weights)
    prefers = [nodes[-1] if kind == "preferred" else None for nodes, kind in zip(may, kinds, strict=False)]
    entries = [vip(n, prefer="" if node is None else names[node]) for n, node in enumerate(prefers)]
    tables = {
        name: make_table(entry for entry, nodes in zip(entries, may, strict=True) if node in nodes)
        for node, name in enumerate(names)
    }
    was = {address(n): names[node] for n, (node, kind) in enumerate(zip(has, kinds, strict=False)) if kind != "unheld"}
    settled = settle(survey(tables), held(was, *candidates))
    layouts = [
        layout
        for layout in itertools.product(*may)
        if all(wanted in (None, node) for wanted, node in zip(prefers, layout, strict=True))
    ]
    best = min(load_vector(layout, weights) for layout in layouts)

    def moves(owners: Sequence[int]) -> int:
        return sum(was.get(address(n), names[node]) != names[node] for n, node in enumerate(owners))

    result = tuple(names.index(settled[address(n)].owner) for n in range(len(may)))  # type: ignore[arg-type]
    assert load_vector(result, weights) == best
    assert moves(result) == min(moves(layout) for layout in layouts if load_vector(layout, weights) == best)


@settings(max_examples=100, deadline=None)
@given(small_clusters())
def test_at_boot_the_election_leaves_nothing_to_balance(cluster) -> None:  # type: ignore[no-untyped-def]
    may, _, weights = cluster
    landscape, candidates, names = as_cluster(may, weights)
    given_ = held({}, *candidates)
    decisions = elect(landscape, given_)
    assert balance(landscape, given_, decisions, 100) == {}
    result = tuple(names.index(decisions[address(n)].owner) for n in range(len(may)))  # type: ignore[arg-type]
    assert load_vector(result, weights) == min(load_vector(one, weights) for one in itertools.product(*may))


@st.composite
def heavy_clusters(draw: st.DrawFn) -> tuple[Landscape, Circumstances]:
    """Weights, followers, preferences, and some holders."""
    entries = [vip(n, weight=draw(st.sampled_from([1.0, 1.0, 1.5, 2.0, 5.0]))) for n in range(draw(st.integers(1, 5)))]
    entries += [
        vip(10 + n, follow=address(draw(st.integers(0, len(entries) - 1)))) for n in range(draw(st.integers(0, 3)))
    ]
    entries += [vip(20 + n, prefer=draw(st.sampled_from(["", "n1"]))) for n in range(draw(st.integers(0, 4)))]
    tables = {node: make_table(entry for entry in entries if draw(st.integers(0, 4))) for node in NODES}
    landscape = survey(tables)
    holders = {
        where: draw(st.sampled_from(landscape.members[where])) for where in landscape.universe if draw(st.booleans())
    }
    return landscape, held(holders, *NODES)


@settings(max_examples=100, deadline=None)
@given(heavy_clusters())
def test_with_weights_and_followers_the_settled_cluster_is_quiet_and_no_single_move_improves_it(cluster) -> None:  # type: ignore[no-untyped-def]
    landscape, given_ = cluster
    settled = settle(landscape, given_)
    owners = {where: made.owner for where, made in settled.items() if made.owner}
    again = held(owners, *NODES)
    assert {where: made.owner for where, made in elect(landscape, again).items() if made.owner} == owners
    assert balance(landscape, again, settled, 100) == {}

    def vector(of: Owners) -> list[float]:
        return sorted(
            (sum(landscape.weights.get(where, 1.0) for where, at in of.items() if at == node) for node in NODES),
            reverse=True,
        )

    for where, owner in owners.items():
        if where in landscape.follows or where in landscape.preferences:
            continue
        followers = landscape.followers.get(where, ())
        carried = [one for one in followers if one in owners]
        for node in NODES:
            if node != owner and all(node in landscape.members[one] for one in (where, *carried)):
                family = [where, *(one for one in followers if node in landscape.members[one])]
                assert vector({**owners, **dict.fromkeys(family, node)}) >= vector(owners)


@settings(max_examples=100, deadline=None)
@given(heavy_clusters())
def test_after_a_boot_nothing_is_balanced_whatever_the_weights(cluster) -> None:  # type: ignore[no-untyped-def]
    landscape, given_ = cluster
    given_ = replace(given_, holders={})
    assert balance(landscape, given_, elect(landscape, given_), 100) == {}


@settings(max_examples=100, deadline=None)
@given(heavy_clusters(), st.integers(1, 4))
def test_rounds_of_any_size_end(cluster, limit: int) -> None:  # type: ignore[no-untyped-def]
    landscape, given_ = cluster
    for _ in range(60):
        decisions = elect(landscape, given_)
        changed = balance(landscape, given_, decisions, limit)
        assert sum(where not in landscape.follows for where in changed) <= limit
        if not changed:
            return
        decisions.update(changed)
        given_ = replace(given_, holders={a: (d.owner,) for a, d in decisions.items() if d.owner})
    pytest.fail("balancing does not end")


# --- settle and scale


def test_a_settled_vip_keeps_the_reason_for_which_it_moved() -> None:
    settled = settle(alike(2, (N1, N2)), held({}, N1, N2))
    assert {made.reason for made in settled.values()} == {Reason.LEAST_LOADED}


def test_settling_carries_out_all_preferences_however_many() -> None:
    landscape = alike(100, (N1, N2), prefer="n2")
    settled = settle(landscape, held({address(number): N1 for number in range(100)}, N1, N2))
    assert set(settled.values()) == {Decision(N2, Reason.PREFERRED)}


def test_ten_thousand_vips_on_sixteen_nodes_are_spread_evenly() -> None:
    names = tuple(NodeName(f"n{number:02}") for number in range(16))
    landscape = alike(10_240, names)
    given_ = held({}, *names)
    decisions = elect(landscape, given_)
    owners = {where: made.owner for where, made in decisions.items() if made.owner}
    assert counts(owners, names) == [640] * 16


# --- groups that should be together, on every small cluster from every layout


def test_a_group_ends_together_and_nothing_that_moves_as_one_improves_what_balancing_ends_in() -> None:
    """Two of four VIPs are to be together. Beside brute force over all layouts in which they are."""
    worst = Fraction(1)
    for nodes, weights in itertools.product((2, 3), itertools.combinations_with_replacement((1, 2, 3), 4)):
        names = NODES[:nodes]
        table = make_table(
            VipEntry(address=address(number), weight=float(weight), together="shop" if number in (0, 3) else "")
            for number, weight in enumerate(weights)
        )
        landscape = survey(dict.fromkeys(names, table))

        def loads(layout: tuple[int, ...], weights: tuple[int, ...] = weights, nodes: int = nodes) -> list[int]:
            each = [sum(w for w, at in zip(weights, layout, strict=True) if at == node) for node in range(nodes)]
            return sorted(each, reverse=True)

        layouts = list(itertools.product(range(nodes), repeat=4))
        whole = [layout for layout in layouts if layout[0] == layout[3]]
        best = min(map(loads, whole))
        for start in layouts:
            settled = settle(landscape, held({address(n): names[node] for n, node in enumerate(start)}, *names))
            end = tuple(names.index(settled[address(number)].owner) for number in range(4))  # type: ignore[arg-type]
            assert end[0] == end[3], f"{weights} from {start}"
            moved = [layout for layout in whole if sum(layout[n] != end[n] for n in (0, 1, 2)) == 1]
            assert all(loads(layout) >= loads(end) for layout in moved), f"{weights} from {start}: {end}"
            worst = max(worst, Fraction(loads(end)[0], best[0]))
    print(f"worst maximum load: {worst} = {float(worst):.3f} times the best")
    assert worst == Fraction(1)
