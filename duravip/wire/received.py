"""What a link makes of a datagram that is authentic and new. Nobody changes it.

Received, the frequent one, has a written constructor, since no other is compiled.
"""

from __future__ import annotations

from dataclasses import dataclass

from duravip.cluster.messages import AnyMessage
from duravip.model import Member


@dataclass(slots=True, init=False)
class Received:
    """Decoded: ready for `inputs.PacketHeard`."""

    sender: Member
    messages: tuple[AnyMessage, ...]

    def __init__(self, sender: Member, messages: tuple[AnyMessage, ...]) -> None:
        self.sender = sender
        self.messages = messages


@dataclass(frozen=True, slots=True)
class Incomplete:
    """A piece; the rest is not here yet."""

    sender: Member
