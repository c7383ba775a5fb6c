"""Three agreements that answer one another by hand; time-outs of 3.5 s."""

from __future__ import annotations

import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreement import PHASES, Agreement, Phase
from duravip.cluster.messages import Install, MemberState, MemberStatus, Promise, Propose, Refuse
from duravip.cluster.parameters import Parameters
from duravip.errors import ImpossibleTransitionError
from duravip.model import Incarnation, Member, NodeName, TableDigest

A, B, C = (Member(NodeName(name), Incarnation(1, 7)) for name in "abc")


def agreement(me: Member) -> Agreement:
    return Agreement(
        me,
        Parameters(name=me.name, incarnation=me.incarnation, heartbeat_interval_s=1.0, failure_timeout_s=3.5),
    )


def state(me: Member) -> MemberState:
    return MemberState(
        member=me,
        previous=None,
        mature=False,
        status=MemberStatus(table=TableDigest("0" * 32)),
        in_force=None,
        held=AddressSet(),
        releasing=AddressSet(),
    )


def propose(leader: Agreement, *members: Member, now: float = 0.0) -> Propose:
    leader.gather(now)
    asked = leader.propose(members, state(leader.me), now)
    assert asked is not None
    return asked


def answer(follower: Agreement, asked: Propose, leader: Member = A) -> Promise | Refuse | None:
    return follower.on_propose(
        Member(asked.view.coordinator, asked.view.incarnation), asked, leader.name, lambda: state(follower.me)
    )


def install(leader: Agreement, *followers: Agreement, now: float = 0.0) -> Install:
    asked = propose(leader, leader.me, *(follower.me for follower in followers), now=now)
    for follower in followers:
        promise = answer(follower, asked)
        assert isinstance(promise, Promise)
        leader.on_promise(follower.me, promise)
    agreed = leader.complete()
    assert agreed is not None
    members = tuple(sorted(asked.members))
    leader.installed(agreed, members, now)
    for follower in followers:
        assert follower.accepts(leader.me, agreed)
        follower.installed(agreed, members, now)
    return agreed


def test_a_view_is_installed_when_every_member_has_promised_and_not_before() -> None:
    a, b, c = agreement(A), agreement(B), agreement(C)
    asked = propose(a, A, B, C)
    for follower in (b, c):
        assert a.complete() is None
        promise = answer(follower, asked)
        assert isinstance(promise, Promise)
        a.on_promise(follower.me, promise)
    agreed = a.complete()
    assert agreed is not None
    assert [s.member for s in agreed.states] == [A, B, C]


def test_a_node_that_was_not_asked_or_has_not_promised_installs_nothing() -> None:
    a, b, c = agreement(A), agreement(B), agreement(C)
    agreed = install(a, b)
    assert not c.accepts(A, agreed)
    assert not b.accepts(C, agreed), "only the proposer's own word counts"
    assert not b.accepts(A, agreed), "once is enough"


def test_after_a_promise_nothing_is_taken_under_the_older_view() -> None:
    a, b = agreement(A), agreement(B)
    install(a, b)
    assert b.may_take()
    answer(b, propose(a, A, B, now=1.0))
    assert not b.may_take()
    assert not a.may_take()


def test_a_promise_to_a_later_epoch_makes_the_earlier_install_void() -> None:
    a, b = agreement(A), agreement(B)
    first = propose(a, A, B)
    promise = answer(b, first)
    assert isinstance(promise, Promise)
    a.on_promise(B, promise)
    old = a.complete()
    assert old is not None
    later = propose(a, A, B, now=1.0)
    assert later.view > first.view
    assert isinstance(answer(b, later), Promise)
    assert not b.accepts(A, old)


def test_a_proposal_below_what_was_promised_is_refused_and_the_proposer_goes_above_it() -> None:
    a, b = agreement(A), agreement(B)
    b.promised = b.highest = 40
    refusal = answer(b, propose(a, A, B))
    assert isinstance(refusal, Refuse)
    a.on_refuse(B, refusal, 0.5)
    assert a.phase is Phase.GATHERING
    assert propose(a, A, B, now=1.0).view.epoch == 41


def test_a_rival_of_the_leader_is_refused() -> None:
    b, c = agreement(B), agreement(C)
    assert isinstance(answer(c, propose(b, B, C), leader=A), Refuse)
    assert isinstance(answer(c, propose(b, B, C, now=1.0), leader=B), Promise)


def test_somebody_elses_name_on_a_proposal_is_ignored() -> None:
    a, b, c = agreement(A), agreement(B), agreement(C)
    asked = propose(a, A, B)
    assert b.on_propose(C, asked, A.name, lambda: state(B)) is None
    assert answer(c, asked) is None, "a node that is not among the members"


def test_questions_are_repeated_and_who_never_answers_is_left_out_for_a_while() -> None:
    a = agreement(A)
    asked = propose(a, A, B)
    assert a.tick(0.1) == []
    assert a.tick(0.25) == [asked]
    a.tick(3.5)
    assert a.phase is Phase.GATHERING
    assert a.penalties.is_out(B, 3.6)
    assert a.penalties.is_out(B, 3.5 + 13.9)
    assert not a.penalties.is_out(B, 3.5 + 14.1)


def test_the_install_is_repeated_until_each_member_was_seen_to_act_on_it() -> None:
    a, b, c = agreement(A), agreement(B), agreement(C)
    agreed = install(a, b, c)
    assert a.tick(0.25) == [agreed]
    a.confirmed(B)
    assert a.tick(0.5) == [agreed]
    a.confirmed(C)
    assert a.tick(0.75) == []
    assert b.tick(10.0) == []


def test_unbound_nodes_accept_only_a_view_that_nobody_had_proposed() -> None:
    a, b = agreement(A), agreement(B)
    asked = propose(a, A, B)
    promise = answer(b, asked)
    assert isinstance(promise, Promise)
    b.unbind()
    a.on_promise(B, promise)
    agreed = a.complete()
    assert agreed is not None
    assert not b.accepts(A, agreed)
    assert not b.may_take()


@pytest.mark.parametrize(
    "members",
    [(B,), (A,), (A, B, B), (A, B, Member(B.name, Incarnation(2, 7))), (B, Member(A.name, Incarnation(2, 7)))],
    ids=["no coordinator", "not us", "one twice", "two lives of us", "another life of the coordinator"],
)
def test_an_install_that_is_no_view_is_not_acted_upon(members: tuple[Member, ...]) -> None:
    a, b = agreement(A), agreement(B)
    asked = propose(a, A, B)
    assert isinstance(answer(b, asked), Promise)
    assert not b.accepts(A, Install(view=asked.view, states=tuple(map(state, members))))
    assert b.accepts(A, Install(view=asked.view, states=(state(A), state(B))))


def test_a_move_that_the_table_does_not_have_is_our_bug() -> None:
    a = agreement(A)
    assert Phase.PROPOSING not in PHASES[Phase.JOINING]
    with pytest.raises(ImpossibleTransitionError):
        a._become(Phase.PROPOSING)
