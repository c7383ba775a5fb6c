from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from duravip.cluster.effects import AnnounceAddress, Effect, Left, Publish, Send
from duravip.cluster.inputs import Input, LeaveRequested, PacketHeard, Slept, Ticked
from duravip.cluster.messages import AnyMessage, Leave, Pinned, Probe, TableChunk, Wish
from duravip.events import LinkDown, LinkUp, NodeLeft, PathLost, PathRestored, ViewMatured
from duravip.model import Address, Incarnation, Member, NodeName, TableDigest, ViewId
from duravip.plugin.api import ReadableTransport
from duravip.runtime.driver import DATAGRAMS_AT_ONCE, EVENTS_AT_ONCE, LENGTHS, LONG_TURN_S, Driver
from duravip.runtime.interlude import PASSED_OVER, Interlude
from duravip.testing.fakes import MemoryNetwork, MemoryTransport, ReadableMemoryTransport
from duravip.wire.link import Link
from duravip.wire.received import Received
from tests.unit.runtime.steps import seen_between_steps

KEY = bytes(range(32))
ME, PEER = NodeName("node1"), NodeName("node2")
FOREVER = float("inf")
TIMEOUT_S = 1.0


def link_of(name: NodeName) -> Link:
    return Link(me=Member(name, Incarnation(1, 42)), cluster_group="test", keys=[KEY], mtu_bytes=1_400)


class ScriptedCore:
    """Answers each input with what `script` says; wakes at `deadline`, once."""

    def __init__(self, script: Callable[[Input], tuple[Effect, ...]] = lambda input: ()) -> None:
        self.script = script
        self.deadline = FOREVER
        self.inputs: list[tuple[float, Input]] = []

    def handle(self, input: Input, /, *, now: float) -> tuple[Effect, ...]:
        self.inputs.append((now, input))
        if isinstance(input, Ticked):
            self.deadline = FOREVER
        return self.script(input)

    def next_deadline(self) -> float:
        return self.deadline

    def kinds(self) -> list[type]:
        return [type(input) for _, input in self.inputs]


class Rig:
    def __init__(self, core: ScriptedCore) -> None:
        self.core = core
        self.network = MemoryNetwork()
        self.done: list[object] = []
        self.suspended_s = 77.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Driver]:
        async with self.network.transport(ME) as transport, trio.open_nursery() as nursery:
            driver = Driver(
                core=self.core,
                link=link_of(ME),
                transports={"memory": transport},
                order=self.done.append,
                switch=lambda effect: None,
                drain=self.done.append,
                ask=self.done.append,
                publish=self.done.append,
                path_timeout_s=TIMEOUT_S,
                suspended_s=lambda: self.suspended_s,
            )
            nursery.start_soon(driver.run)
            await trio.testing.wait_all_tasks_blocked()
            yield driver
            nursery.cancel_scope.cancel()


async def test_the_machine_wakes_at_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    core = ScriptedCore()
    core.deadline = trio.current_time() + 5
    expected = core.deadline
    async with Rig(core).running():
        await trio.sleep(20)
    assert core.kinds() == [Ticked]
    assert core.inputs[0][0] == pytest.approx(expected)


async def test_a_deadline_that_moves_nearer_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    core = ScriptedCore()
    began = trio.current_time()
    core.deadline = began + 100

    def nearer(input: Input) -> tuple[Effect, ...]:
        if isinstance(input, LeaveRequested):
            core.deadline = began + 3
        return ()

    core.script = nearer
    async with Rig(core).running() as driver:
        driver.feed(LeaveRequested())
        await trio.sleep(10)
    assert [(round(at - began), type(input)) for at, input in core.inputs] == [
        (0, LeaveRequested),
        (3, Ticked),
    ]


async def test_the_machine_hears_of_a_suspension_before_anything_else(autojump_clock: trio.testing.MockClock) -> None:
    core = ScriptedCore()
    rig = Rig(core)
    async with rig.running() as driver:
        driver.feed(Ticked())
        rig.suspended_s += 3.5
        driver.feed(LeaveRequested())
        driver.feed(LeaveRequested())
    assert [input for _, input in core.inputs] == [
        Ticked(),
        Slept(seconds=3.5),
        LeaveRequested(),
        LeaveRequested(),
    ]


async def test_a_datagram_of_a_peer_reaches_the_machine_with_sender_and_path(
    autojump_clock: trio.testing.MockClock,
) -> None:
    core = ScriptedCore()
    rig = Rig(core)
    peer = link_of(PEER)
    async with rig.running() as driver:
        for datagram in peer.pack([Probe(to=ME), Leave()]):
            rig.network.deliver(PEER, datagram)
        await trio.sleep(1)
        assert driver.paths_of(PEER, within_s=2) == ("memory",)
        assert driver.paths_of(PEER, within_s=0.5) == ()
    assert [input for _, input in core.inputs] == [
        PacketHeard(sender=peer.me, messages=(Probe(to=ME), Leave()), path="memory")
    ]


async def test_what_is_too_large_to_be_said_keeps_nothing_else_from_being_said(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duravip.wire.codec.MAX_BODY_BYTES", 3_000)
    names = random.Random(0).randbytes(8_000).hex()
    large = Wish(
        to=PEER,
        view=ViewId(1, PEER, Incarnation(1, 1)),
        body=Pinned(by=ME, sequence=1, address=Address("192.0.2.1"), node=NodeName(names)),
    )
    rig = Rig(ScriptedCore(lambda input: (Send(messages=(Leave(), large, Probe(to=PEER))),)))
    async with rig.running() as driver:
        driver.feed(LeaveRequested())
        await trio.sleep(1)
        peer = link_of(PEER)
        heard = [peer.open(datagram) for _, datagram in rig.network.sent]
    assert [message for one in heard if isinstance(one, Received) for message in one.messages] == [
        Leave(),
        Probe(to=PEER),
    ]
    assert driver.counters.unsent == 1


class Steps(trio.abc.Instrument):
    """Counts how often any task has run."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


class Aside:
    """A driver in real time, of one transport on a socket, and what a thread beside trio sees of it."""

    def __init__(self, core: ScriptedCore) -> None:
        self.core = core
        self.network = MemoryNetwork()
        self.peer = link_of(PEER)
        self.steps = Steps()

    async def run(self, beside: Callable[[], None], order: Callable[[object], None] = lambda order: None) -> None:
        """Until `beside`, called in a thread, has returned."""
        async with ReadableMemoryTransport(self.network, ME) as transport, trio.open_nursery() as nursery:
            driver = Driver(
                core=self.core,
                link=link_of(ME),
                transports={"readable": transport},
                order=order,
                drain=lambda request: None,
                switch=lambda order: None,
                ask=lambda question: None,
                publish=lambda event: None,
                path_timeout_s=TIMEOUT_S,
            )
            nursery.start_soon(partial(driver.run, in_real_time=True))
            trio.lowlevel.add_instrument(self.steps)
            await trio.to_thread.run_sync(beside, abandon_on_cancel=True)
            trio.lowlevel.remove_instrument(self.steps)
            nursery.cancel_scope.cancel()

    def say(self, *messages: AnyMessage) -> None:
        """To be called in the thread."""
        for datagram in self.peer.pack(messages):
            self.network.deliver(PEER, datagram)

    def wait_for(self, count: int) -> None:
        """To be called in the thread: until the machine has had so many inputs."""
        until(lambda: len(self.core.inputs) >= count)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(5_000):
        if condition():
            return
        time.sleep(0.002)
    raise AssertionError("waited in vain")


async def test_in_real_time_datagrams_are_heard_and_deadlines_kept_while_no_task_runs() -> None:
    core = ScriptedCore()
    aside = Aside(core)

    def soon(input: Input) -> tuple[Effect, ...]:
        core.deadline = core.inputs[-1][0] + 0.01 if isinstance(input, PacketHeard) else FOREVER
        return ()

    core.script = soon

    def beside() -> None:
        for rounds in range(20):
            before = aside.steps.count
            for number in range(3):
                aside.say(Probe(to=ME))
                aside.wait_for(2 * (3 * rounds + number + 1))
            if aside.steps.count == before:
                return
        raise AssertionError("there was always a task that ran")  # those that begin do so in the first rounds

    await aside.run(beside)
    assert set(core.kinds()[::2]) == {PacketHeard}
    assert set(core.kinds()[1::2]) == {Ticked}
    for (heard_at, _), (ticked_at, _) in zip(core.inputs[::2], core.inputs[1::2], strict=True):
        assert ticked_at >= heard_at + 0.01


async def test_in_real_time_who_carries_out_an_order_has_his_turn_before_the_next_datagram() -> None:
    order = AnnounceAddress(address=Address("192.0.2.1"))
    done: list[str] = []
    aside = Aside(ScriptedCore(lambda input: done.append("read") or (order,)))  # type: ignore[func-returns-value]
    sending, orders = trio.open_memory_channel[object](9)

    async def carry_out() -> None:
        async for _ in orders:
            done.append("carried out")

    def beside() -> None:
        for count in range(1, 4):
            aside.say(Probe(to=ME))
            until(lambda count=count: len(done) == 2 * count)  # type: ignore[misc]
        aside.say(Probe(to=ME))
        aside.say(Probe(to=ME))
        until(lambda: len(done) == 10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(carry_out)
        await aside.run(beside, sending.send_nowait)
        nursery.cancel_scope.cancel()
    assert done == ["read", "carried out"] * 5


@pytest.mark.parametrize("always", [False, True])
async def test_in_real_time_a_deadline_that_has_come_is_a_step_of_its_own_but_keeps_nobody_from_being_heard(
    monkeypatch: pytest.MonkeyPatch, always: bool
) -> None:
    """The machine has put something off: in each turn that heard something, or in every turn."""
    steps: list[list[type]] = []
    core = ScriptedCore()
    begin = Interlude.__init__

    def stepwise(call: Callable[[], None]) -> Callable[[], None]:
        def step() -> None:
            before = len(core.inputs)
            call()
            steps.append(core.kinds()[before:])

        return step

    def watched(interlude: Interlude, readers: Mapping[int, Callable[[], None]], **rest: Any) -> None:
        named = {descriptor: stepwise(read) for descriptor, read in readers.items()}
        begin(interlude, named, **{**rest, "tick": stepwise(rest["tick"])})

    def put_off(input: Input) -> tuple[Effect, ...]:
        core.deadline = core.inputs[-1][0] if always or isinstance(input, PacketHeard) else FOREVER
        return ()

    core.script = put_off
    monkeypatch.setattr(Interlude, "__init__", watched)
    aside = Aside(core)

    def beside() -> None:
        for _ in range(20):
            aside.say(Probe(to=ME))
        until(lambda: core.kinds().count(PacketHeard) == 20)
        aside.wait_for(40)

    await aside.run(beside)
    steps = [step for step in steps if step]
    if always:
        assert [step for step in steps if PacketHeard in step][1:] == [[Ticked, PacketHeard]] * 19
        assert all(step == [Ticked] for step in steps if PacketHeard not in step)
        assert steps.count([Ticked]) >= 19 * PASSED_OVER
    else:
        assert steps == [[PacketHeard], [Ticked]] * 20


async def test_in_real_time_no_more_is_read_in_a_step_once_it_has_taken_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.stint.LONG_S", 0.0)
    core = ScriptedCore()
    aside = Aside(core)
    taken = [0]
    receive = ReadableMemoryTransport.receive_nowait

    def noted(transport: ReadableMemoryTransport) -> bytes | None:
        taken[-1] += 1
        return receive(transport)

    read = Driver._read

    def watched(driver: Driver, path: str, transport: ReadableTransport) -> None:
        taken.append(0)
        read(driver, path, transport)

    monkeypatch.setattr(ReadableMemoryTransport, "receive_nowait", noted)
    monkeypatch.setattr(Driver, "_read", watched)

    def beside() -> None:
        for _ in range(20):
            aside.say(Probe(to=ME))
        aside.wait_for(20)

    await aside.run(beside)
    assert set(taken[1:]) == {1}


async def test_in_real_time_a_flood_keeps_no_task_waiting() -> None:
    aside = Aside(ScriptedCore())
    over = threading.Event()
    slept = 0

    async def sleep() -> None:
        nonlocal slept
        for _ in range(5):
            await trio.sleep(0.002)
            slept += 1
        over.set()

    def beside() -> None:
        give_up_at = time.monotonic() + 20
        while not over.is_set() and time.monotonic() < give_up_at:
            aside.say(Probe(to=ME))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        await aside.run(beside)
        assert slept == 5
        nursery.cancel_scope.cancel()


async def test_in_real_time_an_error_of_the_machine_ends_the_driver_and_not_trio() -> None:
    def fails(input: Input) -> tuple[Effect, ...]:
        raise ZeroDivisionError("of the machine")

    aside = Aside(ScriptedCore(fails))

    def beside() -> None:
        aside.say(Probe(to=ME))
        over.wait(10)

    over = threading.Event()
    with pytest.raises(ExceptionGroup) as raised:
        await aside.run(beside)
    over.set()
    assert raised.value.split(ZeroDivisionError)[1] is None
    await trio.sleep(0.001)


async def test_where_trio_does_not_wait_by_epoll_a_task_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interlude, "is_possible", staticmethod(lambda: False))
    monkeypatch.setattr(Interlude, "__enter__", lambda self: pytest.fail("it was entered"))
    aside = Aside(ScriptedCore())
    await aside.run(lambda: aside.say(Probe(to=ME)) or aside.wait_for(1))  # type: ignore[func-returns-value]
    assert aside.core.kinds() == [PacketHeard]


async def test_trio_waits_by_epoll_here() -> None:
    assert Interlude.is_possible()


class Eager(MemoryTransport):
    """Gives what is there without letting others run."""

    async def receive(self) -> bytes:
        assert self._inbox is not None
        try:
            return self._inbox.receive_nowait()
        except trio.WouldBlock:
            return await super().receive()


@pytest.mark.parametrize(("turn_s", "between"), [(0.0, {4}), (1.5 * LONG_TURN_S, {1, 2, 3, 4})])
async def test_after_a_long_turn_others_have_theirs_before_the_next_datagram(
    turn_s: float, between: set[int], autojump_clock: trio.testing.MockClock
) -> None:
    def last(input: Input) -> tuple[Effect, ...]:
        autojump_clock.jump(turn_s)
        return ()

    core, peer = ScriptedCore(last), link_of(PEER)
    rig = Rig(core)
    rig.network.transport = lambda name: Eager(rig.network, name)  # type: ignore[method-assign]
    async with rig.running():
        for _ in range(DATAGRAMS_AT_ONCE + 1):
            (datagram,) = peer.pack([Probe(to=ME)])
            rig.network.deliver(PEER, datagram)
        with seen_between_steps(lambda: len(core.inputs)) as seen:
            await trio.testing.wait_all_tasks_blocked()
        assert seen - {0} == {DATAGRAMS_AT_ONCE + 1} | between


async def test_every_path_on_which_a_copy_arrives_counts_and_the_machine_hears_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    core, peer, done = ScriptedCore(), link_of(PEER), []
    networks = {"one": MemoryNetwork(), "two": MemoryNetwork()}

    async def beats(count: int, *paths: str) -> None:
        for _ in range(count):
            (datagram,) = peer.pack([Probe(to=ME)])
            for path in paths:
                networks[path].deliver(PEER, datagram)
            await trio.sleep(TIMEOUT_S / 4)

    async with (
        networks["one"].transport(ME) as one,
        networks["two"].transport(ME) as two,
        trio.open_nursery() as nursery,
    ):
        driver = Driver(
            core=core,
            link=link_of(ME),
            transports={"two": two, "one": one},
            order=done.append,
            switch=lambda effect: None,
            drain=done.append,
            ask=done.append,
            publish=done.append,
            path_timeout_s=TIMEOUT_S,
            suspended_s=lambda: 0.0,
        )
        nursery.start_soon(driver.run)
        await beats(8, "one", "two")
        assert driver.paths_of(PEER, within_s=TIMEOUT_S) == ("one", "two") == driver.paths
        assert done == []
        await beats(8, "two")
        assert done == [PathLost(name=PEER, path="one")]
        assert driver.paths_of(PEER, within_s=TIMEOUT_S) == ("two",)
        await beats(8, "one", "two")
        assert done == [PathLost(name=PEER, path="one"), PathRestored(name=PEER, path="one")]
        nursery.cancel_scope.cancel()
    assert core.kinds() == [PacketHeard] * 24


async def test_garbage_on_the_network_is_counted_and_nothing_else(
    autojump_clock: trio.testing.MockClock,
) -> None:
    core = ScriptedCore()
    rig = Rig(core)
    async with rig.running() as driver:
        for payload in (b"", b"\0" * 40, b"\xff" * 1_400):
            rig.network.deliver(PEER, payload)
        await trio.sleep(1)
        assert driver.counters.datagrams_in == 3
    assert core.inputs == []


async def test_what_is_sent_goes_out_sealed_in_the_order_given(
    autojump_clock: trio.testing.MockClock,
) -> None:
    core = ScriptedCore(lambda input: (Send(messages=(Probe(to=PEER),)), Send(messages=(Leave(),))))
    rig = Rig(core)
    async with rig.running() as driver:
        driver.feed(LeaveRequested())
        await trio.sleep(1)
    peer = link_of(PEER)
    assert [peer.open(payload).messages for _, payload in rig.network.sent] == [  # type: ignore[union-attr]
        (Probe(to=PEER),),
        (Leave(),),
    ]


class PromptMemory(MemoryTransport):
    """A transport that takes datagrams at once, too; `sent` says which way each went."""

    def __init__(self, network: MemoryNetwork, name: NodeName) -> None:
        super().__init__(network, name)
        self.sent: list[str] = []

    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        self.sent.append("queued")
        await super().send(payload, to)

    def send_nowait(self, payload: bytes) -> None:
        self.sent.append("at once")


async def test_a_transport_that_can_has_the_first_datagrams_when_the_turn_is_over_and_never_out_of_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    long = tuple(TableChunk(digest=TableDigest("0" * 32), index=0, count=1, data=os.urandom(1_100)) for _ in range(6))
    core = ScriptedCore(lambda input: (Send(messages=long if isinstance(input, LeaveRequested) else (Leave(),)),))
    rig = Rig(core)
    prompt = PromptMemory(rig.network, ME)
    rig.network.transport = lambda name: prompt  # type: ignore[method-assign]
    async with rig.running() as driver:
        driver.feed(Ticked())
        assert prompt.sent == ["at once"]
        driver.feed(LeaveRequested())
        driver.feed(Ticked())
        assert prompt.sent == ["at once"] * 5  # two of the long ones wait, so what comes after waits too
        await trio.sleep(1)
        assert prompt.sent == ["at once"] * 5 + ["queued"] * 3
        assert driver.counters.datagrams_out == 8


async def test_effects_are_handed_over_before_the_next_input_orders_before_events(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first, second = (AnnounceAddress(address=Address(f"192.0.2.{number}")) for number in (1, 2))
    matured, left = ViewMatured(), NodeLeft(name=PEER, cause="left")
    rig = Rig(ScriptedCore(lambda input: (Publish(event=matured), second, Publish(event=left), first)))
    async with rig.running() as driver:
        driver.feed(LeaveRequested())
        assert rig.done == [second, first, matured, left]


async def test_a_flood_of_datagrams_does_not_hold_up_a_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A due tick goes before the datagram that is at hand, whichever task the scheduler woke first."""
    core = ScriptedCore()
    now = trio.current_time()

    def at_once(input: Input) -> tuple[Effect, ...]:
        core.deadline = now if isinstance(input, LeaveRequested) else FOREVER
        return ()

    core.script = at_once
    peer = link_of(PEER)
    async with Rig(core).running() as driver:
        driver.feed(LeaveRequested())
        driver.feed(PacketHeard(sender=peer.me, messages=(Leave(),)))
        assert core.kinds() == [LeaveRequested, Ticked, PacketHeard]


async def test_orders_are_carried_out_before_the_next_datagram_is_heard(autojump_clock: trio.testing.MockClock) -> None:
    """Thirty times, because the scheduler takes tasks that are ready in either order."""
    for _ in range(30):
        done: list[str] = []
        woken = trio.Event()
        order = AnnounceAddress(address=Address("192.0.2.1"))
        core = ScriptedCore(lambda input, done=done, order=order: done.append("read") or (order,))  # type: ignore[misc]
        rig = Rig(core)
        peer = link_of(PEER)

        async def carry_out(woken: trio.Event = woken, done: list[str] = done) -> None:
            await woken.wait()
            done.append("carried out")

        async with rig.running() as driver, trio.open_nursery() as nursery:
            driver._order = lambda order, woken=woken: woken.set()
            nursery.start_soon(carry_out)
            await trio.testing.wait_all_tasks_blocked()
            for datagram in (*peer.pack([Leave()]), *peer.pack([Probe(to=ME)])):
                rig.network.deliver(PEER, datagram)
            await trio.sleep(1)
        assert done == ["read", "carried out", "read"]


async def test_leaving_is_over_when_the_last_datagram_is_with_the_network(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def script(input: Input) -> tuple[Effect, ...]:
        goodbye = Send(messages=(Leave(),))
        return goodbye, goodbye, goodbye, Left()

    rig = Rig(ScriptedCore(script))
    async with rig.running() as driver:
        driver.feed(LeaveRequested())
        await driver.wait_left()
        assert len(rig.network.sent) == 3


async def test_an_effect_answered_inside_its_own_turn_is_our_bug(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(ScriptedCore(lambda input: (Publish(event=ViewMatured()),)))
    async with rig.running() as driver:
        driver._publish = lambda event: driver.feed(Ticked())
        with pytest.raises(RuntimeError, match="a bug in duravip"):
            driver.feed(LeaveRequested())


def many(count: int) -> tuple[Effect, ...]:
    return tuple(Publish(event=LinkUp(interface=f"eth{number}")) for number in range(count))


async def test_of_many_events_the_first_are_published_at_once_and_the_rest_in_their_order_soon(
    autojump_clock: trio.testing.MockClock,
) -> None:
    count = 3 * EVENTS_AT_ONCE
    batches = [many(count), (Publish(event=LinkDown(interface="eth0")),)]
    core = ScriptedCore(lambda input: batches.pop(0))
    rig = Rig(core)
    async with rig.running() as driver:
        driver.feed(Ticked())
        assert len(rig.done) == EVENTS_AT_ONCE
        driver.feed(Ticked())
        assert len(rig.done) == EVENTS_AT_ONCE
        await trio.testing.wait_all_tasks_blocked()
    assert rig.done == [*(effect.event for effect in many(count)), LinkDown(interface="eth0")]  # type: ignore[union-attr]


async def test_long_turns_are_counted_by_length(autojump_clock: trio.testing.MockClock) -> None:
    lengths_s = [0.0005, 0.0015, 0.0035, 0.0036, 0.0065, 1.0]

    def last(input: Input) -> tuple[Effect, ...]:
        autojump_clock.jump(lengths_s.pop(0))
        return ()

    async with Rig(ScriptedCore(last)).running() as driver:
        for _ in range(6):
            driver.feed(LeaveRequested())
    counters = driver.counters
    assert counters.long_turns == [1, 0, 2, 0, 0, 1, *([0] * (LENGTHS - 7)), 1]
    assert (counters.turns, counters.slow_turns) == (6, 2)
    assert counters.longest_turn_s == pytest.approx(1.0)


async def test_whoever_has_left_has_published_everything(autojump_clock: trio.testing.MockClock) -> None:
    count = 3 * EVENTS_AT_ONCE
    rig = Rig(ScriptedCore(lambda input: (*many(count), Left())))
    async with rig.running() as driver:
        driver.feed(Ticked())
        assert len(rig.done) == count
