"""What the founding document says about decisions, sentence by sentence, true of the pure functions.

What it says about configuration is in tests/unit/test_founding_document.py, which also checks that no sentence is
missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest

from duravip.cluster.balance import settle
from duravip.cluster.election import Candidate, Circumstances, elect, words
from duravip.cluster.flags import Landscape, survey
from duravip.model import Address, Decision, Flag, NodeName, Origin, Reason, Table, Use, VipEntry, make_table

VIP = Address("192.168.0.51")
NODE1, NODE2, NODE3 = (NodeName(f"node{number}") for number in (1, 2, 3))
ORDINARY = {Reason.HOLDER, Reason.MERGE, Reason.LEAST_LOADED}


def entry(
    services: str, *, name: str = "example", prefer: str = "", file: str = "", address: Address = VIP
) -> VipEntry:
    return VipEntry(
        address=address,
        services=tuple(Use(word, Origin(file, 3, 1)) for word in sorted(services.split())),
        bindings=(Use(name, Origin(file, 7, 1)),) if name else (),
        preference=Use(prefer, Origin(file, 8, 1)) if prefer else None,
        origin=Origin(file, 3, 1),
    )


def online(**entries: VipEntry | list[VipEntry]) -> Landscape:
    return survey(
        {
            NodeName(node): make_table([found] if isinstance(found, VipEntry) else found)
            for node, found in entries.items()
        }
    )


def circumstances(
    *nodes: NodeName, holders: Mapping[Address, tuple[NodeName, ...]] | None = None, view_mature: bool = True
) -> Circumstances:
    return Circumstances(
        candidates=tuple(Candidate(name=node) for node in nodes), holders=holders or {}, view_mature=view_mature
    )


def test_every_situation_has_a_safe_decision() -> None:
    """The DuraVIP™ subsystem attempts to make the most intelligent and safe decision regardless of the situation
    encountered.

    Every pair of small configurations, with every present holder: at most one owner, who is able; none when BROKEN;
    one whenever it is not.
    """
    configurations: list[VipEntry | None] = [None]
    configurations += [
        entry(services, name=name, prefer=prefer)
        for services in ("multivip", "multivip esmtp:25")
        for name in ("", "example", "other")
        for prefer in ("", "node1", "node2")
    ]
    held = [(), (NODE1,), (NODE2,), (NODE1, NODE2)]
    for one, two, holders in itertools.product(configurations, configurations, held):
        tables: dict[NodeName, Table] = {
            node: make_table([found] if found else []) for node, found in ((NODE1, one), (NODE2, two))
        }
        landscape = survey(tables)
        decisions = elect(landscape, circumstances(NODE1, NODE2, holders={VIP: holders}))
        if one is None and two is None:
            assert decisions == {}
            continue
        if Flag.BROKEN in landscape.flags.get(VIP, {}):
            assert decisions[VIP] == Decision(None, Reason.BROKEN)
        else:
            assert decisions[VIP].owner in landscape.members[VIP]


def test_two_preferred_owners_online_are_a_conflict_and_an_ordinary_election_follows() -> None:
    """If, in the unlikely event, two different nodes are brought online both configured to be the preferred owner of
    an IP address then that address will be marked in conflict and normal election semantics will be employed."""
    mine, yours = entry("multivip", prefer="node1"), entry("multivip", prefer="node2")
    landscape = online(node1=mine, node2=yours, node3=entry("multivip"))
    assert set(landscape.flags[VIP]) == {Flag.CONFLICT}
    for holder in (NODE1, NODE2, NODE3):
        decided = elect(landscape, circumstances(NODE1, NODE2, NODE3, holders={VIP: (holder,)}))
        assert decided[VIP] == Decision(holder, Reason.HOLDER)
    assert elect(landscape, circumstances(NODE1, NODE2, NODE3))[VIP].reason in ORDINARY
    alone = online(node1=mine, node3=entry("multivip"))
    assert VIP not in alone.flags, "node2 is not online"
    given = circumstances(NODE1, NODE3, holders={VIP: (NODE3,)})
    assert elect(alone, given)[VIP] == Decision(NODE1, Reason.PREFERRED)


# node1 has the listener, node2 has not, as in the document's configuration.
LISTENER_ON_ONE = {
    "node1": entry("multivip esmtp:25", file="node1.conf"),
    "node2": entry("multivip", file="node2.conf"),
}


def test_a_listener_on_one_node_only_is_unsafe() -> None:
    """In this case, the DuraVIP™ subsystem will mark the IP address as "UNSAFE." """
    assert set(online(**LISTENER_ON_ONE).flags[VIP]) == {Flag.UNSAFE}


def test_unsafe_changes_nothing_but_the_label() -> None:
    """However, that is the extent of conflict resolution that will occur."""
    unsafe = online(**LISTENER_ON_ONE)
    safe = online(node1=LISTENER_ON_ONE["node1"], node2=LISTENER_ON_ONE["node1"])
    assert VIP not in safe.flags
    for holders, mature in itertools.product(
        [{}, {VIP: (NODE1,)}, {VIP: (NODE2,)}, {VIP: (NODE1, NODE2)}], [True, False]
    ):
        given = circumstances(NODE1, NODE2, holders=holders, view_mature=mature)
        assert elect(unsafe, given) == elect(safe, given)


@pytest.mark.parametrize("holder", [NODE1, NODE2])
def test_an_unsafe_vip_is_owned_as_usual(holder: NodeName) -> None:
    """The usual semantics for electing an owner of the IP address will be employed."""
    landscape = online(**LISTENER_ON_ONE)
    assert elect(landscape, circumstances(NODE1, NODE2))[VIP].reason is Reason.LEAST_LOADED
    given = circumstances(NODE1, NODE2, holders={VIP: (holder,)})
    assert elect(landscape, given)[VIP] == Decision(holder, Reason.HOLDER)


def test_unsafe_says_which_node_runs_what_and_where_it_is_written() -> None:
    """The tag of UNSAFE is simply to assist the cluster administrator in finding problems."""
    found = online(**LISTENER_ON_ONE).flags[VIP][Flag.UNSAFE]
    assert [(item.node, item.file, item.line, item.value) for item in found] == [
        ("node1", "node1.conf", 3, "esmtp:25, multivip"),
        ("node2", "node2.conf", 3, "multivip"),
    ]


def test_the_binding_name_must_be_consistent_across_the_cluster() -> None:
    """As such, it is essential that the Binding name associated with an IP address be consistent across the cluster."""
    assert VIP not in online(node1=entry("multivip"), node2=entry("multivip"), node3=entry("multivip")).flags
    assert (
        VIP in online(node1=entry("multivip"), node2=entry("multivip"), node3=entry("multivip", name="Example")).flags
    )


def test_mail_of_a_name_must_not_leave_from_two_addresses() -> None:
    """If it is not, it indicates a misconfiguration that could result in messages leaving from the wrong IP address
    (which is unacceptable for multi-client configurations)."""
    other = Address("192.168.0.52")
    swapped = online(
        node1=[entry("multivip", name="client-a"), entry("multivip", name="client-b", address=other)],
        node2=[entry("multivip", name="client-b"), entry("multivip", name="client-a", address=other)],
    )
    moved = online(node1=entry("multivip", name="client-a"), node2=entry("multivip", name="client-a", address=other))
    for landscape in (swapped, moved):
        decided = elect(landscape, circumstances(NODE1, NODE2, holders={VIP: (NODE1,), other: (NODE2,)}))
        assert {decision.owner for decision in decided.values()} == {None}


def test_a_broken_vip_is_managed_by_nobody() -> None:
    """If the DuraVIP™ subsystem recognizes such a misconfiguration, it will mark the named DuraVIP™ instance as
    "BROKEN," and refuse to manage it."""
    landscape = online(node1=entry("multivip", prefer="node1"), node2=entry("multivip", name="sample"))
    assert set(landscape.flags[VIP]) == {Flag.BROKEN}
    for holders in ((), (NODE1,), (NODE2,), (NODE1, NODE2)):
        given = replace(circumstances(NODE1, NODE2, holders={VIP: holders}), pins={VIP: NODE1})
        assert elect(landscape, given)[VIP] == Decision(None, Reason.BROKEN)
        assert settle(landscape, given)[VIP].owner is None


def test_the_election_follows_the_membership() -> None:
    """The group membership and election processes that drive the DuraVIP™ subsystem are a dynamic extension atop
    advanced research in the area of highly reliable IP services.

    Whoever is left keeps every address alive, whatever sequence of nodes comes and goes, and a death moves only what
    the dead node had.
    """
    table = make_table(entry("multivip", name="", address=Address(f"192.0.2.{number}")) for number in range(9))
    for leaving in itertools.permutations((NODE1, NODE2, NODE3), 2):
        present = [NODE1, NODE2, NODE3]
        owners: dict[Address, NodeName | None] = {}
        for gone in (None, *leaving):
            present = [node for node in present if node != gone]
            holders = {address: (owner,) for address, owner in owners.items() if owner in present}
            decided = elect(survey(dict.fromkeys(present, table)), circumstances(*present, holders=holders))
            assert {decision.owner for decision in decided.values()} == set(present)
            assert all(owner == gone or decided[address].owner == owner for address, owner in owners.items())
            owners = {address: decision.owner for address, decision in decided.items()}


def test_each_address_has_one_virtual_membership_that_all_agree_on() -> None:
    """The system provides a unified and consistent virtual membership on a per-IP address basis."""
    other = Address("192.168.0.52")
    tables = {
        NODE1: make_table([entry("multivip")]),
        NODE2: make_table([entry("multivip"), entry("multivip", name="more", address=other)]),
        NODE3: make_table([entry("multivip", name="more", address=other)]),
    }
    for order in itertools.permutations(tables):
        landscape = survey({node: tables[node] for node in order})
        assert landscape.members == {VIP: (NODE1, NODE2), other: (NODE2, NODE3)}


def test_nodes_may_manage_different_overlapping_sets() -> None:
    """What this means is that you can have different nodes in the cluster managing different, possibly overlapping,
    DuraVIP™ sets."""
    first, second, third = (Address(f"192.168.0.{number}") for number in (51, 52, 53))
    landscape = online(
        node1=[entry("multivip", name="a", address=first), entry("multivip", name="b", address=second)],
        node2=[entry("multivip", name="b", address=second), entry("multivip", name="c", address=third)],
        node3=[entry("multivip", name="c", address=third)],
    )
    assert landscape.flags == {}
    owners = {a: d.owner for a, d in elect(landscape, circumstances(NODE1, NODE2, NODE3)).items()}
    assert owners == {first: NODE1, second: NODE2, third: NODE3}


def test_complicated_sets_are_explained() -> None:
    """While this is certainly possible, it can be hard to understand the expected behavior of the system in such
    complicated configurations.

    So every decision comes with its reason in words.
    """
    landscape = online(node1=entry("multivip", prefer="node2"), node2=entry("multivip"))
    given = replace(
        circumstances(NODE1, NODE2), candidates=(Candidate(name=NODE1), Candidate(name=NODE2, drained=True))
    )
    decided = elect(landscape, given)
    assert words(VIP, decided[VIP], landscape, given) == (
        "node1 is the only eligible member; node2 drained, which is preferred"
    )
