"""What every interface backend must do, as checks that need no test framework.

    await check_backend(open_backend, place)

raises AssertionError with a sentence when the backend breaks its contract (`duravip.plugin.api.Backend`).
`open_backend` gives a new backend, not entered yet. The place must be one where addresses may really come and go: a
network namespace, an account for tests, a fake.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

import trio

from duravip.model import Address
from duravip.plugin.api import Answer, Backend, Change, Placement, Plumbed, UndoingBackend
from duravip.runtime import _guard_process

Open = Callable[[], Backend]
_MANY_CALLS = 20
_HEARD_S = 0.1  # until a change has been told, if it is
EXPIRY_SLACK_S = 2.5  # how late Linux may be with the end of a lifetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Two interfaces. `connected` (at least three, IPv4) and `connected6` (one or none) are free addresses in
    subnets that only `interface` is connected to; `unconnected` (at least three, IPv4, one /24) are free
    addresses that no interface is connected to."""

    interface: str
    other_interface: str
    connected: tuple[Address, ...]
    connected6: tuple[Address, ...]
    unconnected: tuple[Address, ...]


async def check_backend(open_backend: Open, place: Place) -> None:
    """All checks, each on a backend of its own; afterwards the machine is as before."""
    for check in (
        check_adding_and_removing,
        check_repetition_is_success,
        check_answers_are_per_address,
        check_removal_finds_the_interface,
        check_an_earlier_run_is_undone,
        check_the_interface_is_chosen_by_subnet,
        check_siblings_survive,
        check_the_guard_can_undo_additions,
        check_other_tasks_run_meanwhile,
        check_watching_goes_on,
        check_a_late_order_is_not_carried_out,
        check_lifetimes,
    ):
        before = await _listed(open_backend)
        await check(open_backend, place)
        after = await _listed(open_backend)
        assert after == before, f"{check.__name__}: the machine was left changed: {set(before) ^ set(after)}"


async def check_adding_and_removing(open_backend: Open, place: Place) -> None:
    wanted = [_single(address, place.interface) for address in (*place.connected, *place.connected6)]
    async with open_backend() as backend:
        others = [row for row in await backend.list() if not row.ours]
        _all_well(await backend.add(wanted), wanted)
        listed = await backend.list()
        for asked in wanted:
            found = _of(listed, asked.address)
            assert len(found) == 1, f"{asked.address} was added once and is listed {len(found)} times"
            assert found[0].ours, f"{asked.address} was added and does not bear our mark"
            assert (found[0].interface, found[0].prefix) == (asked.interface, asked.prefix), (
                f"{asked.address} was put on {found[0].interface} as /{found[0].prefix}"
            )
        _all_well(await backend.remove(wanted), wanted)
        left = await backend.list()
        for asked in wanted:
            assert not _of(left, asked.address), f"{asked.address} is still there after its removal"
        assert [row for row in left if not row.ours] == others, "an address that was not ours was changed"


async def check_repetition_is_success(open_backend: Open, place: Place) -> None:
    wanted = [_single(place.connected[0], place.interface)]
    async with open_backend() as backend:
        _all_well(await backend.remove(wanted), wanted)
        _all_well(await backend.add(wanted), wanted)
        _all_well(await backend.add(wanted), wanted)
        assert len(_of(await backend.list(), wanted[0].address)) == 1, "adding twice made two addresses"
        _all_well(await backend.remove(wanted), wanted)
        _all_well(await backend.remove(wanted), wanted)
        assert not await backend.add([]), "no placements must give no answers"


async def check_answers_are_per_address(open_backend: Open, place: Place) -> None:
    missing = "dv-missing"
    first, second = (_single(address, place.interface) for address in place.connected[:2])
    nowhere = Placement(address=place.connected[2], interface=missing, prefix=32)
    async with open_backend() as backend:
        answers = await backend.add([first, nowhere, second])
        assert [answer.address for answer in answers] == [first.address, nowhere.address, second.address], (
            "answers are not in the order of the question"
        )
        assert not answers[0].error, f"a good address failed beside a bad one: {answers[0].error}"
        assert not answers[2].error, f"a good address failed after a bad one: {answers[2].error}"
        assert missing in answers[1].error, f"the error does not name the interface: {answers[1].error!r}"
        assert not _of(await backend.list(), nowhere.address)
        everything = [second, nowhere, first]
        _all_well(await backend.remove(everything), everything)


async def check_removal_finds_the_interface(open_backend: Open, place: Place) -> None:
    address = place.connected[0]
    async with open_backend() as backend:
        elsewhere = [_single(address, place.other_interface)]
        _all_well(await backend.add(elsewhere), elsewhere)
        answers = await backend.remove([_single(address, place.interface)])
        assert not answers[0].error, answers[0].error
        assert answers[0].interface == place.other_interface, (
            f"the answer to a removal names {answers[0].interface!r}, the address was on {place.other_interface}"
        )
        assert not _of(await backend.list(), address), "an address on another interface than named was left there"


async def check_an_earlier_run_is_undone(open_backend: Open, place: Place) -> None:
    wanted = [_single(address, place.interface) for address in (*place.connected[:1], *place.connected6)]
    async with open_backend() as backend:
        _all_well(await backend.add(wanted), wanted)
    async with open_backend() as backend:
        ours = [row.address for row in await backend.list() if row.ours]
        assert sorted(ours) == sorted(asked.address for asked in wanted), "the mark did not outlive the backend"
        _all_well(await backend.remove(wanted), wanted)


async def check_the_interface_is_chosen_by_subnet(open_backend: Open, place: Place) -> None:
    free = [
        Placement(address=address, interface=None, prefix=_host_bits(address))
        for address in (*place.connected[:1], *place.connected6)
    ]
    async with open_backend() as backend:
        answers = await backend.add(free)
        _all_well(answers, free)
        for answer in answers:
            assert answer.interface == place.interface, f"{answer.address} was put on {answer.interface!r}"
            assert [row.interface for row in _of(await backend.list(), answer.address)] == [place.interface]
        _all_well(await backend.remove(free), free)
        refused = await backend.add([Placement(address=place.unconnected[0], interface=None, prefix=32)])
        assert place.unconnected[0] in refused[0].error, "an address without a subnet was not refused by name"
        assert not _of(await backend.list(), place.unconnected[0])


async def check_siblings_survive(open_backend: Open, place: Place) -> None:
    """Either the backend takes prefixes shorter than 32 and keeps siblings, or it refuses them in words."""
    family = [Placement(address=address, interface=place.interface, prefix=24) for address in place.unconnected[:3]]
    async with open_backend() as backend:
        answers = await backend.add(family)
        if all(answer.error for answer in answers):
            return
        _all_well(answers, family)
        _all_well(await backend.remove(family[:1]), family[:1])
        listed = await backend.list()
        assert not _of(listed, family[0].address)
        for sibling in family[1:]:
            assert _of(listed, sibling.address), f"removing {family[0].address} took {sibling.address} with it"
        _all_well(await backend.remove(family), family)


async def check_the_guard_can_undo_additions(open_backend: Open, place: Place) -> None:
    """Of backends that say how."""
    wanted = [_single(address, place.interface) for address in (*place.connected[:1], *place.connected6)]
    wanted += [Placement(address=place.connected[1], interface=None, prefix=32)]
    async with open_backend() as backend:
        if not isinstance(backend, UndoingBackend):
            return
        requests = await backend.undo(wanted)
        assert len(requests) == len(wanted), f"`undo` gave {len(requests)} requests for {len(wanted)} placements"
        for asked, request in zip(wanted, requests, strict=True):
            assert request, f"`undo` says no way to take {asked.address} off, where it can be put on"
        _all_well(await backend.add(wanted), wanted)
        others = [row for row in await backend.list() if not row.ours]
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK) as kernel:
            left = _guard_process.take_off(kernel, dict(zip((b"%d" % n for n in range(9)), requests, strict=False)))
        assert not left, "the kernel refuses what `undo` gave"
        listed = await backend.list()
        for asked in wanted:
            assert not _of(listed, asked.address), f"{asked.address} is still there after it was undone"
        assert [row for row in listed if not row.ours] == others, "an address that was not ours was changed"


async def check_other_tasks_run_meanwhile(open_backend: Open, place: Place) -> None:
    wanted = [_single(place.connected[0], place.interface)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    turns_in = {"add": 0, "remove": 0}
    answers: list[Answer] = []
    async with open_backend() as backend, trio.open_nursery() as nursery:
        nursery.start_soon(count)
        for _ in range(_MANY_CALLS):  # the order of tasks is random: one call alone proves nothing
            for name, call in (("add", backend.add), ("remove", backend.remove)):
                before = turns
                answers += await call(wanted)
                turns_in[name] += turns - before
        nursery.cancel_scope.cancel()
    _all_well(answers, wanted * len(answers))
    for name, counted in turns_in.items():
        assert counted, f"no other task ran during `{name}`, in {_MANY_CALLS} calls"


async def check_watching_goes_on(open_backend: Open, place: Place) -> None:
    """While addresses come and go, by another hand too. A backend that cannot tell of changes may end it at once; what
    is told is not compared with what happened, as a backend need not tell of its own doing."""
    wanted = [_single(address, place.interface) for address in (*place.connected, *place.connected6)]
    mistakes: list[str] = []
    async with open_backend() as backend, open_backend() as another, trio.open_nursery() as nursery:

        async def watch() -> None:
            try:
                async for change in backend.watch():
                    told: object = change
                    if not isinstance(told, Change):
                        mistakes.append(f"watch tells of {told!r}, which is no Change")
            except Exception as error:  # a backend's; said in a sentence below
                mistakes.append(f"watch raised {error!r}")

        nursery.start_soon(watch)
        for changing in (backend, another):
            _all_well(await changing.add(wanted), wanted)
            await trio.sleep(_HEARD_S)
            _all_well(await changing.remove(wanted), wanted)
            await trio.sleep(_HEARD_S)
        nursery.cancel_scope.cancel()
    assert not mistakes, mistakes[0]


async def check_a_late_order_is_not_carried_out(open_backend: Open, place: Place) -> None:
    late = [replace(_single(place.connected[0], place.interface), not_after=time.monotonic())]
    async with open_backend() as backend:
        calls = [backend.add, backend.renew] if backend.has_lifetimes else [backend.add]
        for call in calls:
            (answer,) = await call(late)
            assert answer.late, f"{call.__name__}: an order that came after its time was not answered as late"
            assert answer.error, f"{call.__name__}: the answer to a late order has no error"
            assert not _of(await backend.list(), late[0].address), f"{call.__name__} carried out a late order"


async def check_lifetimes(open_backend: Open, place: Place) -> None:
    """What is renewed stays, what is not goes, and a lifetime of 0 has no end. Takes up to four seconds; nothing where
    the backend has no lifetimes."""
    async with open_backend() as backend:
        if not backend.has_lifetimes:
            return
        asked = (*(_single(address, place.interface) for address in (*place.connected[:3], *place.connected6)),)
        mortal = [replace(each, lifetime_s=1.0) for each in asked]
        _all_well(await backend.add(mortal), mortal)
        kept, freed, *dropped = mortal
        _all_well(await backend.renew([*mortal[:1], *dropped]), [*mortal[:1], *dropped])
        immortal = [replace(freed, lifetime_s=0.0)]
        _all_well(await backend.renew(immortal), immortal)
        deadline = trio.current_time() + 1.0 + EXPIRY_SLACK_S
        while left := {row.address for row in await backend.list()} & {each.address for each in dropped}:
            assert trio.current_time() < deadline, f"{', '.join(sorted(left))}: still there without renewal"
            await trio.sleep(0.25)
            _all_well(await backend.renew([kept]), [kept])
        listed = await backend.list()
        assert _of(listed, kept.address), f"{kept.address} was renewed all the time and is gone"
        assert _of(listed, freed.address), f"{freed.address} has gone though its lifetime was ended"
        _all_well(await backend.remove([kept, freed]), [kept, freed])


async def _listed(open_backend: Open) -> list[tuple[str, str, int]]:
    async with open_backend() as backend:
        return sorted((row.address, row.interface, row.prefix) for row in await backend.list())


def _single(address: Address, interface: str) -> Placement:
    return Placement(address=address, interface=interface, prefix=_host_bits(address))


def _host_bits(address: Address) -> int:
    return ip_address(address).max_prefixlen


def _of(listed: Sequence[Plumbed], address: Address) -> list[Plumbed]:
    return [row for row in listed if row.address == address]


def _all_well(answers: Sequence[Answer], asked: Sequence[Placement]) -> None:
    assert [answer.address for answer in answers] == [each.address for each in asked], (
        "the answers do not match the question, one for each address in the same order"
    )
    for answer in answers:
        assert not answer.error, f"{answer.address}: {answer.error}"
