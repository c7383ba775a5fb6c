"""What each message of another node means here.

Rules of this file
- Only heartbeats introduce a life of a node. Any other message counts only from the life that was last introduced, and
  not from one that has left.
- A message that names an addressee is acted upon by nobody else, though a Report teaches everybody what was released.
"""

from __future__ import annotations

from typing import assert_never

from duravip import events
from duravip.cluster.inputs import PacketHeard
from duravip.cluster.messages import (
    AnyMessage,
    Heartbeat,
    Install,
    Leave,
    MemberState,
    Neighbours,
    Numbered,
    Probe,
    Promise,
    Propose,
    Refuse,
    Report,
    Resend,
    TableChunk,
    TableWanted,
    Wish,
)
from duravip.cluster.parts import Parts
from duravip.cluster.shadow import lists
from duravip.model import Member


class Hearing:
    """Changes the parts; what follows at once goes into the outbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._me = parts.me
        self._out = parts.out

    def repeats(self, given: PacketHeard) -> bool:
        """Whether it is nothing but a heartbeat of a member of this node's view that says what its last one said: the
        usual case, after which there is nothing to do that can not wait for this node's own heartbeat."""
        if len(given.messages) != 1 or not isinstance(heartbeat := given.messages[0], Heartbeat):
            return False
        peer, view = self._parts.detector.peers.get(given.sender.name), self._parts.agreement.view
        return (
            view is not None
            and heartbeat.view == view.id
            and peer is not None
            and peer.alive
            and peer.member == given.sender
            and heartbeat.repeats(peer.heartbeat)
        )

    def hear(self, sender: Member, message: AnyMessage, now: float) -> None:
        parts, me = self._parts, self._me.name
        if sender.name == me:
            self._on_namesake(sender, message, now)
            return
        if isinstance(message, Heartbeat):
            self._on_heartbeat(sender, message, now)
            return
        peer = parts.detector.peers.get(sender.name)
        if peer is None or peer.member != sender or peer.left:
            return
        match message:
            case Leave():
                # What the leaver has let go may still be taken under the view that its leaving ends.
                self._out.effects += parts.possession.follow(now)
                if parts.detector.on_leave(sender):
                    parts.pulse.soon(now)
            case Probe():
                if message.to == me:
                    parts.pulse.answer(now)
            case Propose():
                self._on_propose(sender, message, now)
            case Promise():
                if message.to == me:
                    parts.agreement.on_promise(sender, message)
            case Refuse():
                if message.to == me:
                    parts.agreement.on_refuse(sender, message, now)
            case Install():
                if parts.agreement.accepts(sender, message):
                    self._out.effects += parts.succession.install(message, now)
                    parts.pulse.soon(now)
            case Report():
                self._on_report(sender, message)
            case Wish():
                if parts.succession.term is not None:
                    parts.succession.term.on_wish(sender.name, message)
            case Numbered():
                self._on_numbered(sender, message, now)
            case Resend():
                term = parts.succession.term
                if term is not None and message.to == me and message.view == term.view.id:
                    self._out.messages += term.again(message.first)
            case TableWanted():
                if message.to == me:
                    self._out.messages += parts.library.on_wanted(message)
            case TableChunk():
                if parts.library.on_chunk(message):
                    if parts.succession.agreed is not None:
                        parts.succession.agreed.learn_tables()
                    parts.pulse.soon(now)
            case Neighbours():
                pass  # for whoever announces; no concern of the machine's
            case _:
                assert_never(message)

    def _on_namesake(self, sender: Member, message: AnyMessage, now: float) -> None:
        """Somebody else bears this node's name. The greater incarnation is the one that the others listen to: the other
        holds nothing as long as it hears of it. A smaller one may be this node's own past, on its way for long."""
        if not isinstance(message, Heartbeat) or sender.incarnation < self._me.incarnation:
            return
        if self._parts.standing.on_namesake(now):
            self._out.publish(events.NameTaken(name=sender.name, other=str(sender.incarnation)))

    def _on_heartbeat(self, sender: Member, heartbeat: Heartbeat, now: float) -> None:
        parts = self._parts
        if parts.detector.on_heartbeat(sender, heartbeat, now):
            parts.pulse.soon(now)
        peer = parts.detector.peers.get(sender.name)
        if peer is None or peer.heartbeat is not heartbeat:
            return
        parts.agreement.saw_epoch(heartbeat.promised)
        parts.rivals.learn(sender.name, heartbeat.hardware)
        term = parts.succession.term
        if heartbeat.view is None or term is None or sender not in parts.agreement.members():
            return
        if heartbeat.view == term.view.id:
            parts.agreement.confirmed(sender)
            if sender.name == term.view.id.coordinator and heartbeat.number > term.agreed.number:
                self._out.messages += term.ask_again(now)
            if term.differs(heartbeat):
                text = f"{sender.name} has another state for number {term.agreed.number} of {term.view.id}"
                self._out.publish(events.Disagreement(address=None, text=text))
        elif (
            heartbeat.view > term.view.id
            and not lists(peer, self._me)
            and not parts.standing.suspended
            and not parts.departure.has_begun  # they are right: it has said that it leaves
        ):
            parts.succession.interrupt(expelled=True)
            self._out.publish(events.Expelled(by=sender.name))

    def _on_propose(self, sender: Member, asked: Propose, now: float) -> None:
        parts = self._parts

        def state() -> MemberState:
            succession = parts.succession
            return parts.declaration.state(succession.agreed, mature=succession.is_mature(), now=now)

        answer = parts.agreement.on_propose(sender, asked, parts.leadership.leader, state)
        if answer is not None:
            self._out.messages.append(answer)

    def _on_report(self, sender: Member, report: Report) -> None:
        parts, term = self._parts, self._parts.succession.term
        if term is None or report.view != term.view.id or sender not in parts.agreement.members():
            return
        parts.agreement.confirmed(sender)
        parts.tenure.on_report(sender.name, report)
        if report.to == self._me.name and parts.agreement.may_take():
            term.on_report(sender.name, report)

    def _on_numbered(self, sender: Member, message: Numbered, now: float) -> None:
        if message.view.coordinator != sender.name or message.view.incarnation != sender.incarnation:
            return
        parts, term = self._parts, self._parts.succession.term
        if term is None or message.view != term.view.id:
            if message.view == parts.agreement.promised_to:
                parts.succession.keep(message)
        elif term.coordinator is None:
            self._out.effects += term.receive(message, now)
            if term.has_gap():
                self._out.messages += term.ask_again(now)
