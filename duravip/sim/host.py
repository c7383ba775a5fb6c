"""One machine: a disk that remembers how often the daemon was started, a kernel, and at most one process; and what can
be done to it.

Rules of this file
- Every host has its own clock: another offset, a slightly other rate.
- On a suspended machine the kernel and its clocks stand still too, and nothing is received.
- A new life starts with a clean kernel and a higher incarnation, as the daemon's does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from duravip.cluster.addresses import AddressSet
from duravip.cluster.inputs import (
    AddressesClaimed,
    BlockedChanged,
    DrainChanged,
    DrainRequested,
    Input,
    InterfaceFell,
    InterfaceRose,
    MoveRequested,
    SwitchRequested,
)
from duravip.cluster.messages import Blocked
from duravip.cluster.node import Node
from duravip.cluster.parameters import LONG_BYTES, LONG_VIPS, MANY_VIPS, Functions, Parameters
from duravip.model import Address, Claim, Incarnation, Member, NodeName, Table
from duravip.sim.clock import Clock, MachineClock
from duravip.sim.kernel import Kernel
from duravip.sim.network import Network
from duravip.sim.observer import Observer
from duravip.sim.openings import open_link
from duravip.sim.process import INTERFACE, READING_S, Process

RESTART_S: Final = 3.0  # after an alarm, at most
STRICT_DRIFT: Final = 0.02  # what strict ownership is promised for
CLOCK_DRIFT: Final = 0.01  # rates differ by at most this

MakeNode = Callable[[Parameters, Table, float], Node]
"""Tests put a puppet in the node's place: something with the few methods that are asked for here and by the checker."""


class Host:
    """`process` is None while the daemon is down. `table`, `drained`, `blocked` and `link_up` are what its next start
    finds; reading takes `reading_s` at most, and fails with `unreadable` unless that is "".
    `well_since`: when the process began to run, or to run on; infinity while it does not run. `accused_none`: the
    members of its view when it was frozen last, each in its life then, if that was longer than the failure time-out.
    `gateway_lost_at`: since when its default gateway does not answer it; infinity while it does. `may_start`: what the
    operator says to that; `waits_to_start`: it was refused. `time` is the machine's clock, `clock` the world's.
    """

    def __init__(
        self,
        name: NodeName,
        table: Table,
        *,
        clock: Clock,
        network: Network,
        observer: Observer,
        make_node: MakeNode,
        functions: Functions,
        heartbeat_interval_s: float = 1.0,
        failure_timeout_s: float = 3.5,
        weight: float = 1.0,
        on_isolation: str = "hold",
        on_duplicate: str = "defend",
        probe_before_taking: bool = False,
        if_flap_limit: int = 1000,
        many_vips: int = MANY_VIPS,
        long_vips: int = LONG_VIPS,
        long_bytes: int = LONG_BYTES,
        clock_drift: float = CLOCK_DRIFT,
    ) -> None:
        self.name = name
        self.table = table
        self.drained = False
        self.blocked = Blocked()
        self.link_up = True
        self.on_isolation = on_isolation
        self.on_duplicate = on_duplicate
        self.probe_before_taking = probe_before_taking
        self.unreadable = ""
        self.reading_s = READING_S
        self.process: Process | None = None
        self.starting = False
        self.well_since = math.inf
        self.accused_none: frozenset[Member] = frozenset()
        self.gateway_lost_at = math.inf
        self.may_start: Callable[[], bool] = lambda: True
        self.waits_to_start = False
        self.weight = weight
        self.clock = clock
        self.network = network
        self.observer = observer
        self.random = clock.random(f"host {name}")
        self.time = MachineClock(
            clock,
            offset=self.random.uniform(0, 1e6),
            rate=1 + self.random.uniform(-clock_drift, clock_drift),
        )
        self.kernel = Kernel(self.time, clock.random(f"kernel {name}"), self._plumbed, self.local_now)
        self._make_node = make_node
        self._functions = functions
        self._heartbeat_interval_s = heartbeat_interval_s
        self._failure_timeout_s = failure_timeout_s
        self._if_flap_limit = if_flap_limit
        self._many_vips = many_vips
        self._long_vips = long_vips
        self._long_bytes = long_bytes
        self._starts = 0
        self._revival: object = None  # the restart that is planned
        self._frozen_at = 0.0
        self._stopped_before = False  # the process was frozen when the machine was suspended
        network.attach(name, self._receive)

    def __repr__(self) -> str:
        state = "down" if self.process is None else "frozen" if self.process.frozen else "up"
        return f"<Host {self.name} {state}>"

    @property
    def suspended(self) -> bool:
        return self.time.suspended

    @property
    def node(self) -> Node | None:
        return self.process.node if self.process is not None else None

    def local_now(self) -> float:
        """What the host's monotonic clock shows."""
        return self.time.now()

    def world_time(self, shown: float) -> float:
        """When its clock shows that, in the world's time."""
        return self.time.when(shown)

    # --- what can be done to it -----------------------------------------------------------------------------

    def start(self, *, disk_lost: bool = False) -> None:
        """Nothing happens if the daemon runs, or is about to."""
        if self.process is not None or self.starting or self.time.suspended:
            return
        self.waits_to_start = not self.may_start()
        if self.waits_to_start:
            return
        self.starting = True
        if disk_lost:
            self._starts = int(1.7e12 + self.clock.now * 1000)
        self.kernel.purge(self._run)

    def crash(self) -> None:
        """SIGKILL: the process is gone, the kernel keeps its addresses."""
        self._revival = None
        self.waits_to_start = False
        if self.process is not None and not self.time.suspended:
            self.end("crashed")

    def freeze(self) -> None:
        if self.process is not None and not self.process.frozen:
            self.process.freeze()
            self._frozen_at = self.clock.now
            self.well_since = math.inf

    def thaw(self) -> None:
        process = self.process
        if process is None or not process.frozen:
            return
        if self.time.suspended:
            self._stopped_before = False
            return
        self.well_since = self.clock.now
        was_long = self.clock.now - self._frozen_at > self._failure_timeout_s * (1 + CLOCK_DRIFT)
        view = process.node.view
        self.accused_none = frozenset(view.members) if was_long and view is not None else frozenset()
        process.thaw()

    def stand_still(self, for_s: float) -> None:
        """The process does, right before a system call."""
        self.freeze()
        self.clock.after(for_s, self.thaw)

    def suspend(self) -> None:
        """The whole machine stands still: process, kernel, clocks, interfaces."""
        if self.time.suspended:
            return
        self._stopped_before = self.process is not None and self.process.frozen
        self.freeze()
        self.time.suspend()

    def resume(self) -> None:
        if not self.time.suspended:
            return
        slept_s = self.time.resume()
        if self.process is not None:
            self.process.slept_s += slept_s
            if not self._stopped_before:
                self.thaw()

    def leave(self) -> None:
        if self.process is not None:
            self.process.leave()

    def drain(self, drained: bool) -> None:
        """Takes effect at once if the daemon runs, and stays over restarts."""
        if self._can_change():
            self.drained = drained
            self._tell(DrainChanged(drained=drained))

    def block(self, blocked: Blocked) -> None:
        """What this host cannot own from now on; stays over restarts."""
        if self._can_change():
            self.blocked = blocked
            self._tell(BlockedChanged(blocked=blocked))

    def set_link(self, up: bool) -> None:
        """Its only interface for VIPs loses its carrier, or gets it back. Heartbeats have a way of their own."""
        if self._can_change():
            self.link_up = up
            self._tell(InterfaceRose(interface=INTERFACE) if up else InterfaceFell(interface=INTERFACE))

    def set_gateway(self, up: bool) -> None:
        """Its default gateway answers it no more, or again."""
        self.gateway_lost_at = math.inf if up else min(self.gateway_lost_at, self.clock.now)

    def reload(self, table: Table) -> None:
        """The configuration has changed and is read again; a daemon that is down reads it at its next start."""
        if self.process is not None and self.process.frozen:
            return
        self.table = table
        if self.process is not None:
            self.process.load(table)

    def switch(self) -> None:
        """An operator asks here that all nodes read their files and switch to them together."""
        self._tell(SwitchRequested())

    def move(self, address: Address, node: NodeName | None) -> None:
        """An operator asks here that `address` be moved."""
        self._tell(MoveRequested(address=address, node=node))

    def ask_drain(self, name: NodeName, *, drained: bool, force: bool) -> None:
        """An operator asks here that a node be drained, or not any more."""
        self._tell(DrainRequested(name=name, drained=drained, force=force))

    def hear(self, *claims: Claim) -> None:
        """Somebody says on the host's segment that it has these."""
        self._tell(AddressesClaimed(claims=claims))

    def _can_change(self) -> bool:
        """What is about to change is news for the process: not while it is frozen, and after what was due."""
        if self.process is not None and self.process.frozen:
            return False
        if self.process is not None:
            self.process.tick_if_due()
        return True

    def _tell(self, news: Input) -> None:
        """If the daemon runs."""
        if self.process is not None and not self.process.frozen:
            self.process.feed(news)

    # --- its process ----------------------------------------------------------------------------------------

    def end(self, why: str) -> None:
        """The process is gone."""
        assert self.process is not None
        self.process.customer.alive = False
        self.process = None
        self.well_since = math.inf
        self.observer.ended(self, why)

    def end_by_alarm(self) -> None:
        """A service manager starts another."""
        self.end("killed by its alarm")
        revival = self._revival = object()
        self.time.after(RESTART_S * self.random.random(), lambda: self._revive(revival))

    def _revive(self, revival: object) -> None:
        if revival is self._revival:
            self.start()

    def _run(self) -> None:
        self.starting = False
        self._starts += 1
        me = Member(self.name, Incarnation(self._starts, self.random.getrandbits(64)))
        parameters = Parameters(
            name=self.name,
            incarnation=me.incarnation,
            heartbeat_interval_s=self._heartbeat_interval_s,
            failure_timeout_s=self._failure_timeout_s,
            weight=self.weight,
            on_isolation=self.on_isolation,
            on_duplicate=self.on_duplicate,
            probe_before_taking=self.probe_before_taking,
            drained=self.drained,
            if_flap_limit=self._if_flap_limit,
            many_vips=self._many_vips,
            long_vips=self._long_vips,
            long_bytes=self._long_bytes,
            functions=self._functions,
        )
        process = Process(self, self._make_node(parameters, self.table, self.local_now()), open_link(me))
        self.process = process
        self.well_since = self.clock.now
        self.accused_none = frozenset()
        self.kernel.serve(process.customer)
        self.observer.started(self)
        if self.blocked.everything or self.blocked.addresses != AddressSet():
            process.feed(BlockedChanged(blocked=self.blocked))
        if not self.link_up:
            process.feed(InterfaceFell(interface=INTERFACE))
        process.set_timer()

    def _receive(self, datagram: bytes) -> None:
        if self.process is not None and not self.time.suspended:
            self.process.receive(datagram)

    def _plumbed(self, address: Address, present: bool) -> None:
        self.clock.note(b"%s %d %s" % (self.name.encode(), present, address.encode()))
        self.observer.plumbed(self, address, present)
