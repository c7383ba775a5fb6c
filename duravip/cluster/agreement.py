"""How members agree on a view: propose, promise with one's state, install.

Rules of this file
- A promise binds: after it, this node acts on no view of a smaller epoch, and starts no acquisition that an older
  view ordered (`may_take`). Giving up addresses is always allowed.
- A view is installed only when every one of its members has promised exactly this view, and only by those that have.
- A member answers the leader that its own links name, or one with a smaller name; a rival of the leader is refused,
  so two proposers do not outbid each other for ever.
- Epochs only grow. A new proposal's epoch is above every one its proposer has seen. One that is EPOCH_LEAP above this
  node's own comes from no view, but from a liar: it is neither promised nor gone above, or soon none would be left.

Theory of operation
    PHASES gives the moves. JOINING: no view yet. SETTLED: in a view. GATHERING: about to propose; short waits let one
    cause make one view. PROPOSING: asked the others, collecting promises; repeats the question until all have
    answered or `failure_timeout` is over; who has not answered by then is left out of the next try (`penalties`).
    PROMISED: answered somebody else's proposal, waiting for its Install.
    The proposer repeats its Install until each member's heartbeats show the view.
    A state can be left without an Install: the proposer may die. Then the links change, somebody else becomes the
    leader, and its proposal collects everybody's claims anew. Who sits on a promise with a leader that does not know
    is noticed by the leader: heartbeats carry the promised epoch, and one above the leader's view makes it propose.

Source: the state exchange of Wackamole (Amir et al., 2003) with the ballot rule of Paxos (Lamport, 1998).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from duravip.cluster.messages import Install, MemberState, Promise, Propose, Refuse
from duravip.cluster.parameters import Parameters
from duravip.cluster.penalties import Penalties
from duravip.cluster.pins import said_once
from duravip.errors import ImpossibleTransitionError
from duravip.model import MAX_COUNT, Member, NodeName, View, ViewId

RESEND_INTERVALS: Final = 0.25  # heartbeat intervals between repetitions of a question or an Install
EPOCH_LEAP: Final = 2**24  # how far above its own a node in a view believes an epoch; more views nobody has missed


class Phase(enum.Enum):
    __hash__ = object.__hash__  # each is one object; Enum's own is in Python

    JOINING = "joining"
    SETTLED = "settled"
    GATHERING = "gathering"
    PROPOSING = "proposing"
    PROMISED = "promised"


PHASES: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.JOINING: frozenset({Phase.GATHERING, Phase.PROMISED}),
    Phase.SETTLED: frozenset({Phase.GATHERING, Phase.PROMISED}),
    Phase.GATHERING: frozenset({Phase.PROPOSING, Phase.PROMISED, Phase.SETTLED, Phase.JOINING}),
    Phase.PROPOSING: frozenset({Phase.GATHERING, Phase.SETTLED, Phase.PROMISED}),
    Phase.PROMISED: frozenset({Phase.GATHERING, Phase.PROMISED, Phase.SETTLED}),
}


@dataclass(slots=True)
class Proposal:
    view: ViewId
    members: tuple[Member, ...]
    expires_at: float
    resend_at: float
    promises: dict[NodeName, MemberState] = field(default_factory=dict)
    refusers: set[Member] = field(default_factory=set)

    def silent(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.name not in self.promises)


class Agreement:
    """One node's part in agreeing on views. Returns messages to say; `installed` holds an Install to act upon."""

    def __init__(self, me: Member, parameters: Parameters) -> None:
        self.me = me
        self._interval = parameters.heartbeat_interval_s
        self._timeout = parameters.failure_timeout_s
        self.phase = Phase.JOINING
        self.view: View | None = None
        self._installed = 0  # its epoch
        self._members: frozenset[Member] = frozenset()
        self._companions: frozenset[Member] = frozenset()
        self.promised = 0  # the highest epoch this node is bound to
        self.highest = 0  # the highest epoch seen anywhere
        self.promised_to: ViewId | None = None
        self.proposal: Proposal | None = None
        self.propose_at = math.inf
        self.last_install: Install | None = None
        self._unconfirmed: set[Member] = set()
        self._install_resend_at = math.inf
        self.penalties = Penalties(self._timeout)

    # --- questions -------------------------------------------------------------------------------------------------

    def may_take(self) -> bool:
        """Whether acquisitions that the installed view orders may start."""
        return self.promised == self._installed and self.view is not None

    def members(self) -> frozenset[Member]:
        return self._members

    def companions(self) -> frozenset[Member]:
        """The other members."""
        return self._companions

    def is_coordinator(self) -> bool:
        return (
            self.view is not None
            and self.view.id.coordinator == self.me.name
            and self.view.id.incarnation == self.me.incarnation
        )

    def is_plausible(self, epoch: int) -> bool:
        """Whether an epoch can have come about by views alone. Who is in no view yet has to believe any but the last:
        the group it joins may be old."""
        return epoch <= (self.promised + EPOCH_LEAP if self.view is not None else MAX_COUNT - 2 * EPOCH_LEAP)

    def deadline(self, now: float) -> float:
        proposal, earliest = self.proposal, self.penalties.deadline(now)
        if self.phase is Phase.GATHERING:
            earliest = min(earliest, self.propose_at)
        if proposal is not None:
            earliest = min(earliest, min(proposal.resend_at, proposal.expires_at))
        return min(earliest, self._install_resend_at) if self._unconfirmed else earliest

    def excuse(self, gap_s: float) -> None:
        """This node itself was late: answers that came meanwhile are still unread."""
        if self.proposal is not None:
            self.proposal.expires_at += gap_s

    # --- leading ---------------------------------------------------------------------------------------------------

    def saw_epoch(self, epoch: int) -> None:
        if self.is_plausible(epoch):
            self.highest = max(self.highest, epoch)

    def gather(self, until: float) -> None:
        """A view is needed and this node leads: propose at `until`, or earlier if asked again."""
        if self.phase is Phase.GATHERING:
            self.propose_at = min(self.propose_at, until)
            return
        self._become(Phase.GATHERING)
        self.proposal = None
        self.propose_at = until

    def stand_down(self) -> None:
        """No view is needed any more, or somebody else leads."""
        self.proposal = None
        if self.phase is Phase.PROPOSING:
            self._become(Phase.GATHERING)
        if self.phase is Phase.GATHERING:
            self._become(self._resting())

    def _resting(self) -> Phase:
        """The phase of a node that does not lead."""
        installed = self.view.id if self.view is not None else None
        waits = self.promised_to not in (None, installed) and self.promised_to.coordinator != self.me.name
        if waits:
            return Phase.PROMISED
        return Phase.SETTLED if installed is not None else Phase.JOINING

    def propose(self, members: tuple[Member, ...], state: MemberState, now: float) -> Propose | None:
        """Asks `members` (this node among them) for a new view. `state` is this node's own promise."""
        if self.phase is not Phase.GATHERING:
            self._become(Phase.GATHERING)
        self._become(Phase.PROPOSING)
        self.highest = max(self.highest, self.promised) + 1
        self.promised = self.highest
        view = ViewId(self.highest, self.me.name, self.me.incarnation)
        self.promised_to = view
        self.proposal = Proposal(
            view=view,
            members=tuple(sorted(members)),
            expires_at=now + self._timeout,
            resend_at=now + RESEND_INTERVALS * self._interval,
        )
        self.proposal.promises[self.me.name] = state
        if len(members) == 1:
            return None
        return Propose(view=view, members=self.proposal.members)

    def is_complete(self) -> bool:
        """Whether everybody has promised."""
        return self.proposal is not None and not self.proposal.silent()

    def complete(self) -> Install | None:
        """The Install to say and act upon, once everybody has promised."""
        proposal = self.proposal
        if proposal is None or not self.is_complete():
            return None
        states = tuple(proposal.promises[member.name] for member in proposal.members)
        return Install(view=proposal.view, states=said_once(states, epoch=proposal.view.epoch))

    def tick(self, now: float) -> list[Propose | Install]:
        """Repeats what nobody has answered. A proposal that has expired ends in GATHERING, its silent penalised."""
        said: list[Propose | Install] = []
        self.penalties.expire(now)
        proposal = self.proposal
        if proposal is not None:
            if now >= proposal.expires_at:
                for member in proposal.silent():
                    if member not in proposal.refusers:
                        self.penalties.silent(member, now)
                self.gather(now)
            elif now >= proposal.resend_at:
                proposal.resend_at = now + RESEND_INTERVALS * self._interval
                said.append(Propose(view=proposal.view, members=proposal.members))
        if self._unconfirmed and now >= self._install_resend_at and self.last_install is not None:
            self._install_resend_at = now + RESEND_INTERVALS * self._interval
            said.append(self.last_install)
        return said

    def on_promise(self, sender: Member, promise: Promise) -> None:
        self.penalties.answered(sender)
        proposal = self.proposal
        if proposal is None or promise.view != proposal.view or promise.state.member != sender:
            return
        if sender in proposal.members:
            proposal.promises[sender.name] = promise.state

    def on_refuse(self, sender: Member, refuse: Refuse, now: float) -> None:
        """Somebody is bound to a higher epoch: ask again, above it. Or it knows another leader: that is no silence."""
        self.saw_epoch(refuse.promised)
        if self.proposal is None or refuse.view != self.proposal.view:
            return
        if sender not in self.proposal.refusers:
            self.proposal.refusers.add(sender)
            self.penalties.refused(sender, now)
        if refuse.promised >= refuse.view.epoch:
            self.gather(now + RESEND_INTERVALS * self._interval)

    # --- following -------------------------------------------------------------------------------------------------

    def on_propose(
        self, sender: Member, asked: Propose, leader: NodeName, state: Callable[[], MemberState]
    ) -> Promise | Refuse | None:
        """`leader`: the smallest name in the clique that this node's own links give. `state` makes the promise."""
        view = asked.view
        if (view.coordinator, view.incarnation) != (
            sender.name,
            sender.incarnation,
        ) or self.me not in asked.members:
            return None
        self.saw_epoch(view.epoch)
        again = view == self.promised_to
        if not again and (view.epoch <= self.promised or sender.name > leader or not self.is_plausible(view.epoch)):
            return Refuse(to=sender.name, view=view, promised=self.promised)
        if again and self.view is not None and self.view.id == view:
            return None
        if not again:
            self.proposal = None
            self._become(Phase.PROMISED)
            self.promised, self.promised_to = view.epoch, view
        return Promise(to=sender.name, view=view, state=state())

    def accepts(self, sender: Member, install: Install) -> bool:
        """Whether this Install is the one that was promised to, not yet acted upon, and a view at all: of nodes with a
        name each, this one and the coordinator among them."""
        view = install.view
        members = {state.member for state in install.states}
        return (
            view == self.promised_to
            and view.epoch == self.promised
            and (view.coordinator, view.incarnation) == (sender.name, sender.incarnation)
            and (self.view is None or self.view.id != view)
            and members >= {self.me, sender}
            and len({member.name for member in members}) == len(install.states)
        )

    def installed(self, install: Install, members: tuple[Member, ...], now: float) -> None:
        """This node acts on the view from now on, whose members these are, sorted."""
        self.view = View(id=install.view, members=members)
        self._members = frozenset(members)
        self._installed = install.view.epoch
        self._companions = self._members - {self.me}
        self.saw_epoch(install.view.epoch)
        self.proposal = None
        self._become(Phase.SETTLED)
        self.last_install = install if self.is_coordinator() else None
        self._unconfirmed = {member for member in members if member != self.me} if self.is_coordinator() else set()
        self._install_resend_at = now + RESEND_INTERVALS * self._interval

    def confirmed(self, member: Member) -> None:
        """The member was seen to act on our view."""
        self._unconfirmed.discard(member)

    def unbind(self) -> None:
        """Only a view installed from now on will do: bind to an epoch that nobody has proposed."""
        self.highest = max(self.highest, self.promised) + 1
        self.promised, self.promised_to = self.highest, None
        self.proposal = None
        if self.phase in (Phase.PROPOSING, Phase.PROMISED):
            self._become(Phase.GATHERING)
        if self.phase is Phase.GATHERING:
            self._become(self._resting())

    # --- inside ----------------------------------------------------------------------------------------------------

    def _become(self, phase: Phase) -> None:
        if phase not in PHASES[self.phase]:
            raise ImpossibleTransitionError(f"view agreement: {self.phase.value} -> {phase.value}")
        self.phase = phase
