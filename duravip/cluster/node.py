"""One node: in which order its parts act (`parts` connects them) on whatever happens to it.

Rules of this file
- `handle` takes one input and the time and returns every effect of it; no clock, socket, log or random source inside.
- The same inputs at the same times give the same effects, under any PYTHONHASHSEED.
- Time that passed unnoticed (a stall longer than `failure_timeout`) is dealt with before the input that ends it.

Theory of operation
    An input changes one of the parts; then `_step` walks the path of the data once, always in the same order: links
    -> view -> tables -> what the coordinator puts in order -> what this node may hold -> what it reports -> its
    heartbeat. Each part says when it must be looked at again; `next_deadline` is the smallest of those. A heartbeat
    of a member that says what its last one said changes nothing but how long ago it was heard: no part looks at that
    before its deadline, so the walk is left out. So it is at a tick for this node's own heartbeat alone, when nothing
    followed from the last walk and everybody around is a well member of this node's view, or has been silent for long.

    A walk ends early where it would keep others from their turn: when an order follows from what was heard, since
    clients wait for it, when a table has come that is probably long, before and after a view begins with very many
    addresses, when tables of so many come into force, and when very much was numbered or decided. The rest is due at
    once, in a turn of its own; what is to be given up is never put off.

    What this node may hold follows from the agreed state alone, narrowed by what it knows of itself: nothing after a
    stall or an expulsion until a view is installed, nothing that is BROKEN, immature, drained, blocked or not in its
    own table. It takes an address when the assignment names it and no other claim stands, and only under a view that
    it has not promised away.

Source: `docs/explanation/protocol.md` describes the whole as built.
"""

from __future__ import annotations

import math
from typing import Final, assert_never

from duravip import __version__, events
from duravip.cluster.effects import Effect, Left
from duravip.cluster.hearing import Change, Hearing
from duravip.cluster.inputs import (
    AddressAdded,
    AddressAddFailed,
    AddressesClaimed,
    AddressesLost,
    AddressesRenewed,
    AddressesStray,
    AddressLapsed,
    AddressRemoved,
    AddressRemoveFailed,
    AnnounceRequested,
    BlockedChanged,
    ConfigurationRead,
    Deliberated,
    DrainChanged,
    DrainRequested,
    GatewayAnswered,
    HardwareSeen,
    Input,
    InterfaceFell,
    InterfaceRose,
    KernelAnswered,
    LeaveRequested,
    MoveRequested,
    PacketHeard,
    Slept,
    SwitchRequested,
    TableLoaded,
    Ticked,
)
from duravip.cluster.inspection import Inspection
from duravip.cluster.messages import MAX_HARDWARE, MAX_REFUSAL, Heartbeat, Leave, MemberState, Report
from duravip.cluster.parameters import Parameters
from duravip.cluster.parts import Parts
from duravip.model import Table

WALK_BEATS: Final = 10  # heartbeats of this node between two walks along the path of the data, when all is calm
HOLDINGS_ONLY: Final = frozenset(
    {
        PacketHeard,
        AddressAdded,
        AddressAddFailed,
        AddressLapsed,
        AddressRemoved,
        AddressRemoveFailed,
        KernelAnswered,
        AddressesRenewed,
        AddressesLost,
        Deliberated,
    }
)
"""Inputs that change neither peers nor views; what was heard says for itself what it has changed."""


class Node(Inspection):
    """The machine of one node's life. `handle` and `next_deadline` are its interface; the rest are questions."""

    def __init__(self, parameters: Parameters, table: Table, *, now: float) -> None:
        super().__init__(Parts(parameters, table, now), now=now)
        self._out = self._parts.out
        self._hearing = Hearing(self._parts)
        self._many_vips = parameters.many_vips
        self._hardware: tuple[bytes, ...] = ()
        self._left = False
        self._views_due_at = -math.inf
        self._rest_due_at = self._look_ahead()
        self._is_calm = False  # nothing followed from the last walk, and until a deadline nothing can
        self._beats_alone = 0  # heartbeats since
        self._has_prepared = False  # in the last turn, a step of what takes long, and there are more

    def next_deadline(self) -> float:
        """When `handle(Ticked())` must be called at the latest; monotonic seconds; infinity once left."""
        if self._left:
            return math.inf
        peers_at, due_at, soonest = self._parts.detector.deadline(), self._due_at(), self._last + 0.0005
        earliest = due_at if due_at < peers_at else peers_at
        return earliest if earliest > soonest else soonest

    def _due_at(self) -> float:
        """When something is due that no heartbeat of a member can put off."""
        beat_at = self._parts.pulse.next_at
        return beat_at if beat_at < self._rest_due_at else self._rest_due_at

    def _look_ahead(self) -> float:
        """The same, beside this node's own heartbeat."""
        parts = self._parts
        if not parts.delivery.is_checked():
            return -math.inf
        term, coordinator = parts.succession.term, parts.succession.coordinator
        earliest = min(self._views_due_at, parts.library.deadline())  # of two: compiled, that is a comparison
        earliest = min(earliest, parts.tenure.deadline())
        earliest = min(earliest, parts.tenure.lease.deadline())
        earliest = min(earliest, parts.mandate.deadline(self._last))
        earliest = min(earliest, parts.declaration.due_at)
        earliest = min(earliest, parts.departure.deadline(self._last))
        if coordinator is not None:
            return min(earliest, coordinator.deadline(self._last))
        return min(earliest, parts.wishes.deadline()) if term is not None else earliest

    def _look_ahead_at_views(self) -> float:
        """When peers, interfaces or strangers are to be looked at again, or the agreement has something to say."""
        parts, last = self._parts, self._last
        earliest = min(parts.agreement.deadline(last), parts.leadership.deadline(last))
        earliest = min(earliest, parts.rivals.deadline())
        earliest = min(earliest, parts.lookout.interfaces.deadline())
        return min(earliest, parts.standing.gateways.deadline(last))

    # --- one input -------------------------------------------------------------------------------------------------

    def handle(self, given: Input, *, now: float) -> tuple[Effect, ...]:
        """Everything that follows from one input. `now`: monotonic seconds, never less than before."""
        if self._left:
            return ()
        parts = self._parts
        slept_s = given.seconds if isinstance(given, Slept) else 0.0
        change = Change.EVERYTHING if self._notice_gap(slept_s, now) else Change.NOTHING
        match given:  # the frequent first
            case PacketHeard():
                beat_at, tables, ground = parts.pulse.next_at, parts.library.revision, self._ground()
                for message in given.messages:
                    change = max(change, self._hearing.hear(given.sender, message, now))
                learned_much = parts.library.revision != tables and parts.library.takes_long()
                moved = self._has_many() and self._ground() != ground
                if learned_much or moved or self._has_said_enough():
                    self._put_off(now)
                    return self._out.empty()
                if not change and now < self._due_at() and parts.pulse.next_at == beat_at:
                    self._out.effects += parts.possession.confirm(now)
                    if parts.possession.goes_on(now):
                        if not self._follows_pace(given, now):
                            return self._out.empty()
                        if self._only_beats(now):
                            self._beat(now)
                            return self._out.empty()
                        change = Change.EVERYTHING
                    else:
                        change = Change.HOLDINGS
                elif change is Change.HOLDINGS and now < self._rest_due_at and self._gives_orders(now):
                    return self._out.empty()
            case Ticked():
                if not change and self._only_beats(now):
                    self._beat(now)
                    return self._out.empty()
            case Slept():
                pass  # `_notice_gap` has seen to it
            case AddressAdded() | AddressAddFailed() | AddressLapsed() | AddressRemoved() | AddressRemoveFailed():
                self._out.effects += parts.kernel.answered(given, now)
            case KernelAnswered():
                for answer in given.answers:
                    self._out.effects += parts.kernel.answered(answer, now)
            case AddressesRenewed():
                self._out.effects += parts.kernel.renewed(given, now)
            case AddressesLost():
                self._out.effects += parts.kernel.lost(given, now)
            case AddressesStray():
                ours = parts.lookout.own_addresses(parts.succession.agreed)
                for spot in given.spots:
                    self._out.effects += parts.kernel.stray(spot, ours, now)
            case InterfaceFell():
                if parts.lookout.interfaces.fell(given.interface, given.unplaced, now):
                    self._out.publish(events.LinkDown(interface=given.interface))
            case InterfaceRose():
                parts.lookout.interfaces.rose(given.interface, now)
            case GatewayAnswered():
                parts.standing.gateways.answered(given.interface, given.unplaced, now)
            case BlockedChanged():
                parts.standing.external = given.blocked
            case AddressesClaimed():
                holds, friends = parts.tenure.holdings.has, parts.lookout.friends()
                parts.rivals.heard(given.claims, holds=holds, friends=friends, now=now)
            case HardwareSeen():
                parts.rivals.learn(self.me.name, given.hardware_addresses)
                self._hardware = given.hardware_addresses[:MAX_HARDWARE]
                parts.pulse.soon(now)
            case DrainChanged():
                parts.standing.drained = given.drained
            case DrainRequested():
                parts.wishes.drain(given.name, now, drained=given.drained, force=given.force)
            case TableLoaded():
                parts.switching.on_loaded(parts.library.add(given.table))
                parts.pulse.soon(now)
            case SwitchRequested():
                parts.wishes.switch(now)
            case ConfigurationRead():
                digest = parts.library.add(given.table) if given.table is not None else None
                parts.switching.on_read(given.round, digest, given.refusal[:MAX_REFUSAL])
            case Deliberated():
                if parts.succession.term is not None:
                    self._out.effects += parts.succession.term.on_deliberated(given)
            case MoveRequested():
                parts.wishes.pin(given.address, given.node, now)
            case AnnounceRequested():
                if given.everywhere:
                    parts.wishes.announce(now)
                else:
                    self._out.effects += parts.tenure.announce_all()
            case LeaveRequested():
                parts.departure.ask(now)
                parts.standing.leaving = True
            case _:
                assert_never(given)
        if type(given) not in HOLDINGS_ONLY and not (isinstance(given, Ticked) and self._leaves_peers_alone(now)):
            change = Change.EVERYTHING
        if self._step(now, change, is_tick=isinstance(given, Ticked)):
            self._rest_due_at = self._look_ahead()
            self._is_calm, self._beats_alone = self._has_calmed(now), 0
        else:
            self._put_off(now)
        return self._out.empty()

    def _put_off(self, now: float) -> None:
        """So much was decided that the rest is for another turn; all but what is to be given up."""
        self._out.effects += self._parts.possession.follow(now, takes=False)
        self._is_calm, self._rest_due_at = False, now

    def _gives_orders(self, now: float) -> bool:
        """Whether what was heard lets this node take or give up something. Clients wait for that: the rest of the walk,
        what the coordinator numbers above all, is due when the kernel has been told."""
        orders = self._parts.possession.follow(now)
        self._out.effects += orders
        if orders:
            self._rest_due_at = now
            self._is_calm = False
        return len(orders) > 0

    def _follows_pace(self, heard: PacketHeard, now: float) -> bool:
        """Whether the member has beaten that sets the pace, and this node does so with it."""
        view = self._parts.agreement.view
        return (
            view is not None
            and heard.sender == view.members[0]
            and isinstance(heard.messages[0], Heartbeat)
            and self._parts.pulse.follow(now)
        )

    def _has_calmed(self, now: float) -> bool:
        """Whether nothing followed from this walk, and everybody around is a well member of this node's view."""
        parts, view = self._parts, self._parts.agreement.view
        return (
            view is not None
            and not self._out.effects
            and all(isinstance(message, Heartbeat) for message in self._out.messages)
            and parts.declaration.says_nothing
            and not parts.standing.has_namesake(now)
            and parts.detector.is_calm(view.id, parts.agreement.members(), now)
        )

    def _leaves_peers_alone(self, now: float) -> bool:
        """Whether time has changed nothing about peers and views."""
        return self._is_calm and self._beats_alone < WALK_BEATS and now < self._parts.detector.deadline()

    def _only_beats(self, now: float) -> bool:
        """Whether a walk could do no more than say this node's heartbeat. Every WALK_BEATS one is made all the same."""
        if now >= self._rest_due_at or not self._leaves_peers_alone(now):
            return False
        self._beats_alone += 1
        return self._beats_alone < WALK_BEATS

    def _notice_gap(self, slept_s: float, now: float) -> bool:
        """Whether this node did not run for a while. `slept_s`: for so long the clock had stood still besides."""
        parts = self._parts
        gap = now - self._last
        self._last = now
        away_s = gap + slept_s
        if away_s > parts.timeout_s:
            self._stall(away_s, now)
        elif away_s > 1.5 * parts.interval_s:
            parts.detector.excuse(gap, now)
            parts.agreement.excuse(gap)
            parts.leadership.excuse(gap, now)
            parts.tenure.lease.excuse(now)
        else:
            return False
        parts.pulse.awake(now)
        return True

    def _stall(self, gap_s: float, now: float) -> None:
        """This node did not run: what it knew is old, and the others may have gone on without it."""
        self._parts.detector.forgive(now)
        self._parts.leadership.forgive(now)
        self._parts.succession.interrupt(expelled=False)
        self._out.publish(events.Stalled(gap_s=round(gap_s, 6)))

    # --- the path of the data, once for each input -----------------------------------------------------------------

    def _step(self, now: float, change: Change, *, is_tick: bool) -> bool:
        """Whether it was walked to its end. `is_tick`: nothing has led to it but the time."""
        if self._catches_up(now):
            return False
        looks = change is Change.EVERYTHING or now >= self._views_due_at or self._parts.lookout.is_troubled()
        if looks and self._sees_to_views(now, is_tick=is_tick):
            return False
        parts, out = self._parts, self._out
        out.messages += parts.lookout.fetch_tables(parts.succession.agreed, now)
        if self._coordinate(now) or self._has_said_enough():
            return False
        out.effects += parts.possession.follow(now)
        if is_tick:
            out.effects += parts.delivery.check()
        out.effects += parts.kernel.renewals(now)
        self._tell(now)
        self._depart(now)
        self._beat(now)
        return True

    def _catches_up(self, now: float) -> bool:
        """Whether this turn was for what an earlier one left: events about many, a step of what takes long with tables,
        what follows from one. Of those steps there is one in every second turn: this node has other things to do and to
        say meanwhile."""
        parts, agreed = self._parts, self._parts.succession.agreed
        if parts.delivery.owes():
            self._out.effects += parts.delivery.tell()
            return True
        tables = parts.library.revision
        has_step = not self._has_prepared and parts.library.prepare_next()
        self._has_prepared = has_step and parts.library.is_preparing()
        if has_step:
            if parts.library.revision != tables:
                parts.pulse.soon(now)
            return True
        return agreed is not None and agreed.learn_tables() and self._has_many()

    def _sees_to_views(self, now: float, *, is_tick: bool) -> bool:
        """Who is there, and which view should be. Whether one begins, or is about to, that has so many addresses that
        this is a turn's work."""
        agreement, leadership = self._parts.agreement, self._parts.leadership
        proposal = agreement.proposal
        self._look(now)
        self._out.messages += leadership.act(self._member_state, now)
        self._out.messages += agreement.tick(now)
        had_time = is_tick and agreement.proposal is proposal  # a turn of its own since the last promise came
        if agreement.is_complete() and not had_time and self._has_many():
            return True
        began = self._finish_proposal(now)
        self._views_due_at = self._look_ahead_at_views()
        return began and self._has_many()

    def _look(self, now: float) -> None:
        lookout, agreed = self._parts.lookout, self._parts.succession.agreed
        probes, told = lookout.watch_links(now)
        self._out.messages += probes
        self._out.effects += told
        self._out.effects += lookout.watch_interfaces(agreed, now)
        self._out.effects += lookout.watch_gateways(now)
        self._out.effects += lookout.watch_rivals(now)
        self._parts.standing.gone = self._parts.mandate.gone()

    def _finish_proposal(self, now: float) -> bool:
        """Whether everybody has promised what this node proposed: a view begins."""
        install = self._parts.agreement.complete()
        if install is None:
            return False
        if len(install.states) > 1:
            self._out.messages.append(install)
        self._out.effects += self._parts.succession.install(install, now)
        self._parts.pulse.soon(now)
        return True

    def _has_said_enough(self) -> bool:
        """For one turn; or so much was assigned that to tell of it is for another."""
        return len(self._out.effects) >= self._many_vips or self._parts.delivery.owes()

    def _ground(self) -> object:
        """What all that is said of addresses goes by."""
        agreed = self._parts.succession.agreed
        return agreed.basis_of_tables() if agreed is not None else None

    def _has_many(self) -> bool:
        agreed = self._parts.succession.agreed
        return agreed is not None and len(agreed.landscape.universe) >= self._many_vips

    def _coordinate(self, now: float) -> bool:
        """Whether so much was numbered that the rest of the walk is for the next turn."""
        parts, term = self._parts, self._parts.succession.term
        if term is None or term.coordinator is None or not parts.agreement.may_take():
            return False
        if term.agreed.begins_better_anew():
            parts.agreement.unbind()
            self._views_due_at = now
            return False
        members = parts.agreement.companions()
        heard = [peer for peer in parts.detector.alive() if peer.member in members]
        view = term.view.id
        delivered = {p.member.name: p.heartbeat.number for p in heard if p.heartbeat.view == view}
        term.coordinator.delivered.update(delivered)
        numbered, effects = term.coordinate(lambda: (self._declared(), parts.wishes.bodies(now)), now)
        self._out.messages += numbered
        self._out.effects += effects
        if len(delivered) == len(members):
            term.forget(delivered.values())
        return term.coordinator.leaves_rest

    # --- what this node says ---------------------------------------------------------------------------------------

    def _member_state(self) -> MemberState:
        """This node's part in a state exchange."""
        parts = self._parts
        return parts.declaration.state(parts.succession.agreed, mature=self.mature, now=self._last)

    def _declared(self) -> Report | None:
        parts, agreed = self._parts, self._parts.succession.agreed
        if agreed is None:
            return None
        parts.lookout.locate(agreed, self._last)
        return parts.declaration.report(agreed, is_bound=not parts.agreement.may_take(), now=self._last)

    def _tell(self, now: float) -> None:
        parts, term = self._parts, self._parts.succession.term
        if term is not None and term.coordinator is None:
            self._out.messages += parts.wishes.to_say(term.view, now)
        if self._declared() is None:
            return
        if parts.succession.coordinator is not None:
            parts.declaration.numbered_here()
            return
        report = parts.declaration.to_say(now)
        if report is not None:
            self._out.messages.append(report)

    def _depart(self, now: float) -> None:
        """Once nothing is held and nothing is expected of this node any more: LEAVE."""
        parts, agreed = self._parts, self._parts.succession.agreed
        is_expected = (
            agreed is not None
            and not parts.standing.alone
            and not parts.standing.suspended
            and (not agreed.status[self.me.name].leaving or len(agreed.owned(self.me.name)) > 0)
        )
        holds = len(parts.tenure.holdings) > 0
        if not parts.departure.comes_due(now, holds=holds, is_expected=is_expected):
            return
        self._out.messages.append(Leave())
        if parts.departure.say(now):
            self._out.flush()
            self._out.effects.append(Left())
            self._left = True

    def _beat(self, now: float) -> None:
        parts = self._parts
        if self._left or not parts.pulse.comes_due(now):
            return
        view, term = parts.agreement.view, parts.succession.term
        self._out.messages.append(
            Heartbeat(
                beat=parts.detector.next_beat(now),
                view=view.id if view is not None else None,
                promised=parts.agreement.promised,
                number=self.number,
                state=term.digest() if term is not None else b"",
                table=parts.switching.table,
                complete=parts.library.complete(),
                version=__version__,
                heard=parts.detector.heard(parts.agreement.members()),
                hardware=self._hardware,
            )
        )
