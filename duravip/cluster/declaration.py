"""What this node declares to the group: one report at a time, repeated until the agreed state has it.

Level-triggered: a report is the difference between what this node is and what the agreed state says of it. Nothing
is queued, so nothing can be lost or come twice: after a new view the difference is simply computed again.
"""

from __future__ import annotations

import math

from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.holdings import Holdings
from duravip.cluster.messages import MemberStatus, Report
from duravip.model import Member

REPEAT_INTERVALS = 0.25  # heartbeat intervals between repetitions


class Declaration:
    """`due_at`: when the present report should be said again; infinity when there is nothing to say."""

    def __init__(self, me: Member, interval_s: float) -> None:
        self._me = me
        self._repeat_s = REPEAT_INTERVALS * interval_s
        self._sequence = 0
        self._key: tuple[MemberStatus, AddressSet, int] | None = None
        self._report: Report | None = None
        self.due_at = math.inf

    def renew(self) -> None:
        """A view was installed: what was said in the old one counts no more."""
        self._key, self._report, self.due_at = None, None, math.inf

    def compose(
        self, agreed: AgreedState, status: MemberStatus, holdings: Holdings, *, may_take: bool
    ) -> Report | None:
        """What the agreed state does not know yet; None when it knows everything.

        Released is every address that this node has claimed by the agreed state and does not hold, unless it is
        about to take it: assigned to it, under a view that it may act upon (`may_take`).
        """
        released = []
        newest = 0
        for address, claims in agreed.claims.items():
            number = claims.get(self._me.name)
            if number is None or address in holdings:
                continue
            if not may_take or agreed.owner(address) != self._me.name:
                released.append(address)
                newest = max(newest, number)
        if not released and status == agreed.status[self._me.name]:
            self.renew()
            return None
        key = (status, AddressSet(released), newest)
        if key != self._key or self._report is None:
            self._key = key
            self._sequence += 1
            self.due_at = -math.inf
            self._report = Report(
                to=agreed.view.id.coordinator,
                view=agreed.view.id,
                sequence=self._sequence,
                status=status,
                as_of=agreed.number,
                released=key[1],
            )
        return self._report

    def numbered_here(self) -> None:
        """This node is the coordinator and has seen to it itself."""
        self.due_at = math.inf

    def to_say(self, now: float) -> Report | None:
        """The report, if it is time to say it (again)."""
        if self._report is None or now < self.due_at:
            return None
        self.due_at = now + self._repeat_s
        return self._report
