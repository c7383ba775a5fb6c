"""One schedule from its seed to its verdict, and to the few faults that it takes."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from duravip.cluster.messages import AnyMessage, Heartbeat, Probe
from duravip.events import Event
from duravip.model import Address
from duravip.sim.bugs import planted
from duravip.sim.checker import Checker
from duravip.sim.faults import ALL_KINDS
from duravip.sim.host import Host, MakeNode
from duravip.sim.outage import Outages
from duravip.sim.outcome import Outcome
from duravip.sim.schedule import CALM_AT_S, Schedule
from duravip.sim.setup import Setup, random_setup
from duravip.sim.shrink import smallest
from duravip.sim.world import World, make_node

QUIET_S: Final = 4.0  # before the end: no kernel order is expected any more
BALANCE_ROUNDS: Final = 200  # that the end waits for, at most
PENALTIES_END_S: Final = 300.0  # for those who are left out of views it waits until then, at most


def run_schedule(
    seed: int,
    *,
    setup: Setup | None = None,
    ownership: str = "available",
    kinds: Collection[str] = ALL_KINDS,
    only: frozenset[int] | None = None,
    bug: str | None = None,
    trace: bool = False,
    make_node: MakeNode = make_node,
) -> Outcome:
    """Never raises for what goes wrong in the cluster: that is a violation. `setup` None: one that follows from the
    seed, with this `ownership`. `only`: the numbers of the troubles that happen. `bug` names one of `sim.bugs`."""
    with planted(bug), _collected_later():
        return _run(seed, setup=setup, ownership=ownership, kinds=kinds, only=only, trace=trace, make_node=make_node)


def _run(
    seed: int,
    *,
    setup: Setup | None,
    ownership: str,
    kinds: Collection[str],
    only: frozenset[int] | None,
    trace: bool,
    make_node: MakeNode,
) -> Outcome:
    """When this returns nothing refers to its world any more."""
    referee = Tracer() if trace else Referee()
    world = World(seed, observer=referee, make_node=make_node)
    if setup is None:
        setup = random_setup(world.clock.random("setup"), ownership=ownership)
    schedule = Schedule(world, setup, kinds=kinds, only=only)
    referee.watch(world, setup)
    schedule.plant(referee.happened, referee.outages.changed)
    end_at_s = schedule.end_at_s
    world.clock.run_until(CALM_AT_S)
    while world.clock.now < PENALTIES_END_S and _leaves_out_somebody(world):
        world.clock.run_until(world.clock.now + 1.0)
        end_at_s = max(end_at_s, world.clock.now + schedule.calm_s)
    world.clock.run_until(end_at_s)
    for _ in range(BALANCE_ROUNDS):
        if world.clock.now - referee.balanced_at > QUIET_S + setup.balance_s:
            break
        world.clock.run_until(world.clock.now + setup.balance_s)
    referee.judge_rest(quiet_since_s=world.clock.now - QUIET_S)
    world.end()
    return Outcome(
        seed=seed,
        violations=tuple(referee.violations),
        digest=world.clock.digest(),
        nodes=len(world.hosts),
        views=len(referee.views),
        inputs=referee.inputs,
        orders=referee.orders,
        datagrams=world.network.datagrams,
        moves=referee.outages.moves,
        outages=tuple(referee.outages.ended),
        virtual_s=world.clock.now,
        troubles=len(schedule.troubles),
        faults=tuple(f"{fault.at_s:.3f} {fault.text}" for trouble in schedule.troubles for fault in trouble.faults),
        trace=tuple(referee.lines) if isinstance(referee, Tracer) else (),
    )


def _leaves_out_somebody(world: World) -> bool:
    """Whether a coordinator does, for what somebody did before all was mended: until then nothing is as it will be."""
    return any(host.node.left_out() for host in world.hosts.values() if host.node is not None)


@contextmanager
def _collected_later() -> Iterator[None]:
    """A schedule makes much and throws little away in cycles: they can wait for its end. Once nothing refers to its
    world the youngest generation is all that the collector has to look at."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def shrink(
    seed: int,
    property: str,
    *,
    setup: Setup | None = None,
    ownership: str = "available",
    kinds: Collection[str] = ALL_KINDS,
    bug: str | None = None,
) -> Outcome:
    """The run of as few of the seed's troubles as still break the same property: without any single one of them it
    would not be broken."""
    tried = partial(run_schedule, seed, setup=setup, ownership=ownership, kinds=kinds, bug=bug)
    whole = tried()
    found = {frozenset(range(whole.troubles)): whole}

    def breaks(numbers: frozenset[int]) -> bool:
        outcome = found.setdefault(numbers, tried(only=numbers))
        return any(violation.rule == property for violation in outcome.violations)

    return found[smallest(frozenset(range(whole.troubles)), breaks)]


class Referee(Checker):
    """The checker, and what a client sees meanwhile."""

    outages: Outages

    def watch(self, world: World, setup: Setup | None = None) -> None:
        super().watch(world, setup)
        self.outages = Outages(world)

    def started(self, host: Host) -> None:
        super().started(host)
        self.outages.changed()

    def ended(self, host: Host, why: str) -> None:
        super().ended(host, why)
        self.outages.changed()

    def plumbed(self, host: Host, address: Address, present: bool) -> None:
        super().plumbed(host, address, present)
        self.outages.plumbed(host, address, present)


class Tracer(Referee):
    """It also writes down what happens, for people."""

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
