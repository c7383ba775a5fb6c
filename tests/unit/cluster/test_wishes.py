from __future__ import annotations

import math

from duravip.cluster.messages import Pinned, SwitchAsked
from duravip.cluster.wishes import SWITCH_LIMIT_S, WISH_LIMIT_S, Wishes
from duravip.model import Address, Incarnation, Member, NodeName, View, ViewId

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
