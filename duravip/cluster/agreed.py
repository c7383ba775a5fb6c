"""What all members of a view know alike: the state that numbered messages change, and nothing else does.

Rules of this file
- It begins with the view's state exchange and changes by `apply` alone: two members that have delivered the same
  number have equal states. No clock, no heartbeat, no local knowledge enters.
- A claim is (address, member) with the number that gave it. It ends when the member reports, as of that number or a
  later one, that it neither has the address nor will take it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import ClassVar, Final

from duravip.cluster.charter import (
    backers,
    barred_words,
    charter_at_install,
    is_majority,
    missing_at_install,
    no_majority_words,
    roll_of,
)
from duravip.cluster.deliberation import Question
from duravip.cluster.draining import why_not_drain, why_not_member
from duravip.cluster.election import Candidate, Circumstances, why_not_move
from duravip.cluster.electorate import FAIL_BACK_MANUAL, Electorate, somebody_hands_over
from duravip.cluster.flags import Landscape
from duravip.cluster.library import Library
from duravip.cluster.messages import (
    Announced,
    AnyBody,
    Assigned,
    Chartered,
    DrainAsked,
    MemberState,
    MemberStatus,
    Overdue,
    Pin,
    Pinned,
    Reported,
    Roll,
    Round,
    SwitchAbandoned,
    SwitchAsked,
    Switched,
    TableChosen,
    ViewAged,
)
from duravip.cluster.messages import Matured as MaturedBody
from duravip.cluster.pins import keep, pins_at_install
from duravip.cluster.switching import wanted_table
from duravip.model import Address, Decision, NodeName, Reason, Settings, TableDigest, View, ViewId

_NUMBERS: Final = {reason: reason.value for reason in Reason}
NO_CIRCUMSTANCES = Circumstances(candidates=(), holders={}, view_mature=False)


class AgreedState:
    """`claims`: who may have an address, with the number that let it. `holders`: whom the election takes for its
    present holders. `in_flight`: what somebody else than its owner still has a claim on; of that `overdue` is what was
    waited for long enough. `tables`: the digest in force for each member, None for one in no virtual membership.
    `round`: the switch of all tables that is being prepared.

    For `strict` ownership: `charter`; `backers`, the members whose voices count for each roll that this view must
    satisfy to its end; `missing`, for how long each node that may have something, and is not here, has been in no view
    of a majority; `brought`, what members had when the view began, so that nobody else had it."""

    # From the rest: no part of the state.
    DERIVED: ClassVar = (
        "_assigned",
        "_candidates",
        "_circumstances",
        "_decided",
        "_declared",
        "_moved",
        "_named",
        "_order",
        "_owned",
        "_surveyed_at",
        "_view_words",
        "_words",
    )

    def __init__(self, view: View, states: tuple[MemberState, ...], library: Library) -> None:
        self.view = view
        self._view_id = view.id
        self._view_words = str(view.id)
        self.number = 0
        self._names = view.names()
        self._library = library
        self.previous: dict[NodeName, ViewId | None] = {s.member.name: s.previous for s in states}
        self.status: dict[NodeName, MemberStatus] = {s.member.name: s.status for s in states}
        self.mature: set[NodeName] = {s.member.name for s in states if s.mature}
        self._switched = rounds_switched(states)
        self.tables = tables_at_install(states)
        self._declared = 0  # grows with every change of a status, of who is mature, and of the charter
        self._moved = 0  # grows with every change of a decision, of a claim, and of the charter
        self._decided = 0  # grows with every change of a decision, of a holder, and of a pin
        self._named: tuple[object, frozenset[TableDigest]] = (None, frozenset())
        self._candidates: tuple[object, tuple[Candidate, ...]] = (None, ())
        self.view_mature = False
        self.round: Round | None = None
        self.decisions: dict[Address, Decision] = {}
        self._owned: dict[NodeName, set[Address]] = {}  # by the decisions
        self._assigned: dict[Address, str] = {}  # the same in a few letters each, for the digest
        self._order: list[Address] = []  # its addresses, sorted
        self._words: str | None = None  # all of them, in that order; None: to be put together again
        self.claims: dict[Address, dict[NodeName, int]] = {}
        self.holders: dict[Address, tuple[NodeName, ...]] = {}
        claimed_twice: set[Address] = set()
        former: dict[Address, tuple[NodeName, ...]] = {}
        for state in states:
            name, held = state.member.name, tuple(state.held)
            for address in (*held, *state.releasing):
                claims = self.claims.get(address)
                if claims is None:
                    self.claims[address] = {name: 0}
                elif name not in claims:
                    claims[name] = 0
                    claimed_twice.add(address)
            shared = [(address, self.holders[address]) for address in held if address in self.holders]
            self.holders.update(dict.fromkeys(held, (name,)))
            self.holders.update((address, (*names, name)) for address, names in shared)
            for address in state.former:
                former[address] = (*former.get(address, ()), name)
        self.brought = frozenset(self.holders)
        if former:
            self.holders = {**former, **self.holders}
        releasing = {address for state in states for address in state.releasing}
        self.in_flight = {address for address in claimed_twice | releasing if self._is_in_flight(address)}
        self.overdue: set[Address] = set()
        self.pins = pins_at_install(states, epoch=view.id.epoch)
        self.charter = charter_at_install(states)
        self.backers: dict[Roll, frozenset[NodeName]] = {roll: backers(roll, states) for roll in self.charter.rolls}
        self.missing = missing_at_install(states, self.charter)
        of_one = {name: frozenset((name,)) for name in self._names}
        self.claimed_at_install: Mapping[Address, frozenset[NodeName]] = {
            address: of_one[next(iter(names))] if len(names) == 1 else frozenset(names)
            for address, names in self.claims.items()
        }
        self.landscape: Landscape
        self.informed = False
        self._surveys = 0
        self._surveyed_at = -1  # the library's revision
        self._rolls_said: dict[NodeName, Roll | None] = {}  # by the tables in force
        self._circumstances: tuple[object, Circumstances] = (None, NO_CIRCUMSTANCES)
        self._survey()

    # --- questions -------------------------------------------------------------------------------------------------

    def names(self) -> tuple[NodeName, ...]:
        return self._names

    def is_carried(self) -> bool:
        """Whether the members that are here may decide who holds what."""
        return all(is_majority(roll, voices) for roll, voices in self.backers.items())

    def is_strict(self) -> bool:
        return bool(self.charter.rolls)

    def begins_better_anew(self) -> bool:
        """Whether the lists of nodes that have just started had no majority when the view began, and the next view
        would find one: enough of them for every one of those lists have gone over to the same."""
        if self.charter.generation or self.is_carried():
            return False
        settings = {name: self.own_settings(name) for name in self.names()}
        said = {name: roll_of(own) for name, own in settings.items() if own is not None}
        voices = {roll: frozenset(name for name in said if said[name] == roll) for roll in said.values() if roll}
        return any(all(is_majority(one, voices[roll]) for one in (*self.charter.rolls, roll)) for roll in voices)

    def lifetime_s(self) -> float:
        """Of addresses in the kernel; 0: for ever."""
        lifetimes = [roll.lifetime_s for roll in self.charter.rolls]
        return float(min(lifetimes)) if lifetimes else self.settings().address_lifetime

    def waits(self, address: Address) -> bool:
        """Whether somebody who is missing may have had it when the view began."""
        return address not in self.brought

    def gone(self) -> frozenset[NodeName]:
        """Who has left, and nobody here knows otherwise."""
        return frozenset.intersection(*(frozenset(status.gone) for status in self.status.values()))

    def voters(self, roll: Roll | None) -> frozenset[NodeName]:
        """The members whose tables in force say this; None: `available`."""
        return frozenset(name for name, said in self._rolls_said.items() if said == roll)

    def barred(self, name: NodeName) -> str:
        """Why the member may own nothing under this charter; "" when it may."""
        return barred_words(name, self._rolls_said.get(name), self.charter.rolls)

    def settings(self) -> Settings:
        """The coordinator's, which are in force for all."""
        table = self._library.get(self.tables[self.view.id.coordinator])
        return table.settings if table is not None else Settings()

    def own_settings(self, name: NodeName) -> Settings | None:
        """What the member's own configuration says, whatever is in force."""
        table = self._library.get(self.wanted(name))
        return table.settings if table is not None else None

    def wanted(self, name: NodeName) -> TableDigest:
        """The table that the member wants in force for itself."""
        return wanted_table(self.status[name], self._switched)

    def tables_named(self) -> frozenset[TableDigest]:
        """Every table of a member that counts, or may come to count."""
        basis = self.basis_of_members()
        if basis != self._named[0]:
            named = {digest for digest in self.tables.values() if digest is not None}
            named.update(status.table for status in self.status.values())
            named.update(digest for digest, _ in self.tables_prepared())
            self._named = basis, frozenset(named)
        return self._named[1]

    def tables_prepared(self) -> list[tuple[TableDigest, NodeName]]:
        """What members have prepared for a switch of all, each with its member."""
        prepared = [(name, self.status[name].prepared) for name in self.names()]
        return [(one.table, name) for name, one in prepared if one is not None and one.table is not None]

    def owner(self, address: Address) -> NodeName | None:
        decision = self.decisions.get(address)
        return decision.owner if decision is not None else None

    def owned(self, name: NodeName) -> Collection[Address]:
        """What the decisions give to the node, in no order."""
        return self._owned.get(name, ())

    def circumstances(self) -> Circumstances:
        """Every agreed input of an election beside the tables; the same object as long as nothing has changed."""
        basis = self.basis()
        if basis != self._circumstances[0]:
            self._circumstances = (basis, self._circumstances_now())
        return self._circumstances[1]

    def _circumstances_now(self) -> Circumstances:
        return Circumstances(
            candidates=self._candidates_now(),
            holders=self.holders,
            claims=self.claims,
            pins={address: pin.node for address, pin in self.pins.items() if pin.node is not None},
            view_mature=self.view_mature,
            moving=len(self.in_flight) - len(self.overdue),
            fail_back=self.settings().fail_back,
            no_majority="" if self.is_carried() else no_majority_words(self.backers),
        )

    def _candidates_now(self) -> tuple[Candidate, ...]:
        basis = self.basis_of_members()
        if basis != self._candidates[0]:
            self._candidates = basis, tuple(self._candidate(name) for name in self.names())
        return self._candidates[1]

    def _candidate(self, name: NodeName) -> Candidate:
        status = self.status[name]
        return Candidate(
            name=name,
            mature=name in self.mature,
            drained=status.drained,
            leaving=status.leaving,
            blocked=status.blocked,
            weight=status.weight,
            previous=self.previous[name],
            barred=self.barred(name),
        )

    def why_not_pin(self, wish: Pinned) -> str:
        """Why the pin cannot be granted; "" when it can. Ending one always can."""
        if wish.node is None:
            return "" if wish.address in self.landscape.members else f"{wish.address} is in nobody's table"
        return why_not_move(self.landscape, self.circumstances(), wish.address, wish.node)

    def why_not_drain(self, wish: DrainAsked) -> str:
        """Why the wish cannot be granted; "" when it can."""
        if not wish.drained:
            return why_not_member(self.circumstances(), wish.name)
        return why_not_drain(self.landscape, self.circumstances(), wish.name, force=wish.force)

    def election(self) -> Question:
        """What the election changes now."""
        return Question(landscape=self.landscape, given=self.circumstances(), decisions=self.decisions)

    def balancing(self) -> Question | None:
        """What one balancing round changes now; None: nothing while an address has no decision yet, or an owner who is
        no member."""
        size = self.settings().balance_set_size or max(1, len(self.landscape.universe) // 32)
        present = {a: d for a, d in self.decisions.items() if a in self.landscape.members}
        owners = {decision.owner for decision in present.values()} - {None}
        if not self.is_carried() or len(present) < len(self.landscape.universe) or not owners <= self.status.keys():
            return None
        return Question(landscape=self.landscape, given=self.circumstances(), decisions=present, limit=size)

    def basis(self) -> object:
        """Equal as long as nothing here has changed."""
        return self._view_id, self.number, self._surveys

    def basis_of_addresses(self) -> object:
        """Equal as long as nothing has changed that says who may have what."""
        return self._view_id, self._moved, self._surveys

    def basis_of_elections(self) -> object:
        """Equal as long as nothing has changed that an election, or balancing, goes by. What somebody has let go counts
        only while somebody hands over, and when nothing is in flight any more."""
        claims = self._moved if somebody_hands_over(self._candidates_now()) else 0
        is_moving = len(self.in_flight) > len(self.overdue)
        return self._view_id, self._declared, self._decided, self._surveys, self.view_mature, is_moving, claims

    def basis_of_members(self) -> object:
        """Equal as long as nothing has changed that is agreed of members and their tables; of addresses it may have."""
        return self._view_id, self._declared, self._surveys

    def basis_of_tables(self) -> object:
        """Equal as long as the view and the tables in force are the same."""
        return self._view_id, self._surveys

    def digest(self) -> bytes:
        """Equal at two members exactly when view, number and assignment are."""
        if self._words is None:
            if len(self._order) < len(self._assigned):  # which only grows
                self._order = sorted(self._assigned)
            self._words = "".join([self._assigned[address] for address in self._order])
        state = f"{self._view_words}|{self.number}{self._words}"
        return hashlib.blake2b(state.encode(), digest_size=8).digest()

    # --- change ----------------------------------------------------------------------------------------------------

    def apply(self, number: int, body: AnyBody) -> None:
        """Message `number` has been delivered."""
        self.number = number
        match body:  # the frequent first
            case Reported():
                if body.name not in self.status:
                    return
                if body.status != self.status[body.name]:
                    self.status[body.name] = body.status
                    self._declared += 1
                for address in body.released:
                    claims = self.claims.get(address)
                    if claims is not None and body.name in claims and claims[body.name] <= body.as_of:
                        self._moved += 1
                        del claims[body.name]
                        if not claims:
                            del self.claims[address]
                        self._follow_flight(address)
            case Assigned():
                self._moved += 1
                self._decided += 1
                self._words = None
                for group in body.groups:
                    said = f"{group.decision.owner}/{_NUMBERS[group.decision.reason]}"
                    for address in group.addresses:
                        self._assign(number, address, group.decision)
                        self._assigned[address] = f"|{address}={said}"
            case TableChosen():
                if body.name in self.tables:
                    self.tables[body.name] = body.digest
                    self.view_mature = False
                    self._survey()
            case MaturedBody():
                self.mature.update(name for name in body.names if name in self.status)
                self._declared += 1
            case ViewAged():
                self.view_mature = True
            case Pinned():
                self._decided += 1
                epoch = self.view.id.epoch
                keep(self.pins, Pin(address=body.address, node=body.node, epoch=epoch, number=number))
                if body.node is None and body.sequence and self.settings().fail_back == FAIL_BACK_MANUAL:
                    self._give_back(body.address)
            case SwitchAsked():
                self.round = Round(view=self.view.id, number=number, by=body.by, sequence=body.sequence)
            case Switched():
                self._switch(body.round)
            case SwitchAbandoned():
                self.round = None
            case Overdue():
                self.overdue |= self.in_flight.intersection(body.addresses)
            case Chartered():
                self._charter(body)
            case Announced() | DrainAsked():
                pass

    def learn_tables(self) -> bool:
        """The content of tables that have arrived counts from now on. False when this member lacked none."""
        if self.informed or self._library.revision == self._surveyed_at:
            return False
        self._survey()
        return True

    def _switch(self, switched: Round) -> None:
        self.round = None
        self._switched.add(switched)
        before = dict(self.tables)
        for name, status in self.status.items():
            if status.prepared is not None and status.prepared.round == switched:
                self.tables[name] = self.wanted(name)
        if self.tables != before:
            self.view_mature = False
            self._survey()

    def _charter(self, body: Chartered) -> None:
        """A new roll has the voices that the coordinator counted, also where a table is not known that names it; the
        old ones count on, until the next view."""
        self.charter = body.charter
        self._declared += 1
        self._moved += 1
        for roll in body.charter.rolls:
            self.backers.setdefault(roll, frozenset(body.voters).intersection(self.status))

    def _assign(self, number: int, address: Address, decision: Decision) -> None:
        before = self.decisions.get(address)
        if before is not None and before.owner is not None:
            self._owned[before.owner].discard(address)
        self.decisions[address] = decision
        if decision.owner is not None:
            self._owned.setdefault(decision.owner, set()).add(address)
            self.claims.setdefault(address, {})[decision.owner] = number
            self.holders[address] = (decision.owner,)
        self._follow_flight(address)

    def _follow_flight(self, address: Address) -> None:
        if self._is_in_flight(address):
            self.in_flight.add(address)
        else:
            self.in_flight.discard(address)
            self.overdue.discard(address)

    def _is_in_flight(self, address: Address) -> bool:
        claims, decision = self.claims.get(address, {}), self.decisions.get(address)
        at_home = self.holders.get(address, ()) if decision is None else (decision.owner,)
        return len(claims) > 1 or any(name not in at_home for name in claims)

    def _give_back(self, address: Address) -> None:
        """The next election gives the address to its preferred node, if there is one that may have it."""
        if Electorate(self.landscape, self.circumstances()).preferred(address) is not None:
            self.holders.pop(address, None)

    def _survey(self) -> None:
        self._surveys += 1
        self._surveyed_at = self._library.revision
        self.informed = all(digest is None or self._library.has(digest) for digest in self.tables.values())
        self.landscape = self._library.survey({name: self.tables[name] for name in self.names()})
        tables = {name: self._library.get(digest) for name, digest in self.tables.items()}
        self._rolls_said = {name: roll_of(table.settings) for name, table in tables.items() if table is not None}


def rounds_switched(states: tuple[MemberState, ...]) -> set[Round]:
    """Those that any member remembers to have come into force."""
    return {known for state in states for known in state.switched}


def tables_at_install(states: tuple[MemberState, ...]) -> dict[NodeName, TableDigest | None]:
    """Which table counts for whom when a view begins.

    The one that a member wants, else the one that was in force for it, if every member has its content: so a reload
    in flight goes on, or comes later; and so does a switch of all that any of them has seen come into force. Of the
    members that remain, those come in, mature ones first, then by name, that have the tables of all who are in and
    whose own those have; the others stay outside until the coordinator chooses their tables.
    """
    chosen: dict[NodeName, TableDigest | None] = {}
    switched = rounds_switched(states)
    wanted = {state.member.name: wanted_table(state.status, switched) for state in states}
    common = set.intersection(*(set(state.status.has) for state in states))
    inside = [state for state in states if {wanted[state.member.name], state.in_force} & common]
    for state in inside:
        name = state.member.name
        chosen[name] = wanted[name] if wanted[name] in common else state.in_force
    for state in sorted(states, key=lambda s: (not s.mature, s.member)):
        if state.member.name in chosen:
            continue
        chosen[state.member.name] = None
        if not {chosen[other.member.name] for other in inside} <= set(state.status.has):
            continue
        for digest in (wanted[state.member.name], state.in_force):
            if digest is not None and all(digest in other.status.has for other in (*inside, state)):
                chosen[state.member.name] = digest
                inside.append(state)
                break
    return chosen
