"""Random schedules: what goes wrong, when, and how it ends.

A schedule is a list of planned actions that follows from the seed. It has two parts: until `CALM_AT_S` anything may
happen; then everything is mended (what stays down, drained or blocked stays so for good) and the cluster is left
alone until `END_AT_S`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from duravip.cluster.addresses import AddressSet
from duravip.cluster.messages import Blocked
from duravip.model import Claim, NodeName, Table
from duravip.sim.host import Host
from duravip.sim.kernel import CALM, MOODY
from duravip.sim.network import FAIR, ROUGH, Weather
from duravip.sim.tables import blueprints, random_settings, table_of
from duravip.sim.world import World

STEADY_KERNEL_AT_S = 25.0  # kernels stop failing: a node shuns an address for 30 s after a failure
CALM_AT_S = 40.0
MAX_FALLS = 4  # of one host's link
END_AT_S = 70.0


@dataclass(frozen=True, slots=True)
class Fault:
    """`text` is for the trace."""

    at_s: float
    text: str
    action: Callable[[], object]


class Schedule:
    """Builds the hosts of a world, and plans what happens to them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._random = world.clock.random("schedule")
        chance = self._random
        count = chance.choice((3, 3, 3, 4, 4, 5, 5, 6, 7))
        self.names = tuple(NodeName(f"node{number}") for number in range(1, count + 1))
        self._settings = random_settings(chance)
        self._plan = blueprints(chance, self.names)
        self._errors = chance.choice((0.0, 0.01, 0.05))
        self._usual = replace(ROUGH, delay_s=chance.choice((0.000_2, 0.005, 0.02)), loss=chance.choice((0.0, 0.01)))
        self.faults: list[Fault] = []
        self._falls: dict[NodeName, int] = {}
        on_isolation = chance.choice(("hold", "hold", "release"))
        weighted = chance.random() < 0.15
        for name in self.names:
            world.add_host(
                name,
                self._table(name),
                weight=chance.choice((0.5, 1.0, 2.0)) if weighted else 1.0,
                on_isolation=on_isolation,
            )
        self._plan_starts()
        for _ in range(chance.randint(2, 10)):
            self._plan_trouble(chance.uniform(3, CALM_AT_S - 1))
        for _ in range(chance.randint(0, 2)):
            flurry_at_s = chance.uniform(5, CALM_AT_S - 6)
            for _ in range(chance.randint(2, 5)):
                self._plan_trouble(flurry_at_s + chance.uniform(0, 5))
        self.faults = [fault for fault in self.faults if fault.at_s < CALM_AT_S]
        self._plan_calm()
        if chance.random() < 0.4:
            self._switch(chance.uniform(5, CALM_AT_S - 3))
        self._plan_strangers()
        self.faults.sort(key=lambda fault: fault.at_s)

    def plant(self, happened: Callable[[str], None]) -> None:
        """Puts everything into the clock's queue; `happened` hears each text as it comes."""
        for fault in self.faults:
            self.world.clock.at(fault.at_s, _telling(fault, happened))

    def _add(self, at_s: float, text: str, action: Callable[[], object]) -> None:
        self.faults.append(Fault(at_s, text, action))

    def _table(self, name: NodeName) -> Table:
        return table_of(self._random, name, self._plan, self._settings, errors=self._errors)

    # --- beginning and end ----------------------------------------------------------------------------------

    def _plan_starts(self) -> None:
        world = self.world
        together = self._random.random() < 0.7
        for host in world.hosts.values():
            self._add(self._random.uniform(0, 2 if together else 20), f"{host.name} starts", host.start)
        self._add(0.0, "rough weather", lambda: world.set_conditions(self._usual, MOODY))
        steady = replace(MOODY, failure=0.0)
        self._add(
            STEADY_KERNEL_AT_S,
            "kernels fail no more",
            lambda: world.set_conditions(world.network.weather, steady),
        )

    def _plan_calm(self) -> None:
        world, chance = self.world, self._random
        self._add(CALM_AT_S, "calm", lambda: world.set_conditions(FAIR, CALM))
        self._add(CALM_AT_S, "all links whole", world.network.heal)
        stays_down = chance.choice(self.names) if chance.random() < 0.2 else None
        for host in world.hosts.values():
            self._add(CALM_AT_S, f"{host.name} runs on", host.thaw)
            if host.name == stays_down:
                self._add(CALM_AT_S, f"{host.name} is killed for good", host.crash)
                continue
            for late_s in (0.0, 3.0):  # a daemon that is just leaving is gone 3 s later
                self._add(CALM_AT_S + late_s, f"{host.name} starts", host.start)
            if chance.random() < 0.7:
                self._add(CALM_AT_S + 3.5, f"{host.name} undrained", _drain(host, False))
            if chance.random() < 0.7:
                self._add(CALM_AT_S + 3.5, f"{host.name} unblocked", _block(host, Blocked()))
            if host.name in self._falls and chance.random() < 0.7:
                self._add(CALM_AT_S + 3.5, f"{host.name}'s link is up", _set_link(host, True))

    def _plan_strangers(self) -> None:
        """In some worlds strangers say for a while that they have addresses; hosts differ in what they make of that."""
        chance = self.world.clock.random("strangers")
        if chance.random() < 0.6:
            return
        for host in self.world.hosts.values():
            host.on_duplicate = chance.choice(("defend", "yield"))
            host.probe_before_taking = chance.random() < 0.5
        for number in range(chance.randint(1, 3)):
            address = chance.choice(self._plan).entry.address
            claim = Claim(address=address, hardware_address=bytes((2, 0, 0, 0, 0, number)))
            hearing = chance.sample(self.names, chance.randint(1, len(self.names)))
            at_s = chance.uniform(0, CALM_AT_S - 1)
            until_s = min(CALM_AT_S, at_s + chance.choice((0.1, 5.0, 20.0)))
            while at_s < until_s:
                for name in hearing:
                    self._add(at_s, f"{name} hears a stranger that has {address}", _hear(self.world.hosts[name], claim))
                at_s += chance.uniform(0.1, 2.0)

    # --- trouble --------------------------------------------------------------------------------------------

    def _plan_trouble(self, at_s: float) -> None:
        chance = self._random
        troubles: tuple[tuple[int, Callable[[float], None]], ...] = (
            (5, self._crash),
            (4, self._freeze),
            (4, self._partition),
            (2, self._one_way),
            (2, self._loss),
            (2, self._slow),
            (3, self._leave),
            (1, self._drain),
            (1, self._block),
            (2, self._reload),
            (2, self._move),
            (2, self._steal),
            (1, self._link),
        )
        weights = [weight for weight, _ in troubles]
        chance.choices([plan for _, plan in troubles], weights)[0](at_s)

    def _host(self) -> Host:
        return self.world.hosts[self._random.choice(self.names)]

    def _crash(self, at_s: float) -> None:
        victims = {self._host().name for _ in range(self._random.choice((1, 1, 1, 2, 3)))}
        for name in sorted(victims):
            self._add(at_s, f"{name} is killed", self.world.hosts[name].crash)
            self._restart(self.world.hosts[name], at_s + self._after(0.1, 15))

    def _leave(self, at_s: float) -> None:
        host = self._host()
        self._add(at_s, f"{host.name} is told to leave", host.leave)
        self._restart(host, at_s + self._after(2.5, 12))

    def _restart(self, host: Host, at_s: float) -> None:
        disk_lost = self._random.random() < 0.05
        if self._random.random() < 0.4:
            self._add(at_s, f"{host.name} has a new table", _new_table(host, self._table(host.name)))
        text = f"{host.name} starts" + (", its disk lost" if disk_lost else "")
        self._add(at_s, text, lambda: host.start(disk_lost=disk_lost))

    def _freeze(self, at_s: float) -> None:
        everybody = self._random.random() < 0.1
        for name in self.names if everybody else (self._host().name,):
            host = self.world.hosts[name]
            self._add(at_s, f"{name} freezes", host.freeze)
            self._add(at_s + self._after(0.3, 14), f"{name} runs on", host.thaw)

    def _partition(self, at_s: float) -> None:
        parts: list[list[NodeName]] = [[], [], []]
        kinds = self._random.choice((2, 2, 3))
        for name in self.names:
            parts[self._random.randrange(kinds)].append(name)
        text = " | ".join(" ".join(part) for part in parts if part)
        self._add(at_s, f"partition: {text}", lambda: self.world.network.split(parts))
        self._add(at_s + self._after(0.5, 15), "all links whole", self.world.network.heal)

    def _one_way(self, at_s: float) -> None:
        network = self.world.network
        source, target = self._random.sample(self.names, 2)
        others = [name for name in self.names if name != source]
        kind = self._random.random()
        if kind < 0.6:
            self._add(at_s, f"{source} no longer reaches {target}", lambda: network.cut(source, target))
        elif kind < 0.8:
            self._add(at_s, f"{source} is mute", lambda: network.cut_all([(source, other) for other in others]))
        else:
            self._add(at_s, f"{source} is deaf", lambda: network.cut_all([(other, source) for other in others]))
        self._add(at_s + self._after(1, 12), "all links whole", self.world.network.heal)

    def _loss(self, at_s: float) -> None:
        loss = self._random.uniform(0.1, 0.6)
        self._weather(at_s, f"loses {loss:.0%}", replace(self._usual, loss=loss), self._after(0.5, 8))

    def _slow(self, at_s: float) -> None:
        """Messages are as slow as everything else, so that everything may happen between any two of them."""
        delay_s = self._random.choice((0.02, 0.1, 0.3))
        slow = replace(ROUGH, delay_s=delay_s, straggle=0.2, straggle_s=1.0)
        self._weather(at_s, f"datagrams take {delay_s:g} s", slow, self._after(2, 15))

    def _weather(self, at_s: float, text: str, weather: Weather, for_s: float) -> None:
        network = self.world.network
        self._add(at_s, text, lambda: setattr(network, "weather", weather))
        self._add(at_s + for_s, "usual weather", lambda: setattr(network, "weather", self._usual))

    def _drain(self, at_s: float) -> None:
        host = self._host()
        self._add(at_s, f"{host.name} drained", _drain(host, True))
        self._add(at_s + self._after(1, 20), f"{host.name} undrained", _drain(host, False))

    def _reload(self, at_s: float) -> None:
        """Several nodes read new files at about the same moment."""
        for name in self._random.sample(self.names, self._random.choice((1, 2, len(self.names)))):
            table = self._table(name)
            after_s = self._random.choice((0.0, 0.001, 0.5)) * self._random.random()
            self._add(at_s + after_s, f"{name} reloads", _reload(self.world.hosts[name], table))

    def _switch(self, at_s: float) -> None:
        """New files come to all nodes, and then one or two of them are asked to have all switch to them together."""
        for name in self.names:
            host = self.world.hosts[name]
            self._add(at_s, f"{name} has a new file", _new_table(host, self._table(name)))
        for _ in range(self._random.choice((1, 1, 2))):
            host = self._host()
            text = f"{host.name} is asked to have all switch"
            self._add(at_s + self._random.choice((0.001, 0.5)) * self._random.random(), text, host.switch)
        if self._random.random() < 0.5:
            self._crash(at_s + self._random.random())

    def _move(self, at_s: float) -> None:
        host = self._host()
        address = self._random.choice(self._plan).entry.address
        node = self._random.choice((*self.names, None))
        self._add(at_s, f"{host.name} is asked to move {address} to {node}", lambda: host.move(address, node))

    def _block(self, at_s: float) -> None:
        host = self._host()
        if self._random.random() < 0.3:
            blocked = Blocked(everything="link down")
        else:
            addresses = [blueprint.entry.address for blueprint in self._plan]
            blocked = Blocked(addresses=AddressSet(self._random.sample(addresses, 3)))
        self._add(at_s, f"{host.name} blocked: {blocked}", _block(host, blocked))
        self._add(at_s + self._after(1, 20), f"{host.name} unblocked", _block(host, Blocked()))

    def _steal(self, at_s: float) -> None:
        """Somebody takes a VIP off, wherever it is, perhaps again and again."""
        address = self._random.choice(self._plan).entry.address
        for _ in range(self._random.choice((1, 1, 2, 6))):
            for host in self.world.hosts.values():
                self._add(at_s, f"somebody takes {address} off {host.name}", partial(host.kernel.steal, address))
            at_s += self._random.choice((0.001, 0.1, 3.0)) * self._random.random()

    def _link(self, at_s: float) -> None:
        """A link that falls again and again is not used for long: too long for what remains of a schedule."""
        host = self._host()
        if self._falls.get(host.name, 0) >= MAX_FALLS:
            return
        self._falls[host.name] = self._falls.get(host.name, 0) + 1
        self._add(at_s, f"{host.name}'s link is down", _set_link(host, False))
        self._add(at_s + self._after(0.01, 12), f"{host.name}'s link is up", _set_link(host, True))

    def _after(self, least: float, most: float) -> float:
        """Short ones are as likely as long ones."""
        shortest = self._random.random()
        return least + (most - least) * shortest * shortest


def _telling(fault: Fault, happened: Callable[[str], None]) -> Callable[[], None]:
    def act() -> None:
        happened(fault.text)
        fault.action()

    return act


def _drain(host: Host, drained: bool) -> Callable[[], None]:
    return lambda: host.drain(drained)


def _hear(host: Host, claim: Claim) -> Callable[[], None]:
    return lambda: host.hear(claim)


def _reload(host: Host, table: Table) -> Callable[[], None]:
    return lambda: host.reload(table)


def _block(host: Host, blocked: Blocked) -> Callable[[], None]:
    return lambda: host.block(blocked)


def _set_link(host: Host, up: bool) -> Callable[[], None]:
    return lambda: host.set_link(up)


def _new_table(host: Host, table: Table) -> Callable[[], None]:
    return lambda: setattr(host, "table", table)
