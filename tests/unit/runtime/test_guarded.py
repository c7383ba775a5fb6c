from __future__ import annotations

from collections.abc import Mapping, Sequence

from duravip.model import Address
from duravip.plugin.api import Answer, ChangesLost, Placement
from duravip.runtime.guarded import GuardedBackend
from duravip.testing.fakes import MemoryBackend

ONE, TWO = Address("192.0.2.50"), Address("192.0.2.51")


class Undoing(MemoryBackend):
    """Cannot say how to undo what is in `unknown`."""

    unknown: frozenset[Address] = frozenset()
    index = 7

    async def undo(self, placements: Sequence[Placement]) -> Sequence[bytes]:
        return [
            b"" if asked.address in self.unknown else f"{self.index} {asked.address}".encode() for asked in placements
        ]


class Guard:
    """Writes down what it knows, and what was on when it was told."""

    def __init__(self, backend: MemoryBackend) -> None:
        self.backend = backend
        self.known: dict[Address, bytes] = {}
        self.on_when_told: list[list[Address]] = []

    def expect(self, requests: Mapping[Address, bytes]) -> None:
        self.on_when_told.append(self.backend.ours())
        self.known.update(requests)

    def forget(self, addresses: Sequence[Address]) -> None:
        for address in addresses:
            self.known.pop(address, None)


def made() -> tuple[GuardedBackend, Undoing, Guard]:
    backend = Undoing()
    guard = Guard(backend)
    return GuardedBackend(backend, guard), backend, guard


def places(*addresses: Address) -> list[Placement]:
    return [Placement(address=address, interface=None, prefix=32) for address in addresses]


async def test_the_guard_knows_of_an_address_before_the_kernel_and_until_it_is_off() -> None:
    guarded, backend, guard = made()
    answers = await guarded.add(places(ONE, TWO))
    assert guard.on_when_told == [[]]
    assert answers == [Answer(address=address, interface="mem0") for address in (ONE, TWO)]
    assert guard.known == {ONE: b"7 192.0.2.50", TWO: b"7 192.0.2.51"}
    assert [row.address for row in await guarded.list()] == [ONE, TWO]
    await guarded.remove(places(ONE))
    assert guard.known == {TWO: b"7 192.0.2.51"}
    assert backend.ours() == [TWO]


async def test_one_that_could_not_be_taken_off_is_still_known() -> None:
    guarded, backend, guard = made()
    await guarded.add(places(ONE))
    backend.refuse = {ONE: "busy"}
    assert [answer.error for answer in await guarded.remove(places(ONE))] == ["busy"]
    assert guard.known == {ONE: b"7 192.0.2.50"}


async def test_one_that_was_refused_is_known_only_if_it_can_be_undone() -> None:
    guarded, backend, guard = made()
    backend.refuse = {ONE: "no device", TWO: "the answer was lost"}
    backend.unknown = frozenset({ONE})
    await guarded.add(places(ONE, TWO))
    assert guard.known == {TWO: b"7 192.0.2.51"}


async def test_one_that_is_on_and_cannot_be_undone_is_known_as_such() -> None:
    guarded, backend, guard = made()
    backend.unknown = frozenset({ONE})
    await guarded.add(places(ONE))
    assert guard.known == {ONE: b""}


async def test_a_renewal_tells_the_guard_where_the_address_may_be_put_back() -> None:
    guarded, backend, guard = made()
    await guarded.add(places(ONE, TWO))
    backend.index = 8
    backend.unknown = frozenset({TWO})  # its interface is gone: nothing can be put back there
    await guarded.renew(places(ONE, TWO))
    assert guard.known == {ONE: b"8 192.0.2.50", TWO: b"7 192.0.2.51"}


async def test_it_tells_of_the_backends_changes() -> None:
    guarded, backend, _ = made()
    changes = guarded.watch()
    backend.tell(ChangesLost())
    assert await anext(changes) == ChangesLost()
