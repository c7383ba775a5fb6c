"""What an operator asks of the group through this node: repeated to the coordinator until it is granted.

Rules of this file
- A wish is asked for a limited time, and only what could be granted when it was asked for: the caller asks the same
  pure question (`election.why_not_move`, `draining.why_not_drain`) that the coordinator asks.
- It survives a change of view: it is asked again of the new coordinator. Granted twice it is the same.
- A wish is granted once it is numbered; to drain a node, or not any more, once that node's agreed status says so as
  well: whom it concerns may not have heard the number before its view ended. The last word about a node counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from duravip.cluster.messages import Announced, DrainAsked, MemberStatus, Pinned, SwitchAsked, Wish, WishBody
from duravip.model import Address, NodeName, View

WISH_LIMIT_S: Final = 10.0
SWITCH_LIMIT_S: Final = 30.0  # for a switch of all: several rounds, should views change meanwhile
REPEAT_INTERVALS: Final = 0.25  # heartbeat intervals between repetitions


class Wishes:
    """The wishes of one node that are not granted yet, oldest first."""

    def __init__(self, me: NodeName, interval_s: float) -> None:
        self._me = me
        self._repeat_s = REPEAT_INTERVALS * interval_s
        self._sequence = 0
        self._open: dict[int, tuple[WishBody, float]] = {}
        self._numbered: set[int] = set()
        self._say_at = math.inf

    def pin(self, address: Address, node: NodeName | None, now: float) -> None:
        """`node` None ends the pin."""
        self._sequence += 1
        self._add(Pinned(by=self._me, sequence=self._sequence, address=address, node=node), now)

    def drain(self, name: NodeName, now: float, *, drained: bool, force: bool) -> None:
        self._sequence += 1
        self._open = {
            number: wish
            for number, wish in self._open.items()
            if not (isinstance(wish[0], DrainAsked) and wish[0].name == name)
        }
        self._add(DrainAsked(by=self._me, sequence=self._sequence, name=name, drained=drained, force=force), now)

    def announce(self, now: float) -> None:
        """Every owner announces its addresses again."""
        self._sequence += 1
        self._add(Announced(by=self._me, sequence=self._sequence), now)

    def switch(self, now: float) -> None:
        """All members go over to new tables together. Granted when they have, or when one of them cannot."""
        self._sequence += 1
        self._add(SwitchAsked(by=self._me, sequence=self._sequence), now, limit_s=SWITCH_LIMIT_S)

    def granted(self, by: NodeName, sequence: int) -> None:
        """There is nothing more to wish for: what was wished for through `by` as `sequence` has been numbered."""
        if by == self._me:
            self._open.pop(sequence, None)

    def numbered(self, wish: DrainAsked) -> None:
        """Its node has yet to do it, and to say so."""
        if wish.by == self._me and wish.sequence in self._open:
            self._numbered.add(wish.sequence)

    def declared(self, status: Mapping[NodeName, MemberStatus]) -> None:
        """The agreed status of all members is this."""
        for number in sorted(self._numbered):
            wish = self._open[number][0] if number in self._open else None
            if not isinstance(wish, DrainAsked):
                self._numbered.remove(number)
            elif wish.name in status and status[wish.name].drained == wish.drained:
                self._numbered.remove(number)
                self.granted(wish.by, number)

    def bodies(self, now: float) -> list[WishBody]:
        """What is still wished for."""
        if not self._open:
            return []
        self._open = {number: wish for number, wish in self._open.items() if now < wish[1]}
        return [body for body, _ in self._open.values()]

    def to_say(self, view: View, now: float) -> list[Wish]:
        """To the coordinator, if it is time to repeat it."""
        bodies = self.bodies(now)
        if not bodies:
            self._say_at = math.inf
            return []
        if now < self._say_at:
            return []
        self._say_at = now + self._repeat_s
        return [Wish(to=view.id.coordinator, view=view.id, body=body) for body in bodies]

    def deadline(self) -> float:
        return self._say_at if self._open else math.inf

    def _add(self, body: WishBody, now: float, *, limit_s: float = WISH_LIMIT_S) -> None:
        self._open[body.sequence] = (body, now + limit_s)
        self._say_at = -math.inf
