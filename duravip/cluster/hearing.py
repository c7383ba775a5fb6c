"""What each message of another node means here.

Rules of this file
- Only heartbeats introduce a life of a node. Any other message counts only from the life that was last introduced, and
  not from one that has left.
- A message that names an addressee is acted upon by nobody else, though a Report teaches everybody what was released.
"""

from __future__ import annotations

from enum import IntEnum
from typing import assert_never

from duravip import events
from duravip.cluster.detector import lists_us
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
from duravip.model import Member


class Change(IntEnum):
    """How much of the path must be walked again. NOTHING: it can wait for this node's own heartbeat, the usual case.
    HOLDINGS: agreed state, or what this node may hold; neither peers nor views. EVERYTHING: anything."""

    NOTHING = 0
    HOLDINGS = 1
    EVERYTHING = 2


class Hearing:
    """Changes the parts; what follows at once goes into the outbox."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._me = parts.me
        self._name = parts.me.name
        self._out = parts.out

    def hear(self, sender: Member, message: AnyMessage, now: float) -> Change:
        parts, me, name = self._parts, self._name, sender.name
        if name == me:
            self._on_namesake(sender, message, now)
            return Change.EVERYTHING
        if type(message) is Heartbeat:  # where it is none, `isinstance` of a msgspec class takes thirty times as long
            return self._on_heartbeat(sender, message, now)
        peer = parts.detector.peers.get(name)
        if peer is None or peer.member != sender or peer.left:
            return Change.NOTHING
        if type(message) is Numbered:
            return self._on_numbered(sender, message, now)
        if type(message) is Report:
            return self._on_report(sender, message)
        match message:  # of the rest, the frequent first
            case Probe():
                if message.to == me:
                    parts.pulse.answer(now)
                return Change.NOTHING
            case TableWanted():
                if message.to == me:
                    self._out.messages += parts.library.on_wanted(message)
                    if parts.library.is_preparing():
                        return Change.HOLDINGS  # so that this goes on
                return Change.NOTHING
            case TableChunk():
                if parts.library.complete():
                    return Change.NOTHING
                if parts.library.on_chunk(message):
                    parts.pulse.soon(now)
            case Promise():
                if message.to != me:
                    return Change.NOTHING
                parts.agreement.on_promise(sender, message)
            case Resend():
                term = parts.succession.term
                if term is not None and message.to == me and message.view == term.view.id:
                    self._out.messages += term.again(message.first)
                return Change.NOTHING
            case Propose():
                self._on_propose(sender, message, now)
            case Install():
                if not parts.agreement.accepts(sender, message):
                    return Change.NOTHING
                self._out.effects += parts.succession.install(message, now)
                parts.pulse.soon(now)
            case Leave():
                # What the leaver has let go may still be taken under the view that its leaving ends.
                self._out.effects += parts.possession.follow(now)
                if parts.detector.on_leave(sender):
                    parts.pulse.soon(now)
            case Refuse():
                if message.to != me:
                    return Change.NOTHING
                parts.agreement.on_refuse(sender, message, now)
            case Wish():
                term = parts.succession.term
                if term is None or term.coordinator is None:
                    return Change.NOTHING
                term.on_wish(sender.name, message)
                return Change.HOLDINGS
            case Neighbours():
                return Change.NOTHING  # for whoever announces; no concern of the machine's
            case _:
                assert_never(message)
        return Change.EVERYTHING

    def _on_namesake(self, sender: Member, message: AnyMessage, now: float) -> None:
        """Somebody else bears this node's name. The greater incarnation is the one that the others listen to: the other
        holds nothing as long as it hears of it. A smaller one may be this node's own past, on its way for long."""
        if not isinstance(message, Heartbeat) or sender.incarnation < self._me.incarnation:
            return
        if self._parts.standing.on_namesake(now):
            self._out.publish(events.NameTaken(name=sender.name, other=str(sender.incarnation)))

    def _on_heartbeat(self, sender: Member, heartbeat: Heartbeat, now: float) -> Change:
        """Nothing when a live member of this node's view says what it said last, or this is old; unless it may be the
        answer that this node waits for."""
        parts, name = self._parts, sender.name
        before = parts.detector.revision
        if parts.detector.on_heartbeat(sender, heartbeat, now):
            parts.pulse.soon(now)
        peer = parts.detector.peers.get(name)
        if peer is None or peer.heartbeat is not heartbeat:
            return Change.NOTHING if parts.detector.revision == before else Change.EVERYTHING
        if parts.leadership.is_patient(now) and self._me not in peer.names:
            parts.pulse.soon(now)  # which echoes this: it will take this node for alive
        promised = heartbeat.promised
        parts.agreement.saw_epoch(promised)
        parts.rivals.learn(name, heartbeat.hardware)
        term, view = parts.succession.term, heartbeat.view
        if view is None or term is None or sender not in parts.agreement.members():
            return Change.EVERYTHING
        installed = term.view.id
        if view == installed:
            parts.agreement.confirmed(sender)
            if promised == installed.epoch:
                parts.mandate.echoed(name, parts.detector.echoed_at(sender))
            if name == installed.coordinator and heartbeat.number > term.agreed.number:
                self._out.messages += term.ask_again(now)
            if term.differs(heartbeat):
                text = f"{sender.name} has another state for number {term.agreed.number} of {installed}"
                self._out.publish(events.Disagreement(address=None, text=text))
            known = parts.detector.revision == before and peer.alive and not parts.leadership.waits(now)
            return Change.NOTHING if known else Change.EVERYTHING
        if (
            view > installed
            and not lists_us(peer)
            and not parts.standing.suspended
            and not parts.departure.has_begun  # they are right: it has said that it leaves
        ):
            parts.succession.interrupt(expelled=True)
            self._out.publish(events.Expelled(by=sender.name))
        return Change.EVERYTHING

    def _on_propose(self, sender: Member, asked: Propose, now: float) -> None:
        parts = self._parts

        def state() -> MemberState:
            succession = parts.succession
            return parts.declaration.state(succession.agreed, mature=succession.is_mature(), now=now)

        answer = parts.agreement.on_propose(sender, asked, parts.leadership.leader, state)
        if answer is not None:
            self._out.messages.append(answer)

    def _on_report(self, sender: Member, report: Report) -> Change:
        parts, term = self._parts, self._parts.succession.term
        if term is None or report.view != term.view.id or sender not in parts.agreement.members():
            return Change.NOTHING
        parts.agreement.confirmed(sender)
        parts.tenure.on_report(sender.name, report)
        if report.to == self._me.name and parts.agreement.may_take():
            term.on_report(sender.name, report)
        known = term.coordinator is None and not report.released
        return Change.NOTHING if known else Change.HOLDINGS

    def _on_numbered(self, sender: Member, message: Numbered, now: float) -> Change:
        view = message.view
        if view.coordinator != sender.name or view.incarnation != sender.incarnation:
            return Change.NOTHING
        parts, term = self._parts, self._parts.succession.term
        if term is None or view != term.view.id:
            if view == parts.agreement.promised_to:
                parts.succession.keep(message)
            return Change.NOTHING
        if term.coordinator is not None:
            return Change.NOTHING
        before = term.agreed.number
        self._out.effects += term.receive(message, now)
        if term.has_gap():
            self._out.messages += term.ask_again(now)
        return Change.NOTHING if term.agreed.number == before else Change.HOLDINGS
