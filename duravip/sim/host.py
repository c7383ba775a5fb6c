"""One machine: a disk that remembers how often the daemon was started, a kernel, and at most one process.

Rules of this file
- The process does what `runtime.driver` does: a tick that is due goes before any other input, all effects of one
  input are carried out before the next. Every host has its own clock: another offset, a slightly other rate.
- A frozen process does nothing; its socket keeps the first datagrams and loses the rest, its timers ring late.
- On a suspended machine the kernel and its clocks stand still too, and nothing is received. The process hears first
  thing how long that was.
- A new life starts with a clean kernel and a higher incarnation, as the daemon's does.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import assert_never

from duravip.cluster.addresses import AddressSet
from duravip.cluster.charter import ALARM_S
from duravip.cluster.effects import (
    AnnounceAddress,
    ArmAlarm,
    AskGateways,
    DefendAddress,
    Deliberate,
    Effect,
    KeepDrained,
    Left,
    ProbeAddress,
    Publish,
    ReadConfiguration,
    ReleaseAddress,
    RenewAddresses,
    Send,
    SwitchEnded,
    TakeAddress,
)
from duravip.cluster.inputs import (
    AddressesClaimed,
    BlockedChanged,
    ConfigurationRead,
    Deliberated,
    DrainChanged,
    DrainRequested,
    GatewayAnswered,
    Input,
    InterfaceFell,
    InterfaceRose,
    LeaveRequested,
    MoveRequested,
    PacketHeard,
    Slept,
    SwitchRequested,
    TableLoaded,
    Ticked,
)
from duravip.cluster.messages import AnyMessage, Blocked, Round
from duravip.cluster.node import Node
from duravip.cluster.parameters import LONG_VIPS, MANY_VIPS, Parameters
from duravip.model import Address, Claim, Incarnation, Member, NodeName, Table, TableDigest
from duravip.sim.clock import Clock, MachineClock
from duravip.sim.kernel import Answer, Customer, Kernel
from duravip.sim.network import Network
from duravip.sim.observer import Observer
from duravip.wire.dropped import Dropped
from duravip.wire.link import Link, Piece, read_frame
from duravip.wire.received import Received
from duravip.wire.seal import Opened, Unsealer

CLUSTER_GROUP = "simulated"
KEY = bytes(range(32))
INTERFACE = "eth0"  # where all VIPs belong
MTU_BYTES = 1400
REMEMBERED_DATAGRAMS = 256  # more than are under way at a time
SOCKET_DATAGRAMS = 256  # what a frozen process finds when it runs again
WRITING_S = 0.1  # a file, at most
READING_S = 0.5  # a configuration, at most
THINKING_S = 1.0  # about a question, at most
GATEWAY_S = 0.1  # a gateway's answer, at most
LATENESS_S = 0.001  # of timers, at most, on a machine that is well
RESTART_S = 3.0  # after an alarm, at most
STRICT_DRIFT = 0.02  # what strict ownership is promised for
CLOCK_DRIFT = 0.01  # rates differ by at most this
TICK = Ticked()


class _Openings:
    """The same bytes come to several hosts, which all have the same key: they are opened and decoded once. What comes
    out does not change; whether it is new to a host is for its own link to say."""

    def __init__(self) -> None:
        self._unsealer = Unsealer(cluster_group=CLUSTER_GROUP, keys=(KEY,))
        self._opened: dict[bytes, Opened | Dropped] = {}
        self._read: dict[bytes, tuple[AnyMessage, ...] | Piece | Dropped] = {}

    def unseal(self, datagram: bytes) -> Opened | Dropped:
        found = self._opened.get(datagram)
        if found is None:
            found = self._opened[datagram] = self._unsealer.unseal(datagram)
            if len(self._opened) > REMEMBERED_DATAGRAMS:
                del self._opened[next(iter(self._opened))]
        return found

    def read_frame(self, frame: bytes) -> tuple[AnyMessage, ...] | Piece | Dropped:
        found = self._read.get(frame)
        if found is None:
            found = self._read[frame] = read_frame(frame)
            if len(self._read) > REMEMBERED_DATAGRAMS:
                del self._read[next(iter(self._read))]
        return found


_openings = _Openings()

MakeNode = Callable[[Parameters, Table, float], Node]
"""Tests put a puppet in the node's place: something with the few methods that are asked for here and by the checker."""


class Process:
    """One life of a daemon."""

    def __init__(self, node: Node, link: Link, customer: Customer, table: Table) -> None:
        self.node = node
        self.link = link
        self.customer = customer
        self.table = table  # the one read last
        self.asked: Round | None = None  # the last switch of all that it was asked to read for
        self.aside: tuple[Round, Table] | None = None  # what it has read for one
        self.tables: dict[TableDigest, Table] = {}  # of this life: an old one may be in force
        self.addresses: set[Address] = set()  # in any of them
        self.learn(table)
        self.leaving = False
        self.alarm: object = None  # the one that counts
        self.slept_s = 0.0  # in suspensions of the machine that it has not heard of
        self.deadline = math.inf  # what the node said last; its own seconds
        self.timer_at = math.inf  # when the clock rings for it; the world's seconds
        self.timer_for = math.inf  # the deadline that it rings for
        self.socket: deque[bytes] = deque()
        self.answers: deque[Answer] = deque()

    @property
    def frozen(self) -> bool:
        return self.customer.frozen

    def learn(self, table: Table) -> None:
        """It has read this one."""
        self.tables[table.digest()] = table
        self.addresses.update(vip.address for vip in table.vips)


class Host:
    """`process` is None while the daemon is down. `table`, `drained`, `blocked` and `link_up` are what its next start
    finds; reading takes `reading_s` at most, and fails with `unreadable` unless that is "".
    `well_since`: when the process began to run, or to run on; infinity while it does not run. `accused_none`: the
    members of its view when it was frozen last, each in its life then, if that was longer than the failure time-out.
    `gateway_lost_at`: since when its default gateway does not answer it; infinity while it does. `may_start`: what the
    operator says to that; `waits_to_start`: it was refused.
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
        heartbeat_interval_s: float = 1.0,
        failure_timeout_s: float = 3.5,
        weight: float = 1.0,
        on_isolation: str = "hold",
        on_duplicate: str = "defend",
        probe_before_taking: bool = False,
        if_flap_limit: int = 1000,
        many_vips: int = MANY_VIPS,
        long_vips: int = LONG_VIPS,
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
        self._clock = clock
        self._network = network
        self._observer = observer
        self._make_node = make_node
        self._heartbeat_interval_s = heartbeat_interval_s
        self._failure_timeout_s = failure_timeout_s
        self.weight = weight
        self._if_flap_limit = if_flap_limit
        self._many_vips = many_vips
        self._long_vips = long_vips
        self._random = clock.random(f"host {name}")
        self._starts = 0
        self._revival: object = None  # the restart that is planned
        self._frozen_at = 0.0
        self._stopped_before = False  # the process was frozen when the machine was suspended
        self._time = MachineClock(
            clock,
            offset=self._random.uniform(0, 1e6),
            rate=1 + self._random.uniform(-clock_drift, clock_drift),
        )
        self.kernel = Kernel(self._time, clock.random(f"kernel {name}"), self._plumbed, self.local_now)
        network.attach(name, self._receive)

    def __repr__(self) -> str:
        state = "down" if self.process is None else "frozen" if self.process.frozen else "up"
        return f"<Host {self.name} {state}>"

    @property
    def suspended(self) -> bool:
        return self._time.suspended

    @property
    def node(self) -> Node | None:
        return self.process.node if self.process is not None else None

    def local_now(self) -> float:
        """What the host's monotonic clock shows."""
        return self._time.now()

    def world_time(self, shown: float) -> float:
        """When its clock shows that, in the world's time."""
        return self._time.when(shown)

    # --- what can be done to it -----------------------------------------------------------------------------

    def start(self, *, disk_lost: bool = False) -> None:
        """Nothing happens if the daemon runs, or is about to."""
        if self.process is not None or self.starting or self._time.suspended:
            return
        self.waits_to_start = not self.may_start()
        if self.waits_to_start:
            return
        self.starting = True
        if disk_lost:
            self._starts = int(1.7e12 + self._clock.now * 1000)
        self.kernel.purge(self._run)

    def crash(self) -> None:
        """SIGKILL: the process is gone, the kernel keeps its addresses."""
        self._revival = None
        self.waits_to_start = False
        if self.process is not None and not self._time.suspended:
            self._end("crashed")

    def freeze(self) -> None:
        if self.process is not None and not self.process.frozen:
            self.process.customer.frozen = True
            self._frozen_at = self._clock.now
            self.well_since = math.inf

    def thaw(self) -> None:
        process = self.process
        if process is None or not process.frozen:
            return
        if self._time.suspended:
            self._stopped_before = False
            return
        process.customer.frozen = False
        self.well_since = self._clock.now
        was_long = self._clock.now - self._frozen_at > self._failure_timeout_s * (1 + CLOCK_DRIFT)
        view = process.node.view
        self.accused_none = frozenset(view.members) if was_long and view is not None else frozenset()
        slept_s, process.slept_s = process.slept_s, 0.0
        if slept_s:
            self._turn(process, Slept(seconds=slept_s), self._time.now())
        self.kernel.thaw()
        process.timer_at = process.timer_for = math.inf
        while process is self.process and (process.answers or process.socket):
            if process.answers and (not process.socket or self._random.random() < 0.5):
                self._feed(process, process.answers.popleft())
            else:
                self._open(process, process.socket.popleft())
        if process is self.process:
            self._set_timer(process)

    def _stop(self, for_s: float) -> None:
        """It stands still right before a system call."""
        self.freeze()
        self._clock.after(for_s, self.thaw)

    def suspend(self) -> None:
        """The whole machine stands still: process, kernel, clocks, interfaces."""
        if self._time.suspended:
            return
        self._stopped_before = self.process is not None and self.process.frozen
        self.freeze()
        self._time.suspend()

    def resume(self) -> None:
        if not self._time.suspended:
            return
        slept_s = self._time.resume()
        if self.process is not None:
            self.process.slept_s += slept_s
            if not self._stopped_before:
                self.thaw()

    def leave(self) -> None:
        self._tick_if_due()
        if self.process is not None and not self.process.frozen and not self.process.leaving:
            self.process.leaving = True
            self._feed(self.process, LeaveRequested())

    def drain(self, drained: bool) -> None:
        """Takes effect at once if the daemon runs, and stays over restarts."""
        if self.process is not None and self.process.frozen:
            return
        self._tick_if_due()
        self.drained = drained
        if self.process is not None:
            self._feed(self.process, DrainChanged(drained=drained))

    def block(self, blocked: Blocked) -> None:
        """What this host cannot own from now on; stays over restarts."""
        if self.process is not None and self.process.frozen:
            return
        self._tick_if_due()
        self.blocked = blocked
        if self.process is not None:
            self._feed(self.process, BlockedChanged(blocked=blocked))

    def set_link(self, up: bool) -> None:
        """Its only interface for VIPs loses its carrier, or gets it back. Heartbeats have a way of their own."""
        if self.process is not None and self.process.frozen:
            return
        self._tick_if_due()
        self.link_up = up
        if self.process is not None:
            self._feed(self.process, InterfaceRose(interface=INTERFACE) if up else InterfaceFell(interface=INTERFACE))

    def set_gateway(self, up: bool) -> None:
        """Its default gateway answers it no more, or again."""
        self.gateway_lost_at = math.inf if up else min(self.gateway_lost_at, self._clock.now)

    def reload(self, table: Table) -> None:
        """The configuration has changed and is read again; a daemon that is down reads it at its next start."""
        if self.process is not None and self.process.frozen:
            return
        self.table = table
        if self.process is not None:
            self.process.table = table
            self.process.learn(table)
            self._feed(self.process, TableLoaded(table=table))

    def switch(self) -> None:
        """An operator asks here that all nodes read their files and switch to them together."""
        if self.process is not None and not self.process.frozen:
            self._feed(self.process, SwitchRequested())

    def move(self, address: Address, node: NodeName | None) -> None:
        """An operator asks here that `address` be moved."""
        if self.process is not None and not self.process.frozen:
            self._feed(self.process, MoveRequested(address=address, node=node))

    def ask_drain(self, name: NodeName, *, drained: bool, force: bool) -> None:
        """An operator asks here that a node be drained, or not any more."""
        if self.process is not None and not self.process.frozen:
            self._feed(self.process, DrainRequested(name=name, drained=drained, force=force))

    def hear(self, *claims: Claim) -> None:
        """Somebody says on the host's segment that it has these."""
        if self.process is not None and not self.process.frozen:
            self._feed(self.process, AddressesClaimed(claims=claims))

    # --- its process ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        self.starting = False
        self._starts += 1
        me = Member(self.name, Incarnation(self._starts, self._random.getrandbits(64)))
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
        )
        process = Process(
            self._make_node(parameters, self.table, self.local_now()),
            Link(
                me=me,
                cluster_group=CLUSTER_GROUP,
                keys=(KEY,),
                mtu_bytes=MTU_BYTES,
                unseal=_openings.unseal,
                read_frame=_openings.read_frame,
            ),
            Customer(self._answered, self._stop),
            self.table,
        )
        process.deadline = process.node.next_deadline()
        self.process = process
        self.well_since = self._clock.now
        self.accused_none = frozenset()
        self.kernel.serve(process.customer)
        self._observer.started(self)
        if self.blocked.everything or self.blocked.addresses != AddressSet():
            self._feed(process, BlockedChanged(blocked=self.blocked))
        if not self.link_up:
            self._feed(process, InterfaceFell(interface=INTERFACE))
        self._set_timer(process)

    def _end(self, why: str) -> None:
        assert self.process is not None
        self.process.customer.alive = False
        self.process = None
        self.well_since = math.inf
        self._observer.ended(self, why)

    def _answered(self, answer: Answer) -> None:
        """The kernel says so, to a process that is alive."""
        process = self.process
        assert process is not None
        if process.frozen:
            process.answers.append(answer)
        else:
            self._feed(process, answer)

    def _receive(self, datagram: bytes) -> None:
        process = self.process
        if process is None or self._time.suspended:
            return
        if not process.frozen:
            self._open(process, datagram)
        elif len(process.socket) < SOCKET_DATAGRAMS:
            process.socket.append(datagram)

    def _open(self, process: Process, datagram: bytes) -> None:
        opened = process.link.open(datagram)
        if isinstance(opened, Received):
            self._feed(process, PacketHeard(sender=opened.sender, messages=opened.messages, path="net"))

    def _tick_if_due(self) -> None:
        process, now = self.process, self._time.now()
        if process is not None and now >= process.deadline and not process.frozen:
            self._turn(process, TICK, now)

    def _feed(self, process: Process, given: Input) -> None:
        self._tick_if_due()
        if process is self.process:
            self._turn(process, given, self._time.now())
        if process is self.process:
            self._set_timer(process)

    def _turn(self, process: Process, given: Input, now: float) -> None:
        try:
            effects = process.node.handle(given, now=now)
        except Exception as error:
            self._end("raised")
            self._observer.failed(self, error)
            return
        process.deadline = process.node.next_deadline()
        self._observer.handled(self, given, effects)
        for effect in effects:
            self._carry_out(process, effect)

    def _carry_out(self, process: Process, effect: Effect) -> None:
        match effect:  # the frequent ones first
            case Send():
                for message in effect.messages:
                    self._observer.sent(self, message)
                for datagram in process.link.pack(effect.messages):
                    self._clock.note(datagram)
                    self._network.send(self.name, datagram)
            case Publish():
                self._clock.note(effect.event.id.encode())
                self._observer.published(self, effect.event)
            case TakeAddress() | ReleaseAddress():
                take = isinstance(effect, TakeAddress)
                self._clock.note(b"%d %s" % (take, effect.address.encode()))
                self._observer.ordered(self, effect.address, take)
                self.kernel.order(effect)
            case RenewAddresses():
                self._clock.note(b"renew %d %r" % (len(effect.addresses), effect.lifetime_s))
                self.kernel.renew(effect)
            case ArmAlarm():
                self._clock.note(b"alarm %r" % effect.at)
                self._arm(process, effect.at)
            case AnnounceAddress():
                self._clock.note(b"announce %s" % effect.address.encode())
            case ReadConfiguration():
                process.asked = effect.round
                delay_s = self.reading_s * self._random.random()
                self._clock.at(self._clock.now + delay_s, lambda: self._read(process, effect.round))
            case SwitchEnded():
                self._clock.note(b"switched" if not effect.refusal else effect.refusal.encode())
                if process.aside is not None and process.aside[0] == effect.round and not effect.refusal:
                    process.table = process.aside[1]
                process.aside = None
            case DefendAddress() | ProbeAddress():
                self._clock.note(repr(effect).encode())
            case Deliberate():
                delay_s = THINKING_S * self._random.random()
                self._clock.at(self._clock.now + delay_s, lambda: self._deliberated(process, effect))
            case AskGateways():
                self._clock.note(b"gateways")
                if self.gateway_lost_at == math.inf and self.link_up:
                    delay_s = GATEWAY_S * self._random.random()
                    self._clock.at(self._clock.now + delay_s, lambda: self._hear_gateway(process))
            case KeepDrained():
                drained, delay_s = effect.drained, WRITING_S * self._random.random()
                self._clock.at(self._clock.now + delay_s, lambda: self._keep_drained(process, drained))
            case Left():
                if process is self.process:
                    self._end("left")
            case _:
                assert_never(effect)

    def _deliberated(self, process: Process, asked: Deliberate) -> None:
        """A process that is frozen thinks on when it thaws."""
        if process.frozen:
            self._clock.at(self._clock.now + THINKING_S, lambda: self._deliberated(process, asked))
        elif process is self.process:
            answer = asked.question.answer()
            self._feed(process, Deliberated(view=asked.view, number=asked.number, answer=answer))

    def _hear_gateway(self, process: Process) -> None:
        if process is self.process and not process.frozen:
            self._feed(process, GatewayAnswered(interface=INTERFACE))

    def _keep_drained(self, process: Process, drained: bool) -> None:
        """It has been written; a process that is frozen writes on when it thaws."""
        if process is not self.process:
            return
        if process.frozen:
            self._clock.at(self._clock.now + WRITING_S, lambda: self._keep_drained(process, drained))
        else:
            self.drain(drained)

    def _arm(self, process: Process, at: float) -> None:
        """The kernel ends the process then, frozen or not, unless it is told otherwise; a service manager starts
        another."""
        alarm = process.alarm = object()
        if at == math.inf:
            return
        process.customer.has_alarm = True
        late_s = ALARM_S * self._random.random()
        self._time.after(self._time.when(at + late_s) - self._clock.now, partial(self._alarm, process, alarm))

    def _alarm(self, process: Process, alarm: object) -> None:
        if process is not self.process or process.alarm is not alarm:
            return
        self._observer.alarmed(self)
        self._end("killed by its alarm")
        self._revival = object()
        self._time.after(RESTART_S * self._random.random(), partial(self._revive, self._revival))

    def _revive(self, revival: object) -> None:
        if revival is self._revival:
            self.start()

    def _read(self, process: Process, asked: Round) -> None:
        """The file has been read; a process that is frozen reads on when it thaws."""
        if process.frozen:
            self._clock.at(self._clock.now + READING_S, lambda: self._read(process, asked))
        elif process is not self.process or process.asked != asked:
            return
        elif self.unreadable:
            self._feed(process, ConfigurationRead(round=asked, table=None, refusal=self.unreadable))
        else:
            process.aside = (asked, self.table)
            process.learn(self.table)
            self._feed(process, ConfigurationRead(round=asked, table=self.table))

    # --- its clock and kernel -------------------------------------------------------------------------------

    def _set_timer(self, process: Process) -> None:
        if process.deadline >= process.timer_for:
            return
        when = self._time.when(process.deadline)
        if when < process.timer_at:
            process.timer_at, process.timer_for = when, process.deadline
            lateness_s = LATENESS_S * (0.1 + 0.9 * self._random.random())
            self._clock.at(when + lateness_s, lambda: self._ring(process, when))

    def _ring(self, process: Process, planned: float) -> None:
        if process is not self.process or process.frozen or process.timer_at != planned:
            return
        process.timer_at = process.timer_for = math.inf
        self._tick_if_due()
        if self._runs(process):
            self._set_timer(process)

    def _runs(self, process: Process) -> bool:
        return process is self.process

    def _plumbed(self, address: Address, present: bool) -> None:
        self._clock.note(b"%s %d %s" % (self.name.encode(), present, address.encode()))
        self._observer.plumbed(self, address, present)
