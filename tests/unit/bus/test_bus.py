import datetime

import trio
import trio.testing

from duravip.bus import Bus, Subscription
from duravip.events import LinkDown, LinkUp, Stamped
from duravip.model import NodeName

NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


def make_bus(**more: int) -> Bus:
    return Bus(node=NodeName("node1"), incarnation="7.00", view=lambda: "3@node1#7", wall_clock=lambda: NOON, **more)


def down(number: int) -> LinkDown:
    return LinkDown(interface=f"eth{number}")


def names(stamped: list[Stamped]) -> list[str]:
    return [one.event.interface for one in stamped]  # type: ignore[attr-defined]


def drain(subscription: Subscription) -> list[Stamped]:
    found = []
    while (one := subscription.receive_nowait()) is not None:
        found.append(one)
    return found


def test_an_event_is_stamped_with_node_incarnation_sequence_time_and_view() -> None:
    bus = make_bus()
    bus.publish(down(0))
    assert bus.publish(LinkUp(interface="eth0")).to_json_object() == {
        "id": "interface.link_up",
        "incarnation": "7.00",
        "seq": 2,
        "time": "2026-01-02T12:00:00.000+00:00",
        "node": "node1",
        "view": "3@node1#7",
        "interface": "eth0",
    }


async def test_a_full_queue_drops_its_oldest_and_counts_them() -> None:
    bus = make_bus()
    with bus.subscribe(size=3) as slow, bus.subscribe(size=10) as quick:
        for number in range(5):
            bus.publish(down(number))
        assert names(drain(slow)) == ["eth2", "eth3", "eth4"]
        assert (slow.take_lost(), slow.take_lost(), slow.lost_in_all) == (2, 0, 2)
        assert names(drain(quick)) == ["eth0", "eth1", "eth2", "eth3", "eth4"]
        assert quick.take_lost() == 0


async def test_a_waiting_subscriber_wakes_up_and_sees_the_order_of_publishing() -> None:
    bus = make_bus()
    seen: list[Stamped] = []

    async def listen(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with bus.subscribe() as subscription:
            task_status.started()
            while len(seen) < 3:
                seen.append(await subscription.receive())

    async with trio.open_nursery() as nursery:
        await nursery.start(listen)
        for number in range(3):
            bus.publish(down(number))
    assert [one.seq for one in seen] == [1, 2, 3]


def test_the_ring_keeps_the_newest_events() -> None:
    bus = make_bus(ring_events=2)
    for number in range(4):
        bus.publish(down(number))
    assert names(list(bus.recent())) == ["eth2", "eth3"]


async def test_a_newcomer_may_ask_for_the_recent_events_first_without_gap_or_double() -> None:
    bus = make_bus()
    bus.publish(down(0))
    with bus.subscribe(with_recent=True) as late:
        bus.publish(down(1))
        assert names(drain(late)) == ["eth0", "eth1"]


async def test_nothing_is_queued_for_a_subscriber_that_left() -> None:
    bus = make_bus()
    with bus.subscribe() as subscription:
        pass
    bus.publish(down(0))
    assert subscription.receive_nowait() is None


async def test_waiting_for_subscribers_ends_when_each_has_dealt_with_all_or_has_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bus = make_bus()
    seen: list[float] = []

    async def listen(each_s: float, events: int, task_status: trio.TaskStatus[None]) -> None:
        with bus.subscribe() as subscription:
            task_status.started()
            for _ in range(events):
                await subscription.receive()
                await trio.sleep(each_s)
                seen.append(trio.current_time() - began)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        await bus.wait_dealt_with()
        await nursery.start(listen, 1.0, 10)
        await nursery.start(listen, 2.5, 1)
        bus.publish(down(0))
        bus.publish(down(1))
        await bus.wait_dealt_with()
        assert seen == [1.0, 2.0, 2.5]
        nursery.cancel_scope.cancel()


async def test_waiting_for_subscribers_is_also_for_what_one_of_them_publishes_meanwhile(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bus = make_bus()
    seen: list[Stamped] = []

    async def tell(task_status: trio.TaskStatus[None]) -> None:
        with bus.subscribe() as subscription:
            task_status.started()
            while True:
                seen.append(await subscription.receive())

    async def fail(task_status: trio.TaskStatus[None]) -> None:
        with bus.subscribe() as subscription:
            task_status.started()
            await subscription.receive()
            await trio.sleep(1)
            bus.publish(down(9))

    async with trio.open_nursery() as nursery:
        await nursery.start(tell)
        await nursery.start(fail)
        bus.publish(down(0))
        await bus.wait_dealt_with()
        assert names(seen) == ["eth0", "eth9"]
        nursery.cancel_scope.cancel()
