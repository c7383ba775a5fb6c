"""Deliberate bugs, to prove that the checker finds what it should. Planted from outside: the core has no hooks.

Each breaks one rule that safety rests on; the checker must notice each within 2,000 seeds of the ordinary
schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from duravip.cluster import deliberation, election, is_compiled, tenure
from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.agreement import Agreement, Phase
from duravip.cluster.coordinator import Coordinator
from duravip.cluster.declaration import Declaration
from duravip.cluster.deliberation import Question
from duravip.cluster.departure import Departure
from duravip.cluster.detector import Detector
from duravip.cluster.effects import RenewAddresses
from duravip.cluster.election import Circumstances
from duravip.cluster.flags import Landscape
from duravip.cluster.hearing import Hearing
from duravip.cluster.heartbeat import heard_member
from duravip.cluster.leadership import Leadership
from duravip.cluster.messages import (
    AnyBody,
    AnyMessage,
    Heartbeat,
    Install,
    Leave,
    MemberState,
    Promise,
    Propose,
    Refuse,
    Reported,
    Resend,
    TableChosen,
)
from duravip.cluster.node import Node
from duravip.cluster.tenure import Tenure
from duravip.cluster.term import Term
from duravip.model import Address, Decision, Member, NodeName, Reason
from duravip.sim.strict_bugs import STRICT_BUGS
from duravip.wire.dropped import DropReason
from duravip.wire.seal import _Life

Patch = tuple[object, str, object]

NEEDS_SOURCES = "this core is compiled, and cannot be changed or looked into while it runs; use `pip install -e .`"


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

    return [(deliberation, "elect", blind), (tenure, "is_broken", is_broken)]


def _an_owner_that_acts_on_an_older_view() -> list[Patch]:
    """A node that has promised a new view still begins what the old one ordered."""

    def may_take(self: Agreement) -> bool:
        return self.view is not None

    return [(Agreement, "may_take", may_take)]


def _a_node_that_ignores_epochs() -> list[Patch]:
    """A node promises whatever it is asked, and installs whatever it is told, however old that is."""
    on_propose = Agreement.on_propose

    def obliging(
        self: Agreement, sender: Member, asked: Propose, leader: NodeName, state: Callable[[], MemberState]
    ) -> Promise | Refuse | None:
        self.promised = min(self.promised, asked.view.epoch - 1)
        return on_propose(self, sender, asked, leader, state)

    def accepts(self: Agreement, sender: Member, install: Install) -> bool:
        if self.me not in {state.member for state in install.states} or (self.view and self.view.id == install.view):
            return False
        if self.phase is not Phase.PROMISED:
            self.phase = Phase.PROMISED
        self.promised, self.promised_to = install.view.epoch, install.view
        return True

    return [(Agreement, "on_propose", obliging), (Agreement, "accepts", accepts)]


def _an_election_by_arrival() -> list[Patch]:
    """Among members that are equally good, the one wins whose table came first."""
    election = AgreedState.election

    def by_arrival(self: AgreedState) -> Question:
        came = {digest: place for place, digest in enumerate(self._library._tables)}
        first = sorted(self.mature, key=lambda name: came.get(self.wanted(name), 0))
        asked = election(self)
        return _ByArrival(
            landscape=asked.landscape,
            given=asked.given,
            decisions=asked.decisions,
            limit=asked.limit,
            arrivals=tuple(first),
        )

    return [(AgreedState, "election", by_arrival)]


@dataclass(slots=True, kw_only=True)
class _ByArrival(Question):
    arrivals: tuple[NodeName, ...]

    def answer(self) -> dict[Address, Decision]:
        changed = Question.answer(self)
        for address, decision in changed.items():
            if decision.reason is Reason.LEAST_LOADED:
                members = [name for name in self.arrivals if name in self.landscape.members[address]]
                changed[address] = Decision(members[0] if members else decision.owner, decision.reason)
        return changed


def _a_farewell_from_the_grave() -> list[Patch]:
    """The LEAVE of a life that ended long ago is taken for that of the present one."""
    hear = Hearing.hear

    def credulous(self: Hearing, sender: Member, message: AnyMessage, now: float) -> None:
        peer = self._parts.detector.peers.get(sender.name)
        if isinstance(message, Leave) and peer is not None:
            sender = peer.member
        hear(self, sender, message, now)

    return [(Hearing, "hear", credulous)]


def _a_renewal_after_a_stall() -> list[Patch]:
    """A node that was stopped first of all prolongs what it had."""
    stall = Node._stall

    def hasty(self: Node, gap_s: float, now: float) -> None:
        held = tuple(sorted(self.held()))
        stall(self, gap_s, now)
        if held:
            self._out.effects.append(RenewAddresses(addresses=held, lifetime_s=10.0, not_after=now + 1.0))

    return [(Node, "_stall", hasty)]


def _an_accusation_after_a_stall() -> list[Patch]:
    """A node that was stopped takes its own silence for that of the others."""

    def grudge(self: Detector, now: float) -> None:
        pass

    return [(Detector, "forgive", grudge), (Leadership, "forgive", grudge)]


def _a_replayed_heartbeat_that_counts() -> list[Patch]:
    """What was recorded passes for fresh: nobody remembers sequences, beats or echoes."""
    on_heartbeat = Detector.on_heartbeat

    def accept(self: _Life, sequence: int) -> DropReason | None:
        return None

    def gullible(self: Detector, sender: Member, heartbeat: Heartbeat, now: float) -> bool:
        peer = self.peers.get(sender.name)
        beat = heartbeat.beat if peer is None else max(heartbeat.beat, peer.heartbeat.beat + 1)
        heard = tuple(
            msgspec.structs.replace(entry, beat=self.beat) if heard_member(entry) == self.me else entry
            for entry in heartbeat.heard
        )
        return on_heartbeat(self, sender, msgspec.structs.replace(heartbeat, beat=beat, heard=heard), now)

    return [(_Life, "accept", accept), (Detector, "on_heartbeat", gullible)]


def _a_reload_that_is_numbered_too_early() -> list[Patch]:
    """A table comes into force before all members have it."""

    def impatient(self: Coordinator, now: float) -> AnyBody | None:
        agreed = self._agreed
        for name in agreed.names():
            if agreed.wanted(name) != agreed.tables[name]:
                self._changed_at = now
                return TableChosen(name=name, digest=agreed.wanted(name))
        return None

    return [(Coordinator, "_choose_table", impatient)]


def _a_last_message_that_nobody_misses() -> list[Patch]:
    """What was lost is asked for only when something numbered later has come."""
    ask_again = Term.ask_again

    def content(self: Term, now: float) -> list[Resend]:
        return ask_again(self, now) if self.has_gap() else []

    return [(Term, "ask_again", content)]


def _a_release_that_counts_too_late() -> list[Patch]:
    """A release ends a claim that was given after it was said."""
    apply = AgreedState.apply

    def lax(self: AgreedState, number: int, body: AnyBody) -> None:
        if isinstance(body, Reported):
            body = msgspec.structs.replace(body, as_of=number - 1)
        apply(self, number, body)

    return [(AgreedState, "apply", lax)]


def _a_balance_that_never_comes() -> list[Patch]:
    """Balancing finds nothing to do."""

    def lazy(self: AgreedState) -> None:
        return None

    return [(AgreedState, "balancing", lazy)]


def _a_leave_that_is_said_too_soon() -> list[Patch]:
    """LEAVE is said while the kernel still has addresses."""
    comes_due = Departure.comes_due

    def hurried(self: Departure, now: float, *, holds: bool, is_expected: bool) -> bool:
        return comes_due(self, now, holds=False, is_expected=is_expected)

    return [(Departure, "comes_due", hurried)]


BUGS: Mapping[str, Callable[[], list[Patch]]] = {
    "no-release-before-a-move": _no_release_before_a_move,
    "merge-forgets-claims": _a_merge_that_forgets_claims,
    "broken-stays": _a_broken_vip_that_stays,
    "older-view": _an_owner_that_acts_on_an_older_view,
    "ignores-epochs": _a_node_that_ignores_epochs,
    "election-by-arrival": _an_election_by_arrival,
    "old-leave": _a_farewell_from_the_grave,
    "renewal-after-a-stall": _a_renewal_after_a_stall,
    "accusation-after-a-stall": _an_accusation_after_a_stall,
    "replayed-heartbeat": _a_replayed_heartbeat_that_counts,
    "reload-too-early": _a_reload_that_is_numbered_too_early,
    "last-message-lost": _a_last_message_that_nobody_misses,
    "late-release": _a_release_that_counts_too_late,
    "no-balance": _a_balance_that_never_comes,
    "leave-too-soon": _a_leave_that_is_said_too_soon,
}


@contextmanager
def planted(bug: str | None) -> Iterator[None]:
    """The process has the bug inside the `with`; None: no bug. Raises `NotImplementedError` where the core is compiled:
    what is planted would not be called."""
    if bug is not None and is_compiled():
        raise NotImplementedError(NEEDS_SOURCES)
    patches = {**BUGS, **STRICT_BUGS}[bug]() if bug is not None else []
    originals = [getattr(owner, name) for owner, name, _ in patches]
    for owner, name, replacement in patches:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for (owner, name, _), original in zip(patches, originals, strict=True):
            setattr(owner, name, original)
