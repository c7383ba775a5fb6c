"""What this node says of itself to the group: its part in a state exchange, and one report at a time, repeated until
the agreed state has it.

Level-triggered: a report is the difference between what this node is and what the agreed state says of it. Nothing
is queued, so nothing can be lost or come twice: after a new view the difference is simply computed again.

Whoever has promised the next view says nothing more in this one: what it told the next view that it holds must stay
true until that begins, and a member that is not in it would take what it heard to be released.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final

from duravip.cluster.addresses import MAX_ADDRESSES, AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.charter import charter_of
from duravip.cluster.library import Library
from duravip.cluster.lookout import Lookout
from duravip.cluster.mandate import Mandate
from duravip.cluster.messages import MAX_TABLES, Blocked, Charter, MemberState, MemberStatus, Report
from duravip.cluster.standing import Standing
from duravip.cluster.switching import Switching
from duravip.cluster.tenure import Tenure
from duravip.model import Member

REPEAT_INTERVALS: Final = 0.25  # heartbeat intervals between repetitions


class Declaration:
    """`due_at`: when the present report should be said again; infinity when there is nothing to say."""

    DERIVED: ClassVar = ("_said",)  # from the rest: no part of the state

    def __init__(
        self,
        me: Member,
        interval_s: float,
        *,
        standing: Standing,
        tenure: Tenure,
        switching: Switching,
        library: Library,
        lookout: Lookout,
        mandate: Mandate,
    ) -> None:
        self._me = me
        self._repeat_s = REPEAT_INTERVALS * interval_s
        self._standing = standing
        self._tenure = tenure
        self._switching = switching
        self._library = library
        self._lookout = lookout
        self._mandate = mandate
        self._sequence = 0
        self._basis: object = None
        self._said: tuple[object, MemberStatus] | None = None  # of this node, and what that follows from
        self._key: tuple[MemberStatus, AddressSet, int] | None = None
        self._report: Report | None = None
        self.due_at = math.inf

    def renew(self) -> None:
        """A view was installed: what was said in the old one counts no more."""
        self._basis = None
        self._settle()

    def state(self, agreed: AgreedState | None, *, mature: bool, now: float) -> MemberState:
        """This node's part in a state exchange. What it may not hold any more it does not hold, as far as the others
        are concerned: it is on its way out."""
        holdings = self._tenure.holdings
        held, releasing = holdings.held(), holdings.releasing()
        if not self._mandate.may_hold(now):
            held, releasing = AddressSet(), releasing | held
        return MemberState(
            member=self._me,
            previous=agreed.view.id if agreed is not None else None,
            mature=mature and not self._standing.is_isolated(),
            status=self._status(agreed, self._standing.lasting_blocks(self._tenure.refused(), now)),
            in_force=agreed.tables.get(self._me.name) if agreed is not None else None,
            held=held,
            releasing=releasing,
            former=AddressSet(address for address in self._tenure.former if address not in holdings),
            pins=tuple(agreed.pins.values()) if agreed is not None else (),
            switched=self._switching.switched,
            charter=self._charter(),
            missing=self._mandate.missing(now),
        )

    def report(self, agreed: AgreedState, *, is_bound: bool, now: float) -> Report | None:
        """What the agreed state does not know yet; None when it knows everything, and when this node is bound to
        another view."""
        if is_bound:
            self._basis = None
            self._settle()
            return None
        standing, switching = self._standing, self._switching
        blocked = standing.blocked(self._tenure.refused(), now)
        about = (
            agreed.basis_of_members(),
            blocked,
            standing.drained,
            standing.leaving,
            standing.gone,
            switching.table,
            switching.prepared,
            self._library.revision,
            self._lookout.tables_heard(),
        )
        basis = (about, agreed.basis_of_addresses(), self._tenure.holdings.revision)
        if basis != self._basis:
            self._basis = basis
            if self._said is None or about != self._said[0]:
                self._said = about, self._status(agreed, blocked)
            self._compose(agreed, self._said[1])
        return self._report

    @property
    def says_nothing(self) -> bool:
        """Whether the agreed state knew everything when it was last compared."""
        return self._report is None

    def numbered_here(self) -> None:
        """This node is the coordinator and has seen to it itself."""
        self.due_at = math.inf

    def to_say(self, now: float) -> Report | None:
        """The report, if it is time to say it (again)."""
        if self._report is None or now < self.due_at:
            return None
        self.due_at = now + self._repeat_s
        return self._report

    def _charter(self) -> Charter:
        """The one of the last view of a majority, else the configuration's."""
        if self._mandate.charter.generation:
            return self._mandate.charter
        return charter_of(self._library.require(self._switching.table).settings)

    def _status(self, agreed: AgreedState | None, blocked: Blocked) -> MemberStatus:
        named = self._switching.tables() | self._lookout.tables_heard()
        if agreed is not None:
            named |= agreed.tables_named()
        has = tuple(digest for digest in sorted(named) if self._library.has(digest))[:MAX_TABLES]
        return self._standing.status(self._switching.table, has, blocked, self._switching.prepared)

    def _compose(self, agreed: AgreedState, status: MemberStatus) -> None:
        """Released is every address that this node has claimed by the agreed state and does not hold, unless it is
        about to take it: assigned to it."""
        me, holdings = self._me.name, self._tenure.holdings
        released = []
        newest = 0
        for address, claims in agreed.claims.items():
            number = claims.get(me)
            if number is None or address in holdings:
                continue
            if agreed.owner(address) != me:
                released.append(address)
                newest = max(newest, number)
        if not released and status == agreed.status[me]:
            self._settle()
            return
        key = (status, AddressSet(released[:MAX_ADDRESSES]), newest)
        if key != self._key or self._report is None:
            self._key = key
            self._sequence += 1
            self.due_at = -math.inf
            self._report = Report(
                to=agreed.view.id.coordinator,
                view=agreed.view.id,
                sequence=self._sequence,
                status=status,
                as_of=agreed.number,
                released=key[1],
            )

    def _settle(self) -> None:
        self._key, self._report, self.due_at = None, None, math.inf
