"""Under `strict` ownership: until when this node may hold anything, and what it must wait for before it takes.

Rules of this file
- A mandate runs from OUR sending of the newest beat that majorities of all rolls have echoed in the present view, being
  bound to no other. When the answer came does not matter: it may have been on its way for any time.
- While anything is held an alarm in the kernel stands at the mandate's end: a process that slept past it is no more.
  From RETREAT of the mandate before its end on the node lets go by itself.
- What nobody of a carried view has brought along into it may be with somebody who is missing: it is taken after
  `charter.wait_s`, unless all members know that the missing ones have left.

Theory of operation
    `echoed` with every heartbeat of a member; `installed` with every view. How long somebody has been missing is
    carried from view to view as a duration, the shortest that any member knows; so a view that follows soon begins no
    wait anew. The argument why two nodes never hold the same is in `docs/explanation/design/0002-strict-ownership.md`.

Source: protocol rule 12; Gray and Cheriton, "Leases: an efficient fault-tolerant mechanism" (1989).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from duravip.cluster.agenda import first_after
from duravip.cluster.agreed import AgreedState
from duravip.cluster.charter import majority_since, mandate_s, wait_s
from duravip.cluster.effects import ArmAlarm
from duravip.cluster.messages import MAX_MEMBERS, Charter, Missing
from duravip.model import Member, NodeName

RETREAT: Final = 0.2  # of a mandate: so long before its end the node lets go


class Mandate:
    """`charter`: the one of the last carried view, generation 0 before that. `until`: the end of the mandate, by this
    node's clock. `is_strict`: the present view goes by a charter; else there is nothing to be mandated. `has_left` says
    of a life whether it has said LEAVE."""

    def __init__(self, me: Member, *, renews: bool, has_left: Callable[[Member], bool]) -> None:
        self._me = me
        self._renews = renews
        self._has_left = has_left
        self.charter = Charter()
        self.until = -math.inf
        self.is_strict = False
        self._agreed: AgreedState | None = None
        self._echoes: dict[NodeName, float] = {}
        self._carried: tuple[Member, ...] = ()  # the last carried view
        self._companions: dict[NodeName, Member] = {}  # of the last carried views, each in its last life there
        self._left: set[Member] = set()  # of those
        self._since: dict[NodeName, float] = {}  # since when they are missing, of all who may have something
        self._wait_s = 0.0
        self._armed_at = math.inf

    # --- what happens ----------------------------------------------------------------------------------------------

    def installed(self, agreed: AgreedState, now: float) -> None:
        """A view begins."""
        self._agreed = agreed
        self.is_strict = agreed.is_strict()
        self._echoes = {}
        if not agreed.is_carried():
            return
        self.charter = agreed.charter
        self._carried = agreed.view.members
        for member in agreed.view.members:
            self._companions.pop(member.name, None)
            self._companions[member.name] = member
        while len(self._companions) > MAX_MEMBERS:
            del self._companions[next(iter(self._companions))]
        self._left.intersection_update(self._companions.values())
        self._wait_s = wait_s(agreed.charter.rolls)
        self._since = {name: now - for_s for name, for_s in agreed.missing.items()}

    def chartered(self, charter: Charter) -> None:
        """A numbered message has changed the charter."""
        self.charter = charter
        self.is_strict = bool(charter.rolls)
        self._wait_s = max(self._wait_s, wait_s(charter.rolls))

    def echoed(self, name: NodeName, said_at: float) -> None:
        """A member of the view, bound to no other, has heard the beat that was said then."""
        self._echoes[name] = max(said_at, self._echoes.get(name, -math.inf))

    def confirm(self, beat_at: float) -> None:
        """`beat_at`: when this node's last beat was said; it has heard that itself."""
        agreed = self._agreed
        if agreed is None or not self.is_strict or not agreed.is_carried() or not self._renews:
            return
        self._echoes[self._me.name] = beat_at
        since = min(
            majority_since(roll, {name: at for name, at in self._echoes.items() if name in backers})
            for roll, backers in agreed.backers.items()
        )
        self.until = max(self.until, since + self._length_s())

    # --- questions -------------------------------------------------------------------------------------------------

    def may_hold(self, now: float) -> bool:
        """Whether what is held may be kept, and what is free be taken."""
        return not self.is_strict or now < self._retreat_at()

    def not_after(self) -> float:
        """When an order must be with the kernel at the latest."""
        return self._retreat_at() if self.is_strict else math.inf

    def waits_for(self, now: float) -> Mapping[NodeName, float]:
        """The missing whose lifetimes are waited out, and until when; none when there is nothing to wait for."""
        agreed = self._agreed
        if agreed is None or not self.is_strict:
            return {}
        left = agreed.gone()
        return {
            name: since + self._wait_s
            for name, since in self._since.items()
            if now < since + self._wait_s and name not in left
        }

    def in_words(self, now: float) -> str:
        """What is waited for, as a clause; "" when nothing is."""
        waits_for = self.waits_for(now)
        if not waits_for:
            return ""
        return f"; waits out the lease of {', '.join(waits_for)} for {max(waits_for.values()) - now:.1f} s"

    def gone(self) -> tuple[NodeName, ...]:
        """Who was in a carried view with this node, and has left in its last life there."""
        if not self.charter.rolls:
            return ()
        self._left.update(member for member in self._companions.values() if self._has_left(member))
        return tuple(sorted(name for name, member in self._companions.items() if member in self._left))

    def missing(self, now: float) -> tuple[Missing, ...]:
        """How long each node that may have something has been in no carried view with this node; its part in a state
        exchange."""
        away = {name: now - since for name, since in self._since.items()}
        away.update((member.name, 0.0) for member in self._carried)
        return tuple(Missing(name=name, for_s=away[name]) for name in sorted(away))

    def deadline(self, now: float) -> float:
        """When, after `now`, time alone changes an answer."""
        if not self.is_strict:
            return math.inf
        return first_after(now, [*self.waits_for(now).values(), self._retreat_at()])

    # --- the alarm -------------------------------------------------------------------------------------------------

    def arm(self, *, holds: bool, now: float) -> tuple[ArmAlarm, ...]:
        """What the alarm must be changed to. `holds`: the kernel may have something of this node's."""
        at = self._armed_at
        if not self.is_strict and at == math.inf:
            return ()
        if not holds or not self.is_strict:
            at = math.inf
        elif self.until > now:
            at = self.until
        if at == self._armed_at:
            return ()
        self._armed_at = at
        return (ArmAlarm(at=at),)

    def _retreat_at(self) -> float:
        return self.until - RETREAT * self._length_s()

    def _length_s(self) -> float:
        return mandate_s(self._agreed.lifetime_s()) if self._agreed is not None else 0.0
