"""The kit accepts a backend in memory, and finds each of several ways to break the contract."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Self

import pytest
import trio
import trio.testing

from duravip.model import Address
from duravip.plugin.api import Answer, Change, Placement, Plumbed, connected_interface
from duravip.testing.backend_kit import Place, check_backend
from duravip.testing.fakes import MemoryBackend

PLACE = Place(
    interface="eth0",
    other_interface="eth1",
    connected=(Address("10.0.0.51"), Address("10.0.0.52"), Address("10.0.0.53")),
    connected6=(Address("fd00::51"),),
    unconnected=(Address("192.0.2.1"), Address("192.0.2.2"), Address("192.0.2.3")),
)


class FakeMachine:
    def __init__(self) -> None:
        self.ends_at: dict[Address, float] = {}
        self.rows = [
            Plumbed(address=Address("10.0.0.1"), interface="eth0", prefix=24, ours=False),
            Plumbed(address=Address("fd00::1"), interface="eth0", prefix=64, ours=False),
            Plumbed(address=Address("10.1.0.1"), interface="eth1", prefix=24, ours=False),
        ]


class FakeBackend:
    has_lifetimes = True

    def __init__(self, machine: FakeMachine) -> None:
        self.machine = machine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def list(self) -> Sequence[Plumbed]:
        gone = {address for address, at in self.machine.ends_at.items() if trio.current_time() >= at}
        self.machine.rows = [row for row in self.machine.rows if not row.ours or row.address not in gone]
        return list(self.machine.rows)

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        await trio.lowlevel.checkpoint()
        return [self.add_one(asked) for asked in placements]

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return [self.add_one(asked) for asked in placements]

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        await trio.lowlevel.checkpoint()
        return [self.remove_one(asked) for asked in placements]

    async def watch(self):  # type: ignore[no-untyped-def]
        changes: tuple[Change, ...] = ()
        for change in changes:
            yield change

    def add_one(self, asked: Placement) -> Answer:
        if time.monotonic() >= asked.not_after:
            return Answer(address=asked.address, error="too late", late=True)
        self.machine.ends_at[asked.address] = trio.current_time() + (asked.lifetime_s or math.inf)
        interface = asked.interface or connected_interface(asked.address, self.machine.rows)
        if interface not in ("eth0", "eth1"):
            return Answer(address=asked.address, error=f"{asked.address}: no interface {interface}")
        row = Plumbed(address=asked.address, interface=interface, prefix=asked.prefix, ours=True)
        if row not in self.machine.rows:
            self.machine.rows.append(row)
        return Answer(address=asked.address, interface=interface)

    def remove_one(self, asked: Placement) -> Answer:
        found = [row for row in self.machine.rows if row.address == asked.address]
        self.machine.rows = [row for row in self.machine.rows if row.address != asked.address]
        return Answer(address=asked.address, interface=found[0].interface if found else "")


class Reversed(FakeBackend):
    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return (await super().add(placements))[::-1]


class Doubles(FakeBackend):
    def add_one(self, asked: Placement) -> Answer:
        answer = super().add_one(asked)
        if not answer.error:
            self.machine.rows.append(
                Plumbed(address=asked.address, interface=answer.interface, prefix=asked.prefix, ours=True)
            )
        return answer


class Unmarked(FakeBackend):
    async def list(self) -> Sequence[Plumbed]:
        return [replace(row, ours=False) for row in await super().list()]


class RefusesAbsent(FakeBackend):
    def remove_one(self, asked: Placement) -> Answer:
        answer = super().remove_one(asked)
        return answer if answer.interface else replace(answer, error="no such address")


class OnlyWhereTold(FakeBackend):
    def remove_one(self, asked: Placement) -> Answer:
        self.machine.rows = [
            row
            for row in self.machine.rows
            if (row.address, row.interface) != (asked.address, asked.interface or row.interface)
        ]
        return Answer(address=asked.address, interface=asked.interface or "")


class TakesSiblings(FakeBackend):
    def remove_one(self, asked: Placement) -> Answer:
        answer = super().remove_one(asked)
        self.machine.rows = [row for row in self.machine.rows if not (row.ours and row.prefix == 24)]
        return answer


class Sweeps(FakeBackend):
    def remove_one(self, asked: Placement) -> Answer:
        answer = super().remove_one(asked)
        self.machine.rows = [row for row in self.machine.rows if row.interface != "eth1"]
        return answer


class Blocks(FakeBackend):
    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return [self.add_one(asked) for asked in placements]


class AnyInterface(FakeBackend):
    def add_one(self, asked: Placement) -> Answer:
        return super().add_one(replace(asked, interface=asked.interface or "eth1"))


class UndoesNothing(FakeBackend):
    async def undo(self, placements: Sequence[Placement]) -> Sequence[bytes]:
        return [b"" for _ in placements]


class DoesItLate(FakeBackend):
    def add_one(self, asked: Placement) -> Answer:
        return super().add_one(replace(asked, not_after=math.inf))


class SaysLateAndDoesIt(FakeBackend):
    def add_one(self, asked: Placement) -> Answer:
        answer = super().add_one(asked)
        super().add_one(replace(asked, not_after=math.inf))
        return answer


class Immortal(FakeBackend):
    def add_one(self, asked: Placement) -> Answer:
        return super().add_one(replace(asked, lifetime_s=0.0))


class RenewsNothing(FakeBackend):
    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        late = time.monotonic()
        return [
            Answer(address=each.address, late=late >= each.not_after, error="late" * (late >= each.not_after))
            for each in placements
        ]


class Backwards(FakeBackend):
    """Takes a lifetime of 0 for one that has ended."""

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        answers = await super().renew(placements)
        self.machine.ends_at.update((each.address, 0.0) for each in placements if not each.lifetime_s)
        return answers


class Lifeless(FakeBackend):
    has_lifetimes = False


async def test_a_backend_without_lifetimes_is_not_asked_for_them(autojump_clock: trio.testing.MockClock) -> None:
    machine = FakeMachine()
    await check_backend(lambda: Lifeless(machine), PLACE)


async def test_a_backend_in_memory_passes(autojump_clock: trio.testing.MockClock) -> None:
    machine = FakeMachine()
    await check_backend(lambda: FakeBackend(machine), PLACE)
    assert machine.rows == FakeMachine().rows


class WatchesBadly(FakeBackend):
    async def watch(self) -> AsyncIterator[Change]:
        await trio.sleep(0.05)
        raise OSError("no such socket")
        yield


class TellsNonsense(FakeBackend):
    async def watch(self) -> AsyncIterator[Change]:
        yield "eth0"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Reversed, "same order"),
        (Doubles, "listed 2 times"),
        (Unmarked, "mark"),
        (RefusesAbsent, "no such address"),
        (OnlyWhereTold, "another interface|names 'eth0'"),
        (TakesSiblings, "with it"),
        (Sweeps, "not ours was changed"),
        (Blocks, "no other task"),
        (AnyInterface, "put on 'eth1'"),
        (UndoesNothing, "no way to take 10.0.0.51 off"),
        (DoesItLate, "not answered as late"),
        (SaysLateAndDoesIt, "carried out a late order"),
        (Immortal, "still there without renewal"),
        (RenewsNothing, "renewed all the time and is gone|its lifetime was ended"),
        (Backwards, "its lifetime was ended"),
        (WatchesBadly, r"watch raised OSError\('no such socket'\)"),
        (TellsNonsense, "watch tells of 'eth0', which is no Change"),
    ],
)
async def test_a_broken_backend_is_found_out(
    broken: Callable[[FakeMachine], FakeBackend], complaint: str, autojump_clock: trio.testing.MockClock
) -> None:
    machine = FakeMachine()
    with pytest.raises(AssertionError, match=complaint):
        await check_backend(lambda: broken(machine), PLACE)


async def test_the_fake_that_other_tests_use_passes(autojump_clock: trio.testing.MockClock) -> None:
    fake = MemoryBackend(own=FakeMachine().rows)
    await check_backend(lambda: fake, PLACE)
    assert fake.on == {row.address: row for row in FakeMachine().rows}
