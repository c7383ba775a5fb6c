"""What one schedule came to. Goes from process to process."""

from __future__ import annotations

from dataclasses import dataclass, field

from duravip.model import Address

Outage = tuple[Address, float]
"""Of which VIP, and for how many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    at_s: float
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.at_s:.6f} {self.rule}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`digest` names everything that was sent, done and published; it is the same for the same seed. `trace` is
    empty unless asked for. `faults`: what the troubles of the schedule were, each with its time. `virtual_s`: how long
    the world lasted."""

    seed: int
    violations: tuple[Violation, ...]
    digest: str
    nodes: int
    views: int
    inputs: int
    orders: int
    datagrams: int
    moves: int
    outages: tuple[Outage, ...]
    virtual_s: float
    troubles: int
    faults: tuple[str, ...]
    trace: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        verdict = "; ".join(map(str, self.violations[:1])) or "ok"
        return (
            f"seed {self.seed}: {self.nodes} nodes, {self.views} views, {self.inputs} inputs, "
            f"{self.orders} orders, {self.datagrams} datagrams: {verdict}"
        )
