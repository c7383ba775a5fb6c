from __future__ import annotations

import math

import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.charter import wait_s
from duravip.cluster.effects import ArmAlarm
from duravip.cluster.library import Library
from duravip.cluster.mandate import RETREAT, Mandate
from duravip.cluster.messages import Charter, MemberState, MemberStatus, Missing, Roll
from duravip.model import Incarnation, Member, NodeName, Settings, View, ViewId, make_table

A, B, C = (Member(NodeName(name), Incarnation(1, number)) for number, name in enumerate("abc", start=1))
LIFETIME_S = 4
MANDATE_S = 2.0
ABC = Roll(members=(A.name, B.name, C.name), lifetime_s=LIFETIME_S)
CHARTER = Charter(generation=1, rolls=(ABC,))
SETTINGS = Settings(ownership="strict", members=ABC.members, address_lifetime=LIFETIME_S)
EPOCHS = iter(range(1, 1_000))


class Place:
    """Node a's mandate; it is given views as they would be installed."""

    def __init__(self) -> None:
        self.left: set[Member] = set()
        self.mandate = Mandate(A, renews=True, has_left=self.left.__contains__)
        self.library = Library(make_table((), SETTINGS), retry_s=1.0)
        self.agreed: AgreedState

    def install(self, *members: Member, now: float, gone: bool = True, **states: tuple[Missing, ...]) -> None:
        """`states`: what a member says of who is missing; node a says what its mandate says. `gone`: the others have
        heard every LEAVE that node a has."""
        view = View(id=ViewId(next(EPOCHS), A.name, A.incarnation), members=members)
        said = {A.name: self.mandate.missing(now), **states}
        digest = self.library.own
        heard = self.mandate.gone()
        self.agreed = AgreedState(
            view,
            tuple(
                MemberState(
                    member=member,
                    previous=None,
                    mature=True,
                    status=MemberStatus(table=digest, has=(digest,), gone=heard if gone or member == A else ()),
                    in_force=None,
                    held=AddressSet(),
                    releasing=AddressSet(),
                    charter=CHARTER,
                    missing=said.get(member.name, ()),
                )
                for member in members
            ),
            self.library,
        )
        self.mandate.installed(self.agreed, now)


@pytest.fixture
def place() -> Place:
    place = Place()
    place.install(A, B, C, now=0.0)
    return place


def test_a_mandate_runs_from_our_sending_of_the_newest_beat_that_a_majority_echoed(place: Place) -> None:
    mandate = place.mandate
    assert not mandate.may_hold(0.0)
    mandate.echoed(B.name, 10.0)
    mandate.confirm(10.5)
    assert mandate.until == 10.0 + MANDATE_S
    mandate.echoed(C.name, 10.25)
    mandate.echoed(C.name, 9.0)  # an echo that was overtaken
    mandate.confirm(10.5)
    assert mandate.until == 10.25 + MANDATE_S
    assert mandate.may_hold(10.25 + (1 - RETREAT) * MANDATE_S - 0.01)
    assert not mandate.may_hold(10.25 + (1 - RETREAT) * MANDATE_S)
    assert mandate.not_after() == pytest.approx(10.25 + (1 - RETREAT) * MANDATE_S)


def test_echoes_count_in_the_view_that_they_were_said_in_alone_and_a_mandate_outlives_it(place: Place) -> None:
    mandate = place.mandate
    mandate.echoed(B.name, 10.0)
    mandate.confirm(10.0)
    place.install(A, B, now=10.5)
    mandate.confirm(11.0)
    assert mandate.until == 10.0 + MANDATE_S


def test_without_a_majority_there_is_no_mandate(place: Place) -> None:
    mandate = place.mandate
    place.install(A, now=10.0)
    mandate.confirm(10.0)
    assert not mandate.may_hold(10.0)
    assert not place.agreed.is_carried()


def test_a_missing_member_is_waited_for_from_the_beginning_of_the_first_view_that_lacks_it(place: Place) -> None:
    mandate, waits_s = place.mandate, wait_s([ABC])
    assert mandate.waits_for(0.0) == {}
    place.install(A, B, now=10.0, b=(Missing(name=C.name, for_s=0.0),))
    assert mandate.waits_for(10.0) == {C.name: 10.0 + waits_s}
    assert mandate.in_words(11.0) == f"; waits out the lease of c for {waits_s - 1:.1f} s"
    place.install(A, B, now=12.0, b=(Missing(name=C.name, for_s=2.0),))
    assert mandate.waits_for(12.0) == {C.name: 10.0 + waits_s}
    assert mandate.deadline(12.0) == 10.0 + waits_s
    assert mandate.waits_for(10.0 + waits_s) == {}


def test_one_that_has_forgotten_what_it_knew_makes_all_wait_again(place: Place) -> None:
    place.install(A, B, now=10.0, b=(Missing(name=C.name, for_s=0.0),))
    place.install(A, B, now=15.0, b=())
    assert place.mandate.waits_for(15.0) == {C.name: 15.0 + wait_s([ABC])}


def test_one_that_has_left_is_not_waited_for_when_all_know_that(place: Place) -> None:
    place.left.add(C)
    assert place.mandate.gone() == (C.name,)
    place.install(A, B, now=10.0, gone=False, b=(Missing(name=C.name, for_s=0.0),))
    assert place.mandate.waits_for(10.0)
    place.install(A, B, now=10.1, b=(Missing(name=C.name, for_s=0.1),))
    assert place.mandate.waits_for(10.1) == {}


def test_who_left_long_ago_and_was_there_since_in_another_life_is_not_gone(place: Place) -> None:
    place.left.add(C)
    assert place.mandate.gone() == (C.name,)
    place.install(A, B, Member(C.name, Incarnation(2, 7)), now=5.0)
    assert place.mandate.gone() == ()


def test_the_alarm_stands_at_the_mandates_end_while_anything_is_held(place: Place) -> None:
    mandate = place.mandate
    assert mandate.arm(holds=True, now=0.0) == ()  # a stray: there never was a mandate
    mandate.echoed(B.name, 10.0)
    mandate.confirm(10.0)
    assert mandate.arm(holds=False, now=10.0) == ()
    assert mandate.arm(holds=True, now=10.0) == (ArmAlarm(at=12.0),)
    assert mandate.arm(holds=True, now=10.1) == ()
    mandate.echoed(B.name, 11.0)
    mandate.confirm(11.0)
    assert mandate.arm(holds=True, now=11.0) == (ArmAlarm(at=13.0),)
    assert mandate.arm(holds=True, now=13.5) == ()  # it has rung, or will in a moment
    assert mandate.arm(holds=False, now=13.5) == (ArmAlarm(at=math.inf),)
