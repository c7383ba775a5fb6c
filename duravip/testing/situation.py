"""A small cluster in the simulated world that runs into one bad moment, and a diary of what came of it: for tests.

Heartbeats every 0.1 s, failure_timeout 0.35 s, maturity after 2 s, fair network, well-behaved kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duravip.cluster.effects import AnnounceAddress, Effect, ProbeAddress, RenewAddresses, SwitchEnded, TakeAddress
from duravip.cluster.inputs import Input
from duravip.cluster.messages import AnyMessage
from duravip.events import Event
from duravip.model import Address, NodeName, Settings, Table, Use, VipEntry, canonical_address, make_table
from duravip.sim.checker import Checker
from duravip.sim.host import Host
from duravip.sim.world import World

VIPS = [canonical_address(f"192.0.2.{number}") for number in range(1, 7)]


def entry(address: Address, binding: str = "", preference: str = "") -> VipEntry:
    return VipEntry(
        address=address,
        services=(Use("multivip"),),
        bindings=(Use(binding or f"b-{address}"),),
        preference=Use(preference) if preference else None,
        interface="eth0",
    )


def table(*entries: VipEntry) -> Table:
    return make_table(
        entries or [entry(vip) for vip in VIPS], Settings(view_mature_time=2.0, view_balance_interval=1.0)
    )


class Diary(Checker):
    """The checker, and everything that was published, said, announced or asked, with its time."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[float, NodeName, Event]] = []
        self.said: list[tuple[float, NodeName, AnyMessage]] = []
        self.announced: list[tuple[float, NodeName, Address]] = []
        self.renewed: list[tuple[float, NodeName]] = []
        self.taken: list[tuple[Address, float]] = []  # with the seconds that the order is good for
        self.probed: list[tuple[float, NodeName, Address]] = []
        self.switches: list[tuple[NodeName, SwitchEnded]] = []

    def published(self, host: Host, event: Event) -> None:
        self.events.append((self._clock.now, host.name, event))
        super().published(host, event)

    def sent(self, host: Host, message: AnyMessage) -> None:
        self.said.append((self._clock.now, host.name, message))
        super().sent(host, message)

    def handled(self, host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        self.probed += [(self._clock.now, host.name, e.address) for e in effects if isinstance(e, ProbeAddress)]
        self.announced += [(self._clock.now, host.name, e.address) for e in effects if isinstance(e, AnnounceAddress)]
        self.switches += [(host.name, effect) for effect in effects if isinstance(effect, SwitchEnded)]
        self.renewed += [(self._clock.now, host.name) for e in effects if isinstance(e, RenewAddresses)]
        takes = [effect for effect in effects if isinstance(effect, TakeAddress)]
        self.taken += [(order.address, order.not_after - host.local_now()) for order in takes]
        super().handled(host, given, effects)


class Situation:
    def __init__(self, *names: str, tables: dict[str, Table] | None = None, seed: int = 1, **policies: Any) -> None:
        """`policies`: what `World.add_host` takes of them, for every node."""
        self.diary = Diary()
        self.world = World(seed, observer=self.diary)
        self.diary.watch(self.world)
        for name in names:
            self.world.add_host(
                NodeName(name),
                (tables or {}).get(name, table()),
                heartbeat_interval_s=0.1,
                failure_timeout_s=0.35,
                **policies,
            )

    def __getitem__(self, name: str) -> Host:
        return self.world.hosts[NodeName(name)]

    @property
    def now(self) -> float:
        return self.world.clock.now

    def start(self, *names: str) -> None:
        for name in names or tuple(self.world.hosts):
            self[name].start()

    def run(self, seconds: float) -> None:
        self.world.clock.run_until(self.now + seconds)

    def until(self, done: Callable[[], bool], limit_s: float) -> float:
        """Seconds until `done()`, looked at every millisecond."""
        began = self.now
        while not done():
            assert self.now - began < limit_s, "it never came"
            self.run(0.001)
        return self.now - began

    def booted(self) -> Situation:
        self.start()
        self.run(4.0)
        assert all(len(self.holders(vip)) == 1 for vip in VIPS)
        return self

    def holders(self, address: Address) -> list[str]:
        return [str(name) for name, host in self.world.hosts.items() if address in host.kernel.present]

    def all_held_once(self) -> bool:
        return all(len(self.holders(vip)) == 1 for vip in VIPS)

    def seen(self, kind: type[Event], since: float = 0.0) -> list[tuple[str, Event]]:
        return [(str(who), event) for at, who, event in self.diary.events if at >= since and isinstance(event, kind)]

    def mend(self, seconds: float = 8.0) -> None:
        self.world.network.heal()
        self.run(seconds)
        self.diary.judge_rest(quiet_since_s=self.now)
        assert self.diary.violations == []
