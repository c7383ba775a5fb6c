"""Who is left out of views for a while, though it is heard: whoever does not answer, and whoever comes and goes.

Rules of this file
- A penalty is this node's own judgement, and counts only while this node leads: every member sees the same members come
  and go, so the next leader judges alike. It is no input of an election.
- It ends by itself. An answer ends one for silence; nothing but time ends one for flapping.

Theory of operation
    Silence: a proposal that a member leaves unanswered for a failure time-out, or refuses for the third time, leaves it
    out of the next for PENALTY_TIMEOUTS; twice as long each time, if the next comes within as long again.
    Flapping: a life that is left out of a view as failed and taken in again costs everybody two views. Each such loss
    is a point; points halve every HALF_LIFE_S. At SUPPRESS points a life stays outside, until they are under REUSE.

Source: RFC 2439, BGP Route Flap Damping (figure of merit, suppress and reuse thresholds).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from duravip.cluster.agenda import first_after
from duravip.model import Member

PENALTY_TIMEOUTS: Final = 4.0  # failure time-outs for which one that did not answer is left out; doubles each time
MAX_PENALTY_TIMEOUTS: Final = 64.0
REFUSALS: Final = 3  # in a row that count as no answer
HALF_LIFE_S: Final = 10.0  # of the points for flapping
SUPPRESS: Final = 3.5  # points at which one that comes and goes stays outside: four losses within seconds
REUSE: Final = 2.0  # points under which it may come in again
MAX_FLAPPING: Final = 256  # lives that are remembered
_FORGOTTEN: Final = 0.05  # points that are as good as none


@dataclass(slots=True)
class Silence:
    """Remembered for as long again after its end, so that the next one can be twice as long."""

    until: float
    length_s: float


@dataclass(slots=True)
class Flaps:
    """`points` as of `at`."""

    points: float
    at: float
    suppressed: bool = False

    def now(self, now: float) -> float:
        return self.points * math.exp2((self.at - now) / HALF_LIFE_S)

    def reuse_at(self) -> float:
        """When the points will be few enough."""
        return self.at + HALF_LIFE_S * math.log2(self.points / REUSE)


class Penalties:
    """Times are this node's monotonic seconds."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._silences: dict[Member, Silence] = {}
        self._refusals: dict[Member, int] = {}
        self._flaps: dict[Member, Flaps] = {}

    # --- questions -------------------------------------------------------------------------------------------------

    def is_out(self, member: Member, now: float) -> bool:
        """Whether the member is left out of proposals."""
        silence, flaps = self._silences.get(member), self._flaps.get(member)
        return (silence is not None and now < silence.until) or (
            flaps is not None and flaps.suppressed and flaps.now(now) >= REUSE
        )

    def points(self, member: Member, now: float) -> float:
        """For people: those for flapping, and SUPPRESS while the member is out for silence."""
        silence, flaps = self._silences.get(member), self._flaps.get(member)
        points = flaps.now(now) if flaps is not None else 0.0
        return max(points, SUPPRESS) if silence is not None and now < silence.until else points

    def deadline(self, now: float) -> float:
        """When, after `now`, a penalty ends."""
        if not self._silences and not self._flaps:
            return math.inf
        ends = [silence.until for silence in self._silences.values()]
        ends += [flaps.reuse_at() for flaps in self._flaps.values() if flaps.suppressed]
        return first_after(now, ends)

    # --- what counts -----------------------------------------------------------------------------------------------

    def answered(self, member: Member) -> None:
        """It has promised: late or not, it does answer."""
        self._silences.pop(member, None)
        self._refusals.pop(member, None)

    def refused(self, member: Member, now: float) -> None:
        """An answer too, a few times."""
        self._refusals[member] = self._refusals.get(member, 0) + 1
        if self._refusals[member] < REFUSALS:
            self._silences.pop(member, None)
        elif not self.is_out(member, now):
            del self._refusals[member]
            self.silent(member, now)

    def silent(self, member: Member, now: float) -> None:
        """A proposal has gone unanswered."""
        known = self._silences.get(member)
        length_s = PENALTY_TIMEOUTS * self._timeout_s
        if known is not None:
            length_s = min(MAX_PENALTY_TIMEOUTS * self._timeout_s, 2 * known.length_s)
        self._silences[member] = Silence(until=now + length_s, length_s=length_s)

    def lost(self, members: Iterable[Member], now: float) -> None:
        """These lives have been left out of a view as failed."""
        for member in members:
            flaps = self._flaps.get(member)
            if flaps is None:
                if len(self._flaps) < MAX_FLAPPING:
                    self._flaps[member] = Flaps(points=1.0, at=now)
                continue
            flaps.points, flaps.at = flaps.now(now) + 1.0, now
            flaps.suppressed |= flaps.points >= SUPPRESS

    def expire(self, now: float) -> None:
        """Forgets what is over."""
        if not self._silences and not self._flaps:
            return
        self._silences = {m: one for m, one in self._silences.items() if now < one.until + one.length_s}
        for member, flaps in list(self._flaps.items()):
            points = flaps.now(now)
            if points < REUSE:
                flaps.suppressed = False
            if points < _FORGOTTEN:
                del self._flaps[member]
