"""One schedule from its seed to its verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from duravip.cluster.effects import Effect
from duravip.cluster.inputs import Input
from duravip.cluster.messages import AnyMessage, Heartbeat, Probe
from duravip.events import Event
from duravip.model import Address
from duravip.sim.bugs import planted
from duravip.sim.checker import Checker, Violation
from duravip.sim.faults import END_AT_S, Schedule
from duravip.sim.host import Host, MakeNode
from duravip.sim.world import World, make_node

QUIET_S = 4.0  # before the end: no kernel order is expected any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`digest` names everything that was sent, done and published; it is the same for the same seed. `trace` is
    empty unless asked for."""

    seed: int
    violations: tuple[Violation, ...]
    digest: str
    nodes: int
    views: int
    inputs: int
    orders: int
    datagrams: int
    trace: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        verdict = "; ".join(map(str, self.violations[:1])) or "ok"
        return (
            f"seed {self.seed}: {self.nodes} nodes, {self.views} views, {self.inputs} inputs, "
            f"{self.orders} orders, {self.datagrams} datagrams: {verdict}"
        )


def run_schedule(seed: int, *, bug: str | None = None, trace: bool = False, make_node: MakeNode = make_node) -> Outcome:
    """Never raises for what goes wrong in the cluster: that is a violation. `bug` names one of `sim.bugs`."""
    with planted(bug):
        checker = Tracer() if trace else Checker()
        world = World(seed, observer=checker, make_node=make_node)
        checker.watch(world)
        schedule = Schedule(world)
        schedule.plant(checker.happened)
        world.clock.run_until(END_AT_S)
        checker.judge_rest(quiet_since_s=END_AT_S - QUIET_S)
    return Outcome(
        seed=seed,
        violations=tuple(checker.violations),
        digest=world.clock.digest(),
        nodes=len(world.hosts),
        views=len(checker.views),
        inputs=checker.inputs,
        orders=checker.orders,
        datagrams=world.network.datagrams,
        trace=tuple(checker.lines) if isinstance(checker, Tracer) else (),
    )


class Tracer(Checker):
    """A checker that also writes down what happens, for people."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def _line(self, who: str, what: str) -> None:
        self.lines.append(f"{self._clock.now:10.6f} {who:8} {what}")

    def _violated(self, rule: str, text: str) -> None:
        super()._violated(rule, text)
        self._line("*****", f"{rule}: {text}")

    def started(self, host: Host) -> None:
        self._line(host.name, "runs")
        super().started(host)

    def ended(self, host: Host, why: str) -> None:
        self._line(host.name, why)
        super().ended(host, why)

    def handled(self, host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        super().handled(host, given, effects)

    def sent(self, host: Host, message: AnyMessage) -> None:
        if not isinstance(message, Heartbeat | Probe):
            self._line(host.name, f"says {message}")
        super().sent(host, message)

    def published(self, host: Host, event: Event) -> None:
        self._line(host.name, f"{event.id} {event.fields()}")
        super().published(host, event)

    def ordered(self, host: Host, address: Address, take: bool) -> None:
        self._line(host.name, f"orders {'+' if take else '-'}{address}")
        super().ordered(host, address, take)

    def plumbed(self, host: Host, address: Address, present: bool) -> None:
        self._line(host.name, f"kernel {'+' if present else '-'}{address}")
        super().plumbed(host, address, present)

    def happened(self, what: str) -> None:
        self._line("", f"# {what}")
