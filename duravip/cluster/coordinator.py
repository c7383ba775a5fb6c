"""What the coordinator of a view puts in order: reports, tables, maturity, the assignment.

Rules of this file
- Everything that the election may look at is numbered here first; times are looked at here and nowhere else.
- `duty` gives one body at a time; the caller numbers and applies it, and asks again until there is none.

Theory of operation
    Reports are numbered as they come, each once. Tables come into force one by one (`table_choice`). Nodes mature by
    time spent in views: in a cluster without mature members all together, once nobody was added for `view_mature_time`
    (after three times that in any case); beside mature members each that long after it came. The election runs
    whenever something has changed that it goes by, balancing in rounds once the view is mature.

    A release is told, and whoever waits for it acts, before anybody thinks of what comes next: the election waits for
    the next turn. So a hand-over lasts as long as its own few addresses take. Among many VIPs every step is a turn of
    its own: what was told or wished is numbered, then an election is worked out, then it is numbered.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import ClassVar, Final

from duravip.cluster.addresses import MAX_ADDRESSES, AddressSet
from duravip.cluster.agenda import first_after
from duravip.cluster.agreed import AgreedState
from duravip.cluster.charter import is_majority, roll_of, wait_s
from duravip.cluster.deliberation import Answer, Question
from duravip.cluster.messages import (
    MAX_REASON,
    MAX_ROLLS,
    AnyBody,
    Assigned,
    Charter,
    Chartered,
    DrainAsked,
    Group,
    Matured,
    Overdue,
    Pinned,
    Report,
    Reported,
    Roll,
    Round,
    SwitchAbandoned,
    SwitchAsked,
    Switched,
    ViewAged,
    WishBody,
)
from duravip.cluster.table_choice import TableChoice
from duravip.model import Address, Decision, Member, NodeName, TableDigest, ViewId

UNPINNED_AT_ONCE: Final = 32  # then others have their turn, for PAUSE_S
PREPARE_LIMIT_S: Final = 10.0  # for all members to read their configurations, and to have each other's
PATIENCE: Final = 3.0  # times view_mature_time after which an immature cluster waits no longer
PAUSE_S: Final = 0.02  # after a hand-over, before the next: who has taken something announces it undisturbed
OVERDUE_S: Final = 0.5  # after which a hand-over that does not come about keeps no other one waiting
ROUNDING_S: Final = 1e-6  # a time that is so close may have come, or not quite


class Coordinator:
    """Lives as long as the view that it coordinates. `joined_at`: when each member was first seen in a view;
    `added_at`: when somebody was last added. `delivered`: the number that each other member is known to have delivered
    in this view. `many_vips`, `long_vips`: as in `Parameters`. `question`: one that is put outside, and whose state's
    number. `is_heavy`: something was numbered in this turn, and what follows from it is looked for among many;
    `leaves_rest`: so that whatever else there is to be done is better done in the next turn. Times are this node's
    monotonic seconds."""

    DERIVED: ClassVar = (
        "_even_as_of",
        "_idle_as_of",
        "_idle_until",
        "_pins_hold_as_of",
        "_settled_as_of",
        "_void",
    )  # from the rest: no part of the state

    def __init__(
        self,
        agreed: AgreedState,
        *,
        joined_at: Mapping[Member, float],
        added_at: float,
        many_vips: int,
        long_vips: int,
        answer: Answer,
        now: float,
    ) -> None:
        self._agreed = agreed
        self._joined_at = {member.name: joined_at[member] for member in agreed.view.members}
        self._added_at = added_at
        self._changed_at = now
        self._balance_at = math.inf
        self._numbered: dict[NodeName, int] = {}
        self._reports: list[Reported] = []
        self._wished: set[tuple[NodeName, int]] = set()
        self._wishes: list[WishBody] = []
        self._tables = TableChoice(agreed)
        self._round_since = now
        self._elected_at = -1
        self._released = False  # something was, in this turn
        self.is_heavy = False
        self._postponed = False  # the election, to the next one
        self.leaves_rest = False
        self._is_worked_out = False  # the election, in this turn: it is numbered in the next one
        self._rested_at = now  # when there may be another hand-over
        self._held_back = False  # one, until then
        self._flying_since: dict[Address, float] = {}
        self._flights_of = -1  # the number that this follows from
        self._chartered_at = now
        self._chartered_by = 0
        self._many_vips = many_vips
        self._long_vips = long_vips
        self._answer_of = answer
        self._open: tuple[int, bool] | None = None  # the question that is not answered: of which number, of balancing
        self._election_waits = False  # for an answer
        self._answer: tuple[int, bool, Mapping[Address, Decision]] | None = None
        self._settled_as_of: object = None  # of all that elections go by, when one had nothing to change
        self._even_as_of: object = None  # the same, of balancing
        self._pins_hold_as_of: object = None  # of members and tables, when it was last looked which pins must end
        self._void: list[Address] = []  # those
        self._unpinned = 0
        self._unpin_at = now  # when there may be more
        self.question: tuple[int, Question] | None = None
        self._idle_as_of: object = None  # of the agreed state, when there was nothing to do last
        self._idle_until = -math.inf
        self.delivered: dict[NodeName, int] = {}

    @property
    def view(self) -> ViewId:
        return self._agreed.view.id

    def on_report(self, name: NodeName, report: Report) -> None:
        """Queues a report that was not numbered before and is not overtaken by a newer one."""
        if report.sequence <= self._numbered.get(name, 0):
            return
        self._numbered[name] = report.sequence
        self._reports.append(
            Reported(
                name=name,
                sequence=report.sequence,
                status=report.status,
                as_of=report.as_of,
                released=report.released,
            )
        )

    def on_wish(self, name: NodeName, body: WishBody) -> None:
        """Queues what an operator asked through `name`, once, if it can be granted."""
        if body.by != name or (name, body.sequence) in self._wished:
            return
        if isinstance(body, Pinned) and self._agreed.why_not_pin(body):
            return
        if isinstance(body, DrainAsked) and self._agreed.why_not_drain(body):
            return
        if isinstance(body, SwitchAsked) and self._is_switching():
            return
        self._wished.add((name, body.sequence))
        self._wishes.append(body)

    def on_deliberated(self, number: int, answer: Mapping[Address, Decision]) -> None:
        """What was asked in the state of that number is answered."""
        if self._open is None or self._open[0] != number:
            return
        self._answer = *self._open, answer
        self._open = self._idle_as_of = None
        if self._answer[:2] != (self._agreed.number, False) and self._election_waits:
            self._elected_at = -1

    def duty(self, now: float) -> AnyBody | None:
        """The next thing to number, or None."""
        if self._is_worked_out:
            self._is_worked_out = False
            changed = self._answered(balancing=False)
            assigned = self._assignment(changed, now) if changed is not None else None
            if assigned is not None:
                self.is_heavy = self._has_many()
                return assigned
        if self._reports:
            report = self._reports.pop(0)
            self.is_heavy = self._has_many()
            if report.released:
                self._released, self._rested_at = True, now + PAUSE_S
            return report
        if self._wishes:
            wish = self._wishes.pop(0)
            self.is_heavy = self._has_many()
            if isinstance(wish, SwitchAsked):
                self._round_since = now
            elif isinstance(wish, Pinned):
                self._hold_back(wish.address, now)
            return wish
        self.leaves_rest = self.is_heavy and not self._postponed
        self._postponed = (self._released or self.is_heavy) and not self._postponed
        self._released = self.is_heavy = False
        if self._postponed:
            return None
        basis = self._agreed.basis()
        if basis == self._idle_as_of and now < self._idle_until:
            return None
        laggards = self._tables.laggards
        body: AnyBody | None = (
            self._switch(now)
            or self._choose_table(now)
            or self._charter(now)
            or self._mature(now)
            or self._age(now)
            or self._unpin(now)
            or self._wait_no_longer(now)
            or self._elect(now)
            or self._balance(now)
        )
        self._idle_as_of = basis
        is_idle = (
            body is None
            and not self._is_worked_out
            and self._tables.laggards == laggards
            and len(self._agreed.charter.rolls) < 2
        )
        self._idle_until = self._next_at(now - ROUNDING_S) if is_idle else -math.inf
        self.is_heavy = body is not None and self._has_many()
        return body

    def _has_many(self) -> bool:
        return len(self._agreed.landscape.universe) >= self._many_vips

    def deadline(self, now: float) -> float:
        """When time alone may bring a duty; `now`, when there is one already."""
        if self._postponed or self._is_worked_out:
            return now
        return self._idle_until if now < self._idle_until else self._next_at(now)

    def _next_at(self, now: float) -> float:
        settings = self._agreed.settings()
        times = self._tables.deadlines()
        times += [since + OVERDUE_S for since in self._flying_since.values()]
        times += [self._rested_at] if self._held_back else []
        times += [self._unpin_at] if self._void else []
        if set(self._agreed.names()) - self._agreed.mature:
            times += [since + settings.view_mature_time for since in (*self._joined_at.values(), self._added_at)]
            times += [since + PATIENCE * settings.view_mature_time for since in self._joined_at.values()]
        if self._agreed.round is not None:
            times.append(self._round_since + PREPARE_LIMIT_S)
        if not self._agreed.view_mature:
            times.append(self._changed_at + settings.view_mature_time)
        if len(self._agreed.charter.rolls) > 1:
            times.append(self._chartered_at + wait_s(self._agreed.charter.rolls))
        return first_after(now, [*times, self._balance_at])

    # --- tables ----------------------------------------------------------------------------------------------------

    def _choose_table(self, now: float) -> AnyBody | None:
        chosen = self._tables.next(now)
        if chosen is not None:
            self._changed_at = now
        return chosen

    # --- one switch of all -----------------------------------------------------------------------------------------

    def _is_switching(self) -> bool:
        return self._agreed.round is not None or any(isinstance(wish, SwitchAsked) for wish in self._wishes)

    def _switch(self, now: float) -> AnyBody | None:
        """The round's end, when every member has prepared and everybody has everybody's table, or when that will not
        come about."""
        agreed, underway = self._agreed, self._agreed.round
        if underway is None:
            return None
        digests: set[TableDigest] = set()
        missing: list[NodeName] = []
        for name in agreed.names():
            prepared = agreed.status[name].prepared
            if prepared is None or prepared.round != underway:
                missing.append(name)
            elif prepared.table is None:
                return _abandoned(underway, f"{name}: {prepared.refusal}")
            else:
                digests.add(prepared.table)
        slow = missing or [name for name in agreed.names() if not digests <= set(agreed.status[name].has)]
        if not slow:
            self._changed_at = now
            return Switched(round=underway)
        if now - self._round_since < PREPARE_LIMIT_S:
            return None
        what = "has not read its configuration" if missing else "does not have the tables of all others"
        return _abandoned(underway, f"{slow[0]} {what} after {PREPARE_LIMIT_S:g} s")

    # --- whose majority decides ------------------------------------------------------------------------------------

    def _charter(self, now: float) -> AnyBody | None:
        """The next step from the charter to what this node's own table says; see `charter`."""
        agreed, charter = self._agreed, self._agreed.charter
        wanted = roll_of(agreed.settings())
        if not agreed.informed or charter.rolls == (() if wanted is None else (wanted,)):
            return None
        if not agreed.is_carried():  # who has forgotten the old rolls cannot vote for the new one
            return None
        voters = agreed.voters(wanted)
        rolls: tuple[Roll, ...]
        if wanted is not None and wanted in charter.rolls:
            if now < self._chartered_at + wait_s(charter.rolls) or not self._is_delivered(self._chartered_by, voters):
                return None
            rolls = (wanted,)
        elif len(charter.rolls) < MAX_ROLLS and all(
            is_majority(roll, voters) for roll in (*charter.rolls, *([wanted] if wanted is not None else []))
        ):
            rolls = tuple(sorted((*charter.rolls, wanted))) if wanted is not None else ()
        else:
            return None
        self._chartered_at, self._chartered_by = now, agreed.number + 1
        made = Charter(generation=charter.generation + 1, rolls=rolls)
        return Chartered(charter=made, voters=tuple(sorted(voters)))

    def _is_delivered(self, number: int, voters: Collection[NodeName]) -> bool:
        """By voters that are a majority of every roll: should one of them forget it, its configuration has no voice for
        the old ones."""
        named = {name for name, delivered in self.delivered.items() if delivered >= number}
        named.add(self.view.coordinator)
        named.intersection_update(voters)
        return all(is_majority(roll, voices & named) for roll, voices in self._agreed.backers.items())

    # --- maturity --------------------------------------------------------------------------------------------------

    def _mature(self, now: float) -> AnyBody | None:
        agreed = self._agreed
        time_s = agreed.settings().view_mature_time
        immature = [name for name in agreed.names() if name not in agreed.mature]
        if not immature:
            return None
        if agreed.mature or now - self._added_at < time_s:
            waited = [name for name in immature if now - self._joined_at[name] >= time_s]
            if not agreed.mature and not any(
                now - self._joined_at[name] >= PATIENCE * time_s for name in agreed.names()
            ):
                return None
            return Matured(names=tuple(waited)) if waited else None
        return Matured(names=tuple(immature))

    def _age(self, now: float) -> AnyBody | None:
        settings = self._agreed.settings()
        if self._agreed.view_mature or now - self._changed_at < settings.view_mature_time:
            return None
        self._balance_at = now
        return ViewAged()

    # --- pins ------------------------------------------------------------------------------------------------------

    def _unpin(self, now: float) -> AnyBody | None:
        """A pin ends when its node may not have the address any more, for a reason that is its own."""
        agreed = self._agreed
        basis = agreed.basis_of_members()
        if basis != self._pins_hold_as_of:  # a pin is granted only if it holds
            self._void = [address for address in agreed.pins if self._is_void(address)]
            self._pins_hold_as_of = basis
        if now < self._unpin_at:
            return None
        while self._void:
            address = self._void.pop()
            if self._is_void(address):
                self._unpinned += 1
                if not self._unpinned % UNPINNED_AT_ONCE:
                    self._unpin_at = now + PAUSE_S
                return Pinned(by=agreed.view.id.coordinator, sequence=0, address=address, node=None)
        return None

    def _is_void(self, address: Address) -> bool:
        agreed, pin = self._agreed, self._agreed.pins.get(address)
        if pin is None or pin.node is None:
            return False
        status = agreed.status[pin.node]
        return status.drained or status.leaving or pin.node not in agreed.landscape.members.get(address, ())

    # --- the assignment --------------------------------------------------------------------------------------------

    def _wait_no_longer(self, now: float) -> AnyBody | None:
        agreed = self._agreed
        if self._flights_of != agreed.number:
            self._flights_of = agreed.number
            waited_for = (agreed.in_flight - agreed.overdue) & agreed.decisions.keys()
            self._flying_since = {address: self._flying_since.get(address, now) for address in waited_for}
        late = [address for address, since in self._flying_since.items() if now >= since + OVERDUE_S]
        return Overdue(addresses=AddressSet(late[:MAX_ADDRESSES])) if late else None

    def _can_wait(self, address: Address) -> bool:
        """Whether somebody serves it meanwhile."""
        holders = self._agreed.holders.get(address, ())
        return len(holders) == 1 and holders[0] in self._agreed.claims.get(address, {})

    def _hold_back(self, pinned: Address, now: float) -> None:
        """A pin is numbered now: what follows from it alone waits like any hand-over, so that many pins are looked at
        together."""
        if now < self._rested_at and self._elected_at == self._agreed.number and self._can_wait(pinned):
            self._elected_at, self._held_back = self._agreed.number + 1, True

    def _put(self, question: Question) -> None:
        self._open = self._agreed.number, question.limit is not None
        self.question = self._agreed.number, question.kept()

    def _answered(self, *, balancing: bool) -> Mapping[Address, Decision] | None:
        """What was asked of this in the present state, and has been answered."""
        if self._answer is None or self._answer[:2] != (self._agreed.number, balancing):
            return None
        _, _, changed = self._answer
        self._answer = None
        return changed

    def _elect(self, now: float) -> AnyBody | None:
        agreed = self._agreed
        changed = self._answered(balancing=False)
        if changed is None:
            if not agreed.informed or (
                self._elected_at == agreed.number and not (self._held_back and now >= self._rested_at)
            ):
                return None
            if agreed.basis_of_elections() == self._settled_as_of:
                self._elected_at = agreed.number
                return None
            question = agreed.election()
            if question.is_long(self._long_vips):
                self._elected_at, self._election_waits = agreed.number, True
                if self._open is None:
                    self._put(question)
                return None
            self._election_waits = False
            changed = self._answer_of(question)
            if changed and self._has_many() and not self._is_held_back(changed, now):
                self._answer, self._is_worked_out = (agreed.number, False, changed), True
                return None
        return self._assignment(changed, now)

    def _assignment(self, changed: Mapping[Address, Decision], now: float) -> Assigned | None:
        """What an election changes, unless it can wait and should."""
        agreed = self._agreed
        self._held_back = self._is_held_back(changed, now)
        if not changed or self._held_back:
            self._elected_at = agreed.number
            if not changed:
                self._settled_as_of = agreed.basis_of_elections()
            return None
        if not agreed.view_mature:  # nothing goes back: whoever is assigned a VIP is its holder, and stays that
            self._elected_at = agreed.number + 1
        return Assigned(balancing=False, groups=_groups(changed))

    def _is_held_back(self, changed: Mapping[Address, Decision], now: float) -> bool:
        return now < self._rested_at and len(changed) > 0 and all(map(self._can_wait, changed))

    def _balance(self, now: float) -> AnyBody | None:
        agreed = self._agreed
        changed = self._answered(balancing=True)
        if not agreed.view_mature:
            self._balance_at = math.inf
            return None
        if changed is None:
            busy = self._is_worked_out or self._open is not None
            if now < self._balance_at or not agreed.informed or busy:
                return None
            self._balance_at = now + agreed.settings().view_balance_interval
            if agreed.in_flight - agreed.overdue or agreed.basis_of_elections() == self._even_as_of:
                return None
            question = agreed.balancing()
            if question is None:
                return None
            if len(agreed.landscape.universe) >= self._long_vips:
                self._put(question)
                return None
            changed = self._answer_of(question)
        if not changed:
            self._even_as_of = agreed.basis_of_elections()
            return None
        return Assigned(balancing=True, groups=_groups(changed))


def _abandoned(underway: Round, reason: str) -> SwitchAbandoned:
    return SwitchAbandoned(round=underway, reason=reason[:MAX_REASON])


def _groups(changed: Mapping[Address, Decision]) -> tuple[Group, ...]:
    """Few decisions stand for many addresses."""
    by_decision: dict[Decision, list[Address]] = {}
    for address in sorted(changed):
        by_decision.setdefault(changed[address], []).append(address)
    return tuple(
        Group(decision, AddressSet(addresses[start : start + MAX_ADDRESSES]))
        for decision, addresses in by_decision.items()
        for start in range(0, len(addresses), MAX_ADDRESSES)
    )
