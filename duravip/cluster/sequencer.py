"""Numbers within one view: the coordinator gives them, everybody delivers in their order, gaps are asked for.

Rules of this file
- A number is given once, by the view's coordinator, and means the same message to all.
- Delivery is in order, without gaps. A new view ends the numbers of the old one.

A message may still reach only some members when its coordinator dies: nothing depends on more, because each member
brings its own state into the next view (`messages.MemberState`).
"""

from __future__ import annotations

from typing import Final

from duravip.cluster.messages import AnyBody, Numbered
from duravip.model import ViewId

MAX_BUFFERED: Final = 512  # numbers ahead: what comes from further on is asked for again
MAX_RESENT: Final = 32  # messages per request


class Sequencer:
    """`number` is the last message delivered here; at the coordinator the last one given."""

    def __init__(self, view: ViewId) -> None:
        self.view = view
        self.number = 0
        self._log: dict[int, AnyBody] = {}
        self._early: dict[int, AnyBody] = {}

    def give(self, body: AnyBody) -> Numbered:
        """Coordinator only: the next number for `body`, which counts as delivered here."""
        self.number += 1
        self._log[self.number] = body
        return Numbered(view=self.view, number=self.number, body=body)

    def receive(self, message: Numbered) -> list[AnyBody]:
        """What can be delivered now, in order; the caller applies each and calls `delivered`."""
        if self.number < message.number <= self.number + MAX_BUFFERED:
            self._early.setdefault(message.number, message.body)
        ready = []
        number = self.number + 1
        while number in self._early:
            ready.append(self._early.pop(number))
            number += 1
        return ready

    def delivered(self) -> int:
        self.number += 1
        return self.number

    def has_gap(self) -> bool:
        return bool(self._early)

    def again(self, first: int) -> list[Numbered]:
        """Coordinator only: what a member asks to hear once more."""
        last = min(self.number, first + MAX_RESENT - 1)
        return [
            Numbered(view=self.view, number=number, body=self._log[number])
            for number in range(max(first, 1), last + 1)
            if number in self._log
        ]

    def forget(self, number: int) -> None:
        """Coordinator only: every member has delivered all up to `number`."""
        for old in [known for known in self._log if known <= number]:
            del self._log[old]
