"""Random schedules: what goes wrong, when, and how it ends.

A schedule follows from the setup, the seed and the kinds of faults. It has two parts: until `CALM_AT_S` anything may
happen, the last of it being that everything is mended (what stays down, drained or blocked stays so for good); then
the cluster is left alone, for CALM_S or for as long as its settings need (`calm_s`), whoever runs it (`run`) adding the
time for which somebody is still left out of views.

Every trouble has a number, so that a part of a schedule can be tried: that is how a violation is shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from duravip.cluster.interfaces import settle_s
from duravip.cluster.messages import Blocked
from duravip.cluster.parameters import LONG_BYTES, LONG_VIPS, MANY_VIPS
from duravip.cluster.tenure import BLOCK_S
from duravip.sim.faults import ALL_KINDS, STEADY_KERNEL_AT_S, Fault, Troublemaker
from duravip.sim.host import CLOCK_DRIFT, STRICT_DRIFT
from duravip.sim.kernel import CALM
from duravip.sim.members import ENDING_S
from duravip.sim.network import FAIR
from duravip.sim.setup import Setup
from duravip.sim.world import World

MEND_AT_S: Final = 36.5
CALM_AT_S: Final = 40.0
CALM_S: Final = 20.0
SHUN_SLACK_S: Final = 7.0  # once no address is shunned any more, and each link is used: what follows, and some quiet


@dataclass(frozen=True, slots=True)
class Trouble:
    """Faults that belong together, in order."""

    number: int
    faults: tuple[Fault, ...]


class Schedule:
    """Builds the hosts of a world, and plans what happens to them. `only`: the numbers of the troubles that happen;
    None: all."""

    def __init__(
        self,
        world: World,
        setup: Setup,
        *,
        kinds: Collection[str] = ALL_KINDS,
        only: frozenset[int] | None = None,
    ) -> None:
        self.world = world
        self._setup = setup
        self.calm_s = max(CALM_S, setup.settling_s)
        self.end_at_s = CALM_AT_S + self.calm_s
        chance = self._random = world.clock.random("schedule")
        self._maker = Troublemaker(world, setup, kinds, chance)
        world.network.tolerable_delay_s = setup.interval_s / 50
        long_vips, many_vips, long_bytes = LONG_VIPS, MANY_VIPS, LONG_BYTES
        if setup.invented:  # each in half of the worlds: long thoughts, every step its own turn, long tables
            long_vips = world.clock.random("thoughts").choice((1, LONG_VIPS))
            many_vips = world.clock.random("steps").choice((1, MANY_VIPS))
            long_bytes = world.clock.random("tables").choice((1, LONG_BYTES))
        for node in setup.nodes:
            world.add_host(
                node.name,
                setup.new_table(chance, node.name) if setup.invented else node.table,
                heartbeat_interval_s=node.heartbeat_interval_s,
                failure_timeout_s=node.failure_timeout_s,
                weight=node.weight,
                on_isolation=node.on_isolation,
                on_duplicate=node.on_duplicate,
                probe_before_taking=node.probe_before_taking,
                many_vips=many_vips,
                long_vips=long_vips,
                long_bytes=long_bytes,
                clock_drift=(STRICT_DRIFT if setup.is_strict() else CLOCK_DRIFT) if "clock" in kinds else 0.0,
            )
        self._starts()
        frame = self._planned()
        troubles = self._troubles()
        shunned_until_s = STEADY_KERNEL_AT_S + BLOCK_S + max(self._maker.late_s.values())
        self.end_at_s = max(self.end_at_s, shunned_until_s + SHUN_SLACK_S)
        self._mend()
        frame += self._planned()
        self.troubles = tuple(
            Trouble(number, faults) for number, faults in enumerate(troubles) if only is None or number in only
        )
        happening = frame + [fault for trouble in self.troubles for fault in trouble.faults]
        self.faults = sorted(happening, key=lambda fault: fault.at_s)

    def plant(self, before: Callable[[str], None], after: Callable[[], None]) -> None:
        """Puts everything into the clock's queue; `before` hears each text as it comes, `after` is called when it has
        happened."""
        for fault in self.faults:
            self.world.clock.at(fault.at_s, _telling(fault, before, after))

    def _planned(self) -> list[Fault]:
        planned, self._maker.planned = self._maker.planned, []
        return planned

    def _troubles(self) -> list[tuple[Fault, ...]]:
        chance, maker = self._random, self._maker
        moments = [chance.uniform(3, MEND_AT_S - 1) for _ in range(chance.randint(2, 10))]
        for _ in range(chance.randint(0, 2)):
            flurry_at_s = chance.uniform(5, MEND_AT_S - 6)
            moments += [flurry_at_s + chance.uniform(0, 5) for _ in range(chance.randint(2, 5))]
        troubles = []
        for at_s in moments:
            maker.anything(at_s)
            troubles.append(self._planned())
        if maker.has("reload") and chance.random() < 0.25:
            maker.switch(chance.uniform(5, MEND_AT_S - 3))
            troubles.append(self._planned())
        if maker.has("reload") and self._setup.is_strict():
            maker.members(MEND_AT_S)
            self.end_at_s += ENDING_S + self._setup.let_go_s if maker.planned else 0.0
            troubles.append(self._planned())
        if maker.has("gateway"):
            maker.gateways(MEND_AT_S)
            troubles.append(self._planned())
        if maker.has("stranger"):
            maker.strangers(MEND_AT_S)
            troubles.append(self._planned())
        kept = (tuple(fault for fault in faults if fault.at_s <= MEND_AT_S) for faults in troubles)
        return [faults for faults in kept if faults]

    # --- beginning and end ----------------------------------------------------------------------------------

    def _starts(self) -> None:
        world, maker = self.world, self._maker
        together = self._random.random() < 0.7
        for host in world.hosts.values():
            maker.add(self._random.uniform(0, 2 if together else 20), f"{host.name} starts", host.start)
        maker.add(0.0, "the network is as usual", lambda: world.set_conditions(maker.usual, maker.moody))
        maker.add(
            STEADY_KERNEL_AT_S,
            "kernels fail no more",
            lambda: world.set_conditions(world.network.weather, maker.steady),
        )

    def _mend(self) -> None:
        world, chance, maker = self.world, self._random, self._maker
        kernel = CALM if maker.has("kernel") else maker.steady
        maker.add(MEND_AT_S, "calm", lambda: world.set_conditions(FAIR, kernel))
        maker.add(MEND_AT_S, "all links whole", world.network.heal)
        may_stay_down = maker.has("crash") and len(maker.names) > 1
        stays_down = chance.choice(maker.names) if may_stay_down and chance.random() < 0.2 else None
        for host in world.hosts.values():
            maker.add(MEND_AT_S, f"{host.name} is awake again", host.resume)
            maker.add(MEND_AT_S, f"{host.name} runs on", host.thaw)
            if maker.has("gateway"):
                maker.add(MEND_AT_S, f"{host.name}'s gateway answers", partial(host.set_gateway, True))
            if host.name == stays_down:
                maker.add(MEND_AT_S, f"{host.name} is killed for good", host.crash)
                continue
            for late_s in (0.0, 3.0):  # a daemon that is just leaving is gone 3 s later
                maker.add(MEND_AT_S + late_s, f"{host.name} starts", host.start)
            if chance.random() < 0.7:
                maker.add(CALM_AT_S - 0.1, f"{host.name} is undrained", partial(host.drain, False))
            if chance.random() < 0.7:
                maker.add(CALM_AT_S - 0.1, f"{host.name} is no longer blocked", partial(host.block, Blocked()))
            if falls := maker.falls(host.name):
                if chance.random() < 0.7:
                    maker.add(CALM_AT_S - 0.1, f"{host.name}'s link is up", partial(host.set_link, True))
                settled_s = settle_s(self._setup.timeout_s, falls=falls)
                self.end_at_s = max(self.end_at_s, CALM_AT_S + settled_s + SHUN_SLACK_S)


def _telling(fault: Fault, before: Callable[[str], None], after: Callable[[], None]) -> Callable[[], None]:
    def act() -> None:
        before(fault.text)
        fault.action()
        after()

    return act
