"""Deliberate bugs of `strict` ownership: each breaks one thing that its argument needs. See `sim.bugs`."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping

from duravip.cluster import agreed, charter, mandate
from duravip.cluster.charter import mandate_s
from duravip.cluster.detector import Detector
from duravip.cluster.effects import ArmAlarm
from duravip.cluster.mandate import Mandate
from duravip.cluster.messages import Roll
from duravip.model import Member, NodeName

Patch = tuple[object, str, object]


def _no_waiting_out() -> list[Patch]:
    """A taker does not wait until one that has gone without a word must have lost the address."""

    def waits_for(self: Mandate, now: float) -> dict[NodeName, float]:
        return {}

    return [(Mandate, "waits_for", waits_for)]


def _waiting_for_the_alarm_alone() -> list[Patch]:
    """A taker waits as if what a kernel has were gone with the process that put it there."""

    def wait_s(rolls: Iterable[Roll]) -> float:
        return mandate_s(max((roll.lifetime_s for roll in rolls), default=0))

    return [(mandate, "wait_s", wait_s)]


def _a_mandate_from_the_answer() -> list[Patch]:
    """A mandate runs from when the echo came, not from when the beat was said."""
    echoed_at = Detector.echoed_at

    def answered_at(self: Detector, sender: Member) -> float:
        return self.peers[sender.name].last_heard if echoed_at(self, sender) > 0 else -math.inf

    return [(Detector, "echoed_at", answered_at)]


def _a_minority_that_owns() -> list[Patch]:
    """Whoever is there decides."""

    def is_majority(roll: Roll, names: Collection[NodeName]) -> bool:
        return bool(names)

    return [(agreed, "is_majority", is_majority), (charter, "is_majority", is_majority)]


def _no_alarm() -> list[Patch]:
    """A process that slept past its mandate goes on where it was."""
    arm = Mandate.arm

    def late(self: Mandate, *, holds: bool, now: float) -> tuple[ArmAlarm, ...]:
        return tuple(ArmAlarm(at=order.at + 1e6) for order in arm(self, holds=holds, now=now))

    return [(Mandate, "arm", late)]


STRICT_BUGS: Mapping[str, Callable[[], list[Patch]]] = {
    "strict-no-waiting-out": _no_waiting_out,
    "strict-waiting-for-the-alarm-alone": _waiting_for_the_alarm_alone,
    "strict-mandate-from-the-answer": _a_mandate_from_the_answer,
    "strict-minority-owns": _a_minority_that_owns,
    "strict-no-alarm": _no_alarm,
}
