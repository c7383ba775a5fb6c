"""What a link makes of a datagram that is authentic and new."""

from __future__ import annotations

import msgspec

from duravip.cluster.messages import AnyMessage
from duravip.model import Member


class Received(msgspec.Struct, frozen=True, gc=False):
    """Decoded: ready for `inputs.PacketHeard`."""

    sender: Member
    messages: tuple[AnyMessage, ...]


class Incomplete(msgspec.Struct, frozen=True):
    """A piece; the rest is not here yet."""

    sender: Member
