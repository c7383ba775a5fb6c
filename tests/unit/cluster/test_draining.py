"""Whether a node may be drained."""

from __future__ import annotations

import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.draining import some, why_not_drain
from duravip.cluster.electorate import Candidate, Circumstances
from duravip.cluster.flags import survey
from duravip.cluster.messages import Blocked
from duravip.model import Address, NodeName, make_table
from duravip.testing.situation import VIPS, entry

N1, N2, N3 = (NodeName(f"node{number}") for number in (1, 2, 3))
VIP, OTHER, BROKEN = VIPS[:3]


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ((Candidate(name=N2), Candidate(name=N3)), ""),
        ((Candidate(name=N2, drained=True), Candidate(name=N3)), VIP),
        ((Candidate(name=N2, mature=False), Candidate(name=N3, leaving=True)), f"{VIP}, {OTHER}"),
        ((Candidate(name=N2, blocked=Blocked(addresses=AddressSet([VIP]))), Candidate(name=N3)), VIP),
        ((), f"{VIP}, {OTHER}, {BROKEN}"),
    ],
)
def test_a_node_is_not_drained_when_nobody_else_could_own_an_address_of_its(
    others: tuple[Candidate, ...], left: str
) -> None:
    """node1 and node2 have the first, node1 and node3 the second; the third is BROKEN and nobody's anyway."""
    tables = {
        N1: make_table([entry(VIP, "v"), entry(OTHER, "o"), entry(BROKEN, "x")]),
        N2: make_table([entry(VIP, "v"), entry(BROKEN, "y")]),
        N3: make_table([entry(OTHER, "o")]),
    }
    candidates = (Candidate(name=N1), *others)
    given = Circumstances(candidates=candidates, holders={}, view_mature=True)
    landscape = survey({name: table for name, table in tables.items() if name in {one.name for one in candidates}})
    refusal = why_not_drain(landscape, given, N1, force=False)
    assert refusal.partition(" now: ")[0] == (f"nobody else could own {left}" if left else "")
    assert why_not_drain(landscape, given, N1, force=True) == ""
    assert "is no member of the view" in why_not_drain(landscape, given, NodeName("node9"), force=True)


def test_many_addresses_make_a_short_list() -> None:
    assert some((VIP,)) == VIP
    assert some(tuple(Address(f"192.0.2.{number}") for number in range(5))) == (
        "192.0.2.0, 192.0.2.1, 192.0.2.2 and 2 more"
    )
