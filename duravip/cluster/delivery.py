"""What follows here from each numbered message, beside the agreed state that it makes: wishes that are granted, a
switch of tables, announcements, and the news of it all.

Rules of this file
- A member verifies what the coordinator assigns, by the same function, and obeys it all the same: at once where that
  takes a moment; with many VIPs in a turn after it (`check`), or outside of turns, if it takes long.
- News are told in the order of the messages. Those of very many addresses are owed, until `tell` or the next message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from duravip import events
from duravip.cluster.agreed import AgreedState
from duravip.cluster.deliberation import Question
from duravip.cluster.effects import (
    Deliberate,
    Effect,
    KeepDrained,
    Publish,
    ReadConfiguration,
    SwitchEnded,
)
from duravip.cluster.electorate import Circumstances
from duravip.cluster.mandate import Mandate
from duravip.cluster.messages import (
    Announced,
    AnyBody,
    Assigned,
    Chartered,
    DrainAsked,
    Matured,
    Overdue,
    Pinned,
    Reported,
    Round,
    SwitchAbandoned,
    SwitchAsked,
    Switched,
    TableChosen,
    ViewAged,
)
from duravip.cluster.news import News
from duravip.cluster.parameters import VAST_VIPS, Parameters
from duravip.cluster.rivals import Rivals
from duravip.cluster.switching import Switching
from duravip.cluster.tenure import Tenure
from duravip.cluster.wishes import Wishes
from duravip.model import Address, Decision

MAX_UNVERIFIED: Final = 8  # assignments: each keeps a copy of what it followed from


class Delivery:
    def __init__(
        self,
        parameters: Parameters,
        *,
        news: News,
        wishes: Wishes,
        switching: Switching,
        tenure: Tenure,
        rivals: Rivals,
        mandate: Mandate,
    ) -> None:
        self._me = parameters.name
        self._answer_of = parameters.functions.answer
        self._many_vips = parameters.many_vips
        self._long_vips = parameters.long_vips
        self._news = news
        self._wishes = wishes
        self._switching = switching
        self._tenure = tenure
        self._rivals = rivals
        self._mandate = mandate
        self._merged = False
        self._owed: tuple[AgreedState, Circumstances, Mapping[Address, Decision], bool] | None = None
        self._unverified: dict[int, Mapping[Address, Decision]] = {}  # what was told, by the number that told it
        self._unchecked: list[tuple[Mapping[Address, Decision], Question]] = []

    def installed(self, agreed: AgreedState, *, merged: bool) -> None:
        """A view begins with this. `merged`: it has members that the one before it had not."""
        self._merged = merged
        self._unverified.clear()
        self._unchecked.clear()
        self._wishes.declared(agreed.status)

    def owes(self) -> bool:
        """Whether there are news to be told."""
        return self._owed is not None

    def tell(self) -> list[Effect]:
        """The news that are owed."""
        if self._owed is None:
            return []
        agreed, given, told, is_balancing = self._owed
        self._owed = None
        effects: list[Effect] = []
        effects += self._news.owners(agreed, given, told, tells_moves=self._coordinates(agreed))
        if is_balancing:
            effects.append(Publish(event=events.Balanced(moves=len(told))))
        return effects

    def deliver(self, agreed: AgreedState, number: int, body: AnyBody) -> list[Effect]:
        """Applies the message to the agreed state; every effect of that here, after what was owed."""
        if self._owed is not None:
            return self.tell() + self.deliver(agreed, number, body)
        if isinstance(body, Assigned):
            return self._assigned(agreed, number, body)
        agreed.apply(number, body)
        match body:  # the frequent first
            case Reported():
                self._wishes.declared(agreed.status)
                return []
            case Matured():
                return [Publish(event=events.NodeMatured(name=name)) for name in body.names]
            case ViewAged():
                return [Publish(event=events.ViewMatured())]
            case TableChosen():
                return [*self._news.landscape(agreed)]
            case SwitchAsked():
                assert agreed.round is not None
                self._switching.on_asked(agreed.round)
                return [ReadConfiguration(round=agreed.round)]
            case Switched():
                return [*self.switched(body.round), *self._news.landscape(agreed)]
            case SwitchAbandoned():
                self._wishes.granted(body.round.by, body.round.sequence)
                self._switching.on_abandoned(body.round)
                return [SwitchEnded(round=body.round, refusal=body.reason)]
            case Pinned():
                self._wishes.granted(body.by, body.sequence)
                return []
            case DrainAsked():
                self._wishes.numbered(body)
                self._wishes.declared(agreed.status)
                return [KeepDrained(drained=body.drained)] if body.name == self._me else []
            case Announced():
                self._wishes.granted(body.by, body.sequence)
                return [*self._tenure.announce_all()]
            case Chartered():
                self._mandate.chartered(agreed.charter)
                return []
            case Overdue():
                return []
            case _:
                assert_never(body)

    def switched(self, switched: Round) -> list[Effect]:
        """All members go by the tables of this round."""
        self._wishes.granted(switched.by, switched.sequence)
        return [SwitchEnded(round=switched, refusal="")] if self._switching.on_switched(switched) else []

    def _assigned(self, agreed: AgreedState, number: int, body: Assigned) -> list[Effect]:
        told = {address: group.decision for group in body.groups for address in group.addresses}
        verifies = agreed.informed and not self._coordinates(agreed)
        effects = self._verify(agreed, number, body, told) if verifies else []
        given = agreed.circumstances()
        agreed.apply(number, body)
        self._tenure.former.difference_update(
            address for address, decision in told.items() if decision.owner is not None
        )
        mine = sorted(address for address, decision in told.items() if decision.owner == self._me)
        for address in mine:
            if not self._was_held(agreed, address):
                self._rivals.ask_first(address)
        if self._merged:
            # A merge may be won without any change here, and clients may still know the loser.
            effects += self._tenure.announce(mine)
        self._owed = agreed, given, told, body.balancing
        return effects if len(told) >= self._many_vips else effects + self.tell()

    def _coordinates(self, agreed: AgreedState) -> bool:
        return agreed.view.id.coordinator == self._me

    def _verify(
        self, agreed: AgreedState, number: int, body: Assigned, told: Mapping[Address, Decision]
    ) -> list[Effect]:
        """Whether this member's own election, or balancing, comes to the same; of many VIPs that is known later."""
        question = agreed.balancing() if body.balancing else agreed.election()
        vips = len(agreed.landscape.universe)
        is_quick = vips < self._many_vips
        if question is None or is_quick or len(self._unverified) + len(self._unchecked) >= MAX_UNVERIFIED:
            return _disagreements(told, self._answer_of(question) if question is not None else {})
        if not body.balancing and vips < VAST_VIPS and agreed.landscape.classes() < self._long_vips:
            self._unchecked.append((told, question.kept()))
            return []
        self._unverified[number] = told
        return [Deliberate(view=agreed.view.id, number=number, question=question.kept())]

    def is_checked(self) -> bool:
        """Whether there is nothing for `check` to do."""
        return not self._unchecked

    def check(self) -> list[Effect]:
        """Verifies one of the assignments that are not verified yet."""
        if not self._unchecked:
            return []
        told, question = self._unchecked.pop(0)
        return _disagreements(told, self._answer_of(question))

    def verified(self, number: int, own: Mapping[Address, Decision]) -> list[Effect]:
        """What this member's own election, or balancing, comes to for what was assigned with this number."""
        told = self._unverified.pop(number, None)
        return _disagreements(told, own) if told is not None else []

    def _was_held(self, agreed: AgreedState, address: Address) -> bool:
        """Whether some member, this one perhaps, is known to have it or to have had it last."""
        return (
            address in self._tenure.holdings
            or address in agreed.claimed_at_install
            or self._news.last_owner(address) is not None
        )


def _disagreements(told: Mapping[Address, Decision], own: Mapping[Address, Decision]) -> list[Effect]:
    """Where this member comes to another owner than the coordinator has told."""
    found: list[Effect] = []
    for address in sorted(own.keys() | told.keys()):
        mine, theirs = own.get(address), told.get(address)
        if mine is None or theirs is None or mine.owner != theirs.owner:
            text = f"the coordinator says {theirs and theirs.owner}, this node's election {mine and mine.owner}"
            found.append(Publish(event=events.Disagreement(address=address, text=text)))
    return found
