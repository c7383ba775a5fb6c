from __future__ import annotations

from duravip.cluster.messages import Matured, Numbered, ViewAged
from duravip.cluster.sequencer import MAX_BUFFERED, MAX_RESENT, Sequencer
from duravip.model import Incarnation, NodeName, ViewId

VIEW = ViewId(3, NodeName("a"), Incarnation(1, 1))


def bodies(count: int) -> list[Matured]:
    return [Matured(names=(NodeName(f"n{number}"),)) for number in range(1, count + 1)]


def deliver(member: Sequencer, message: Numbered) -> list[object]:
    ready = member.receive(message)
    for _ in ready:
        member.delivered()
    return list(ready)


def test_messages_are_delivered_in_the_order_of_their_numbers_whatever_order_they_come_in() -> None:
    coordinator, member = Sequencer(VIEW), Sequencer(VIEW)
    one, two, three = (coordinator.give(body) for body in bodies(3))
    assert deliver(member, three) == []
    assert member.has_gap()
    assert deliver(member, one) == [one.body]
    assert deliver(member, two) == [two.body, three.body]
    assert member.number == 3
    assert not member.has_gap()


def test_a_message_that_comes_twice_is_delivered_once() -> None:
    coordinator, member = Sequencer(VIEW), Sequencer(VIEW)
    one = coordinator.give(ViewAged())
    assert deliver(member, one) == [one.body]
    assert deliver(member, one) == []


def test_the_coordinator_repeats_from_the_first_missing_number_on_in_bounded_portions() -> None:
    coordinator = Sequencer(VIEW)
    given = [coordinator.give(body) for body in bodies(MAX_RESENT + 5)]
    assert coordinator.again(3) == given[2 : 2 + MAX_RESENT]
    assert coordinator.again(0)[0] == given[0]


def test_what_every_member_has_is_forgotten() -> None:
    coordinator = Sequencer(VIEW)
    given = [coordinator.give(body) for body in bodies(4)]
    coordinator.forget(2)
    assert coordinator.again(1) == given[2:]


def test_what_is_far_ahead_of_a_gap_does_not_keep_the_gap_from_being_filled() -> None:
    coordinator, member = Sequencer(VIEW), Sequencer(VIEW)
    said = [coordinator.give(ViewAged()) for _ in range(MAX_BUFFERED + 200)]
    for message in said[1:]:
        assert member.receive(message) == []
    assert len(member.receive(said[0])) == MAX_BUFFERED
