"""The members of a view as candidates: who may own what, and what it would weigh there.

Rules of this file: pure; everything in it is agreed by all members (numbered messages, tables in force). What is made
for every question has an `__init__` that is written out: mypyc does not compile those that `dataclass` makes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from duravip.cluster.breathing import breathe
from duravip.cluster.flags import Landscape
from duravip.cluster.leveling import UNIT, one_less, one_more
from duravip.cluster.messages import Blocked
from duravip.model import Address, Flag, NodeName, ViewId

FAIL_BACK_WHEN_MATURE: Final = "when-mature"
FAIL_BACK_MANUAL: Final = "manual"
NOTHING_BLOCKED: Final = Blocked()


@dataclass(slots=True, init=False)
class Candidate:
    """What is agreed about one member; never changed. `previous`: the view it was in before this one. `barred`: why it
    may own nothing under `strict` ownership, as a clause; "" when it may."""

    name: NodeName
    mature: bool
    drained: bool
    leaving: bool
    blocked: Blocked
    weight: float
    previous: ViewId | None
    barred: str

    def __init__(
        self,
        *,
        name: NodeName,
        mature: bool = True,
        drained: bool = False,
        leaving: bool = False,
        blocked: Blocked = NOTHING_BLOCKED,
        weight: float = 1.0,
        previous: ViewId | None = None,
        barred: str = "",
    ) -> None:
        self.name = name
        self.mature = mature
        self.drained = drained
        self.leaving = leaving
        self.blocked = blocked
        self.weight = weight
        self.previous = previous
        self.barred = barred


@dataclass(slots=True, init=False)
class Circumstances:
    """Every agreed input of an election beside the tables; never changed, save what is agreed itself.

    `candidates`: all members of the view, sorted by name. `holders`: who has a VIP now (assigned in this
    view, else claimed in the state exchange), sorted; several after a merge. `claims`: who may have a VIP, or take it,
    whatever was decided since; not so the last holder of one that was BROKEN. `moving`: VIPs whose former
    holder has not released them yet. `fail_back`: only `when-mature` lets a held VIP go back to its preferred
    owner. `no_majority`: why nobody may own anything in this view, in words; "" when somebody may.
    """

    candidates: tuple[Candidate, ...]
    holders: dict[Address, tuple[NodeName, ...]]
    claims: Mapping[Address, Collection[NodeName]]
    pins: dict[Address, NodeName]
    view_mature: bool
    moving: int
    fail_back: str
    no_majority: str

    def __init__(
        self,
        *,
        candidates: tuple[Candidate, ...],
        holders: dict[Address, tuple[NodeName, ...]],
        view_mature: bool,
        claims: Mapping[Address, Collection[NodeName]] | None = None,
        pins: dict[Address, NodeName] | None = None,
        moving: int = 0,
        fail_back: str = FAIL_BACK_WHEN_MATURE,
        no_majority: str = "",
    ) -> None:
        self.candidates = candidates
        self.holders = holders
        self.claims = claims if claims is not None else {}
        self.pins = pins if pins is not None else {}
        self.view_mature = view_mature
        self.moving = moving
        self.fail_back = fail_back
        self.no_majority = no_majority


def somebody_hands_over(candidates: Iterable[Candidate]) -> bool:
    """Whether one of them gives away what it has, a few at a time: else nobody looks at claims."""
    return any(candidate.drained or candidate.leaving for candidate in candidates)


class Electorate:
    """The candidates of one election: who may own what, and what it would weigh there."""

    def __init__(self, landscape: Landscape, given: Circumstances) -> None:
        self.landscape = landscape
        self.given = given
        self.names = tuple(candidate.name for candidate in given.candidates)
        self.number = {name: number for number, name in enumerate(self.names)}
        self.candidates = {candidate.name: candidate for candidate in given.candidates}
        self.node_weights = [candidate.weight for candidate in given.candidates]
        self._all_plain = not (landscape.weights or landscape.followers or landscape.apart or landscape.together)
        self._able: set[NodeName] = set()
        self._handing_over: set[NodeName] = set()
        self._blocking: list[Candidate] = []
        self._claimed: set[Address] = set()
        self._remarkable: set[Address] = set()
        for candidate in given.candidates:
            blocked = candidate.blocked
            if candidate.mature and not (blocked.everything or candidate.barred):
                gives = candidate.drained or candidate.leaving
                (self._handing_over if gives else self._able).add(candidate.name)
            if len(blocked.addresses):
                self._remarkable.update(blocked.addresses)
                if candidate.name in self._able:
                    self._blocking.append(candidate)
            if len(blocked.claimed):
                self._claimed.update(blocked.claimed)
        self._remarkable |= self._claimed
        self._by_members: dict[tuple[NodeName, ...], tuple[NodeName, ...]] = {}
        self._last: tuple[object, object, tuple[NodeName, ...], NodeName | None] = (None, None, (), None)

    def eligible(self, address: Address) -> tuple[NodeName, ...]:
        """Sorted by name."""
        if address in self._claimed:
            return ()
        members = self.landscape.members.get(address, ())
        found = self._by_members.get(members)
        if found is None:
            breathe()  # there may be as many sets of nodes as addresses
            found = self._by_members[members] = tuple(node for node in members if node in self._able)
        for candidate in self._blocking:
            if address in candidate.blocked.addresses:
                found = tuple(node for node in found if node != candidate.name)
        return found

    def choice(self, address: Address) -> tuple[tuple[NodeName, ...], NodeName | None]:
        """Who is `eligible`, and who is `preferred`. Addresses with the same virtual members and preferences mostly
        follow each other: of those it is found out once."""
        members, ranking = self.landscape.members.get(address), self.landscape.preferences.get(address)
        last_members, last_ranking, eligible, preferred = self._last
        if members is last_members and ranking == last_ranking and address not in self._remarkable:
            return eligible, preferred
        eligible, preferred = self.eligible(address), self.preferred(address)
        if members is not None and address not in self._remarkable:
            self._last = members, ranking, eligible, preferred
        return eligible, preferred

    def is_unremarkable(self, address: Address) -> bool:
        """Whether all that can be said of who may have it can be said of any VIP with the same virtual members."""
        return self.given.fail_back != FAIL_BACK_MANUAL and address not in self._remarkable

    def preferred(self, address: Address) -> NodeName | None:
        """The first of the undisputed preferences that can be honoured."""
        ranking = self.landscape.preferences.get(address)
        if ranking is None:
            return None
        eligible = self.eligible(address)
        return next((node for node in ranking if node in eligible), None)

    def yields(self, address: Address, node: NodeName) -> bool:
        """Whether the node may go on holding a VIP until it is handed over: it has it, and nothing but a drain, or that
        it leaves, keeps it from being eligible."""
        return (
            node in self._handing_over
            and node in self.given.claims.get(address, ())
            and node in self.landscape.members.get(address, ())
            and (
                address not in self._remarkable
                or (address not in self.candidates[node].blocked.addresses and address not in self._claimed)
            )
        )

    def why_not(self, node: NodeName, address: Address) -> str:
        """A few words that begin with the node's name. For a node that is not eligible."""
        candidate = self.candidates.get(node)
        if candidate is None:
            return f"{node} not in the view"
        if node not in self.landscape.members.get(address, ()):
            return f"{node} without it in its table"
        if address in candidate.blocked.claimed:
            return f"{node} leaves it to a stranger on the network"
        if address in self._claimed:
            return f"{node} waits until the stranger has gone"
        if candidate.barred:
            return f"{node} {candidate.barred}"
        if candidate.blocked.everything:
            return f"{node} blocked ({candidate.blocked.everything})"
        if candidate.leaving:
            return f"{node} leaving"
        if candidate.drained:
            return f"{node} drained"
        if not candidate.mature:
            return f"{node} immature"
        if address in candidate.blocked.addresses:
            return f"{node} blocked for this address"
        return f"{node} eligible by now"

    def may_fail_back(self) -> bool:
        return self.given.view_mature and self.given.fail_back == FAIL_BACK_WHEN_MATURE

    def merge_winner(self, holders: list[NodeName]) -> NodeName:
        """The holder whose previous view has more members in this one; then the smaller name."""

        def company(node: NodeName) -> int:
            previous = self.candidates[node].previous
            if previous is None:
                return 0
            return sum(candidate.previous == previous for candidate in self.given.candidates)

        return min(holders, key=lambda node: (-company(node), node))

    def carried(self, address: Address, node: NodeName) -> tuple[Address, ...]:
        """The followers of `address` that would go to `node` with it."""
        return tuple(
            follower
            for follower in self.landscape.followers.get(address, ())
            if not is_broken(self.landscape, follower) and node in self.eligible(follower)
        )

    def size(self, address: Address, node: NodeName) -> int:
        """The load of a VIP on `node`, with the followers that it takes along."""
        size = self.own_size(address)
        if address in self.landscape.followers:
            size += sum(self.own_size(follower) for follower in self.carried(address, node))
        return size

    def is_plain(self, address: Address) -> bool:
        """Weighs 1 wherever it is, and moves for itself."""
        return address not in self.landscape.weights and self.is_lone(address)

    def is_lone(self, address: Address) -> bool:
        """Weighs the same wherever it is, and moves for itself."""
        landscape = self.landscape
        return not (address in landscape.followers or address in landscape.apart or address in landscape.together)

    def is_bound(self, address: Address) -> bool:
        """Whether a pin or a preference that can be honoured says where it belongs."""
        return self.given.pins.get(address) in self.eligible(address) or self.preferred(address) is not None

    def homes(self, owned: Mapping[Address, NodeName]) -> Mapping[Address, NodeName]:
        """Where what is owned will be once it has gone back to wherever it belongs."""
        if self.given.fail_back != FAIL_BACK_WHEN_MATURE or not self.landscape.preferences:
            return owned
        return {address: self._home_of(address, owner) for address, owner in owned.items()}

    def _home_of(self, address: Address, owner: NodeName) -> NodeName:
        eligible, preferred = self.choice(address)
        is_pinned = self.given.pins.get(address) in eligible  # and is there already
        return owner if preferred is None or is_pinned else preferred

    def home(self, group: str, owners: Mapping[Address, NodeName]) -> NodeName | None:
        """The node where a group belongs that should be together, as far as it has `owners`: where the first of its
        members is that is bound to a node; else, of the nodes that may own all of it, the one that has most of it (then
        the smaller name). None: wherever there is room, or there is no such node."""
        placed = [address for address in self.landscape.companies[group] if address in owners]
        for address in placed:
            if self.is_bound(address):
                return owners[address]
        able = self.common(group)
        has: dict[NodeName, int] = {}
        for address in placed:
            if owners[address] in able:
                has[owners[address]] = has.get(owners[address], 0) + self.size(address, owners[address])
        return min(has, key=lambda node: (-has[node], node), default=None)

    def common(self, group: str) -> tuple[NodeName, ...]:
        """The nodes that may own all of a group that anybody may own at all, sorted."""
        found: set[NodeName] | None = None
        for address in self.landscape.companies[group]:
            able = self.eligible(address)
            if able and not is_broken(self.landscape, address):
                found = set(able) if found is None else found.intersection(able)
        return tuple(sorted(found or ()))

    def loads(self, owned: Iterable[tuple[Address, NodeName]]) -> list[int]:
        """Load of each candidate; followers are counted with what they follow, so leave them out."""
        loads, number, all_plain = [0] * len(self.names), self.number, self._all_plain
        for address, owner in owned:
            loads[number[owner]] += UNIT if all_plain or self.is_plain(address) else self.size(address, owner)
        return loads

    def may_gain(self, loads: Sequence[int]) -> bool:
        """Whether something that weighs 1, moved from one node to another, could make these loads more even: nodes that
        may own nothing aside."""
        pairs = [(loads[self.number[name]], self.candidates[name].weight) for name in self.names if name in self._able]
        most = max((one_less(load, weight) for load, weight in pairs), default=(0.0, 0.0))
        return any(one_more(load, weight) < most for load, weight in pairs)

    def own_size(self, address: Address) -> int:
        return max(1, round(self.landscape.weights.get(address, 1.0) * UNIT))


def is_broken(landscape: Landscape, address: Address) -> bool:
    return Flag.BROKEN in landscape.flags.get(address, ())
