"""One term after another: what happens when a view is installed, and what a node carries from one to the next.

Rules of this file
- A new view ends everything of the old one at once: agreed state, numbers, what was said and heard of releases.
- Since when each member has been there outlives views, for maturity; it begins anew when this node was away.
- Numbered messages may overtake the Install of their view. Those of the view that was promised are kept for it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from duravip.cluster.agreed import AgreedState
from duravip.cluster.agreement import Agreement
from duravip.cluster.coordinator import Coordinator
from duravip.cluster.declaration import Declaration
from duravip.cluster.delivery import Delivery
from duravip.cluster.detector import Detector
from duravip.cluster.effects import Effect
from duravip.cluster.library import Library
from duravip.cluster.mandate import Mandate
from duravip.cluster.messages import Install, Numbered
from duravip.cluster.news import News
from duravip.cluster.parameters import Parameters
from duravip.cluster.standing import Standing
from duravip.cluster.switching import Switching
from duravip.cluster.tenure import Tenure
from duravip.cluster.term import Pace, Term
from duravip.model import Member, View

ASK_INTERVALS: Final = 0.25  # heartbeat intervals between questions for what was numbered and has not come
MAX_EARLY: Final = 256  # numbered messages that wait for the Install of their view


class Succession:
    """`term` is None before the first view."""

    def __init__(
        self,
        me: Member,
        parameters: Parameters,
        *,
        agreement: Agreement,
        detector: Detector,
        library: Library,
        delivery: Delivery,
        declaration: Declaration,
        standing: Standing,
        switching: Switching,
        tenure: Tenure,
        news: News,
        mandate: Mandate,
        now: float,
    ) -> None:
        self._me = me
        self._name = me.name
        self._pace = Pace(ASK_INTERVALS * parameters.heartbeat_interval_s)
        self._many_vips = parameters.many_vips
        self._long_vips = parameters.long_vips
        self._answer_of = parameters.functions.answer
        self._agreement = agreement
        self._detector = detector
        self._library = library
        self._delivery = delivery
        self._declaration = declaration
        self._standing = standing
        self._switching = switching
        self._tenure = tenure
        self._news = news
        self._mandate = mandate
        self._early: list[Numbered] = []
        self._seniority = Seniority(now)
        self.term: Term | None = None

    # --- questions -------------------------------------------------------------------------------------------------

    @property
    def agreed(self) -> AgreedState | None:
        return self.term.agreed if self.term is not None else None

    @property
    def coordinator(self) -> Coordinator | None:
        """This node's part as the coordinator of its view, if it is that."""
        return self.term.coordinator if self.term is not None else None

    def is_mature(self) -> bool:
        """Whether this node may own."""
        return self.term is not None and self._name in self.term.agreed.mature and not self._standing.expelled

    # --- change ----------------------------------------------------------------------------------------------------

    def keep(self, message: Numbered) -> None:
        """It belongs to a view that was promised and is not installed yet."""
        if len(self._early) < MAX_EARLY:
            self._early.append(message)

    def install(self, install: Install, now: float) -> list[Effect]:
        """The view is agreed: act upon it from now on."""
        effects = self._delivery.tell()
        before = set(self._agreement.members())
        members = sorted(self._detector.known(state.member) for state in install.states)
        self._agreement.installed(install, tuple(members), now)
        view = self._agreement.view
        assert view is not None
        self._agreement.penalties.lost(self._failed(before - set(view.members)), now)
        grew = any(member not in before and member != self._me for member in view.members)
        self._seniority.on_install(view, me=self._me, grew=grew, now=now)
        seniority, coordinates = self._seniority, self._agreement.is_coordinator()
        term = self.term = Term(
            view,
            install.states,
            self._library,
            delivery=self._delivery,
            coordinator=partial(
                Coordinator,
                joined_at=seniority.joined_at,
                added_at=seniority.added_at,
                many_vips=self._many_vips,
                long_vips=self._long_vips,
                answer=self._answer_of,
                now=now,
            )
            if coordinates
            else None,
            pace=self._pace,
            now=now,
        )
        self._mandate.installed(term.agreed, now)
        self._tenure.renew()
        self._declaration.renew()
        self._standing.on_install(alone=len(view.members) == 1)
        missed = self._switching.missed(install.states)
        if missed is not None:
            effects += self._delivery.switched(missed)
        effects += self._news.view(view, before, self._detector.peers)
        effects += self._news.majority(term.agreed)
        effects += self._news.landscape(term.agreed)
        self._delivery.installed(term.agreed, merged=grew)
        early, self._early = self._early, []
        for message in early:
            if message.view == view.id and not coordinates:
                effects += term.receive(message, now)
        return effects

    def _failed(self, gone: set[Member]) -> list[Member]:
        """Those that have neither left nor begun a new life."""
        peers = {member: self._detector.peers.get(member.name) for member in gone}
        return [m for m, peer in peers.items() if peer is not None and peer.member == m and not peer.left]

    def interrupt(self, *, expelled: bool) -> None:
        """This node was away, or (`expelled`) the others have gone on without it: it holds nothing until a view is
        installed that nobody has proposed yet."""
        if expelled or not self.is_mature():
            self._seniority.restart()
        self._standing.expelled |= expelled
        self._standing.suspended = True
        self._agreement.unbind()


class Seniority:
    """`joined_at`: when each member of the view was first seen in one, in this life and without an interruption;
    `added_at`: when somebody was last added. This node's monotonic seconds."""

    def __init__(self, now: float) -> None:
        self.joined_at: dict[Member, float] = {}
        self.added_at = now

    def restart(self) -> None:
        """Everybody's time begins anew."""
        self.joined_at.clear()

    def on_install(self, view: View, *, me: Member, grew: bool, now: float) -> None:
        """`grew`: somebody is in the view who was not in the one before."""
        if grew or me not in self.joined_at:
            self.added_at = now
        self.joined_at = {member: self.joined_at.get(member, now) for member in view.members}
