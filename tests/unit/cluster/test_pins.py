"""Operators' choices, from view to view: the newest counts, and there are never too many."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.messages import MAX_PINS, Install, MemberState, MemberStatus, Pin
from duravip.cluster.pins import keep, pins_at_install, said_once
from duravip.model import MAX_COUNT, Address, Incarnation, Member, NodeName, Table, ViewId
from duravip.wire import codec
from duravip.wire.dropped import Dropped

A, B, GONE = (Member(NodeName(name), Incarnation(1, 1)) for name in ("a", "b", "gone"))
X, Y = Address("192.0.2.1"), Address("192.0.2.2")
VIEW = ViewId(7, A.name, A.incarnation)


def state(member: Member, pins: Sequence[Pin] = ()) -> MemberState:
    return MemberState(
        member=member,
        previous=None,
        mature=True,
        status=MemberStatus(table=Table().digest()),
        in_force=None,
        held=AddressSet(),
        releasing=AddressSet(),
        pins=tuple(pins),
    )


def pin(address: Address, node: Member | None, *, number: int = 1, epoch: int = 1) -> Pin:
    return Pin(address=address, node=node.name if node is not None else None, epoch=epoch, number=number)


def many(start: int, count: int, node: Member | None, *, epoch: int = 1) -> list[Pin]:
    addresses = (Address(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(start, start + count))
    return [pin(address, node, number=n, epoch=epoch) for n, address in enumerate(addresses)]


def test_of_two_words_on_a_pin_the_newer_counts_and_one_without_its_node_has_ended() -> None:
    states = (state(A, [pin(X, A, number=3), pin(Y, GONE, number=9)]), state(B, [pin(X, B, number=5)]))
    pins = pins_at_install(states, epoch=7)
    assert pins[X].node == B.name
    assert pins[Y].node is None
    assert pins_at_install(states[::-1], epoch=7) == pins


def test_a_pin_of_a_view_that_is_still_to_come_is_a_lie() -> None:
    states = (state(A, [pin(X, A, epoch=7)]), state(B, [pin(X, B, epoch=MAX_COUNT)]))
    assert pins_at_install(states, epoch=7)[X].node == A.name


@pytest.mark.parametrize("text", ["x1", "192.0.2.01", "2001:DB8::1", "\U0010ffff" * 16, "1.2.3"])
def test_what_is_no_address_is_not_kept(text: str) -> None:
    assert pins_at_install([state(A, [pin(Address(text), A)])], epoch=7) == {}


def test_however_many_are_said_the_newest_that_are_in_force_remain() -> None:
    said = [many(0, MAX_PINS, None, epoch=3), many(MAX_PINS, MAX_PINS, None, epoch=5), many(1 << 20, 100, A, epoch=2)]
    pins = pins_at_install([state(A, said[0]), state(B, said[1] + said[2])], epoch=7)
    assert len(pins) == MAX_PINS
    assert sum(one.node is not None for one in pins.values()) == 100
    assert sum(one.epoch == 5 for one in pins.values()) == MAX_PINS - 100


def test_one_more_takes_the_place_of_the_oldest_that_has_ended() -> None:
    pins = {one.address: one for one in [*many(0, MAX_PINS - 1, A), pin(Y, None)]}
    keep(pins, pin(X, B))
    assert len(pins) == MAX_PINS
    assert X in pins
    assert Y not in pins
    keep(pins, pin(Y, B))
    assert Y not in pins


def test_an_install_says_all_of_them_once_and_comes_to_the_same() -> None:
    states = (state(A, [pin(X, A)]), state(B, [pin(X, A), pin(Y, B)]))
    said = said_once(states, epoch=7)
    assert [len(each.pins) for each in said] == [2, 0]
    assert pins_at_install(said, epoch=7) == pins_at_install(states, epoch=7)
    assert said_once(said, epoch=7) == said


def test_an_install_with_as_many_as_can_be_fits_into_a_body() -> None:
    members = [Member(NodeName(f"{n:02d}" + "n" * 253), Incarnation(1, 1)) for n in range(16)]
    v6 = (Address(f"2001:db8:1111:2222:3333:4444:{n >> 8:x}:{n & 255 | 4096:x}") for n in range(MAX_PINS))
    pins = [pin(address, members[n % 16], number=1 << 30, epoch=1 << 30) for n, address in enumerate(v6)]
    promised = tuple(state(member, pins) for member in members)
    states = said_once(promised, epoch=MAX_COUNT)
    install = Install(view=ViewId(1 << 30, members[0].name, members[0].incarnation), states=states)
    body = codec.body_of([codec.encode_message(install)])
    assert not isinstance(codec.decode(body), Dropped)
