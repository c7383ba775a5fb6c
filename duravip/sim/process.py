"""One life of a daemon on a simulated machine: what `runtime` is around a node.

Rules of this file
- It does what `runtime.driver` does: a tick that is due goes before any other input, all effects of one input are
  carried out before the next.
- A frozen process does nothing: its socket keeps the first datagrams and loses the rest, its timers ring late, and what
  it reads, writes or thinks about goes on when it thaws.
"""

from __future__ import annotations

import math
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

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
    ConfigurationRead,
    Deliberated,
    GatewayAnswered,
    Input,
    LeaveRequested,
    PacketHeard,
    Slept,
    TableLoaded,
    Ticked,
)
from duravip.cluster.messages import Round
from duravip.cluster.node import Node
from duravip.model import Address, Table, TableDigest
from duravip.sim.clock import Action
from duravip.sim.kernel import Answer, Customer
from duravip.wire.link import Link
from duravip.wire.received import Received
from duravip.wire.seal import TAG_BYTES

if TYPE_CHECKING:
    from duravip.sim.host import Host

INTERFACE: Final = "eth0"  # where all VIPs belong
SOCKET_DATAGRAMS: Final = 256  # what a frozen process finds when it runs again
WRITING_S: Final = 0.1  # a file, at most
READING_S: Final = 0.5  # a configuration, at most
THINKING_S: Final = 1.0  # about a question, at most
GATEWAY_S: Final = 0.1  # a gateway's answer, at most
LATENESS_S: Final = 0.001  # of timers, at most, on a machine that is well
TICK: Final = Ticked()


class Process:
    """`alive` until it has ended; then nothing that was under way comes to anything. `table`: the one read last;
    `tables`: all of this life, of which an old one may be in force; `addresses`: in any of them. `aside`: what it has
    read for a switch of all. `slept_s`: in suspensions of the machine that it has not heard of."""

    def __init__(self, host: Host, node: Node, link: Link) -> None:
        self.node = node
        self.link = link
        self.table = host.table
        self.tables: dict[TableDigest, Table] = {}
        self.addresses: set[Address] = set()
        self.leaving = False
        self.slept_s = 0.0
        self.customer = Customer(self._answered, host.stand_still)
        self._host = host
        self._clock = host.clock
        self._time = host.time
        self._random = host.random
        self._kernel = host.kernel
        self._observer = host.observer
        self._learn(host.table)
        self._asked: Round | None = None  # the last switch of all that it was asked to read for
        self.aside: tuple[Round, Table] | None = None  # what it has read for one
        self._alarm: object = None  # the one that counts
        self._deadline = node.next_deadline()  # its own seconds
        self._timer_at = math.inf  # when the clock rings for it; the world's seconds
        self._timer_for = math.inf  # the deadline that it rings for
        self._socket: deque[bytes] = deque()
        self._answers: deque[Answer] = deque()

    @property
    def alive(self) -> bool:
        return self.customer.alive

    @property
    def frozen(self) -> bool:
        return self.customer.frozen

    # --- what comes to it -----------------------------------------------------------------------------------

    def tick_if_due(self) -> None:
        now = self._time.now()
        if now >= self._deadline and self.customer.alive and not self.customer.frozen:
            self._turn(TICK, now)

    def feed(self, given: Input) -> None:
        self.tick_if_due()
        if self.customer.alive:
            self._turn(given, self._time.now())
        if self.customer.alive:
            self.set_timer()

    def receive(self, datagram: bytes) -> None:
        if not self.customer.frozen:
            self._open(datagram)
        elif len(self._socket) < SOCKET_DATAGRAMS:
            self._socket.append(datagram)

    def load(self, table: Table) -> None:
        """It reads its configuration again."""
        self.table = table
        self._learn(table)
        self.feed(TableLoaded(table=table))

    def leave(self) -> None:
        self.tick_if_due()
        if self.customer.alive and not self.customer.frozen and not self.leaving:
            self.leaving = True
            self.feed(LeaveRequested())

    def freeze(self) -> None:
        self.customer.frozen = True

    def thaw(self) -> None:
        """The process hears first thing how long its machine was suspended; then, in any order, what the kernel has
        answered and what the socket has kept."""
        self.customer.frozen = False
        slept_s, self.slept_s = self.slept_s, 0.0
        if slept_s:
            self._turn(Slept(seconds=slept_s), self._time.now())
        self._kernel.thaw()
        self._timer_at = self._timer_for = math.inf
        while self.customer.alive and (self._answers or self._socket):
            if self._answers and (not self._socket or self._random.random() < 0.5):
                self.feed(self._answers.popleft())
            else:
                self._open(self._socket.popleft())
        if self.customer.alive:
            self.set_timer()

    def _learn(self, table: Table) -> None:
        self.tables[table.digest()] = table
        self.addresses.update(vip.address for vip in table.vips)

    def _open(self, datagram: bytes) -> None:
        opened = self.link.open(datagram)
        if isinstance(opened, Received):
            self.feed(PacketHeard(sender=opened.sender, messages=opened.messages, path="net"))

    def _answered(self, answer: Answer) -> None:
        """The kernel says so."""
        if self.customer.frozen:
            self._answers.append(answer)
        else:
            self.feed(answer)

    # --- its timer ------------------------------------------------------------------------------------------

    def set_timer(self) -> None:
        if self._deadline >= self._timer_for:
            return
        when = self._time.when(self._deadline)
        if when < self._timer_at:
            self._timer_at, self._timer_for = when, self._deadline
            lateness_s = LATENESS_S * (0.1 + 0.9 * self._random.random())
            self._clock.at(when + lateness_s, lambda: self._ring(when))

    def _ring(self, planned: float) -> None:
        if not self.customer.alive or self.customer.frozen or self._timer_at != planned:
            return
        self._timer_at = self._timer_for = math.inf
        self.tick_if_due()
        if self.alive:
            self.set_timer()

    # --- what follows ---------------------------------------------------------------------------------------

    def _turn(self, given: Input, now: float) -> None:
        try:
            effects = self.node.handle(given, now=now)
        except Exception as error:
            self._host.end("raised")
            self._observer.failed(self._host, error)
            return
        self._deadline = self.node.next_deadline()
        self._observer.handled(self._host, given, effects)
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        host, note = self._host, self._clock.note
        if type(effect) is Send:  # the frequent ones first
            messages = effect.messages
            for message in messages:
                self._observer.sent(host, message)
            for datagram in self.link.pack(messages):
                note(datagram[-TAG_BYTES:])  # which vouches for the rest
                host.network.send(host.name, datagram)
            return
        if type(effect) is Publish:
            event = effect.event
            note(event.id.encode())
            self._observer.published(host, event)
            return
        match effect:
            case TakeAddress() | ReleaseAddress():
                take = isinstance(effect, TakeAddress)
                note(b"%d %s" % (take, effect.address.encode()))
                self._observer.ordered(host, effect.address, take)
                self._kernel.order(effect)
            case RenewAddresses():
                note(b"renew %d %r" % (len(effect.addresses), effect.lifetime_s))
                self._kernel.renew(effect)
            case ArmAlarm():
                note(b"alarm %r" % effect.at)
                self._arm(effect.at)
            case AnnounceAddress():
                note(b"announce %s" % effect.address.encode())
            case ReadConfiguration():
                self._asked = effect.round
                self._later(host.reading_s, partial(self._read, effect.round))
            case SwitchEnded():
                note(b"switched" if not effect.refusal else effect.refusal.encode())
                if self.aside is not None and self.aside[0] == effect.round and not effect.refusal:
                    self.table = self.aside[1]
                self.aside = None
            case DefendAddress() | ProbeAddress():
                note(repr(effect).encode())
            case Deliberate():
                self._later(THINKING_S, partial(self._think, effect))
            case AskGateways():
                note(b"gateways")
                if host.gateway_lost_at == math.inf and host.link_up:
                    self._clock.after(GATEWAY_S * self._random.random(), self._hear_gateway)
            case KeepDrained():
                self._later(WRITING_S, partial(host.drain, effect.drained))
            case Left():
                if self.alive:
                    host.end("left")
            case _:
                assert_never(effect)

    def _later(self, limit_s: float, action: Action) -> None:
        """It takes up to so long."""
        self._clock.after(limit_s * self._random.random(), partial(self._go_on, limit_s, action))

    def _go_on(self, limit_s: float, action: Action) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._clock.after(limit_s, partial(self._go_on, limit_s, action))
        else:
            action()

    def _think(self, asked: Deliberate) -> None:
        self.feed(Deliberated(view=asked.view, number=asked.number, answer=asked.question.answer()))

    def _read(self, asked: Round) -> None:
        """The file has been read."""
        host = self._host
        if self._asked != asked:
            return
        if host.unreadable:
            self.feed(ConfigurationRead(round=asked, table=None, refusal=host.unreadable))
            return
        self.aside = (asked, host.table)
        self._learn(host.table)
        self.feed(ConfigurationRead(round=asked, table=host.table))

    def _hear_gateway(self) -> None:
        """Nobody keeps the answer for a process that is frozen."""
        if self.alive and not self.frozen:
            self.feed(GatewayAnswered(interface=INTERFACE))

    def _arm(self, at: float) -> None:
        """The kernel ends the process then, frozen or not, unless it is told otherwise."""
        alarm = self._alarm = object()
        if at == math.inf:
            return
        self.customer.has_alarm = True
        late_s = ALARM_S * self._random.random()
        self._time.after(self._time.when(at + late_s) - self._clock.now, partial(self._ring_alarm, alarm))

    def _ring_alarm(self, alarm: object) -> None:
        if self.alive and self._alarm is alarm:
            self._observer.alarmed(self._host)
            self._host.end_by_alarm()
