from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import trio
import trio.testing

from duravip.bus import Bus
from duravip.config.node_config import PluginStanza
from duravip.events import Event, LinkDown, LinkUp, PluginFailed, Stamped
from duravip.model import NodeName
from duravip.runtime.notifying import NOTIFY_LIMIT_S, QUEUE_EVENTS, Notifying


class Teller:
    """Fails as often as it is told to, and hangs where it is told to."""

    def __init__(self, failures: int = 0, hang: bool = False) -> None:
        self.told: list[tuple[float, str]] = []
        self.failures = failures
        self.hang = hang

    async def notify(self, stamped: Stamped) -> None:
        self.told.append((trio.current_time(), stamped.event.id))
        if self.failures:
            self.failures -= 1
            raise OSError("the line is dead")
        if self.hang:
            await trio.sleep_forever()


class Rig:
    def __init__(self) -> None:
        self.bus = Bus(node=NodeName("n1"), incarnation="1.1", view=str)
        self.failures: list[PluginFailed] = []

    def publish(self, event: Event) -> None:
        assert isinstance(event, PluginFailed)
        self.failures.append(event)
        self.bus.publish(event)

    @asynccontextmanager
    async def running(self, teller: Teller, **options: object) -> AsyncIterator[None]:
        stanza = PluginStanza(plugin="pigeon", name="ops", options=options)
        notifying = Notifying(stanza, teller, self.bus, self.publish)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notifying.run)
            await trio.testing.wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()


async def test_events_are_told_in_order_and_only_those_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    rig, teller = Rig(), Teller()
    async with rig.running(teller, events=("*.link_up",)):
        for interface in ("a", "b"):
            rig.bus.publish(LinkDown(interface=interface))
            rig.bus.publish(LinkUp(interface=interface))
        await trio.sleep(1)
    assert [told for _, told in teller.told] == ["interface.link_up"] * 2


async def test_one_that_raises_is_an_event_and_is_tried_again_after_growing_pauses(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig, teller = Rig(), Teller(failures=3)
    async with rig.running(teller):
        for _ in range(5):
            rig.bus.publish(LinkUp(interface="a"))
        await trio.sleep(60)
    began = teller.told[0][0]
    assert [round(at - began, 3) for at, _ in teller.told] == [0, 0.5, 1.5, 3.5, 3.5]
    assert [failure.plugin for failure in rig.failures] == ["pigeon ops"] * 3
    assert "the line is dead" in rig.failures[0].text


async def test_one_that_hangs_is_given_up_on_after_the_limit(autojump_clock: trio.testing.MockClock) -> None:
    rig, teller = Rig(), Teller(hang=True)
    async with rig.running(teller):
        rig.bus.publish(LinkUp(interface="a"))
        await trio.sleep(NOTIFY_LIMIT_S - 1)
        assert rig.failures == []
        await trio.sleep(2)
    assert "no answer within 30 s" in rig.failures[0].text


async def test_what_a_slow_one_never_heard_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    rig, teller = Rig(), Teller(hang=True)
    async with rig.running(teller):
        for _ in range(QUEUE_EVENTS + 6):
            rig.bus.publish(LinkUp(interface="a"))
            await trio.lowlevel.checkpoint()
        teller.hang = False
        await trio.sleep(2 * NOTIFY_LIMIT_S)
    lost = [failure.text for failure in rig.failures if "never told" in failure.text]
    assert lost == ["too slow: 6 events were never told"], "five, and its own failure in between"


class Visitor(Teller):
    """Has a door, which sticks as often as it is told to."""

    limit_s = 90.0

    def __init__(self, failures: int = 0, hang: bool = False, stuck: int = 0) -> None:
        super().__init__(failures, hang)
        self.stuck = stuck
        self.door: list[str] = []

    async def __aenter__(self) -> Self:
        if self.stuck:
            self.stuck -= 1
            raise OSError("the door is stuck")
        self.door.append("in")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.door.append("out")


async def test_a_context_manager_is_left_and_entered_again_after_a_failure_and_left_at_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig, visitor = Rig(), Visitor(failures=1)
    async with rig.running(visitor):
        rig.bus.publish(LinkUp(interface="a"))
        rig.bus.publish(LinkUp(interface="b"))
        await trio.sleep(10)
        assert visitor.door == ["in", "out", "in"]
    assert visitor.door == ["in", "out", "in", "out"]
    assert len(visitor.told) == 2


async def test_one_that_cannot_be_entered_is_an_event_and_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    rig, visitor = Rig(), Visitor(stuck=2)
    async with rig.running(visitor):
        rig.bus.publish(LinkUp(interface="a"))
        await trio.sleep(10)
    assert len(rig.failures) == 2
    for failure in rig.failures:
        assert failure.text.startswith("it cannot be started: OSError: the door is stuck (test_notifying.py, line ")
    assert len(visitor.told) == 1


async def test_one_may_ask_for_more_time_than_the_usual(autojump_clock: trio.testing.MockClock) -> None:
    rig, visitor = Rig(), Visitor(hang=True)
    async with rig.running(visitor):
        rig.bus.publish(LinkUp(interface="a"))
        await trio.sleep(89)
        assert rig.failures == []
        await trio.sleep(2)
    assert "no answer within 90 s" in rig.failures[0].text


async def test_waiting_until_all_is_told_takes_no_longer_than_that(autojump_clock: trio.testing.MockClock) -> None:
    rig, teller = Rig(), Teller()
    async with rig.running(teller, events=("*.link_up",)):
        await rig.bus.wait_dealt_with()
        rig.bus.publish(LinkUp(interface="a"))
        rig.bus.publish(LinkUp(interface="b"))
        rig.bus.publish(LinkDown(interface="b"))
        began = trio.current_time()
        await rig.bus.wait_dealt_with()
        assert (len(teller.told), trio.current_time() - began) == (2, 0)


async def test_waiting_until_all_is_told_does_not_end_while_one_hangs(autojump_clock: trio.testing.MockClock) -> None:
    rig, teller = Rig(), Teller(hang=True)
    async with rig.running(teller):
        rig.bus.publish(LinkUp(interface="a"))
        with trio.move_on_after(5) as patience:
            await rig.bus.wait_dealt_with()
        assert patience.cancelled_caught


class Deaf(Teller):
    """Does not end when it is cancelled, as what waits in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.end = trio.Event()

    async def notify(self, stamped: Stamped) -> None:
        with trio.CancelScope(shield=True):
            await self.end.wait()
        await super().notify(stamped)


async def test_one_that_does_not_end_when_it_is_cancelled_is_an_event_and_is_told_the_rest_when_it_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig, deaf = Rig(), Deaf()
    async with rig.running(deaf):
        for interface in "ab":
            rig.bus.publish(LinkUp(interface=interface))
        await trio.sleep(NOTIFY_LIMIT_S + 2)
        [failure] = rig.failures
        assert failure.text == "no answer within 30 s, and it does not end: it is told nothing until it does"
        deaf.end.set()
        await trio.sleep(1)
        assert [event for _, event in deaf.told] == ["interface.link_up"] * 2
    assert rig.failures == [failure]
