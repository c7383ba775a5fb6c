from __future__ import annotations

import math

from duravip.cluster.messages import DrainAsked, MemberStatus, Pinned, SwitchAsked
from duravip.cluster.wishes import SWITCH_LIMIT_S, WISH_LIMIT_S, Wishes
from duravip.model import Address, Incarnation, Member, NodeName, TableDigest, View, ViewId

A, B = NodeName("a"), NodeName("b")
X = Address("10.0.0.1")
VIEW = View(id=ViewId(1, A, Incarnation(1, 1)), members=(Member(A, Incarnation(1, 1)),))


def test_a_wish_is_repeated_to_the_coordinator_until_it_is_numbered() -> None:
    wishes = Wishes(B, 1.0)
    wishes.pin(X, A, 0.0)
    (first,) = wishes.to_say(VIEW, 0.0)
    assert first.to == A
    assert wishes.to_say(VIEW, 0.1) == []
    assert wishes.to_say(VIEW, 0.25) == [first]
    wishes.granted(B, 1)
    assert wishes.to_say(VIEW, 1.0) == []
    assert wishes.deadline() == math.inf


def test_somebody_elses_wish_with_the_same_number_grants_nothing() -> None:
    wishes = Wishes(B, 1.0)
    wishes.announce(0.0)
    wishes.granted(A, 1)
    assert len(wishes.bodies(0.0)) == 1


def test_a_wish_that_is_never_granted_is_given_up() -> None:
    wishes = Wishes(B, 1.0)
    wishes.pin(X, None, 0.0)
    assert wishes.bodies(WISH_LIMIT_S - 0.1) == [Pinned(by=B, sequence=1, address=X, node=None)]
    assert wishes.bodies(WISH_LIMIT_S) == []
    assert wishes.to_say(VIEW, WISH_LIMIT_S) == []


def test_a_switch_of_all_is_asked_for_longer_than_anything_else() -> None:
    wishes = Wishes(B, 1.0)
    wishes.switch(0.0)
    assert wishes.bodies(SWITCH_LIMIT_S - 0.1) == [SwitchAsked(by=B, sequence=1)]
    assert wishes.bodies(SWITCH_LIMIT_S) == []


def test_wishes_keep_their_order() -> None:
    wishes = Wishes(B, 1.0)
    wishes.pin(X, A, 0.0)
    wishes.pin(X, B, 0.1)
    assert [body.node for body in wishes.bodies(0.2) if isinstance(body, Pinned)] == [A, B]


def status(*, drained: bool) -> dict[NodeName, MemberStatus]:
    return {A: MemberStatus(table=TableDigest("0" * 32), drained=drained)}


def test_a_drain_is_repeated_until_it_is_numbered_and_the_nodes_agreed_status_says_so() -> None:
    wishes = Wishes(B, 1.0)
    wishes.drain(A, 0.0, drained=True, force=False)
    (body,) = wishes.bodies(0.0)
    assert isinstance(body, DrainAsked)
    wishes.declared(status(drained=True))
    assert wishes.bodies(0.1) == [body], "what it says now is older than the wish"
    wishes.numbered(body)
    wishes.declared(status(drained=False))
    wishes.declared({})
    assert wishes.bodies(0.1) == [body]
    wishes.declared(status(drained=True))
    assert wishes.bodies(0.1) == []


def test_the_last_word_about_a_node_counts() -> None:
    wishes = Wishes(B, 1.0)
    wishes.drain(A, 0.0, drained=True, force=False)
    wishes.drain(B, 0.0, drained=True, force=False)
    wishes.drain(A, 0.1, drained=False, force=True)
    assert [(body.name, body.drained) for body in wishes.bodies(0.2) if isinstance(body, DrainAsked)] == [
        (B, True),
        (A, False),
    ]
