"""Who should propose the next view, with whom, and when: judged by this node's links alone.

Rules of this file
- One node of a clique leads it: the smallest name that is in a view. Nobody else proposes, so one cause makes one
  view. Nor does a leader that has just followed a smaller name, as long as that one keeps to it: two that know of
  different links take each other for no part of their cliques.
- Somebody who has gone is left out at once; somebody who comes waits a moment for others that come with it, and until
  everybody has everybody's tables (for TABLE_WAIT_S at most), so that it can own from its first view on. But whoever is
  in the later view of one who is taken is taken with it.
- A leader that has been away, or that somebody else has put into a view with members it has never heard, knows too
  little to leave anybody out, and the others may not have heard yet that it is back: whoever takes it for dead promises
  it nothing that lasts. It waits for both; for a failure time-out at most, and an interval more if it was stopped. If
  it is late again and again, that holds for all of it: then for another interval after each time.
- When one member has failed, others that are silent too get GATHER_S to answer: five that die together are one view.

Source: the GATHER phase of Wackamole and Spread; Rapid (Suresh et al., 2018) for waiting until a cut is complete.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Final

from duravip.cluster.agenda import first_after
from duravip.cluster.agreement import Agreement, Phase
from duravip.cluster.detector import Detector, Peer
from duravip.cluster.library import TABLE_WAIT_S, Library
from duravip.cluster.messages import AnyMessage, MemberState, Probe
from duravip.cluster.parameters import Parameters
from duravip.model import Member, NodeName, View, ViewId

GATHER_S: Final = 0.02  # how long others that are silent too may take to answer
SILENT_INTERVALS: Final = 2.0  # heartbeat intervals of silence that make a member suspect beside one that has failed
EXCUSE_INTERVALS: Final = 2.0  # heartbeat intervals after which a node that was late knows again what the others think
SETTLE_INTERVALS: Final = 0.5  # heartbeat intervals a newcomer waits for others


class Leadership:
    """Looks at the detector, drives the agreement. A node that has just booted listens first, for one failure
    time-out and one interval."""

    DERIVED: ClassVar = ("_leader", "_leader_basis")  # from the rest: no part of the state

    def __init__(
        self,
        me: Member,
        parameters: Parameters,
        detector: Detector,
        agreement: Agreement,
        library: Library,
        now: float,
    ) -> None:
        self._me = me
        self._interval = parameters.heartbeat_interval_s
        self._timeout = parameters.failure_timeout_s
        self._detector = detector
        self._agreement = agreement
        self._library = library
        self._quiet_until = now + parameters.failure_timeout_s + self._interval
        self._patient_until = -math.inf
        self._late_since = -math.inf  # when it was first late, of the times that came before patience had ended
        self._woke_at = -math.inf  # when it was late or stopped last, and ran on
        self._has_probed = True  # since then
        self._waits = False  # for somebody's answer
        self._strange_until = -math.inf  # patient as well: somebody else has made a view with strangers
        self._newcomers: dict[Member, float] = {}
        self.cliques: tuple[tuple[Member, ...], ...] = ((me,),)
        self.clique: tuple[Member, ...] = (me,)
        self._looked_at: View | None = None  # the view, when this node last looked for strangers in it
        self._asked: ViewId | None = None  # what was promised last
        self._led_until = -math.inf  # until when it may come, and be shown
        self._leader = me.name
        self._leader_basis: object = None

    @property
    def leader(self) -> NodeName:
        """The smallest name of the clique among those that are in a view; among all when none is. A node that has
        just booted must not keep the others from acting while it listens."""
        basis = (self._detector.revision, self.clique, self._agreement.view is not None)
        if basis != self._leader_basis:
            settled = {peer.member for peer in self._detector.alive() if peer.heartbeat.view is not None}
            if self._agreement.view is not None:
                settled.add(self._me)
            self._leader = next((member.name for member in self.clique if member in settled), self.clique[0].name)
            self._leader_basis = basis
        return self._leader

    def forgive(self, now: float) -> None:
        """This node was stopped: the time that passed was no waiting, and what it knows of the others, and they of it,
        is old. Until they have had time to be heard it makes no view without one of its last, nor before all of the
        next have answered what it has said since, and take it for alive."""
        self._woke_at, self._has_probed = now, False
        self._patient_until = now + self._timeout + self._interval
        self._newcomers.clear()
        if self._agreement.view is None:
            self._quiet_until = self._patient_until

    def excuse(self, gap_s: float, now: float) -> None:
        """This node was late by so much: the same for as long as the others need to say that they hear it again."""
        if now - gap_s >= self._patient_until:
            self._late_since = now
        self._woke_at, self._has_probed = now, False
        limit = max(self._late_since + self._timeout, now) + self._interval
        self._patient_until = max(self._patient_until, min(now + EXCUSE_INTERVALS * self._interval, limit))

    def waits(self, now: float) -> bool:
        """Whether it proposes nothing for want of answers, be there any news in them or not."""
        return self._waits and self.is_patient(now)

    def is_patient(self, now: float) -> bool:
        """Whether it was away a moment ago, or is with strangers: who knows whom is about to change."""
        return now < self._patient_until or now < self._strange_until

    def watch(self, now: float) -> None:
        """The links, or the view, may have changed."""
        self._look_for_strangers(now)
        cliques = self._detector.cliques(now)
        if cliques is not self.cliques:
            self.cliques = cliques
            self.clique = next(clique for clique in cliques if self._me in clique)

    def in_earlier_clique(self, member: Member) -> bool:
        """Whether the member belongs to a clique that comes before this node's."""
        return any(member in clique for clique in self.cliques[: self.cliques.index(self.clique)])

    def act(self, state: Callable[[], MemberState], now: float) -> list[AnyMessage]:
        """Proposes when this node leads its clique and the present view is not the right one. `state` makes this
        node's own promise."""
        agreement = self._agreement
        self._waits = False
        if self.leader != self._me.name or (agreement.view is None and now < self._quiet_until):
            agreement.stand_down()
            return []
        if self._is_led(now):
            agreement.stand_down()
            return []
        target = self._target(now)
        if self.is_patient(now) and not self._has_everybody(target):
            agreement.stand_down()
            self._waits = True
            return self._probes(target)
        if agreement.proposal is not None:
            if all(member in target or member in self.clique for member in agreement.proposal.members):
                return []
            agreement.gather(now)
        if not self._is_needed(target, now):
            agreement.stand_down()
            return []
        said: list[AnyMessage] = []
        silent = self._silent(target, now) if agreement.members() - set(target) else ()
        if agreement.phase is not Phase.GATHERING:
            said += [Probe(to=member.name) for member in silent]
            agreement.gather(now + (GATHER_S if silent else 0.0))
        if now >= agreement.propose_at:
            members = tuple(member for member in target if member not in silent)
            proposed = agreement.propose(members, state(), now)
            if proposed is not None:
                said.append(proposed)
        return said

    def deadline(self, now: float) -> float:
        """When, after `now`, time alone may change what `act` does."""
        waits = (SETTLE_INTERVALS * self._interval, self._timeout, TABLE_WAIT_S)
        times = [self._patient_until, self._strange_until, self._led_until]
        times += [since + wait for since in self._newcomers.values() for wait in waits]
        if self._agreement.view is None:
            times += [self._quiet_until, self._quiet_until + TABLE_WAIT_S]
        return first_after(now, times)

    def _is_led(self, now: float) -> bool:
        """Whether a node with a smaller name, which this one hears and that hears this one, has it in its view, or is
        about to. It judges by its own links with whom it can be, and may have known of one that is missing for longer:
        the two of them would take turns in making views for ever."""
        agreement = self._agreement
        installed = agreement.view.id if agreement.view is not None else None
        if agreement.promised_to != self._asked:
            self._asked, self._led_until = agreement.promised_to, now + self._timeout
        if self._asked is not None and now < self._led_until:
            return self._is_near(self._asked)
        if installed is None or not self._is_near(installed):
            return False
        return self._detector.peers[installed.coordinator].heartbeat.view == installed

    def _is_near(self, view: ViewId) -> bool:
        """Its coordinator."""
        return view.coordinator < self._me.name and self._detector.is_alive(Member(view.coordinator, view.incarnation))

    def _look_for_strangers(self, now: float) -> None:
        """Somebody may be in this node's view whom it has never heard: another node, which has, made that view. Such a
        member has as much time to be heard as one that was heard before."""
        view, peers = self._agreement.view, self._detector.peers
        if view is self._looked_at:
            return
        self._looked_at = view
        others = [member for member in view.members if member != self._me] if view is not None else []
        if any((peer := peers.get(member.name)) is None or peer.member != member for member in others):
            self._strange_until = now + self._timeout

    def _has_everybody(self, target: tuple[Member, ...]) -> bool:
        """All have answered what this node has said since it woke, and take it for alive; and nobody of the present
        view, nobody alive, and nobody in the view of one of these, is left out, save who has left by itself."""
        alive = self._detector.alive()
        known = self._agreement.members() | {peer.member for peer in alive} | {self._me}
        names = {member.name for member in known}
        known |= {member for peer in alive for member in peer.companions if member.name not in names}
        return not self._unanswering(target) and all(
            member in target or self._detector.has_left(member) for member in known
        )

    def _unanswering(self, target: tuple[Member, ...]) -> list[Peer]:
        """Those that have not answered what this node has said since it woke, or take it for dead. What is promised to
        a proposal that was open when this node was late is answer enough, and may be there, unread."""
        since = self._woke_at if self._agreement.proposal is None else -math.inf
        return [
            peer
            for peer in self._detector.alive()
            if peer.member in target and (self._me not in peer.names or self._detector.echoed_at(peer.member) < since)
        ]

    def _probes(self, target: tuple[Member, ...]) -> list[AnyMessage]:
        """Once after it woke: beside its own next heartbeat, which is what they answer."""
        if self._has_probed:
            return []
        self._has_probed = True
        return [Probe(to=peer.member.name) for peer in self._unanswering(target) if peer.probed_at < self._woke_at]

    def _is_needed(self, target: tuple[Member, ...], now: float) -> bool:
        """Whether the view is missing, has other members, or somebody in it is bound to a later epoch."""
        view = self._agreement.view
        if view is None:
            return self._is_ready(now) or now >= self._quiet_until + TABLE_WAIT_S
        promised = [peer.heartbeat.promised for peer in self._detector.alive() if peer.member in target]
        bound = [self._agreement.promised, *filter(self._agreement.is_plausible, promised)]
        return set(target) != set(view.members) or max(bound) > view.id.epoch

    def _target(self, now: float) -> tuple[Member, ...]:
        """The members of the view that should be. Whoever has to wait takes nobody's place meanwhile."""
        present, penalties = self._agreement.members(), self._agreement.penalties
        out = {member for member in self.clique if member != self._me and penalties.is_out(member, now)}
        newcomers = {member for member in self.clique if member not in present and member != self._me} - out
        self._newcomers = {member: self._newcomers.get(member, now) for member in sorted(newcomers)}
        if self._is_settling(now):
            waiting = newcomers
        elif not self._is_ready(now):
            waiting = {member for member in newcomers if now - self._newcomers[member] < TABLE_WAIT_S}
        else:
            waiting = set()
        while out or waiting:
            rest = self._detector.clique_without(out | waiting, now)
            target = tuple(member for member in rest if member in self.clique or member in present)
            company = self._company(target, waiting)
            if not company:
                return target
            waiting -= company
        return self.clique

    def _company(self, target: tuple[Member, ...], waiting: set[Member]) -> set[Member]:
        """Those of `waiting` in the view, by its last heartbeat, of one that would be taken and has gone on to a later
        view than this node's: to take it alone would tear that view apart."""
        view = self._agreement.view
        if view is None or not waiting:
            return set()
        return {
            member
            for peer in self._detector.alive()
            if peer.member in target and peer.heartbeat.view is not None and peer.heartbeat.view > view.id
            for member in peer.companions
            if member in waiting
        }

    def _is_settling(self, now: float) -> bool:
        """Somebody came only this moment, or comes from a view whose other members are about to follow: to take one
        of them now would tear that view apart."""
        clique = frozenset(self.clique)
        return any(
            now - since < SETTLE_INTERVALS * self._interval
            or (now - since < self._timeout and not self._detector.peers[newcomer.name].companions <= clique)
            for newcomer, since in self._newcomers.items()
        )

    def _is_ready(self, now: float) -> bool:
        """Everybody in the clique knows the newcomers and has everybody's tables."""
        return (
            not self._is_settling(now)
            and self._library.complete()
            and all(peer.heartbeat.complete for peer in self._detector.alive() if peer.member in self.clique)
            and self._detector.are_acquainted(self._newcomers, frozenset(self.clique))
        )

    def _silent(self, target: tuple[Member, ...], now: float) -> tuple[Member, ...]:
        limit = SILENT_INTERVALS * self._interval
        alive = self._detector.alive()
        return tuple(peer.member for peer in alive if peer.member in target and now - peer.last_heard >= limit)
