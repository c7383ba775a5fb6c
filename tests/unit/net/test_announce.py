"""The announcer on a virtual clock with sockets that only write down what they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import trio
import trio.testing

from duravip.model import Address
from duravip.net.announce import AT_ONCE, FEW, Announcer, PacketSockets
from tests.unit.runtime.steps import seen_between_steps

A, B = Address("10.0.0.1"), Address("10.0.0.2")


class NotedSockets(PacketSockets):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[float, Address, str]] = []
        self.told: list[Sequence[bytes] | None] = []
        self.broken: set[str] = set()
        self.closed = False

    def check(self) -> None:
        pass

    def announce(self, address: Address, interface: str, *, to: Sequence[bytes] | None = None) -> bool:
        self.sent.append((round(trio.current_time(), 3), address, interface))
        self.told.append(to)
        return interface not in self.broken

    def close(self) -> None:
        self.closed = True


def test_the_first_announcement_has_left_when_announce_returns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def main() -> None:
        sockets = NotedSockets()
        async with Announcer(sockets=sockets) as announcer:
            announcer.announce(A, "eth0")
            assert sockets.sent == [(0.0, A, "eth0")]
        assert sockets.closed

    trio.run(main, clock=autojump_clock)


async def test_what_is_repeated_leaves_from_the_task_a_few_at_a_time_and_not_after_it_was_withdrawn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sockets = NotedSockets()
    many = [Address(f"10.1.{number // 250}.{number % 250}") for number in range(3 * AT_ONCE)]
    async with Announcer(sockets=sockets, refresh_s=0, packets_per_s=1e9) as announcer, trio.open_nursery() as nursery:
        nursery.start_soon(announcer.run)
        for address in many:
            announcer.repeat(address, "eth0")
        announcer.withdraw(many[-1])
        assert sockets.sent == []
        sent = [0]
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            sent.append(len(sockets.sent))
        assert max(after - before for before, after in pairwise(sent)) <= AT_ONCE
        await trio.sleep(0.05)  # at so many packets a second the rest is due within it
        nursery.cancel_scope.cancel()
    assert sorted(address for _, address, _ in sockets.sent) == sorted(many[:-1])


async def test_when_it_takes_long_only_a_few_leave_before_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr("duravip.stint.LONG_S", 0.0)
    sockets = NotedSockets()
    many = [Address(f"10.1.0.{number}") for number in range(AT_ONCE)]
    async with Announcer(sockets=sockets, refresh_s=0, packets_per_s=1e9) as announcer, trio.open_nursery() as nursery:
        for address in many:
            announcer.repeat(address, "eth0")
        nursery.start_soon(announcer.run)
        with seen_between_steps(lambda: len(sockets.sent)) as seen:
            await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    assert seen >= {FEW, 2 * FEW, AT_ONCE}


async def test_a_defence_is_one_announcement_at_once_beside_the_schedule(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sockets = NotedSockets()
    async with Announcer(sockets=sockets, refresh_s=0) as announcer, trio.open_nursery() as nursery:
        nursery.start_soon(announcer.run)
        announcer.announce(A, "eth0")
        await trio.sleep(20)
        announcer.defend(A, "eth0")
        sockets.broken.add("eth9")
        announcer.defend(A, "eth9")
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert [at for at, _, _ in sockets.sent] == pytest.approx([0, 0.1, 0.3, 1.1, 2, 5, 20, 20])
    assert announcer.lost == 1


async def test_the_task_repeats_on_schedule_and_stops_after_withdraw(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sockets = NotedSockets()
    async with Announcer(sockets=sockets, refresh_s=0) as announcer, trio.open_nursery() as nursery:
        nursery.start_soon(announcer.run)
        announcer.announce(A, "eth0")
        await trio.sleep(0.05)
        announcer.announce(B, "eth0")
        await trio.sleep(0.5)
        announcer.withdraw(B)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert [at for at, address, _ in sockets.sent if address == A] == pytest.approx([0, 0.1, 0.3, 1.1, 2, 5])
    assert [at for at, address, _ in sockets.sent if address == B] == pytest.approx([0.05, 0.15, 0.35])


async def test_an_interface_that_fails_is_counted_and_kills_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sockets = NotedSockets()
    sockets.broken.add("eth9")
    async with Announcer(sockets=sockets, refresh_s=0) as announcer, trio.open_nursery() as nursery:
        nursery.start_soon(announcer.run)
        announcer.announce(A, "eth9")
        announcer.announce(B, "eth0")
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert announcer.lost == 6
    assert len([sent for sent in sockets.sent if sent[1] == B]) == 6


async def test_each_announcement_goes_to_those_who_should_hear_it_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Two hosts need four frames: at ten a second the second address waits for the first one's debt."""
    sockets = NotedSockets()
    hosts: list[bytes] = [b"one...", b"two..."]
    announcer = Announcer(
        sockets=sockets, refresh_s=0, packets_per_s=10, audience=lambda address, interface: hosts or None
    )
    async with announcer, trio.open_nursery() as nursery:
        nursery.start_soon(announcer.run)
        announcer.announce(A, "eth0")
        assert sockets.told == [hosts]
        hosts.clear()
        await trio.sleep(0.15)
        assert sockets.told[-1] is None
        nursery.cancel_scope.cancel()


async def test_the_slow_refresh_is_sent_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    sockets = NotedSockets()
    async with Announcer(sockets=sockets, refresh_s=60) as announcer, trio.open_nursery() as nursery:
        nursery.start_soon(announcer.run)
        announcer.announce(A, "eth0")
        await trio.sleep(605)
        nursery.cancel_scope.cancel()
    assert len(sockets.sent) == 6 + 10


async def test_it_is_told_again_after_the_lifetime_that_holds_when_it_begins(
    autojump_clock: trio.testing.MockClock,
) -> None:
    sockets = NotedSockets()
    lifetime_s = 20.0
    async with (
        Announcer(sockets=sockets, refresh_s=0, lifetime_s=lambda: lifetime_s) as announcer,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(announcer.run)
        announcer.announce(A, "eth0")
        lifetime_s = 10.0
        announcer.repeat(B, "eth0")
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert [(at, address) for at, address, _ in sockets.sent if at > 5] == [(13.2, B), (23.4, A)]


def test_real_sockets_answer_false_for_an_interface_that_does_not_exist() -> None:
    sockets = PacketSockets()
    assert sockets.announce(A, "dv-none") is False
    sockets.close()
