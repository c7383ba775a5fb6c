"""Who is alive: the failure detector.

Rules of this file
- A peer is alive only while it proves that it hears THIS life of this node: its heartbeat names our incarnation and
  echoes one of our recent beats. What was recorded or held back echoes nothing recent, and revives nobody.
- Silence is judged by the arrivals of heartbeats alone, between a floor and a cap.
- A node that was itself late accuses nobody: a late loop is not the peers' fault.

Theory of operation
    Each heartbeat has a number (beat). A peer's heartbeat says which of our beats it heard last; we remember when we
    said it, so the age of the echo dates the peer's statement without any clock of the peer's. `last_heard` is the
    arrival of the last heartbeat that was not stale.

    Suspicion is by accrual: the time-out follows the observed gaps between heartbeats (mean + 6 deviations), is
    never under 2.5 intervals, so one lost heartbeat is nothing, and never over `failure_timeout`. A peer that has been
    silent for 1.5 intervals is probed again and again until it answers or is suspected: with 1 % loss, a false
    suspicion needs two lost heartbeats and about four lost probes or answers in a row.

    Links between two others are known from their heartbeats: each says whom it takes for alive. A link that is missing
    between two peers, or a node that only others hear, is believed after `failure_timeout` only: if one of them has
    died we shall see that ourselves, and the other must not pay for having noticed first. A node that only others hear
    counts once they have it in their view: until then it may never come to be. One and the same of them must have said
    so for two time-outs and an interval: whoever was stopped says it of the dead for a time-out, the next one that was
    likewise, and whoever dies then is taken to say so for another one.

Source: Hayashibara et al., The phi accrual failure detector (2004); Das et al., SWIM (2002), for the probe.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Final

from duravip.cluster.agenda import Agenda, first_after
from duravip.cluster.clique import partition
from duravip.cluster.heartbeat import heard_member
from duravip.cluster.links import Links
from duravip.cluster.messages import MAX_MEMBERS, Heard, Heartbeat
from duravip.cluster.parameters import Parameters
from duravip.model import Member, NodeName, ViewId

FLOOR_INTERVALS: Final = 2.5  # heartbeat intervals: the shortest silence that can be suspicious
PROBE_AFTER_INTERVALS: Final = 1.5  # silence after which a peer is asked
PROBE_EVERY_INTERVALS: Final = 0.25
DEVIATIONS: Final = 6.0  # of the observed gaps, above their mean
GAIN: Final = 0.1  # of the moving averages: about the last twenty gaps count
BEATS_REMEMBERED: Final = 512
MAX_PEERS: Final = MAX_MEMBERS - 1  # with this node all of them are one view


@dataclass(slots=True)
class Peer:
    """What is known of one node in one life. Times are this node's monotonic seconds."""

    member: Member
    heartbeat: Heartbeat
    last_heard: float
    mean_s: float
    deviation_s: float
    echoed_at: float = -math.inf  # when we said the newest of our beats that it echoed
    news: object | None = None  # of its heartbeat: whether the next one says the same
    place: int = -1  # of this node among those that its heartbeat lists
    names: frozenset[Member] = frozenset()  # whom it takes for alive
    companions: frozenset[Member] = frozenset()  # of those, whom it has in its view
    unheard: tuple[Member, ...] = ()  # of those, whom this node does not hear, in whatever life
    unheard_of: object | None = None  # the live peers that this follows from
    alive: bool = False
    heard_since: float = -math.inf  # without a gap longer than the cap
    probed_at: float = -math.inf
    left: bool = False
    cause: str = ""
    foreign_since: float | None = None  # its view has not had this node since then
    suspect_at: float = math.inf  # unless it is heard before


class Detector:
    """Fed with heartbeats and the time; answers who is alive and who could form a view with us. `revision` grows with
    everything that is learnt but times and beats."""

    DERIVED: ClassVar = ("_due", "_foreign", "_foreign_of", "_here_sorted")  # from the rest: no part of the state

    def __init__(self, me: Member, parameters: Parameters) -> None:
        self.me = me
        self._interval = parameters.heartbeat_interval_s
        self._cap = parameters.failure_timeout_s
        self._echo_limit = self._cap + self._interval
        self._news_of = parameters.functions.news_of
        self._hearsay_limit = 2 * self._cap + self._interval
        self.peers: dict[NodeName, Peer] = {}
        self.beat = 0
        self.revision = 0
        self._live: tuple[Peer, ...] | None = ()  # None: to be looked for again
        self._said_at: dict[int, float] = {}
        self._not_before = -math.inf
        self._due = Agenda()  # the live peers: when one is to be asked, or suspected
        self._links = Links()
        self._here: frozenset[Member] = frozenset((me,))  # this node and the live peers
        self._here_sorted: list[Member] = [me]
        self._here_of: tuple[Peer, ...] = ()
        self._foreign: tuple[Peer, ...] = ()
        self._foreign_of = -1  # the revision that it follows from
        self._hearsay_since: dict[tuple[Member, Member], float] = {}  # who says so, of whom
        self._vertices: list[Member] = [me]
        self._cliques: tuple[tuple[Member, ...], ...] = ((me,),)
        self._cliques_of = -1  # the revision that they follow from
        self._cliques_until = math.inf  # when time alone may change them

    # --- what this node says ---------------------------------------------------------------------------------------

    def next_beat(self, now: float) -> int:
        """The number of the heartbeat that is said now."""
        self.beat += 1
        self._said_at[self.beat] = now
        self._said_at.pop(self.beat - BEATS_REMEMBERED, None)
        return self.beat

    def heard(self, in_view: frozenset[Member]) -> tuple[Heard, ...]:
        """What a heartbeat says of the peers: all that are fresh, and all in the view."""
        entries: list[Heard] = []
        known = 0  # of the view, beside this node
        for name in sorted(self.peers):
            peer = self.peers[name]
            is_in_view = peer.member in in_view
            known += is_in_view
            if peer.alive or is_in_view or not self._silent(peer):
                entries.append(_entry(peer.member, peer.heartbeat.beat, peer.alive, is_in_view))
        if known < len(in_view) - (self.me in in_view):
            strangers = in_view - {self.me} - {peer.member for peer in self.peers.values()}
            entries += [_entry(member, 0, False, True) for member in sorted(strangers)]
        return tuple(entries)

    # --- what it hears ---------------------------------------------------------------------------------------------

    def on_heartbeat(self, sender: Member, heartbeat: Heartbeat, now: float) -> bool:
        """True when the sender was heard for the first time, or again, or came alive: worth an immediate answer."""
        peer = self.peers.get(sender.name)
        other_life = peer is not None and peer.member is not sender and peer.member != sender  # mostly it is the same
        fresh_face = peer is None or (other_life and peer.member.incarnation < sender.incarnation)
        if peer is None or fresh_face:
            if peer is None and len(self.peers) >= MAX_PEERS:
                return False
            peer = Peer(
                member=sender,
                heartbeat=heartbeat,
                last_heard=now,
                heard_since=now,
                mean_s=self._interval,
                deviation_s=self._interval / 4,
            )
            self.peers[sender.name] = peer
            self._due.drop(sender.name)
            self._changed()
        elif other_life or peer.left or heartbeat.beat <= peer.heartbeat.beat:
            return False
        news = self._news_of(sender, heartbeat)
        if news != peer.news:
            peer.news = news
            self._read(peer, heartbeat.heard)
        echoed = self._echoed_at(heartbeat.heard[peer.place]) if peer.place >= 0 else -math.inf
        unheard = min(now - echoed, now - peer.echoed_at) > self._echo_limit
        if peer.alive and unheard and now >= self._not_before:
            self._suspect(peer, "does not hear us")
        elif not fresh_face and (peer.alive or echoed > -math.inf):
            self._learn_gap(peer, now - peer.last_heard)
        stale = -math.inf < echoed < now - self._echo_limit
        peer.heartbeat = heartbeat
        peer.echoed_at = max(peer.echoed_at, echoed)
        if stale:
            self._expect(peer)
            return fresh_face
        returns = now - peer.last_heard > self._cap
        if returns:
            peer.heard_since = now
        peer.last_heard = now
        self._expect(peer)
        if not peer.alive and now - echoed <= self._echo_limit:
            peer.alive = True
            peer.cause = ""
            self._plan(peer)
            self._changed()
            return True
        return fresh_face or returns

    def on_leave(self, sender: Member) -> bool:
        """True when the leaver was known in this very life: an older life's farewell says nothing."""
        peer = self.peers.get(sender.name)
        if peer is None or peer.member != sender or peer.left:
            return False
        peer.left, peer.alive, peer.cause = True, False, "left"
        self._due.drop(sender.name)
        self._changed()
        return True

    def excuse(self, gap_s: float, now: float) -> None:
        """This node itself was late: nobody is accused for another interval, and the time that it missed is no time for
        which a link was missing."""
        self._not_before = now + self._interval
        for peer in self.alive():
            self._plan(peer)
        self._links.pass_over(gap_s)
        self._hearsay_since = {pair: since + gap_s for pair, since in self._hearsay_since.items()}
        self._cliques_of = -1

    def forgive(self, now: float) -> None:
        """This node was stopped: everybody's silence starts anew, and what it knows of links is old."""
        self._not_before = now + self._cap
        self._links.forget()
        self._hearsay_since.clear()
        self._cliques_of = -1
        for peer in self.peers.values():
            peer.heard_since = now
        for peer in self.alive():
            peer.last_heard = peer.echoed_at = now
            self._expect(peer)

    def check(self, now: float) -> list[Peer]:
        """Peers that are suspected from now on; call it when `deadline()` has come."""
        if now < self._not_before or now < self._due.earliest():
            return []
        fallen = [peer for peer in self.alive() if now >= peer.suspect_at]
        for peer in fallen:
            self._suspect(peer, "silent")
        return fallen

    def to_probe(self, now: float) -> list[Peer]:
        """Peers that should be asked for a heartbeat now."""
        if now < self._due.earliest():
            return []
        asked = [peer for peer in self.alive() if now >= self._probe_at(peer)]
        for peer in asked:
            peer.probed_at = now
            self._plan(peer)
        return asked

    def deadline(self) -> float:
        """When `check` or `to_probe` has something to do."""
        return self._due.earliest()

    def forget_dead(self, now: float, keep: frozenset[Member]) -> None:
        """Drops peers not heard for a long time, so that names that come and go do not pile up."""
        if len(self.alive()) == len(self.peers):
            return
        limit = 100 * self._cap
        for name in [
            name
            for name, peer in self.peers.items()
            if not peer.alive and now - peer.last_heard > limit and peer.member not in keep
        ]:
            del self.peers[name]
            self._changed()

    def timeout_s(self, peer: Peer) -> float:
        """Silence after which the peer is suspected."""
        floor = FLOOR_INTERVALS * self._interval
        return min(self._cap, max(floor, peer.mean_s + DEVIATIONS * peer.deviation_s))

    # --- who could form a view -------------------------------------------------------------------------------------

    def alive(self) -> tuple[Peer, ...]:
        if self._live is None:
            self._live = tuple(self.peers[name] for name in sorted(self.peers) if self.peers[name].alive)
        return self._live

    def has_left(self, member: Member) -> bool:
        peer = self.peers.get(member.name)
        return peer is not None and peer.member == member and peer.left

    def known(self, member: Member) -> Member:
        """An equal one: the object that this node has of it, if it has one. Whatever compares the two is quick."""
        peer = self.peers.get(member.name)
        if peer is not None and peer.member == member:
            return peer.member
        return self.me if member == self.me else member

    def is_alive(self, member: Member) -> bool:
        peer = self.peers.get(member.name)
        return member == self.me or (peer is not None and peer.alive and peer.member == member)

    def cliques(self, now: float) -> tuple[tuple[Member, ...], ...]:
        """The partition of all nodes that we hear, or that our live peers have for long had in their views without our
        hearing them."""
        if self._cliques_of == self.revision and now < self._cliques_until:
            return self._cliques
        live = self.alive()
        if live is not self._here_of:
            self._here_of, self._here = live, frozenset((self.me, *(peer.member for peer in live)))
            self._here_sorted = sorted(self._here)
        for peer in live:
            if peer.unheard_of is not live:
                self._note_unheard(peer, live)
        hearsay = {
            (peer.member, member): self._hearsay_since.get((peer.member, member), now)
            for peer in live
            if peer.unheard
            for member in peer.unheard
        }
        self._hearsay_since = hearsay
        # Whoever was stopped takes the dead for alive for a time-out: that revives nobody, nor does one after another.
        believed: dict[NodeName, Member] = {}
        rows = {peer.member: peer.names for peer in live}
        rows[self.me] = self._here
        if hearsay:
            believed = {m.name: m for (_, m), since in sorted(hearsay.items()) if now - since >= self._hearsay_limit}
            rows.update(dict.fromkeys(believed.values(), self._here))  # whom we do not hear is taken to agree with us
        self._links.update(rows, now)
        self._vertices = sorted(rows) if believed else self._here_sorted
        if believed or now - self._links.oldest_since() >= self._cap:
            self._cliques = partition(self._vertices, self._apart(now))
        else:
            self._cliques = (tuple(self._vertices),)
        self._cliques_of = self.revision
        believed_at = first_after(now, [since + self._hearsay_limit for since in hearsay.values()])
        self._cliques_until = min(self._links.next_at(self._cap, now), believed_at)
        return self._cliques

    def clique_without(self, left_out: Collection[Member], now: float) -> tuple[Member, ...]:
        """The clique of this node if these were not there, by the links that `cliques` saw last."""
        rest = [member for member in self._vertices if member not in left_out]
        return next(clique for clique in partition(rest, self._apart(now)) if self.me in clique)

    def foreign(self) -> tuple[Peer, ...]:
        """Peers that are in a view without this very life of this node, as far as was heard of them."""
        if self._foreign_of != self.revision:
            foreign: list[Peer] = []
            for peer in self.peers.values():
                if peer.left or peer.heartbeat.view is None or lists_us(peer):
                    peer.foreign_since = None
                else:
                    foreign.append(peer)
            self._foreign, self._foreign_of = tuple(foreign), self.revision
        return self._foreign

    def is_calm(self, view: ViewId, members: frozenset[Member], now: float) -> bool:
        """Whether all that were heard lately are alive, list this node in the same view, and lack no link, and nobody
        in the view is missing: then time changes nothing before `deadline()`."""
        if self._links.missing_since or self._hearsay_since:
            return False
        companions = 0
        for peer in self.peers.values():
            is_with_us = peer.alive and self.me in peer.companions and peer.member in members
            if is_with_us and peer.heartbeat.view == view:
                companions += 1
            elif peer.alive or now - peer.last_heard <= self._hearsay_limit:
                return False
        return companions == len(members) - 1

    def are_acquainted(self, some: Collection[Member], others: Collection[Member]) -> bool:
        """Whether each of `some` and each of `others` take each other for alive, by what `cliques` saw last."""
        return self._links.are_whole(some, others)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _read(self, peer: Peer, heard: Collection[Heard]) -> None:
        """Its heartbeat says something new of the peers; a name may be there in two lives."""
        peer.place = -1
        names: list[Member] = []
        companions: list[Member] = []
        for place, entry in enumerate(heard):
            member = self.known(heard_member(entry))
            if peer.place < 0 and member is self.me:
                peer.place = place
            if entry.alive:
                names.append(member)
                if entry.in_view:
                    companions.append(member)
        row = frozenset(names)
        if row != peer.names:  # `Links` looks at every row that is another object
            peer.names = row
        peer.companions, peer.unheard_of = frozenset(companions), None
        self.revision += 1

    def _note_unheard(self, peer: Peer, live: tuple[Peer, ...]) -> None:
        strange = peer.companions - self._here
        names = {member.name for member in self._here} if strange else ()
        peer.unheard = tuple(sorted(member for member in strange if member.name not in names))
        peer.unheard_of = live

    def _apart(self, now: float) -> dict[Member, set[Member]]:
        """Who cannot be in one view with whom: links that have been missing for long; and, for this node, nobody will
        do but those that it hears."""
        apart = self._links.missing_for(self._cap, now)
        for member in self._vertices:
            if not self.is_alive(member):
                apart.setdefault(self.me, set()).add(member)
                apart.setdefault(member, set()).add(self.me)
        return apart

    def last_said_at(self) -> float:
        """When the last beat was said."""
        return self._said_at.get(self.beat, -math.inf)

    def echoed_at(self, sender: Member) -> float:
        """When the beat was said that the sender's last heartbeat echoes."""
        peer = self.peers[sender.name]
        return self._echoed_at(peer.heartbeat.heard[peer.place]) if peer.place >= 0 else -math.inf

    def _echoed_at(self, entry: Heard | None) -> float:
        beat = entry.beat if entry is not None else 0
        if beat == 0 or beat > self.beat:
            return -math.inf
        return self._said_at.get(beat, -1e18)

    def _learn_gap(self, peer: Peer, gap_s: float) -> None:
        if gap_s < self._interval / 2:  # an answer to a probe, or news: no part of the rhythm
            return
        error = min(gap_s, self._cap) - peer.mean_s
        peer.mean_s += GAIN * error
        peer.deviation_s += GAIN * (abs(error) - peer.deviation_s)

    def _suspect(self, peer: Peer, cause: str) -> None:
        peer.alive, peer.cause = False, cause
        self._due.drop(peer.member.name)
        self._changed()

    def _changed(self) -> None:
        """Somebody came, fell or came alive."""
        self.revision += 1
        self._live = None

    def _expect(self, peer: Peer) -> None:
        peer.suspect_at = peer.last_heard + self.timeout_s(peer)
        if peer.alive:
            self._plan(peer)

    def _plan(self, peer: Peer) -> None:
        """When it is to be asked or suspected has changed."""
        suspect_at, probe_at = max(peer.suspect_at, self._not_before), self._probe_at(peer)
        self._due.put(peer.member.name, suspect_at if suspect_at < probe_at else probe_at)

    def _silent(self, peer: Peer) -> bool:
        """Whether nothing fresh of the peer was heard since two beats ago by our own count."""
        oldest = self._said_at.get(max(1, self.beat - math.ceil(self._cap / self._interval)), -math.inf)
        return peer.left or peer.last_heard < oldest

    def _probe_at(self, peer: Peer) -> float:
        late = peer.last_heard + PROBE_AFTER_INTERVALS * self._interval
        again = peer.probed_at + PROBE_EVERY_INTERVALS * self._interval
        return late if late > again else again


def lists_us(peer: Peer) -> bool:
    """Whether the peer's view, as its last heartbeat tells it, has this very life of this node."""
    return peer.place >= 0 and peer.heartbeat.heard[peer.place].in_view


def _entry(member: Member, beat: int, alive: bool, in_view: bool) -> Heard:
    return Heard(
        name=member.name,
        counter=member.incarnation.counter,
        nonce=member.incarnation.nonce,
        beat=beat,
        alive=alive,
        in_view=in_view,
    )
