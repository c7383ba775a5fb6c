"""Wire versions: which this software opens, and which one it speaks.

Rules of this file
- A release opens the version that it is made for and the one before it, so that a cluster can be upgraded node by node.
- A node speaks the highest version that everybody understands whom it has heard lately, and begins with its lowest:
  who understands only that must hear it, and can tell it so by being heard.
- "Lately" is counted in datagrams of its own, so that no clock is needed: it goes up when it has said MEMORY of them
  and heard nobody on the way who would not understand.

Within a version only such changes are made as the others can read over: a new kind of message (`wire.codec` leaves out
what it does not know), a new last field with a default. What is agreed (numbered bodies, what stands in promises) must
be the same for all, so a change there is a new version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

VERSIONS = (1,)  # that this software opens, ascending; there has been no other yet
MEMORY: Final = 1024  # datagrams of its own for which a node remembers that somebody would not understand more


class Speaking:
    """Which version one node speaks; `opens` are those that it understands, ascending."""

    def __init__(self, opens: Sequence[int] = VERSIONS) -> None:
        self.lowest, self.highest = opens[0], opens[-1]
        self._opens = tuple(opens)
        self._limits = dict.fromkeys(opens[:-1], 0)  # version -> our sequence when that was all one understood

    def heard(self, opens: int, *, said: int) -> None:
        """Somebody who understands up to `opens` was heard when this node had said so many datagrams."""
        if opens < self.highest:
            at = max((version for version in self._opens if version <= opens), default=self.lowest)
            self._limits[at] = said

    def version(self, *, said: int) -> int:
        """To speak now."""
        return next((version for version, at in self._limits.items() if said - at < MEMORY), self.highest)
