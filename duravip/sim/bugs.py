"""Deliberate bugs, to prove that the checker finds what it should. Planted from outside: the core has no hooks.

Each breaks one rule that safety rests on; the checker must notice each within some hundreds of seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import msgspec

from duravip.cluster import agreed as agreed_module
from duravip.cluster import election, tenure
from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.agreement import Agreement
from duravip.cluster.declaration import Declaration
from duravip.cluster.election import Circumstances
from duravip.cluster.flags import Landscape
from duravip.cluster.messages import MemberState
from duravip.cluster.tenure import Tenure
from duravip.model import Address, Decision

Patch = tuple[object, str, object]


def _no_release_before_a_move() -> list[Patch]:
    """The new owner takes an address without waiting for the old one's RELEASED."""

    def has_rival(self: Tenure, agreed: AgreedState, address: Address) -> bool:
        return False

    return [(Tenure, "_has_rival", has_rival)]


def _a_merge_that_forgets_claims() -> list[Patch]:
    """A member keeps silent, in the state exchange, about what it has."""
    state = Declaration.state

    def forgetful(self: Declaration, agreed: AgreedState | None, *, mature: bool, now: float) -> MemberState:
        told = state(self, agreed, mature=mature, now=now)
        return msgspec.structs.replace(told, held=AddressSet(), releasing=AddressSet())

    return [(Declaration, "state", forgetful)]


def _a_broken_vip_that_stays() -> list[Patch]:
    """Election and holders look past the flag BROKEN."""
    elect = election.elect

    def blind(landscape: Landscape, given: Circumstances) -> dict[Address, Decision]:
        return elect(replace(landscape, flags={}), given)

    def is_broken(agreed: AgreedState, address: Address) -> bool:
        return False

    return [(agreed_module, "elect", blind), (tenure, "is_broken", is_broken)]


def _an_owner_that_acts_on_an_older_view() -> list[Patch]:
    """A node that has promised a new view still begins what the old one ordered."""

    def may_take(self: Agreement) -> bool:
        return self.view is not None

    return [(Agreement, "may_take", may_take)]


BUGS: Mapping[str, Callable[[], list[Patch]]] = {
    "no-release-before-a-move": _no_release_before_a_move,
    "merge-forgets-claims": _a_merge_that_forgets_claims,
    "broken-stays": _a_broken_vip_that_stays,
    "older-view": _an_owner_that_acts_on_an_older_view,
}


@contextmanager
def planted(bug: str | None) -> Iterator[None]:
    """The process has the bug inside the `with`; None: no bug."""
    patches = BUGS[bug]() if bug is not None else []
    originals = [getattr(owner, name) for owner, name, _ in patches]
    for owner, name, replacement in patches:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for (owner, name, _), original in zip(patches, originals, strict=True):
            setattr(owner, name, original)
