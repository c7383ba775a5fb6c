"""What many schedules of one cluster come to."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain

from duravip.model import Address, address_order
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
    """Sums up outcomes. `outages_s`: of each VIP that was ever away."""

    seeds: int = 0
    moves: int = 0
    virtual_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    outages_s: dict[Address, list[float]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.moves += outcome.moves
        self.virtual_s += outcome.virtual_s
        for address, length_s in outcome.outages:
            self.outages_s.setdefault(address, []).append(length_s)
        named: set[str] = set()
        for violation in outcome.violations:
            if violation.rule not in named:
                named.add(violation.rule)
                self.findings.append(
                    Finding(seed=outcome.seed, property=violation.rule, at_s=violation.at_s, detail=violation.text)
                )

    def outage_ms(self, address: Address | None = None) -> dict[str, float]:
        """By nearest rank, of one VIP or of all; 0 where nothing was ever away. `count`: how often something was."""
        lists = self.outages_s.values() if address is None else (self.outages_s.get(address, []),)
        ordered = sorted(chain.from_iterable(lists))
        found: dict[str, float] = {n: round(1000 * quantile(ordered, share), 3) for n, share in QUANTILES.items()}
        return found | {"count": len(ordered)}

    def most_away(self) -> list[Address]:
        """The VIPs that were ever away, those first that were so for the longest time in all."""
        return sorted(self.outages_s, key=lambda address: (-sum(self.outages_s[address]), address_order(address)))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of `ordered` that `share` of them do not exceed; 0 for none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def rehearse(seed: int, *, setup: Setup, kinds: Collection[str] = KINDS) -> Outcome:
    """One schedule of the cluster."""
    return run_schedule(seed, setup=setup, kinds=kinds)


def explain(finding: Finding, *, setup: Setup, kinds: Collection[str] = KINDS) -> tuple[str, ...]:
    """The few faults that suffice for what was found, each with its time."""
    return shrink(finding.seed, finding.property, setup=setup, kinds=kinds).faults
