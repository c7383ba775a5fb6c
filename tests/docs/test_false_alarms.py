"""docs/explanation/detection.md: the arithmetic of false alarms is a bound on what the detector does."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import false_alarms

from duravip.cluster.detector import Detector
from duravip.cluster.messages import Heartbeat
from duravip.cluster.parameters import Parameters
from duravip.model import Incarnation, Member, NodeName, TableDigest

A, B = (Member(NodeName(name), Incarnation(1, 7)) for name in "ab")


def detector(me: Member) -> Detector:
    parameters = Parameters(name=me.name, incarnation=me.incarnation, heartbeat_interval_s=1.0, failure_timeout_s=3.5)
    return Detector(me, parameters)


def beat(speaker: Detector, now: float) -> Heartbeat:
    return Heartbeat(
        beat=speaker.next_beat(now),
        view=None,
        promised=0,
        number=0,
        state=b"",
        table=TableDigest("0" * 32),
        complete=True,
        version="",
        heard=speaker.heard(frozenset()),
    )


def suspicions(loss: float, intervals: int) -> int:
    """How often `a` suspects `b`, which is well, over a network that loses so much of what b says and of a's probes."""
    chance = random.Random(1)
    a, b = detector(A), detector(B)
    count, next_at = 0, 0.0
    for quarter in range(4 * intervals):
        now = quarter / 4
        if quarter % 4 == 0:
            b.on_heartbeat(A, beat(a, now), now)
        asked = any(chance.random() >= loss for _ in a.to_probe(now))
        if now >= next_at or asked:
            next_at = now + 1.0
            said = beat(b, now)
            if chance.random() >= loss or not a.is_alive(B):
                a.on_heartbeat(B, said, now)
        count += len(a.check(now))
    return count


def test_at_thirty_percent_loss_the_detector_errs_but_not_more_often_than_the_bound_says() -> None:
    intervals = 8000
    bound = intervals * false_alarms.chance_per_interval(0.3)
    assert bound == pytest.approx(8000 * 0.3**2 * (1 - 0.7**2) ** 4)
    assert 0 < suspicions(0.3, intervals) <= bound


def test_without_loss_it_never_errs() -> None:
    assert suspicions(0.0, 2000) == 0
    assert false_alarms.chance_per_interval(0.0) == 0.0


def test_one_percent_loss_is_a_false_alarm_in_decades_for_three_nodes_of_the_default_profile() -> None:
    years = 1 / false_alarms.alarms_per_s(0.01, 0.1, 3) / (365.25 * 86_400)
    assert 30 < years < 40
