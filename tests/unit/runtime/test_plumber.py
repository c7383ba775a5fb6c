from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
import trio
import trio.testing

from duravip.cluster.effects import AnnounceAddress, DefendAddress, ReleaseAddress, RenewAddresses, TakeAddress
from duravip.cluster.inputs import (
    AddressAdded,
    AddressAddFailed,
    AddressesLost,
    AddressesRenewed,
    AddressesStray,
    AddressLapsed,
    AddressRemoved,
    AddressRemoveFailed,
    Input,
    KernelAnswered,
    Spot,
)
from duravip.errors import BackendError
from duravip.model import Address
from duravip.plugin.api import AddressChanged, Answer, Placement, Plumbed
from duravip.runtime.plumber import (
    ANSWER_LIMIT_S,
    FEW,
    FIRST_BATCH,
    LONG_S,
    LONGEST_S,
    PIECE,
    TRY_AGAIN_S,
    TRY_FOR_S,
    Plumber,
)
from duravip.testing.fakes import MemoryBackend, RecordingAnnouncer
from tests.unit.runtime.steps import seen_between_steps

A, B, C = (Address(f"192.0.2.{number}") for number in (1, 2, 3))


def take(address: Address) -> TakeAddress:
    return TakeAddress(address=address, interface="eth0", prefix=32)


def release(address: Address) -> ReleaseAddress:
    return ReleaseAddress(address=address, interface="eth0", prefix=32)


class Rig:
    def __init__(self, backend: MemoryBackend | None = None) -> None:
        self.backend = backend or MemoryBackend()
        self.announcer = RecordingAnnouncer()
        self.answers: list[Input] = []
        self.batches: list[Input] = []
        self.plumber = Plumber(backend=self.backend, announcer=self.announcer, answer=self.hear)

    def hear(self, answer: Input) -> None:
        self.batches.append(answer)
        self.answers += answer.answers if isinstance(answer, KernelAnswered) else (answer,)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.plumber.run)
            yield
            nursery.cancel_scope.cancel()


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_taken_address_is_on_announced_and_answered(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(1)
    assert rig.backend.ours() == [A]
    assert rig.announcer.asked == [("announce", A, "eth0")]
    assert rig.answers == [AddressAdded(address=A)]
    assert (rig.plumber.interface_of(A), rig.plumber.waiting) == ("eth0", 0)


async def test_a_removal_is_withdrawn_from_announcing_before_the_kernel_is_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(2)
        rig.plumber.order(release(A))
        assert rig.announcer.asked[-1] == ("withdraw", A, "")
        assert [what for what, _ in rig.backend.calls] == ["add"]
        await trio.sleep(2)
    assert rig.answers == [AddressAdded(address=A), AddressRemoved(address=A)]
    assert rig.backend.on == {}


async def test_the_announcement_leaves_before_the_machine_hears_of_the_address(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    announced_when_answered: list[int] = []
    rig.plumber = Plumber(
        backend=rig.backend,
        announcer=rig.announcer,
        answer=lambda input: announced_when_answered.append(len(rig.announcer.asked)),
    )
    async with rig.running():
        rig.plumber.order(take(A))
        rig.plumber.order(take(B))
        await trio.sleep(1)
    assert announced_when_answered == [2]


async def test_a_doubted_address_that_is_gone_is_said_to_be_lost_and_is_announced_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    async with rig.running():
        rig.plumber.order(take(A))
        rig.plumber.order(take(B))
        await trio.sleep(1)
        del rig.backend.on[A]
        rig.plumber.doubt(A, expired=True)
        rig.plumber.doubt(B)
        await trio.sleep(1)
    assert rig.answers[2:] == [AddressesLost(addresses=(A,), expired=frozenset({A}))]
    assert rig.announcer.asked[-1] == ("withdraw", A, "")
    assert (rig.plumber.interface_of(A), rig.plumber.interface_of(B)) == (None, "eth0")


async def test_a_doubted_address_is_looked_up_when_its_orders_are_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(0.5)
        rig.plumber.doubt(A)
        rig.plumber.doubt(B)
        await trio.sleep(1)
        assert rig.answers == [AddressAdded(address=A)]
        rig.plumber.order(release(A))
        rig.plumber.doubt(A)
        await trio.sleep(5)
    assert rig.answers == [AddressAdded(address=A), AddressRemoved(address=A)]


async def test_everything_that_is_on_and_was_not_put_there_is_said_to_be_stray_if_it_is_managed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    async with rig.running():
        rig.plumber.order(take(A))
        rig.plumber.order(take(Address("192.0.2.9")))
        await trio.sleep(1)
        del rig.backend.on[Address("192.0.2.9")]
        for address, interface, prefix in ((A, "eth7", 32), (B, "eth0", 24), (C, "eth0", 32)):
            rig.backend.on[address] = Plumbed(address=address, interface=interface, prefix=prefix, ours=False)
        rig.plumber.doubt_everything({A, B}.__contains__)
        await trio.sleep(1)
    assert rig.answers[2:] == [
        AddressesLost(addresses=(Address("192.0.2.9"),)),
        AddressesStray(
            spots=(Spot(address=A, interface="eth7", prefix=32), Spot(address=B, interface="eth0", prefix=24))
        ),
    ]


async def taken_off_and_refused(rig: Rig, reason: str) -> None:
    """Somebody takes `A` off after a second, and the kernel does not have it when it is ordered again."""
    rig.plumber.order(take(A))
    await trio.sleep(1)
    del rig.backend.on[A]
    rig.backend.refuse[A] = reason
    rig.plumber.doubt(A)
    await settled()
    rig.plumber.order(take(A))


async def test_what_somebody_took_off_is_tried_again_for_a_moment(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever sets an interface up anew may switch IPv6 off there meanwhile."""
    rig = Rig()
    async with rig.running():
        await taken_off_and_refused(rig, "IPv6 is switched off there")
        rig.plumber.order(take(B))
        await trio.sleep(TRY_AGAIN_S / 2)
        assert rig.answers[2:] == [AddressAdded(address=B)], "nothing waits for it"
        assert rig.plumber.waiting == 1
        rig.backend.refuse.clear()
        await rig.plumber.wait_idle()
    assert trio.current_time() <= 1 + 2 * TRY_AGAIN_S
    assert rig.answers[3:] == [AddressAdded(address=A)]
    assert rig.announcer.asked[-1] == ("announce", A, "eth0")


async def test_what_is_refused_for_longer_is_told_of(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    async with rig.running():
        await taken_off_and_refused(rig, "no such device")
        await rig.plumber.wait_idle()
        assert 1 + TRY_FOR_S <= trio.current_time() <= 1 + TRY_FOR_S + TRY_AGAIN_S
        assert rig.answers[2:] == [AddressAddFailed(address=A, error="no such device")]
        rig.plumber.order(take(A))
        await settled()
    assert len(rig.answers) == 4, "it was told of: the next refusal is no news of the same"


async def test_what_is_to_go_is_not_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    async with rig.running():
        await taken_off_and_refused(rig, "no such device")
        await settled()
        rig.plumber.order(release(A))
        await rig.plumber.wait_idle()
    assert trio.current_time() <= 1 + TRY_AGAIN_S
    assert rig.answers[2] == AddressAddFailed(address=A, error="no such device")
    assert rig.backend.on == {}


class SlowToList(MemoryBackend):
    """`at`: when each list was asked for."""

    def __init__(self, takes_s: float) -> None:
        super().__init__()
        self.takes_s = takes_s
        self.at: list[float] = []

    async def list(self) -> Sequence[Plumbed]:
        self.at.append(trio.current_time())
        await trio.sleep(self.takes_s)
        return await super().list()


async def doubt_without_end(plumber: Plumber) -> None:
    while True:
        plumber.doubt(B)
        await trio.sleep(0.000_5)


async def test_a_flood_of_doubts_keeps_no_order_and_no_renewal_waiting(autojump_clock: trio.testing.MockClock) -> None:
    backend = SlowToList(0.01)
    rig = Rig(backend)
    async with rig.running(), trio.open_nursery() as flood:
        rig.plumber.order(take(A))
        await trio.sleep(1)
        flood.start_soon(doubt_without_end, rig.plumber)
        await trio.sleep(1)
        for order in (renewal(A, not_after=trio.current_time() + 0.02), take(C), release(C)):
            rig.plumber.order(order)
            await trio.sleep(0.02)
        assert rig.answers[1:] == [AddressesRenewed(), AddressAdded(address=C), AddressRemoved(address=C)]
        flood.cancel_scope.cancel()
    pauses = [later - earlier for earlier, later in pairwise(backend.at)]
    assert min(pauses) == pytest.approx(0.04)
    assert max(pauses) < 0.05


@pytest.mark.parametrize(("takes_s", "rest_s"), [(0.0, 0.001), (0.01, 0.03)])
async def test_after_a_quiet_time_a_doubt_is_looked_up_at_once_and_the_next_when_a_rest_is_over(
    takes_s: float, rest_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    backend = SlowToList(takes_s)
    rig = Rig(backend)
    async with rig.running():
        for quiet_s in (0.0, 100.0):
            await trio.sleep(quiet_s)
            began = trio.current_time()
            for _ in range(3):  # the others while it is looked up or rests
                rig.plumber.doubt(A)
                await trio.sleep(takes_s + rest_s / 10)
            await trio.sleep(1)
            assert [at - began for at in backend.at] == [0.0, pytest.approx(takes_s + rest_s)]
            backend.at.clear()


async def test_while_a_look_up_rests_nothing_spins(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig(SlowToList(1.0))
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    async with rig.running():
        rig.plumber.doubt(A)
        await trio.sleep(1.5)
        rig.plumber.doubt(A)
        await trio.sleep(0.1)
        with seen_between_steps(count):
            await trio.sleep(2)
    assert steps < 5


async def test_others_have_their_turn_while_very_many_are_compared(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    addresses = [Address(f"10.0.{number // 250}.{number % 250}") for number in range(3 * PIECE)]
    async with rig.running():
        for address in addresses:
            rig.plumber.order(take(address))
        await rig.plumber.wait_idle()
        rig.answers.clear()
        rig.backend.on.clear()
        rig.plumber.doubt_everything(frozenset(addresses).__contains__)
        with seen_between_steps(lambda: sum(len(each.addresses) for each in rig.answers)) as seen:  # type: ignore[union-attr]
            await trio.sleep(1)
    assert seen == {0, PIECE, 2 * PIECE, 3 * PIECE}
    assert sorted(address for each in rig.answers for address in each.addresses) == sorted(addresses)  # type: ignore[union-attr]


async def test_what_is_ordered_between_two_pieces_of_a_comparison_is_looked_up_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The first piece is judged, and of the others every address is to be removed."""
    rig = Rig()
    addresses = {Address(f"10.0.{number // 250}.{number % 250}") for number in range(3 * PIECE)}
    released: set[Address] = set()

    def release_the_rest(answer: Input) -> None:
        rig.hear(answer)
        if isinstance(answer, AddressesLost) and not released:
            released.update(addresses.difference(answer.addresses))
            for address in sorted(released):
                rig.plumber.order(release(address))

    rig.plumber = Plumber(backend=rig.backend, announcer=rig.announcer, answer=release_the_rest)
    async with rig.running():
        for address in sorted(addresses):
            rig.plumber.order(take(address))
        await rig.plumber.wait_idle()
        rig.answers.clear()
        rig.backend.on.clear()
        rig.plumber.doubt_everything(addresses.__contains__)
        await trio.sleep(1)
    assert len(released) == 2 * PIECE
    assert [len(each.addresses) for each in rig.answers if isinstance(each, AddressesLost)] == [PIECE]
    assert {each.address for each in rig.answers if isinstance(each, AddressRemoved)} == released


class Apart(MemoryBackend):
    """Makes an interface for each address, as `runtime.virtual_macs` does."""

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return await super().add([replace(asked, interface=f"dv-{asked.address[-1]}") for asked in placements])

    def switch_off(self, interface: str) -> None:
        for address, row in self.on.items():
            if row.interface == interface:
                self.on[address] = replace(row, switched_off=True)


async def test_an_address_whose_own_interface_was_switched_off_is_taken_off_and_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(Apart())
    async with rig.running():
        for address in (A, B, C):
            rig.plumber.order(take(address))
        await trio.sleep(1)
        rig.plumber.doubt_interface("dv-1")  # of its carrier nothing is known
        await trio.sleep(1)
        assert rig.answers[3:] == []
        rig.backend.switch_off("dv-1")
        rig.plumber.doubt_interface("dv-1")
        await trio.sleep(1)
        assert rig.answers[3:] == [AddressesLost(addresses=(A,))]
        assert rig.backend.calls[1:] == [("remove", (A,))]
        assert rig.announcer.asked[-1] == ("withdraw", A, "")
        rig.backend.switch_off("dv-2")  # nobody has told of it
        rig.plumber.doubt(C)
        await trio.sleep(1)
    assert rig.answers[4:] == [AddressesLost(addresses=(B,))]


async def test_what_is_to_be_removed_or_is_where_it_was_ordered_is_not_lost_by_a_switched_off_interface(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(SlowToList(0.01))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(1)
        rig.backend.on[A] = replace(rig.backend.on[A], switched_off=True)
        rig.plumber.doubt(A)
        rig.plumber.doubt_interface("eth0")
        await trio.sleep(1)
        assert [what for what, _ in rig.backend.calls] == ["add"]
    apart = Apart()
    rig = Rig(apart)
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(1)
        apart.switch_off("dv-1")
        rig.plumber.doubt_interface("dv-1")
        rig.plumber.order(release(A))
        await trio.sleep(1)
    assert rig.answers[1:] == [AddressRemoved(address=A)]


async def test_a_list_that_fails_is_no_news(autojump_clock: trio.testing.MockClock) -> None:
    class Mute(MemoryBackend):
        async def list(self) -> Sequence[Plumbed]:
            raise BackendError("the kernel does not list its addresses")

    rig = Rig(Mute())
    async with rig.running():
        rig.plumber.order(take(A))
        rig.plumber.doubt(A)
        await trio.sleep(1)
    assert rig.answers == [AddressAdded(address=A)]


def change(address: Address, *, present: bool, interface: str = "eth0", prefix: int = 32) -> AddressChanged:
    return AddressChanged(address=address, interface=interface, prefix=prefix, present=present, ours=False)


async def test_what_an_order_makes_of_an_address_is_expected_from_the_moment_it_is_given(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        assert rig.plumber.expects(change(A, present=False))
        assert not rig.plumber.expects(change(A, present=True))
        rig.plumber.order(take(A))
        for _ in range(2):
            assert rig.plumber.expects(change(A, present=True))
            assert rig.plumber.expects(change(A, present=False, interface="eth7"))
            assert not rig.plumber.expects(change(A, present=False))
            assert not rig.plumber.expects(change(A, present=True, interface="eth7"))
            assert not rig.plumber.expects(change(A, present=True, prefix=24))
            await trio.sleep(2)
        rig.plumber.order(release(A))
        for _ in range(2):
            assert rig.plumber.expects(change(A, present=False))
            assert not rig.plumber.expects(change(A, present=True))
            await trio.sleep(2)
        rig.plumber.order(TakeAddress(address=A, interface=None, prefix=32))
        assert rig.plumber.expects(change(A, present=True, interface="eth3"))


async def test_removals_go_first_and_each_kind_is_one_batch(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(0.5)  # the backend is busy with A
        rig.plumber.order(take(B))
        rig.plumber.order(release(C))
        rig.plumber.order(take(Address("192.0.2.4")))
        await trio.sleep(5)
    assert rig.backend.calls == [("add", (A,)), ("remove", (C,)), ("add", (B, Address("192.0.2.4")))]


async def test_a_take_that_follows_a_release_of_the_same_address_waits_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        for order in (release(A), take(A), release(A), take(A)):
            rig.plumber.order(order)
        await trio.sleep(10)
    assert [what for what, _ in rig.backend.calls] == ["remove", "add", "remove", "add"]
    assert rig.answers == [AddressRemoved(address=A), AddressAdded(address=A)] * 2
    assert rig.backend.ours() == [A]


async def test_an_address_whose_removal_is_ordered_already_is_not_announced(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(0.5)
        rig.plumber.order(release(A))
        rig.plumber.order(AnnounceAddress(address=A))
        await trio.sleep(5)
    assert ("announce", A, "eth0") not in rig.announcer.asked


async def test_an_order_to_announce_is_for_addresses_that_are_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    async with rig.running():
        rig.plumber.order(AnnounceAddress(address=A))
        rig.plumber.order(take(A))
        await trio.sleep(1)
        rig.plumber.order(AnnounceAddress(address=A))
    assert rig.announcer.asked == [("announce", A, "eth0"), ("repeat", A, "eth0")]


async def test_an_address_is_defended_once_and_only_while_it_is_on(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    async with rig.running():
        rig.plumber.order(DefendAddress(address=A))
        rig.plumber.order(take(A))
        await trio.sleep(1)
        rig.plumber.order(DefendAddress(address=A))
        rig.plumber.order(release(A))
        rig.plumber.order(DefendAddress(address=A))
    assert [word for word, _, _ in rig.announcer.asked] == ["announce", "defend", "withdraw"]


async def test_a_refusal_is_an_answer_for_that_address_only(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    rig.backend.refuse = {A: "no buffer space"}
    async with rig.running():
        rig.plumber.order(take(A))
        rig.plumber.order(take(B))
        rig.plumber.order(release(A))
        await trio.sleep(1)
    assert rig.answers == [
        AddressAddFailed(address=A, error="no buffer space"),
        AddressAdded(address=B),
        AddressRemoveFailed(address=A, error="no buffer space"),
    ]
    assert ("announce", B, "eth0") in rig.announcer.asked
    assert ("announce", A, "eth0") not in rig.announcer.asked


class RaisingBackend(MemoryBackend):
    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        raise OSError("the socket is gone")


class SilentBackend(MemoryBackend):
    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return []


@pytest.mark.parametrize(
    ("backend", "error"),
    [(RaisingBackend(), "the socket is gone"), (SilentBackend(), "the interface backend did not answer")],
)
async def test_a_backend_that_misbehaves_has_not_done_it(backend: MemoryBackend, error: str) -> None:
    rig = Rig(backend)
    async with rig.running():
        rig.plumber.order(take(A))
        await settled()
    assert rig.answers == [AddressAddFailed(address=A, error=error)]


async def test_the_first_batches_are_short_so_that_the_first_addresses_are_announced_early(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    addresses = [Address(f"10.0.{number // 250}.{number % 250}") for number in range(2_000)]
    async with rig.running():
        for address in addresses:
            rig.plumber.order(take(address))
        await trio.sleep(30)
    sizes = [len(batch) for _, batch in rig.backend.calls]
    assert (
        max(len(input.answers) for input in rig.batches if isinstance(input, KernelAnswered)) == PIECE
    )  # a long one is several inputs of the machine
    assert sizes[:5] == [FIRST_BATCH, 128, 256, 512, 512]
    assert sum(sizes) == 2_000
    assert [input.address for input in rig.answers] == addresses  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "is_watched"), [(FIRST_BATCH, True), (FIRST_BATCH - 1, False)])
async def test_others_have_their_turn_between_many_announcements_and_what_the_machine_hears_of_them(
    count: int, is_watched: bool, autojump_clock: trio.testing.MockClock
) -> None:
    rig = Rig()
    async with rig.running():
        for number in range(count):
            rig.plumber.order(take(Address(f"10.0.0.{number}")))
        with seen_between_steps(lambda: (len(rig.announcer.asked), len(rig.answers))) as seen:
            await settled()
    assert (count, count) in seen
    assert ((count, 0) in seen) is is_watched


@pytest.mark.parametrize(("took_s", "is_watched"), [(LONG_S, True), (LONG_S / 8, False)])
async def test_others_have_their_turn_when_few_addresses_have_taken_long_already(
    took_s: float, is_watched: bool, mock_clock: trio.testing.MockClock
) -> None:
    """The event loop may have waited for the kernel (`duravip.threads`), and the machine may have thought for long."""

    class Prompt(MemoryBackend):
        async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
            mock_clock.jump(took_s)
            return [Answer(address=asked.address, interface="eth0") for asked in placements]

    def take_another(answer: Input) -> None:
        rig.hear(answer)
        mock_clock.jump(took_s)
        if len(rig.answers) == 1:
            rig.plumber.order(take(B))

    rig = Rig(Prompt())
    rig.plumber = Plumber(backend=rig.backend, announcer=rig.announcer, answer=take_another)
    async with rig.running():
        rig.plumber.order(take(A))
        with seen_between_steps(lambda: (len(rig.announcer.asked), len(rig.answers))) as seen:
            await settled()
    assert seen == ({(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)} if is_watched else {(0, 0), (2, 2)})


async def test_others_have_their_turn_within_a_batch_that_takes_long(
    monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    """A busy thread may take the interpreter at each announcement."""
    rig = Rig()
    announce = rig.announcer.announce

    def slowly(address: Address, interface: str) -> None:
        mock_clock.jump(LONGEST_S / (FEW + 1))
        announce(address, interface)

    monkeypatch.setattr(rig.announcer, "announce", slowly)
    async with rig.running():
        for number in range(6 * FEW):
            rig.plumber.order(take(Address(f"10.0.0.{number}")))
        with seen_between_steps(lambda: len(rig.announcer.asked)) as seen:
            await settled()
    assert seen == {0, 2 * FEW, 4 * FEW, 6 * FEW}


async def test_a_stopped_plumber_finishes_the_call_it_is_in(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig(MemoryBackend(delay_s=3))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(1)
    assert rig.backend.ours() == [A]


async def test_a_kernel_that_never_answers_is_fatal(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig(MemoryBackend(delay_s=ANSWER_LIMIT_S * 2))
    rig.plumber.order(take(A))
    with pytest.raises(BackendError, match=r"not answered for 10 s.*192\.0\.2\.1"):
        await rig.plumber.run()


async def test_a_kernel_that_never_lists_its_addresses_is_fatal_too(autojump_clock: trio.testing.MockClock) -> None:
    class Hanging(MemoryBackend):
        async def list(self) -> Sequence[Plumbed]:
            await trio.sleep_forever()
            return ()

    rig = Rig(Hanging())
    rig.plumber.doubt(A)
    with pytest.raises(BackendError, match="not answered for 10 s"):
        await rig.plumber.run()


def renewal(*addresses: Address, not_after: float = math.inf) -> RenewAddresses:
    return RenewAddresses(addresses=addresses, lifetime_s=10, not_after=not_after)


async def test_a_taken_address_has_the_lifetime_that_was_ordered_and_a_renewal_begins_it_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig()
    async with rig.running():
        rig.plumber.order(msgspec.structs.replace(take(A), lifetime_s=10))
        await trio.sleep(8)
        rig.plumber.order(renewal(A))
        await trio.sleep(8)
        assert [row.address for row in await rig.backend.list()] == [A]
        await trio.sleep(8)
        assert await rig.backend.list() == ()
    assert rig.answers == [AddressAdded(address=A), AddressesRenewed()]


async def test_a_renewal_comes_last_and_leaves_out_what_is_gone_or_to_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        for address in (A, B):
            rig.plumber.order(take(address))
        await trio.sleep(2)
        rig.plumber.order(renewal(A, B, C))
        rig.plumber.order(release(A))
        rig.plumber.order(take(C))
        await trio.sleep(10)
    assert rig.backend.calls[-3:] == [("remove", (A,)), ("add", (C,)), ("renew", (B, C))]
    assert rig.answers[-1] == AddressesRenewed(took_s=pytest.approx(1))


class Forgetful(MemoryBackend):
    """Takes addresses off, and says that it could not."""

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return [replace(answer, error="busy") for answer in await super().remove(placements)]


async def test_a_renewal_leaves_out_what_was_to_go_and_may_have_gone(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig(Forgetful(delay_s=1))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(2)
        rig.plumber.order(release(A))
        rig.plumber.order(renewal(A))
        await trio.sleep(10)
    assert rig.answers[1:] == [AddressRemoveFailed(address=A, error="busy"), AddressesRenewed()]
    assert rig.backend.on == {}


async def test_what_is_late_is_not_given_to_the_kernel_and_said_to_be_late(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        rig.plumber.order(take(A))
        await trio.sleep(0.5)  # the backend is busy with A
        soon = trio.current_time() + 0.2
        rig.plumber.order(msgspec.structs.replace(take(B), not_after=soon))
        rig.plumber.order(renewal(A, not_after=soon))
        await trio.sleep(5)
    assert rig.backend.calls == [("add", (A,))]
    assert rig.answers == [AddressAdded(address=A), AddressLapsed(address=B), AddressesRenewed(lapsed=True)]


async def test_the_backend_is_told_in_the_systems_time_until_when_an_order_is_good(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[float] = []

    class Listening(MemoryBackend):
        async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
            told.extend(placement.not_after - time.monotonic() for placement in placements)
            return await super().add(placements)

    rig = Rig(Listening())
    async with rig.running():
        await trio.sleep(100)
        rig.plumber.order(msgspec.structs.replace(take(A), not_after=trio.current_time() + 30))
        await trio.sleep(1)
    assert told == [pytest.approx(30, abs=1)]


async def test_a_renewal_that_the_kernel_refuses_is_told_by_address(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    async with rig.running():
        for address in (A, B):
            rig.plumber.order(take(address))
        await trio.sleep(1)
        rig.backend.refuse = {A: "no such device"}
        rig.plumber.order(renewal(A, B))
        await trio.sleep(1)
    assert rig.answers[-1] == AddressesRenewed(failed=((A, "no such device"),))


async def test_it_is_idle_when_everything_ordered_is_done(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig(MemoryBackend(delay_s=1))
    async with rig.running():
        await rig.plumber.wait_idle()
        began = trio.current_time()
        for order in (take(A), take(B), release(A), renewal(B)):
            rig.plumber.order(order)
        await rig.plumber.wait_idle()
        assert trio.current_time() - began == pytest.approx(3)
        assert rig.answers[-1] == AddressesRenewed(took_s=pytest.approx(1))
