"""What can go wrong, by kind. Each method of `Troublemaker` plans one trouble: faults and how they end.

Rules of this file
- A kind that is not wanted does not happen. What it would have taken from the source of chance it does not take.
- Durations are absolute; what a link does to datagrams is measured by the heartbeat interval.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import msgspec

from duravip.cluster.addresses import AddressSet
from duravip.cluster.gateways import HOLD_IF_GATEWAY
from duravip.cluster.messages import Blocked
from duravip.model import Address, Claim, NodeName, Table
from duravip.sim.host import Host
from duravip.sim.kernel import CALM, MOODY, Temper
from duravip.sim.members import LEAST_MEMBERS, MembersChange, plan_changes
from duravip.sim.network import FAIR, ROUGH, Weather
from duravip.sim.setup import Setup
from duravip.sim.world import World

KINDS = (
    "loss",
    "delay",
    "duplicate",
    "reorder",
    "partition",
    "oneway",
    "crash",
    "pause",
    "restart",
    "clock",
    "reload",
    "link",
    "kernel",
    "gateway",
)
"""What `duravip rehearse --faults` tries unless told otherwise."""

PEOPLE = ("operator", "stranger")
"""Not faults, but what people do meanwhile: moves and drains; another machine that says it has an address."""

ALL_KINDS = (*KINDS, *PEOPLE)

STEADY_KERNEL_AT_S: Final = 20.0  # kernels stop failing: a node shuns an address for 30 s after a failure
STOPS: Final = 0.004  # the chance that a process is stopped right before a system call
MAX_FALLS: Final = 4  # of one host's link: one that falls again and again is not used for long
SLOW_KERNEL = Temper(usual_s=0.02, slow=0.5, slow_s=1.5)


@dataclass(frozen=True, slots=True)
class Fault:
    """`text` is for people."""

    at_s: float
    text: str
    action: Callable[[], object]


class Troublemaker:
    """Plans troubles for the hosts of one world. `steady_kernel`, `fair`: how kernels and network are without any
    particular trouble; `planned`: what has been planned since somebody emptied it. `late_s`:
    by how much later than others a host may be done with what its kernel refused before STEADY_KERNEL_AT_S: its clock
    stands still after that, or it is frozen at that moment and learns of it when it runs on."""

    def __init__(self, world: World, setup: Setup, kinds: Collection[str], chance: random.Random) -> None:
        self.world = world
        self.names = setup.names()
        self.planned: list[Fault] = []
        self._setup = setup
        self._kinds = frozenset(kinds)
        self._random = chance
        self._addresses = sorted({vip.address for node in setup.nodes for vip in node.table.vips})
        self._falls: dict[NodeName, int] = {}
        self.late_s = dict.fromkeys(self.names, 0.0)
        self._scale = min(1.0, setup.interval_s)
        self.usual = self._usual_weather()
        self.moody = MOODY if "kernel" in kinds else replace(CALM, late_s=0.0)
        if setup.is_strict() and "pause" in kinds:
            self.moody = replace(self.moody, stop=STOPS)
        self.steady = replace(self.moody, failure=0.0)
        self._troubles = [
            (weight, plan)
            for kind, weight, plan in (
                ("crash", 5, self._crash),
                ("pause", 4, self._freeze),
                ("partition", 4, self._partition),
                ("oneway", 2, self._one_way),
                ("loss", 2, self._loss),
                ("delay", 2, self._slow),
                ("duplicate", 1, self._recorder),
                ("reorder", 1, self._disorder),
                ("restart", 3, self._leave),
                ("clock", 2, self._suspend),
                ("reload", 2, self._reload),
                ("kernel", 2, self._steal),
                ("kernel", 1, self._slow_kernel),
                ("link", 2, self._link),
                ("operator", 1, self._drain),
                ("operator", 1, self._block),
                ("operator", 2, self._move),
            )
            if kind in self._kinds and not (setup.is_strict() and plan == self._suspend)  # which needs fencing
        ]

    def has(self, kind: str) -> bool:
        return kind in self._kinds

    def falls(self, name: NodeName) -> int:
        """How many troubles with its link were planned."""
        return self._falls.get(name, 0)

    def anything(self, at_s: float) -> None:
        """One trouble of a kind that is wanted."""
        if self._troubles and self._addresses:
            weights = [weight for weight, _ in self._troubles]
            self._random.choices([plan for _, plan in self._troubles], weights)[0](at_s)

    def add(self, at_s: float, text: str, action: Callable[[], object]) -> None:
        self.planned.append(Fault(at_s, text, action))

    def _usual_weather(self) -> Weather:
        chance, has = self._random, self._kinds.__contains__
        return Weather(
            loss=chance.choice((0.0, 0.01)) if has("loss") else 0.0,
            delay_s=chance.choice((0.000_2, 0.005, 0.02)) * self._scale if has("delay") else FAIR.delay_s,
            duplicate=ROUGH.duplicate if has("duplicate") else 0.0,
            ghost=ROUGH.ghost if has("duplicate") else 0.0,
            straggle=ROUGH.straggle if has("reorder") else 0.0,
            straggle_s=ROUGH.straggle_s * self._scale,
        )

    def _host(self) -> Host:
        return self.world.hosts[self._random.choice(self.names)]

    def _after(self, least: float, most: float) -> float:
        """Short ones are as likely as long ones."""
        shortest = self._random.random()
        return least + (most - least) * shortest * shortest

    # --- processes and machines -----------------------------------------------------------------------------

    def _crash(self, at_s: float) -> None:
        victims = {self._host().name for _ in range(self._random.choice((1, 1, 1, 2, 3)))}
        for name in sorted(victims):
            self.add(at_s, f"{name} is killed", self.world.hosts[name].crash)
            self._restart(self.world.hosts[name], at_s + self._after(0.1, 15))

    def _leave(self, at_s: float) -> None:
        host = self._host()
        self.add(at_s, f"{host.name} is told to leave", host.leave)
        self._restart(host, at_s + self._after(2.5, 12))

    def _restart(self, host: Host, at_s: float) -> None:
        disk_lost = self._random.random() < 0.05
        if self.has("reload") and self._random.random() < 0.4:
            table = self._setup.new_table(self._random, host.name)
            self.add(at_s, f"{host.name} has a new file", _new_table(host, table))
        text = f"{host.name} starts" + (", its disk lost" if disk_lost else "")
        self.add(at_s, text, partial(host.start, disk_lost=disk_lost))

    def _freeze(self, at_s: float) -> None:
        everybody = self._random.random() < 0.1
        for name in self.names if everybody else (self._host().name,):
            host = self.world.hosts[name]
            until_s = at_s + self._after(0.3, 14)
            if at_s <= STEADY_KERNEL_AT_S < until_s:
                self.late_s[name] += until_s - STEADY_KERNEL_AT_S
            self.add(at_s, f"{name} freezes", host.freeze)
            self.add(until_s, f"{name} runs on", host.thaw)

    def _suspend(self, at_s: float) -> None:
        everybody = self._random.random() < 0.1
        for name in self.names if everybody else (self._host().name,):
            host = self.world.hosts[name]
            sleep_s = self._after(0.3, 20)
            self.late_s[name] += max(0.0, sleep_s - max(0.0, STEADY_KERNEL_AT_S - at_s))
            self.add(at_s, f"{name} is suspended, clocks and all", host.suspend)
            self.add(at_s + sleep_s, f"{name} is awake again", host.resume)

    # --- network --------------------------------------------------------------------------------------------

    def _partition(self, at_s: float) -> None:
        parts: list[list[NodeName]] = [[], [], []]
        kinds = self._random.choice((2, 2, 3))
        for name in self.names:
            parts[self._random.randrange(kinds)].append(name)
        text = " | ".join(" ".join(part) for part in parts if part)
        self.add(at_s, f"partition: {text}", partial(self.world.network.split, parts))
        self._heal(at_s + self._after(0.5, 15))

    def _one_way(self, at_s: float) -> None:
        network = self.world.network
        if len(self.names) < 2:
            return
        source, target = self._random.sample(self.names, 2)
        others = [name for name in self.names if name != source]
        kind = self._random.random()
        if kind < 0.6:
            self.add(at_s, f"{source} no longer reaches {target}", partial(network.cut, source, target))
        elif kind < 0.8:
            self.add(at_s, f"{source} is mute", partial(network.cut_all, [(source, other) for other in others]))
        else:
            self.add(at_s, f"{source} is deaf", partial(network.cut_all, [(other, source) for other in others]))
        self._heal(at_s + self._after(1, 12))

    def _heal(self, at_s: float) -> None:
        self.add(at_s, "all links whole", self.world.network.heal)

    def _loss(self, at_s: float) -> None:
        loss = self._random.uniform(0.1, 0.6)
        self._weather(
            at_s, f"{loss:.0%} of all datagrams are lost", replace(self.usual, loss=loss), self._after(0.5, 8)
        )

    def _slow(self, at_s: float) -> None:
        """Messages are as slow as everything else, so that everything may happen between any two of them."""
        delay_s = self._random.choice((0.02, 0.1, 0.3)) * self._scale
        slow = replace(self.usual, delay_s=delay_s)
        if self.has("reorder"):
            slow = replace(slow, straggle=0.2, straggle_s=self._scale)
        self._weather(at_s, f"datagrams take {delay_s:g} s", slow, self._after(2, 15))

    def _recorder(self, at_s: float) -> None:
        """Somebody plays back what was said, up to 20 s later."""
        again = replace(self.usual, duplicate=0.2, ghost=0.3)
        self._weather(at_s, "datagrams come again, up to 20 s later", again, self._after(2, 15))

    def _disorder(self, at_s: float) -> None:
        mixed = replace(self.usual, straggle=0.5, straggle_s=self._scale)
        self._weather(at_s, "datagrams overtake each other", mixed, self._after(2, 15))

    def _weather(self, at_s: float, text: str, weather: Weather, for_s: float) -> None:
        network = self.world.network
        self.add(at_s, text, partial(setattr, network, "weather", weather))
        self.add(at_s + for_s, "the network is as usual", partial(setattr, network, "weather", self.usual))

    # --- configuration --------------------------------------------------------------------------------------

    def _reload(self, at_s: float) -> None:
        """Several nodes read new files at about the same moment; or an operator has all switch to theirs together."""
        if self._random.random() < 0.25:
            self.switch(at_s)
            return
        for name in self._random.sample(self.names, self._random.choice((1, min(2, len(self.names)), len(self.names)))):
            table = self._setup.new_table(self._random, name)
            after_s = self._random.choice((0.0, 0.001, 0.5)) * self._random.random()
            self.add(at_s + after_s, f"{name} reloads an edited file", _reloaded(self.world.hosts[name], table))

    def switch(self, at_s: float) -> None:
        """New files come to all nodes, and one or two of them are asked to have all switch to them together."""
        for name in self.names:
            table = self._setup.new_table(self._random, name)
            self.add(at_s, f"{name} has a new file", _new_table(self.world.hosts[name], table))
        for _ in range(self._random.choice((1, 1, 2))):
            host = self._host()
            text = f"{host.name} is asked to have all switch"
            self.add(at_s + self._random.choice((0.001, 0.5)) * self._random.random(), text, host.switch)
        if self.has("crash") and self._random.random() < 0.5:
            self._crash(at_s + self._random.random())

    # --- interfaces and kernels -----------------------------------------------------------------------------

    def _steal(self, at_s: float) -> None:
        """Somebody takes a VIP off, wherever it is, perhaps again and again."""
        address = self._random.choice(self._addresses)
        for _ in range(self._random.choice((1, 1, 2, 6))):
            self.add(at_s, f"somebody takes {address} off", partial(self._take_off, address))
            at_s += self._random.choice((0.001, 0.1, 3.0)) * self._random.random()

    def _take_off(self, address: Address) -> None:
        for host in self.world.hosts.values():
            host.kernel.steal(address)

    def _slow_kernel(self, at_s: float) -> None:
        host = self._host()
        self.add(at_s, f"{host.name}'s kernel is slow", partial(setattr, host.kernel, "temper", SLOW_KERNEL))
        usual = partial(setattr, host.kernel, "temper", self.steady)
        self.add(at_s + self._after(1, 10), f"{host.name}'s kernel is as usual", usual)

    def _link(self, at_s: float) -> None:
        host = self._host()
        if self.falls(host.name) >= MAX_FALLS:
            return
        self._falls[host.name] = self.falls(host.name) + 1
        self.add(at_s, f"{host.name}'s link is down", partial(host.set_link, False))
        self.add(at_s + self._after(0.01, 12), f"{host.name}'s link is up", partial(host.set_link, True))

    def members(self, until_s: float) -> None:
        """In some worlds of strict ownership the list of members changes."""
        chance = self.world.clock.random("members")
        if len(self.names) > LEAST_MEMBERS and chance.random() < 0.6:
            change = MembersChange(self.world, chance, self.names, let_go_s=self._setup.let_go_s)
            plan_changes(change, chance, self.names, self.add, until_s)

    def gateways(self, until_s: float) -> None:
        """Where nodes go by it, the default gateway is silent to some of them for a while, now and then."""
        chance = self.world.clock.random("gateways")
        for node in self._setup.nodes:
            if node.on_isolation != HOLD_IF_GATEWAY:
                continue
            host = self.world.hosts[node.name]
            for _ in range(chance.choice((0, 1, 2))):
                at_s = chance.uniform(3, until_s - 1)
                end_s = min(until_s, at_s + chance.choice((0.5, 5.0, 20.0)) * chance.random())
                self.add(at_s, f"{host.name}'s gateway is silent", partial(host.set_gateway, False))
                self.add(end_s, f"{host.name}'s gateway answers", partial(host.set_gateway, True))

    # --- people ---------------------------------------------------------------------------------------------

    def _drain(self, at_s: float) -> None:
        host = self._host()
        self.add(at_s, f"{host.name} is drained", partial(host.drain, True))
        self.add(at_s + self._after(1, 20), f"{host.name} is undrained", partial(host.drain, False))

    def _move(self, at_s: float) -> None:
        host = self._host()
        address = self._random.choice(self._addresses)
        node = self._random.choice((*self.names, None))
        self.add(at_s, f"{host.name} is asked to move {address} to {node}", partial(host.move, address, node))

    def _block(self, at_s: float) -> None:
        host = self._host()
        if self._random.random() < 0.3:
            blocked = Blocked(everything="link down")
        else:
            blocked = Blocked(addresses=AddressSet(self._random.sample(self._addresses, min(3, len(self._addresses)))))
        self.add(at_s, f"{host.name} is blocked: {blocked}", partial(host.block, blocked))
        self.add(at_s + self._after(1, 20), f"{host.name} is no longer blocked", partial(host.block, Blocked()))

    def strangers(self, until_s: float) -> None:
        """In some worlds strangers say for a while that they have addresses; what hosts make of that differs, unless a
        configuration says it."""
        chance = self.world.clock.random("strangers")
        if not self._addresses or chance.random() < 0.6:
            return
        if self._setup.invented:
            for host in self.world.hosts.values():
                host.on_duplicate = chance.choice(("defend", "yield"))
                host.probe_before_taking = chance.random() < 0.5
        for number in range(chance.randint(1, 3)):
            address = chance.choice(self._addresses)
            claim = Claim(address=address, hardware_address=bytes((2, 0, 0, 0, 0, number)))
            hearing = chance.sample(self.names, chance.randint(1, len(self.names)))
            at_s = chance.uniform(0, until_s - 1)
            end_s = min(until_s, at_s + chance.choice((0.1, 5.0, 20.0)))
            while at_s < end_s:
                for name in hearing:
                    self.add(
                        at_s, f"{name} hears a stranger that has {address}", partial(self.world.hosts[name].hear, claim)
                    )
                at_s += chance.uniform(0.1, 2.0)


def _new_table(host: Host, table: Table) -> Callable[[], None]:
    return lambda: setattr(host, "table", _edited(host, table))


def _reloaded(host: Host, table: Table) -> Callable[[], None]:
    return lambda: host.reload(_edited(host, table))


def _edited(host: Host, table: Table) -> Table:
    """Who edits VIPs leaves the list of members, and who breaks ties in it, as they are."""
    had = host.table.settings
    return msgspec.structs.replace(
        table, settings=msgspec.structs.replace(table.settings, members=had.members, tie_breaker=had.tie_breaker)
    )
