"""`duravip demo` where network namespaces cannot be made: the real machines on the simulator's network, in one
process, in real time."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable

from duravip.cli.demo_story import MATURE_S, NODES, STAR, VICTIM, VIPS, Narrator
from duravip.cluster.node import Node
from duravip.errors import DuravipError
from duravip.events import AddressAcquired, Stamped
from duravip.model import Address, NodeName, Settings, Use, VipEntry, make_table
from duravip.sim.realtime import Happening, Recorder, play
from duravip.sim.world import World

_HEARTBEAT_INTERVAL_S, _FAILURE_TIMEOUT_S = 0.1, 0.35  # the defaults
_SETTLE_S = 2.0  # after a view has matured
_LEAVE_S = 0.5
_LIMIT_S = 10.0  # for anything that is waited for


class InMemory:
    """One performance. `sleep` and `monotonic` are the real ones, or a test's."""

    def __init__(
        self,
        narrator: Narrator,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        utc_now: Callable[[], datetime.datetime],
    ) -> None:
        self._narrator = narrator
        self._monotonic, self._sleep, self._utc_now = monotonic, sleep, utc_now
        self._recorder = Recorder()
        self._world = World("demo", observer=self._recorder)
        self._recorder.watch(self._world.clock)
        self._sequence: Counter[tuple[NodeName, str]] = Counter()
        vips = [
            VipEntry(address=Address(address), bindings=(Use(f"vip{number}"),), preference=Use(preferred))
            for number, (address, preferred) in enumerate(VIPS.items(), start=1)
        ]
        table = make_table(vips, Settings(view_mature_time=MATURE_S))
        for name in NODES:
            self._world.add_host(
                NodeName(name),
                table,
                heartbeat_interval_s=_HEARTBEAT_INTERVAL_S,
                failure_timeout_s=_FAILURE_TIMEOUT_S,
            )

    def perform(self) -> float:
        """The milliseconds that the VIP had no owner that runs. Raises DuravipError when it stays so."""
        narrator, victim = self._narrator, self._world.hosts[NodeName(VICTIM)]
        narrator.say("three nodes start")
        for host in self._world.hosts.values():
            host.start()
        self._until_held(STAR, VICTIM)
        self._play(_SETTLE_S)
        narrator.table(self._vips(VICTIM))
        narrator.say(f"{VICTIM}, which has {STAR}, crashes")
        crashed_at_s = self._world.clock.now
        victim.crash()
        taken_at_s = self._until_taken(STAR)
        outage_ms = (taken_at_s - crashed_at_s) * 1000
        narrator.say(f"nobody who runs had {STAR} for {outage_ms:.0f} ms")
        self._play(_SETTLE_S)
        narrator.table(self._vips(next(name for name in NODES if name != VICTIM)))
        narrator.say(f"{VICTIM} starts again; it gets its address back once it is mature")
        victim.start()
        self._until_held(STAR, VICTIM)
        narrator.say("all nodes leave")
        for host in self._world.hosts.values():
            host.leave()
        self._play(_LEAVE_S)
        return outage_ms

    def _play(self, for_s: float, until: Callable[[Happening], bool] = lambda _: False) -> Happening | None:
        """Tells what happens for so long, or until something has; None when it has not."""
        for happening in play(self._world, self._recorder, for_s=for_s, monotonic=self._monotonic, sleep=self._sleep):
            self._tell(happening)
            if until(happening):
                return happening
        return None

    def _until_held(self, address: str, node: str) -> None:
        def held(happening: Happening) -> bool:
            return happening.node == node and _acquired(happening, address)

        if self._play(_LIMIT_S, held) is None:
            raise DuravipError(f"{node} did not get {address} within {_LIMIT_S:g} s: a bug in duravip")

    def _until_taken(self, address: str) -> float:
        found = self._play(_LIMIT_S, lambda happening: _acquired(happening, address))
        if found is None:
            raise DuravipError(f"nobody took {address} over within {_LIMIT_S:g} s: a bug in duravip")
        return found.at_s

    def _tell(self, happening: Happening) -> None:
        life = happening.node, happening.incarnation
        self._sequence[life] += 1
        stamped = Stamped(
            event=happening.event,
            node=happening.node,
            incarnation=happening.incarnation,
            seq=self._sequence[life],
            time=self._utc_now(),
            view=happening.view,
        )
        self._narrator.event(stamped.to_json_object())

    def _vips(self, name: str) -> list[dict[str, object]]:
        """As `show` has them, as far as the table needs it."""
        node = self._world.hosts[NodeName(name)].node
        assert isinstance(node, Node)
        describe, flags = node.describer(), node.landscape.flags
        return [
            {
                "address": address,
                "owner": decision.owner,
                "flags": sorted(flag.value for flag in flags.get(address, ())),
                "reason": describe(address),
            }
            for address, decision in sorted(node.owners().items())
        ]


def _acquired(happening: Happening, address: str) -> bool:
    return isinstance(happening.event, AddressAcquired) and happening.event.address == address
