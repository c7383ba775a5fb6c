"""Why a datagram was not acted upon. A bad datagram is a value and a count, never an exception."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from duravip.model import Member


class DropReason(enum.Enum):
    """One counter each. The value is what people read beside the counter."""

    TOO_SHORT = "shorter than a header"
    TOO_LARGE = "larger than anything a member sends"
    BAD_MAGIC = "not a datagram of this software"
    WRONG_VERSION = "another wire version"
    FOREIGN_CLUSTER = "another cluster group"
    OWN = "our own datagram, come back"
    INSECURE = "not sealed, though this node has a key"
    UNKNOWN_KEY = "sealed with a key that this node does not have"
    FORGED = "the seal does not fit"
    DUPLICATE = "heard already (a second copy, or a second path)"
    REPLAY = "older than the replay window, or of a long past incarnation"
    UNKNOWN_KIND = "nothing but kinds of messages that only newer software knows"
    MALFORMED = "sealed by a member, but no message"


@dataclass(frozen=True, slots=True)
class Dropped:
    """`sender`: of a DUPLICATE, whose authenticity is known as well as the first copy's."""

    reason: DropReason
    sender: Member | None = None
