"""Carries inputs to a node's machine and its effects out: the one place where clock, network and machine
meet.

Rules of this file: it decides nothing. One input at a time; all effects of an input are handed over before
the next input: datagrams and kernel orders first, in their order, then events, in theirs: nobody on the
network waits for a log. Handing over never waits: the first few datagrams go straight to a transport that can
take them at once, others to a bounded queue per transport; kernel orders to the plumber, events to the bus (of
very many only the first at once, and the rest when other tasks have had their turn). A deadline that has passed
goes before any datagram, so that no flood can starve the heartbeat; each transport gives way after every few
datagrams, to the plumber after each that led to orders, and to everybody after each that made a long turn.

The clock is trio's (`trio.current_time()`: CLOCK_MONOTONIC on Linux), so that tests may bring their own. It stands
still while the machine is suspended; `suspended_s` tells for how long it did.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, assert_never

import trio

from duravip.cluster.breathing import BesideTurns
from duravip.cluster.deliberation import Question
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
from duravip.cluster.inputs import Deliberated, Input, PacketHeard, Slept, Ticked
from duravip.cluster.messages import AnyMessage, Neighbours
from duravip.errors import TransportError
from duravip.events import Event
from duravip.model import Address, Decision, Member, NodeName
from duravip.plugin.api import PromptTransport, ReadableTransport, Transport
from duravip.runtime.foreign import transport_failure
from duravip.runtime.interlude import Interlude
from duravip.runtime.paths import Paths
from duravip.stint import Stint
from duravip.wire.link import Link
from duravip.wire.received import Received

QUEUE_DATAGRAMS = 4_096  # per transport: some 5 MB; more than that is lost, as on any network
PROMPT_DATAGRAMS = 4  # of one effect, sent within the turn, some 20 us each; a long message must not make the turn long
SLOW_TURN_S = 0.005
LONG_TURN_S = 0.001  # shorter ones are not counted by length
LENGTHS = 50
DATAGRAMS_AT_ONCE = 4  # after so many a transport lets other tasks run
EVENTS_AT_ONCE = 16  # published within a turn, some 20 us each; more wait until other tasks have run

log = logging.getLogger("duravip")

NOTICED_SLEEP_S = 0.001  # less than that is the difference between two readings


def suspended_s() -> float:
    """For how long this machine was suspended since it booted (clock_gettime(2): BOOTTIME counts that, MONOTONIC does
    not)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


KernelOrder = TakeAddress | RenewAddresses | ReleaseAddress | AnnounceAddress | DefendAddress
SwitchOrder = ReadConfiguration | SwitchEnded


class Core(Protocol):
    """What the driver needs of `cluster.node.Node`. Times are seconds of trio's clock."""

    def handle(self, input: Input, /, *, now: float) -> tuple[Effect, ...]: ...

    def next_deadline(self) -> float: ...


@dataclass(slots=True)
class DriverCounters:
    """Since the start. `slow_turns` took more than 5 ms; `long_turns` counts them by length, those of 1 to 2 ms first,
    the last for all that are longer; `unsent` datagrams found a transport's queue full."""

    turns: int = 0
    slow_turns: int = 0
    longest_turn_s: float = 0.0
    long_turns: list[int] = field(default_factory=lambda: [0] * LENGTHS)
    datagrams_in: int = 0
    datagrams_out: int = 0
    unsent: int = 0


class Driver:
    """`order`, `ask`, `arm`, `switch`, `drain`, `publish` and `advise` take what they are given and return at once;
    none may call back into `feed`. `advise` gets what members say to each other that is no business of the machine's.
    `path_timeout_s`: after how long without a sign a path to a living node is lost."""

    def __init__(
        self,
        *,
        core: Core,
        link: Link,
        transports: Mapping[str, Transport],
        order: Callable[[KernelOrder], None],
        switch: Callable[[SwitchOrder], None],
        drain: Callable[[bool], None],
        ask: Callable[[ProbeAddress | AskGateways], None],
        arm: Callable[[float], None] = lambda at: None,
        publish: Callable[[Event], object],
        path_timeout_s: float,
        advise: Callable[[Member, Neighbours], object] = lambda sender, advice: None,
        suspended_s: Callable[[], float] = suspended_s,
    ) -> None:
        self._time = trio.lowlevel.current_clock().current_time  # `trio.current_time` takes twice as long
        self._suspended_s = suspended_s
        self._suspended_before_s = suspended_s()
        self._core = core
        self._link = link
        self._transports = dict(transports)
        self._prompt = {path: one for path, one in transports.items() if isinstance(one, PromptTransport)}
        self._order = order
        self._switch = switch
        self._drain = drain
        self._ask = ask
        self._arm = arm
        self._publish = publish
        self._advise = advise
        self._due_at = core.next_deadline()  # what the machine said last: only an input changes it
        self._alarm: trio.CancelScope | None = None  # rings then
        self._left = trio.Event()
        self._feeding = False
        self._gives_way = False  # kernel orders or a long turn, since this was last looked at
        self._paths = Paths(tuple(transports), timeout_s=path_timeout_s)
        self._outboxes: dict[str, trio.MemorySendChannel[bytes]] = {}
        self._mailboxes: dict[str, trio.MemoryReceiveChannel[bytes]] = {}
        for path in self._transports:
            self._outboxes[path], self._mailboxes[path] = trio.open_memory_channel[bytes](QUEUE_DATAGRAMS)
        # The machine has a few questions open at the most.
        self._questions, self._to_answer = trio.open_memory_channel[Deliberate](math.inf)
        self._in_hand = 0  # datagrams that are queued or being sent
        self._quiet = trio.Event()  # set when that is 0
        self._quiet.set()
        self._news: deque[Event] = deque()  # what is still to be published
        self._has_news = trio.Event()
        self.counters = DriverCounters()

    def __repr__(self) -> str:
        return f"<Driver {self.counters.turns} turns over {', '.join(self._transports)}>"

    def feed(self, input: Input) -> None:
        """Gives one input to the machine, after a tick if one is due, and hands its effects over. Never
        waits."""
        self._feed(input, self._time())

    def say(self, advice: Neighbours) -> None:
        """To all members, beside what the machine says. Never waits."""
        self._give_to_network(Send(messages=(advice,)))

    def paths_of(self, name: NodeName, *, within_s: float) -> tuple[str, ...]:
        """The transports on which the node was heard in the last `within_s` seconds, sorted."""
        return self._paths.heard(name, within_s=within_s, now=trio.current_time())

    @property
    def paths(self) -> tuple[str, ...]:
        """The transports that are open, sorted."""
        return self._paths.names

    @property
    def left(self) -> bool:
        """Whether the machine has said `Left`."""
        return self._left.is_set()

    async def wait_left(self) -> None:
        """Returns when the machine has said `Left` and what it had to say is with the network."""
        await self._left.wait()
        await self._quiet.wait()

    async def run(self, *, in_real_time: bool = False) -> None:
        """Until cancelled. `in_real_time`: trio's clock is the system's."""
        readable = _readable(self._transports) if in_real_time and Interlude.is_possible() else {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliberate)
            for path, transport in self._transports.items():
                nursery.start_soon(self._send, path, transport)
                if path not in readable:
                    nursery.start_soon(self._receive, path, transport)
            if readable:
                nursery.start_soon(self._stand_by, readable)
            else:
                nursery.start_soon(self._keep_time)
            nursery.start_soon(self._tell_the_rest)

    async def _stand_by(self, readable: Mapping[str, ReadableTransport]) -> None:
        readers = {one.fileno(): partial(self._read, path, one) for path, one in readable.items()}
        with Interlude(readers, due_at=lambda: self._due_at, tick=lambda: self.feed(Ticked())) as interlude:
            await interlude.fail()

    def _read(self, path: str, transport: ReadableTransport) -> None:
        stint = Stint()
        for _ in range(DATAGRAMS_AT_ONCE):
            try:
                datagram = transport.receive_nowait()
            except Exception as error:
                raise transport_failure(path, "receiving", error) from error
            if datagram is None:
                return
            self._hear(path, datagram)
            if self._gives_way or stint.is_over() or self._time() >= self._due_at:
                self._gives_way = False
                return

    async def _keep_time(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._due_at) as self._alarm:
                await trio.sleep_forever()
            self._alarm = None  # it has rung: there is nothing to put off
            self.feed(Ticked())

    async def _deliberate(self) -> None:
        """One question at a time, in a thread, which gives way to the event loop again and again."""
        async for asked in self._to_answer:
            answer = await trio.to_thread.run_sync(_answered, asked.question, abandon_on_cancel=True)
            self.feed(Deliberated(view=asked.view, number=asked.number, answer=answer))

    async def _tell_the_rest(self) -> None:
        while True:
            await self._has_news.wait()
            self._has_news = trio.Event()
            while self._news:
                self._tell(EVENTS_AT_ONCE)
                await trio.lowlevel.checkpoint()

    def _tell(self, count: int) -> None:
        for _ in range(min(count, len(self._news))):
            self._publish(self._news.popleft())

    async def _receive(self, path: str, transport: Transport) -> None:
        for number in itertools.count(1):
            try:
                datagram = await transport.receive()
            except TransportError:
                raise
            except Exception as error:
                raise transport_failure(path, "receiving", error) from error
            self._hear(path, datagram)
            if self._gives_way or not number % DATAGRAMS_AT_ONCE:
                self._gives_way = False  # whoever carries orders out is awake, and runs before the next turn
                await trio.lowlevel.checkpoint()

    def _hear(self, path: str, datagram: bytes) -> None:
        now = self._time()
        self.counters.datagrams_in += 1
        opened = self._link.open(datagram)
        if isinstance(opened, Received):
            for message in opened.messages:
                if isinstance(message, Neighbours):
                    self._advise(opened.sender, message)
            self._feed(PacketHeard(sender=opened.sender, messages=opened.messages, path=path), now)
        if opened.sender is not None:  # also of a second copy: the path leads to this node
            for event in self._paths.arrived(opened.sender.name, path, now=now):
                self._publish(event)

    async def _send(self, path: str, transport: Transport) -> None:
        async for datagram in self._mailboxes[path]:
            try:
                await transport.send(datagram)
            except TransportError:
                self.counters.unsent += 1
            except Exception as error:
                raise transport_failure(path, "sending", error) from error
            else:
                self.counters.datagrams_out += 1
            finally:
                self._in_hand -= 1
                if not self._in_hand:
                    self._quiet.set()

    def _send_now(self, path: str, transport: PromptTransport, datagram: bytes) -> None:
        try:
            transport.send_nowait(datagram)
        except TransportError:
            self.counters.unsent += 1
        except Exception as error:
            raise transport_failure(path, "sending", error) from error
        else:
            self.counters.datagrams_out += 1

    def _feed(self, input: Input, now: float) -> None:
        if self._feeding:
            raise RuntimeError("an effect was answered from inside the turn that gave it: a bug in duravip")
        self._feeding = True
        try:
            slept_s = self._suspended_s() - self._suspended_before_s
            if slept_s > NOTICED_SLEEP_S:
                self._suspended_before_s += slept_s
                now = self._turn(Slept(seconds=slept_s), now)
            if now >= self._due_at and not isinstance(input, Ticked):
                now = self._turn(Ticked(), now)
            self._turn(input, now)
            if self._alarm is not None and self._alarm.deadline != self._due_at:
                self._alarm.deadline = self._due_at
        finally:
            self._feeding = False

    def _turn(self, input: Input, now: float) -> float:
        """When it had ended."""
        is_behind = bool(self._news)
        for effect in self._core.handle(input, now=now):
            match effect:  # first what comes by the thousand
                case Publish():
                    self._news.append(effect.event)
                case Send():
                    self._give_to_network(effect)
                case TakeAddress() | RenewAddresses() | ReleaseAddress() | AnnounceAddress() | DefendAddress():
                    self._order(effect)
                    self._gives_way = True
                case ArmAlarm():
                    self._arm(effect.at)
                case ReadConfiguration() | SwitchEnded():
                    self._switch(effect)
                case Deliberate():
                    self._questions.send_nowait(effect)
                case KeepDrained():
                    self._drain(effect.drained)
                case ProbeAddress() | AskGateways():
                    self._ask(effect)
                case Left():
                    self._left.set()
                case _:
                    assert_never(effect)
        if self._news:
            if self._left.is_set():
                self._tell(len(self._news))
            elif not is_behind:
                self._tell(EVENTS_AT_ONCE)
            if self._news:
                self._has_news.set()
        self._due_at = self._core.next_deadline()
        ended = self._time()
        self.counters.turns += 1
        if ended - now >= LONG_TURN_S:
            self._count_long_turn(ended - now)
        return ended

    def _count_long_turn(self, took_s: float) -> None:
        counters = self.counters
        self._gives_way = True
        counters.longest_turn_s = max(counters.longest_turn_s, took_s)
        counters.slow_turns += took_s > SLOW_TURN_S
        counters.long_turns[min(int(took_s / LONG_TURN_S), LENGTHS) - 1] += 1

    def _give_to_network(self, effect: Send) -> None:
        prompt = {} if self._in_hand else self._prompt  # what waits was said before
        for number, datagram in enumerate(self._packed(effect.messages)):
            for path, outbox in self._outboxes.items():
                if number < PROMPT_DATAGRAMS and path in prompt:
                    self._send_now(path, prompt[path], datagram)
                    continue
                try:
                    outbox.send_nowait(datagram)
                except trio.WouldBlock:
                    self.counters.unsent += 1
                else:
                    self._in_hand += 1
                    if self._in_hand == 1:
                        self._quiet = trio.Event()

    def _packed(self, messages: Sequence[AnyMessage]) -> list[bytes]:
        """All but what is too large to be said, which no honest cluster has: the rest must be heard all the same."""
        try:
            return self._link.pack(messages)
        except ValueError as error:
            if len(messages) == 1:
                self.counters.unsent += 1
                log.error("%s", error)  # noqa: TRY400 (no bug of ours)
                return []
        return [datagram for message in messages for datagram in self._packed((message,))]


def _answered(question: Question) -> Mapping[Address, Decision]:
    with BesideTurns():
        return question.answer()


def _readable(transports: Mapping[str, Transport]) -> dict[str, ReadableTransport]:
    return {path: one for path, one in transports.items() if isinstance(one, ReadableTransport)}
