"""What lives as long as one view, at one of its members: agreed state, numbers, and the coordinator's part.

Rules of this file: a term begins with an Install and ends with the next one (`succession`). Nothing outlives it but
what members carry in their promises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from duravip.cluster.agreed import AgreedState
from duravip.cluster.coordinator import Coordinator
from duravip.cluster.delivery import Delivery
from duravip.cluster.effects import Deliberate, Effect
from duravip.cluster.inputs import Deliberated
from duravip.cluster.library import Library
from duravip.cluster.messages import (
    AnyBody,
    Heartbeat,
    MemberState,
    Numbered,
    Report,
    Resend,
    Switched,
    TableChosen,
    Wish,
    WishBody,
)
from duravip.cluster.sequencer import Sequencer
from duravip.model import NodeName, View

CoordinatorOf = Callable[[AgreedState], Coordinator]


class Pace:
    """Lets something through once in `every_s`."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last_at = -math.inf

    def allows(self, now: float) -> bool:
        """Counts as let through when True."""
        if now - self._last_at < self._every_s:
            return False
        self._last_at = now
        return True


class Term:
    """`coordinator` is None where another member coordinates. `stable_since`: when view or tables last changed."""

    def __init__(
        self,
        view: View,
        states: tuple[MemberState, ...],
        library: Library,
        *,
        delivery: Delivery,
        coordinator: CoordinatorOf | None,
        pace: Pace,
        now: float,
    ) -> None:
        """`coordinator` makes one over the agreed state, when this node coordinates. `pace`: of asking again, over
        all terms."""
        self.view = view
        self.agreed = AgreedState(view, states, library)
        self.coordinator = coordinator(self.agreed) if coordinator is not None else None
        self.stable_since = now
        self._delivery = delivery
        self._sequencer = Sequencer(view.id)
        self._pace = pace
        self._differed_at = -1
        self._digest: tuple[int, bytes] = (-1, b"")

    # --- questions -------------------------------------------------------------------------------------------------

    def digest(self) -> bytes:
        """Equal at two members exactly when view, number and assignment are."""
        if self._digest[0] != self.agreed.number:
            self._digest = (self.agreed.number, self.agreed.digest())
        return self._digest[1]

    def has_gap(self) -> bool:
        return self._sequencer.has_gap()

    # --- at every member -------------------------------------------------------------------------------------------

    def receive(self, message: Numbered, now: float) -> list[Effect]:
        """Delivers what is next in order, perhaps nothing yet."""
        effects: list[Effect] = []
        for body in self._sequencer.receive(message):
            effects += self._deliver(self._sequencer.delivered(), body, now)
        return effects

    def ask_again(self, now: float) -> list[Resend]:
        """Something that was numbered has not come."""
        if not self._pace.allows(now):
            return []
        view = self.view.id
        return [Resend(to=view.coordinator, view=view, first=self._sequencer.number + 1)]

    def again(self, first: int) -> list[Numbered]:
        """What a member asks to hear once more."""
        return self._sequencer.again(first)

    def differs(self, heartbeat: Heartbeat) -> bool:
        """Whether a member that has delivered as much has another state; said once for each number."""
        number = self.agreed.number
        if heartbeat.number != number or heartbeat.state == self.digest() or self._differed_at == number:
            return False
        self._differed_at = number
        return True

    # --- at the coordinator ----------------------------------------------------------------------------------------

    def on_report(self, sender: NodeName, report: Report) -> None:
        if self.coordinator is not None:
            self.coordinator.on_report(sender, report)

    def on_wish(self, sender: NodeName, wish: Wish) -> None:
        if self.coordinator is not None and wish.view == self.view.id:
            self.coordinator.on_wish(sender, wish.body)

    def on_deliberated(self, given: Deliberated) -> list[Effect]:
        """What was asked in this term is answered."""
        if given.view != self.view.id:
            return []
        if self.coordinator is not None:
            self.coordinator.on_deliberated(given.number, given.answer)
        return self._delivery.verified(given.number, given.answer)

    def coordinate(
        self, own: Callable[[], tuple[Report | None, Iterable[WishBody]]], now: float
    ) -> tuple[list[Numbered], list[Effect]]:
        """Numbers whatever is due. `own`: what this node itself declares and wishes, numbered without a journey."""
        coordinator, me = self.coordinator, self.view.id.coordinator
        said: list[Numbered] = []
        effects: list[Effect] = []
        if coordinator is None:
            return said, effects
        report, wishes = own()
        while True:
            if report is not None:
                coordinator.on_report(me, report)
            for wish in wishes:
                coordinator.on_wish(me, wish)
            body = coordinator.duty(now)
            if body is None:
                if coordinator.question is not None:
                    number, question = coordinator.question
                    coordinator.question = None
                    effects.append(Deliberate(view=self.view.id, number=number, question=question))
                return said, effects
            said.append(self._sequencer.give(body))
            effects += self._deliver(self._sequencer.number, body, now)
            report, wishes = (None, ()) if coordinator.is_heavy else own()

    def forget(self, delivered: Iterable[int]) -> None:
        """`delivered`: what each other member has shown to have delivered."""
        self._sequencer.forget(min(delivered, default=self._sequencer.number))

    # --- inside ----------------------------------------------------------------------------------------------------

    def _deliver(self, number: int, body: AnyBody, now: float) -> list[Effect]:
        if type(body) is TableChosen or type(body) is Switched:
            self.stable_since = now
        return self._delivery.deliver(self.agreed, number, body)
