"""What many schedules of one cluster come to."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from duravip.sim.faults import KINDS
from duravip.sim.outcome import Outcome
from duravip.sim.run import run_schedule, shrink
from duravip.sim.setup import Setup

QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first violation of a property under one seed."""

    seed: int
    property: str
    at_s: float
    detail: str


@dataclass(slots=True)
class Rehearsal:
    """Sums up outcomes."""

    seeds: int = 0
    moves: int = 0
    virtual_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    outages_s: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.moves += outcome.moves
        self.virtual_s += outcome.virtual_s
        self.outages_s += outcome.outages_s
        named: set[str] = set()
        for violation in outcome.violations:
            if violation.rule not in named:
                named.add(violation.rule)
                self.findings.append(
                    Finding(seed=outcome.seed, property=violation.rule, at_s=violation.at_s, detail=violation.text)
                )

    def outage_ms(self) -> dict[str, float]:
        """By nearest rank; 0 where nothing was ever away."""
        ordered = sorted(self.outages_s)
        return {name: round(1000 * quantile(ordered, share), 3) for name, share in QUANTILES.items()}


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` that `share` of them do not exceed; 0 for none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def rehearse(seed: int, *, setup: Setup, kinds: Collection[str] = KINDS) -> Outcome:
    """One schedule of the cluster."""
    return run_schedule(seed, setup=setup, kinds=kinds)


def explain(finding: Finding, *, setup: Setup, kinds: Collection[str] = KINDS) -> tuple[str, ...]:
    """The few faults that suffice for what was found, each with its time."""
    return shrink(finding.seed, finding.property, setup=setup, kinds=kinds).faults
