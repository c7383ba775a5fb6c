"""How often a node that is well is suspected, when datagrams get lost independently of each other: a bound, from the
detector's constants."""

from __future__ import annotations

import math

from duravip.cluster.detector import FLOOR_INTERVALS, PROBE_AFTER_INTERVALS, PROBE_EVERY_INTERVALS
from duravip.config.schema import PROFILES

LOSSES = (0.001, 0.01, 0.03, 0.05, 0.1)
SIZES = (3, 32)
_UNITS = ((365.25 * 86_400, "years"), (86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def chance_per_interval(loss: float) -> float:
    """That one node suspects one other within one heartbeat interval. Suspicion needs that every heartbeat that is due
    before the floor is lost, and every probe that could be answered by then, or its answer."""
    beats = math.ceil(FLOOR_INTERVALS) - 1
    probes = math.ceil((FLOOR_INTERVALS - PROBE_AFTER_INTERVALS) / PROBE_EVERY_INTERVALS)
    unanswered = 1 - (1 - loss) ** 2
    return float(loss**beats * unanswered**probes)


def alarms_per_s(loss: float, interval_s: float, nodes: int) -> float:
    """In a whole cluster: every node watches every other."""
    return nodes * (nodes - 1) * chance_per_interval(loss) / interval_s


def in_words(seconds: float) -> str:
    size, unit = next(one for one in _UNITS if seconds >= one[0] or one[0] == 1.0)
    count = seconds / size
    if count >= 1000:
        return f"over 1000 {unit}"
    return f"{count:.0f} {unit}" if count >= 10 else f"{count:.2g} {unit}"


def rows() -> list[tuple[str, ...]]:
    """Loss, then the mean time between false alarms for each profile and size."""
    return [
        (f"{loss:.1%}", *(in_words(1 / alarms_per_s(loss, PROFILES[p][0], n)) for p in PROFILES for n in SIZES))
        for loss in LOSSES
    ]


def head() -> tuple[str, ...]:
    return ("loss", *(f"`{profile}`, {nodes} nodes" for profile in PROFILES for nodes in SIZES))
