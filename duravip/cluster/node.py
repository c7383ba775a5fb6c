"""One node: the only place where detector, view agreement, agreed state and holdings meet.

Rules of this file
- `handle` takes one input and the time and returns every effect of it; no clock, socket, log or random source inside.
- The same inputs at the same times give the same effects, under any PYTHONHASHSEED.
- Time that passed unnoticed (a stall longer than `failure_timeout`) is dealt with before the input that ends it.

Theory of operation
    An input changes one of the parts; then `_step` walks the path of the data once, always in the same order: links
    -> view -> tables -> what the coordinator puts in order -> what this node may hold -> what it reports -> its
    heartbeat. Each part says when it must be looked at again; `next_deadline` is the smallest of those. A heartbeat
    of a member that says what its last one said changes nothing but how long ago it was heard: no part looks at that
    before its deadline, so the walk is left out.

    What this node may hold follows from the agreed state alone, narrowed by what it knows of itself: nothing after a
    stall or an expulsion until a view is installed, nothing that is BROKEN, immature, drained, blocked or not in its
    own table. It takes an address when the assignment names it and no other claim stands, and only under a view that
    it has not promised away.

Source: `docs/explanation/protocol.md` describes the whole as built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import assert_never

from duravip import __version__, events
from duravip.cluster.agreed import AgreedState
from duravip.cluster.agreement import Agreement, Phase
from duravip.cluster.coordinator import Coordinator
from duravip.cluster.declaration import Declaration
from duravip.cluster.delivery import Delivery
from duravip.cluster.departure import Departure
from duravip.cluster.detector import Detector, Peer
from duravip.cluster.effects import Effect, Left, Publish, Send
from duravip.cluster.flags import Landscape, survey
from duravip.cluster.holdings import HoldState
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
    DrainChanged,
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
from duravip.cluster.inspection import MemberInfo, describer, member_infos
from duravip.cluster.interfaces import Interfaces
from duravip.cluster.kernel_word import KernelWord
from duravip.cluster.leadership import Leadership
from duravip.cluster.lease import Lease
from duravip.cluster.library import Library
from duravip.cluster.messages import (
    MAX_HARDWARE,
    MAX_REFUSAL,
    AnyBody,
    AnyMessage,
    Blocked,
    Heartbeat,
    Install,
    Leave,
    MemberState,
    Neighbours,
    Numbered,
    Pinned,
    Probe,
    Promise,
    Propose,
    Refuse,
    Report,
    Resend,
    Switched,
    TableChosen,
    TableChunk,
    TableWanted,
    Wish,
)
from duravip.cluster.news import News
from duravip.cluster.parameters import Parameters
from duravip.cluster.rivals import Rivals
from duravip.cluster.sequencer import Sequencer
from duravip.cluster.shadow import cast, lists
from duravip.cluster.standing import Standing
from duravip.cluster.switching import Switching
from duravip.cluster.tenure import Tenure
from duravip.cluster.wishes import Wishes
from duravip.model import Address, Decision, Evidence, Member, NodeName, Table, TableDigest, View, ViewId


class Node:
    """The machine of one node's life. `handle` and `next_deadline` are its interface; the rest are questions."""

    def __init__(self, parameters: Parameters, table: Table, *, now: float) -> None:
        self.me = Member(parameters.name, parameters.incarnation)
        self._parameters = parameters
        self._interval = parameters.heartbeat_interval_s
        self._timeout = parameters.failure_timeout_s
        self._detector = Detector(self.me, parameters)
        self._agreement = Agreement(self.me, parameters)
        self._library = Library(table, retry_s=self._interval)
        self._switching = Switching(self._library.own)
        self._leadership = Leadership(self.me, parameters, self._detector, self._agreement, self._library, now)
        self._tenure = Tenure(parameters)
        self._kernel = KernelWord(self._tenure)
        self._standing = Standing(parameters)
        self._declaration = Declaration(
            self.me,
            self._interval,
            standing=self._standing,
            tenure=self._tenure,
            switching=self._switching,
            library=self._library,
        )
        self._wishes = Wishes(self.me.name, self._interval)
        self._news = News(self.me.name)
        self._rivals = Rivals(parameters)
        self._delivery = Delivery(
            self.me.name,
            news=self._news,
            wishes=self._wishes,
            switching=self._switching,
            tenure=self._tenure,
            rivals=self._rivals,
        )
        self._agreed: AgreedState | None = None
        self._sequencer: Sequencer | None = None
        self._coordinator: Coordinator | None = None
        self._early: list[Numbered] = []
        self._out: list[Effect] = []
        self._say: list[AnyMessage] = []
        self._last = now
        self._next_beat_at = now
        self._last_beat_at = -math.inf
        self._alive: dict[Member, Peer] = {}
        self._joined_at: dict[Member, float] = {}
        self._added_at = now
        self._asked_at = -math.inf
        self._differed_at: tuple[ViewId, int] | None = None
        self._interfaces = Interfaces()
        self._unreachable_basis: object = None
        self._departure = Departure()
        self._hardware: tuple[bytes, ...] = ()
        self._held_basis: object = None
        self._left = False
        self._digest_of: tuple[int, bytes] = (-1, b"")
        self.stable_since = now
        self._due_at = self._look_ahead()

    # --- questions -------------------------------------------------------------------------------------------------

    @property
    def view(self) -> View | None:
        return self._agreement.view

    @property
    def number(self) -> int:
        return self._agreed.number if self._agreed is not None else 0

    @property
    def view_mature(self) -> bool:
        return self._agreed is not None and self._agreed.view_mature

    @property
    def mature(self) -> bool:
        return self._agreed is not None and self.me.name in self._agreed.mature and not self._standing.expelled

    @property
    def landscape(self) -> Landscape:
        return self._agreed.landscape if self._agreed is not None else survey({})

    @property
    def claims_at_install(self) -> Mapping[Address, frozenset[NodeName]]:
        return self._agreed.claimed_at_install if self._agreed is not None else {}

    @property
    def table(self) -> Table:
        table = self._library.get(self._switching.table)
        assert table is not None
        return table

    @property
    def leader(self) -> NodeName:
        """Who should propose the next view, as far as this node's links tell."""
        return self._leadership.leader

    @property
    def phase(self) -> Phase:
        return self._agreement.phase

    @property
    def lease(self) -> Lease:
        """The lifetimes of what is held; look, and change nothing."""
        return self._tenure.lease

    @property
    def suspended(self) -> bool:
        """Whether this node holds nothing until a view is installed (after a stall or an expulsion)."""
        return self._standing.suspended

    def owners(self) -> Mapping[Address, Decision]:
        return self._agreed.decisions if self._agreed is not None else {}

    def held(self) -> frozenset[Address]:
        """Every address that the kernel may have through this node: being taken, held, or on its way out."""
        return frozenset(self._tenure.holdings.addresses())

    def holding_state(self, address: Address) -> HoldState | None:
        return self._tenure.holdings.state(address)

    def holding_since(self, address: Address) -> float | None:
        holding = self._tenure.holdings.get(address)
        return holding.since if holding is not None else None

    def state_digest(self) -> bytes:
        """Equal at two members exactly when view, number and assignment are."""
        if self._agreed is None:
            return b""
        if self._digest_of[0] != self._agreed.number:
            self._digest_of = (self._agreed.number, self._agreed.digest())
        return self._digest_of[1]

    def duplicates(self) -> Mapping[Address, tuple[Evidence, ...]]:
        """Who else says on the network that it has an address of this node's, as told by `conflict.duplicate`."""
        return self._rivals.evidence()

    def pins(self) -> Mapping[Address, NodeName]:
        """Operators' choices that are in force."""
        return self._agreed.circumstances().pins if self._agreed is not None else {}

    def why_not_move(self, address: Address, node: NodeName | None) -> str:
        """Why the address cannot be moved to that node now (None: unpinned); "" when it can."""
        if self._agreed is None:
            return "this node is in no view yet"
        return self._agreed.why_not_pin(Pinned(by=self.me.name, sequence=0, address=address, node=node))

    def describe(self, address: Address) -> str:
        """Why the address has the owner it has, or none, in words."""
        return self.describer()(address)

    def describer(self) -> Callable[[Address], str]:
        """`describe` for many addresses, as things are now: what they have in common is worked out once."""
        return describer(self._agreed)

    def member_infos(self) -> tuple[MemberInfo, ...]:
        """This node, the members of the view, and every peer heard of; by name."""
        return member_infos(self.me, self._detector, self._agreement, self._agreed, self._last)

    def next_deadline(self) -> float:
        """When `handle(Ticked())` must be called at the latest; monotonic seconds; infinity once left."""
        if self._left:
            return math.inf
        return max(min(self._due_at, self._detector.deadline()), self._last + 0.0005)

    def _look_ahead(self) -> float:
        """When something is due that no heartbeat of a member can put off."""
        times = [
            self._next_beat_at,
            self._agreement.deadline(self._last),
            self._leadership.deadline(self._last),
            self._library.deadline(),
            self._tenure.deadline(),
            self._tenure.lease.deadline(),
            self._declaration.due_at,
            self._wishes.deadline() if self._agreed is not None and self._coordinator is None else math.inf,
            self._departure.deadline(self._last),
            self._rivals.deadline(),
            self._interfaces.deadline(),
        ]
        if self._coordinator is not None:
            times.append(self._coordinator.deadline(self._last))
        return min(times)

    # --- one input -------------------------------------------------------------------------------------------------

    def handle(self, given: Input, *, now: float) -> tuple[Effect, ...]:
        """Everything that follows from one input. `now`: monotonic seconds, never less than before."""
        if self._left:
            return ()
        punctual = not self._notice_gap(now)
        match given:
            case Ticked():
                pass
            case Slept():
                if given.seconds > self._timeout:
                    self._stall(given.seconds, now)
            case PacketHeard():
                repeated, beat_at = self._repeats(given), self._next_beat_at
                for message in given.messages:
                    self._on_message(given.sender, message, now)
                silent = not self._out and not self._say and self._next_beat_at == beat_at
                if punctual and silent and now < self._due_at and repeated and self._detector.is_alive(given.sender):
                    return ()
            case AddressAdded() | AddressAddFailed() | AddressLapsed() | AddressRemoved() | AddressRemoveFailed():
                self._out += self._kernel.answered(given, now)
            case KernelAnswered():
                for answer in given.answers:
                    self._out += self._kernel.answered(answer, now)
            case AddressesRenewed():
                self._out += self._kernel.renewed(given, now)
            case AddressesLost():
                self._out += self._kernel.lost(given, now)
            case AddressesStray():
                ours = self._own_addresses()
                for spot in given.spots:
                    self._out += self._kernel.stray(spot, ours, now)
            case InterfaceFell():
                if self._interfaces.fell(given.interface, given.unplaced, now):
                    self._publish(events.LinkDown(interface=given.interface))
            case InterfaceRose():
                self._interfaces.rose(given.interface, now)
            case BlockedChanged():
                self._standing.external = given.blocked
            case AddressesClaimed():
                self._rivals.heard(given.claims, holds=self._holds, friends=self._friends(), now=now)
            case HardwareSeen():
                self._rivals.learn(self.me.name, given.hardware_addresses)
                self._hardware = given.hardware_addresses[:MAX_HARDWARE]
                self._beat_soon(now)
            case DrainChanged():
                self._standing.drained = given.drained
            case TableLoaded():
                self._switching.on_loaded(self._library.add(given.table))
                self._beat_soon(now)
            case SwitchRequested():
                self._wishes.switch(now)
            case ConfigurationRead():
                digest = self._library.add(given.table) if given.table is not None else None
                self._switching.on_read(given.round, digest, given.refusal[:MAX_REFUSAL])
            case MoveRequested():
                self._wishes.pin(given.address, given.node, now)
            case AnnounceRequested():
                if given.everywhere:
                    self._wishes.announce(now)
                else:
                    self._out += self._tenure.announcements()
            case LeaveRequested():
                self._departure.ask(now)
                self._standing.leaving = True
            case _:
                assert_never(given)
        self._step(now)
        self._flush()
        self._due_at = self._look_ahead()
        done, self._out = tuple(self._out), []
        return done

    def _repeats(self, given: PacketHeard) -> bool:
        """Whether it is nothing but a heartbeat of a member of this node's view that says what its last one said: the
        usual case, after which there is nothing to do that can not wait for this node's own heartbeat."""
        if len(given.messages) != 1 or not isinstance(heartbeat := given.messages[0], Heartbeat):
            return False
        peer, view = self._detector.peers.get(given.sender.name), self._agreement.view
        return (
            view is not None
            and heartbeat.view == view.id
            and peer is not None
            and peer.alive
            and peer.member == given.sender
            and heartbeat.repeats(peer.heartbeat)
        )

    def _notice_gap(self, now: float) -> bool:
        """Whether this node did not run for a while."""
        gap = now - self._last
        self._last = now
        if gap > self._timeout:
            self._stall(gap, now)
        elif gap > 1.5 * self._interval:
            self._detector.excuse(gap, now)
            self._agreement.excuse(gap)
            self._leadership.excuse(now)
            self._tenure.lease.excuse(now)
        else:
            return False
        return True

    def _stall(self, gap_s: float, now: float) -> None:
        """This node did not run: what it knew is old, and the others may have gone on without it."""
        self._detector.forgive(now)
        self._leadership.forgive(now)
        if not self.mature:
            self._joined_at.clear()
        self._suspend()
        self._publish(events.Stalled(gap_s=round(gap_s, 6)))

    def _suspend(self) -> None:
        """Hold nothing until a view is installed that nobody has proposed yet."""
        self._standing.suspended = True
        self._agreement.unbind()

    # --- messages --------------------------------------------------------------------------------------------------

    def _on_message(self, sender: Member, message: AnyMessage, now: float) -> None:
        if sender.name == self.me.name:
            self._on_namesake(sender, message, now)
            return
        if isinstance(message, Heartbeat):
            self._on_heartbeat(sender, message, now)
            return
        peer = self._detector.peers.get(sender.name)
        if peer is None or peer.member != sender or peer.left:
            return  # only heartbeats introduce; an older life, or one that has left, says nothing any more
        match message:
            case Leave():
                self._hold(now)  # what the leaver has let go may still be taken under the view that its leaving ends
                if self._detector.on_leave(sender):
                    self._beat_soon(now)
            case Probe():
                if message.to == self.me.name:
                    self._next_beat_at = min(self._next_beat_at, max(now, self._last_beat_at + self._interval / 20))
            case Propose():
                answer = self._agreement.on_propose(sender, message, self._leadership.leader, self._member_state)
                if answer is not None:
                    assert isinstance(answer, Promise | Refuse)
                    self._say.append(answer)
            case Promise():
                if message.to == self.me.name:
                    self._agreement.on_promise(sender, message)
            case Refuse():
                if message.to == self.me.name:
                    self._agreement.on_refuse(sender, message, now)
            case Install():
                if self._agreement.accepts(sender, message):
                    self._install(message, now)
            case Report():
                self._on_report(sender, message)
            case Wish():
                if self._coordinator is not None and message.view == self._coordinator.view:
                    self._coordinator.on_wish(sender.name, message.body)
            case Numbered():
                self._on_numbered(sender, message, now)
            case Resend():
                if self._sequencer is not None and message.to == self.me.name and message.view == self._sequencer.view:
                    self._say += self._sequencer.again(message.first)
            case TableWanted():
                if message.to == self.me.name:
                    self._say += self._library.on_wanted(message)
            case TableChunk():
                if self._library.on_chunk(message):
                    if self._agreed is not None:
                        self._agreed.learn_tables()
                    self._beat_soon(now)
            case Neighbours():
                pass  # for whoever announces; no concern of the machine's
            case _:
                assert_never(message)

    def _on_namesake(self, sender: Member, message: AnyMessage, now: float) -> None:
        """Somebody else bears this node's name. The greater incarnation is the one that the others listen to: the other
        holds nothing as long as it hears of it. A smaller one may be this node's own past, on its way for long."""
        if not isinstance(message, Heartbeat) or sender.incarnation < self.me.incarnation:
            return
        if self._standing.on_namesake(now):
            self._publish(events.NameTaken(name=sender.name, other=str(sender.incarnation)))

    def _on_heartbeat(self, sender: Member, heartbeat: Heartbeat, now: float) -> None:
        if self._detector.on_heartbeat(sender, heartbeat, now):
            self._beat_soon(now)
        peer = self._detector.peers.get(sender.name)
        if peer is None or peer.heartbeat is not heartbeat:
            return
        self._agreement.saw_epoch(heartbeat.promised)
        self._rivals.learn(sender.name, heartbeat.hardware)
        view = self._agreement.view
        if heartbeat.view is None or view is None or sender not in self._agreement.members():
            return
        if heartbeat.view == view.id:
            self._agreement.confirmed(sender)
            self._compare(sender, heartbeat, now)
        elif (
            heartbeat.view > view.id
            and not lists(peer, self.me)
            and not self._standing.suspended
            and not self._departure.has_begun  # they are right: it has said that it leaves
        ):
            self._standing.expelled = True
            self._joined_at.clear()
            self._suspend()
            self._publish(events.Expelled(by=sender.name))

    def _compare(self, sender: Member, heartbeat: Heartbeat, now: float) -> None:
        """A member of the same view says how far it is: ask for what is missing, and notice what differs."""
        view, agreed = self._agreement.view, self._agreed
        if view is None or agreed is None:
            return
        if sender.name == view.id.coordinator and heartbeat.number > agreed.number:
            self._ask_again(now)
        differs = heartbeat.number == agreed.number and heartbeat.state != self.state_digest()
        if differs and self._differed_at != (view.id, agreed.number):
            self._differed_at = (view.id, agreed.number)
            text = f"{sender.name} has another state for number {agreed.number} of {view.id}"
            self._publish(events.Disagreement(address=None, text=text))

    def _ask_again(self, now: float) -> None:
        view, sequencer = self._agreement.view, self._sequencer
        if view is None or sequencer is None or now - self._asked_at < self._interval / 4:
            return
        self._asked_at = now
        self._say.append(Resend(to=view.id.coordinator, view=view.id, first=sequencer.number + 1))

    def _on_report(self, sender: Member, report: Report) -> None:
        view = self._agreement.view
        if view is None or report.view != view.id or sender not in self._agreement.members():
            return
        self._agreement.confirmed(sender)
        self._tenure.on_report(sender.name, report)
        if self._coordinator is not None and report.to == self.me.name and self._agreement.may_take():
            self._coordinator.on_report(sender.name, report)

    def _on_numbered(self, sender: Member, message: Numbered, now: float) -> None:
        if message.view.coordinator != sender.name or message.view.incarnation != sender.incarnation:
            return
        sequencer = self._sequencer
        if sequencer is None or message.view != sequencer.view:
            if message.view == self._agreement.promised_to and len(self._early) < 256:
                self._early.append(message)
            return
        if self._agreement.is_coordinator():
            return
        for body in sequencer.receive(message):
            self._deliver(sequencer.delivered(), body)
        if sequencer.has_gap():
            self._ask_again(now)

    # --- agreed messages -------------------------------------------------------------------------------------------

    def _deliver(self, number: int, body: AnyBody) -> None:
        assert self._agreed is not None
        self._out += self._delivery.deliver(self._agreed, number, body)
        if isinstance(body, TableChosen | Switched):
            self.stable_since = self._last

    def _install(self, install: Install, now: float) -> None:
        old_view = self._agreement.view
        before = set(self._agreement.members())
        self._agreement.installed(install, now)
        view = self._agreement.view
        assert view is not None
        agreed = AgreedState(view, install.states, self._library)
        self._agreed = agreed
        self._sequencer = Sequencer(view.id)
        self._tenure.renew()
        self._declaration.renew()
        self._standing.on_install(alone=len(view.members) == 1)
        self._digest_of = (-1, b"")
        self.stable_since = now
        missed = self._switching.missed(install.states)
        if missed is not None:
            self._out += self._delivery.switched(missed)
        added = [member for member in view.members if member not in before and member != self.me]
        if added or old_view is None or self.me not in self._joined_at:
            self._added_at = now
        self._joined_at = {member: self._joined_at.get(member, now) for member in view.members}
        self._coordinator = None
        if self._agreement.is_coordinator():
            self._coordinator = Coordinator(agreed, joined_at=self._joined_at, added_at=self._added_at, now=now)
            self._say.append(install)
        self._out += self._news.view(view, before, self._detector.peers)
        self._out += self._news.landscape(agreed)
        self._delivery.merged = bool(added)
        early, self._early = self._early, []
        for message in early:
            if message.view == view.id and not self._agreement.is_coordinator():
                for body in self._sequencer.receive(message):
                    self._deliver(self._sequencer.delivered(), body)
        self._beat_soon(now)

    # --- the path of the data, once for each input -----------------------------------------------------------------

    def _step(self, now: float) -> None:
        self._watch_links(now)
        self._watch_interfaces(now)
        self._watch_rivals(now)
        self._say += self._leadership.act(self._member_state, now)
        self._say += self._agreement.tick(now)
        self._finish_proposal(now)
        self._fetch_tables(now)
        self._coordinate(now)
        self._hold(now)
        self._out += self._kernel.renewals(now)
        self._tell(now)
        self._depart(now)
        self._beat(now)

    def _watch_links(self, now: float) -> None:
        self._detector.check(now)
        self._say += [Probe(to=peer.member.name) for peer in self._detector.to_probe(now)]
        alive = {peer.member: peer for peer in self._detector.alive()}
        for member in sorted(self._alive.keys() - alive.keys()):
            peer = self._alive[member]
            if not peer.left:
                silent_s = round(now - peer.last_heard, 6)
                cause = peer.cause or "restarted"
                self._publish(events.NodeSuspected(name=member.name, silent_s=silent_s, cause=cause))
        if alive.keys() != self._alive.keys():
            self._beat_soon(now)
        self._alive = alive
        self._detector.forget_dead(now, self._agreement.members())
        self._leadership.watch(now)
        self._standing.shadow = cast(
            self.me,
            self.table,
            self._agreement.members() - {self.me},
            self._detector,
            self._leadership,
            self._library,
            self._timeout,
            now,
        )

    def _watch_interfaces(self, now: float) -> None:
        for interface in self._interfaces.settled(now):
            self._publish(events.LinkUp(interface=interface))
        in_force = self.landscape.entries.get(self.me.name, {}) if len(self._interfaces) else {}
        basis = (self._interfaces.revision, self._switching.table, in_force)
        if basis != self._unreachable_basis:
            self._unreachable_basis = basis
            self._standing.unreachable = self._interfaces.blocked((*self.table.vips, *in_force.values()))

    def _watch_rivals(self, now: float) -> None:
        if self._rivals.is_quiet():
            return
        self._out += self._rivals.act(holds=self._holds, friends=self._friends(), now=now)
        self._standing.claimed = self._rivals.claimed()

    def _holds(self, address: Address) -> bool:
        return self._tenure.holdings.state(address) in {HoldState.TAKING, HoldState.HELD}

    def _friends(self) -> set[NodeName]:
        """This node, and the members that are alive or in the view."""
        return {self.me.name, *(m.name for m in self._alive), *(m.name for m in self._agreement.members())}

    def _finish_proposal(self, now: float) -> None:
        install = self._agreement.complete()
        if install is not None:
            self._install(install, now)

    def _fetch_tables(self, now: float) -> None:
        named: list[tuple[TableDigest, NodeName]] = [
            (peer.heartbeat.table, peer.member.name) for peer in self._detector.alive()
        ]
        keep = self._switching.tables()
        if self._agreed is not None:
            keep |= self._agreed.tables_named()
            named += self._agreed.tables_prepared()
        self._library.want(named, keep)
        self._say += self._library.tick(now)

    def _coordinate(self, now: float) -> None:
        coordinator, sequencer = self._coordinator, self._sequencer
        if coordinator is None or sequencer is None or not self._agreement.may_take():
            return
        while True:
            self._submit_own(coordinator)
            body = coordinator.duty(now)
            if body is None:
                break
            self._say.append(sequencer.give(body))
            self._deliver(sequencer.number, body)
        members = self._agreement.members() - {self.me}
        heard = [p.heartbeat.number for p in self._detector.alive() if p.member in members and self._in_view(p)]
        if len(heard) == len(members):
            sequencer.forget(min(heard, default=sequencer.number))

    def _in_view(self, peer: Peer) -> bool:
        return self._agreement.view is not None and peer.heartbeat.view == self._agreement.view.id

    def _submit_own(self, coordinator: Coordinator) -> None:
        """The coordinator's own declarations are numbered without a journey."""
        report = self._declared()
        if report is not None:
            coordinator.on_report(self.me.name, report)
        for wish in self._wishes.bodies(self._last):
            coordinator.on_wish(self.me.name, wish)

    # --- what this node holds --------------------------------------------------------------------------------------

    def _hold(self, now: float) -> None:
        if self._agreed is None:
            return
        standing = self._standing
        may_take = self._agreement.may_take() and not standing.drained and not standing.leaving
        blocked = standing.blocked(self._tenure.refused(), now)
        avoided = standing.shadow.avoided
        if not self._rivals.is_quiet():
            avoided = avoided | self._rivals.unanswered()
        narrowed = (self._may_hold(blocked), may_take, blocked, avoided)
        basis = ((self._agreed.basis(), self._tenure.holdings.revision), self._tenure.revision, narrowed)
        if basis == self._held_basis and now < self._tenure.deadline():
            return
        self._out += self._tenure.follow(
            self._agreed,
            may_hold=narrowed[0],
            may_take=may_take,
            blocked=blocked,
            avoided=avoided,
            now=now,
        )
        self._held_basis = ((self._agreed.basis(), self._tenure.holdings.revision), self._tenure.revision, narrowed)

    def _may_hold(self, blocked: Blocked) -> bool:
        """Whether this node may hold anything at all, as far as it knows of itself."""
        if self._standing.leaving and (self._standing.alone or self._departure.is_forced(self._last)):
            return False
        return not self._standing.suspended and self.mature and not blocked.everything

    def _own_addresses(self) -> set[Address]:
        """Those of its table, whether in force or only wanted."""
        return {*self.landscape.entries.get(self.me.name, {}), *(vip.address for vip in self.table.vips)}

    # --- what this node declares -----------------------------------------------------------------------------------

    def _tables_heard(self) -> set[TableDigest]:
        return {peer.heartbeat.table for peer in self._detector.alive()}

    def _member_state(self) -> MemberState:
        """This node's part in a state exchange."""
        return self._declaration.state(self._agreed, self._tables_heard(), mature=self.mature, now=self._last)

    def _declared(self) -> Report | None:
        if self._agreed is None:
            return None
        may_take = self._agreement.may_take()
        return self._declaration.report(self._agreed, self._tables_heard(), may_take=may_take, now=self._last)

    def _tell(self, now: float) -> None:
        view = self._agreement.view
        if view is not None and self._coordinator is None:
            self._say += self._wishes.to_say(view, now)
        if self._declared() is None:
            return
        if self._coordinator is not None and self._agreement.may_take():
            self._declaration.numbered_here()
            return
        report = self._declaration.to_say(now)
        if report is not None:
            self._say.append(report)

    def _depart(self, now: float) -> None:
        """Once nothing is held and nothing is expected of this node any more: LEAVE."""
        agreed = self._agreed
        is_expected = (
            agreed is not None
            and not self._standing.alone
            and not self._standing.suspended
            and (
                not agreed.status[self.me.name].leaving
                or any(decision.owner == self.me.name for decision in agreed.decisions.values())
            )
        )
        if not self._departure.comes_due(now, holds=len(self._tenure.holdings) > 0, is_expected=is_expected):
            return
        self._say.append(Leave())
        if self._departure.say(now):
            self._flush()
            self._out.append(Left())
            self._left = True

    # --- heartbeats ------------------------------------------------------------------------------------------------

    def _beat_soon(self, now: float) -> None:
        """Something changed that the others should know at once."""
        self._next_beat_at = min(self._next_beat_at, max(now, self._last_beat_at + self._interval / 10))

    def _beat(self, now: float) -> None:
        if now < self._next_beat_at or self._left:
            return
        self._last_beat_at = now
        self._next_beat_at = now + self._interval
        view = self._agreement.view
        self._say.append(
            Heartbeat(
                beat=self._detector.next_beat(now),
                view=view.id if view is not None else None,
                promised=self._agreement.promised,
                number=self.number,
                state=self.state_digest(),
                table=self._switching.table,
                complete=self._library.complete(),
                version=__version__,
                heard=self._detector.heard(self._agreement.members()),
                hardware=self._hardware,
            )
        )

    def _flush(self) -> None:
        """What was said while handling one input leaves together."""
        if self._say:
            self._out.append(Send(messages=tuple(self._say)))
            self._say = []

    def _publish(self, event: events.Event) -> None:
        self._out.append(Publish(event=event))
