"""What is not worked out again would have come to the same."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

from duravip.cluster import library, lookout
from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.declaration import Declaration
from duravip.cluster.deliberation import Question
from duravip.cluster.detector import Detector
from duravip.cluster.electorate import Candidate, Circumstances
from duravip.cluster.flags import survey
from duravip.cluster.messages import Blocked, Report
from duravip.cluster.parameters import FUNCTIONS
from duravip.cluster.shadow import NOTHING_CAST, Cast
from duravip.cluster.stepwise import Steps
from duravip.cluster.table_codec import pack
from duravip.model import (
    Address,
    Decision,
    Incarnation,
    Member,
    NodeName,
    Reason,
    Table,
    Use,
    ViewId,
    VipEntry,
    canonical_address,
    make_table,
)
from duravip.sim import world
from duravip.sim.remembering import WORKED_OUT_ANEW, remembering
from duravip.sim.run import run_schedule
from duravip.sim.setup import random_setup

Key = TypeVar("Key")
Value = TypeVar("Value")
SEEDS = range(12)
A, B = NodeName("a"), NodeName("b")
X, Y = canonical_address("192.0.2.1"), canonical_address("192.0.2.2")
LANDSCAPE = survey(
    dict.fromkeys((A, B), make_table([VipEntry(address=vip, services=(Use("multivip"),)) for vip in (X, Y)]))
)
VIEW = ViewId(1, A, Incarnation(1, 1))
CANDIDATE = Candidate(name=A)
OTHER_CANDIDATE = {
    "name": B,
    "mature": False,
    "drained": True,
    "leaving": True,
    "blocked": Blocked(addresses=AddressSet([X])),
    "weight": 2.0,
    "previous": VIEW,
    "barred": "is in no list",
}
GIVEN = Circumstances(
    candidates=(CANDIDATE, Candidate(name=B)), holders={X: (A,), Y: (B,)}, pins={X: A, Y: B}, view_mature=False
)
OTHER_GIVEN = {
    "candidates": (CANDIDATE,),
    "holders": {X: (A,), Y: (A,)},
    "pins": {X: A},
    "view_mature": True,
    "moving": 1,
    "fail_back": "never",
    "no_majority": "one of three",
}
QUESTION = Question(
    landscape=LANDSCAPE,
    given=GIVEN,
    decisions={X: Decision(A, Reason.HOLDER), Y: Decision(B, Reason.HOLDER)},
)
OTHER_QUESTION = {
    "landscape": survey({A: make_table([])}),
    "given": dataclasses.replace(GIVEN, view_mature=True),
    "decisions": {X: Decision(A, Reason.HOLDER)},
    "limit": 1,
}


def turned(given: dict[Key, Value]) -> dict[Key, Value]:
    """The same, in another order."""
    return dict(reversed(given.items()))


def asking(given: Circumstances) -> Question:
    return dataclasses.replace(QUESTION, given=given)


@pytest.mark.parametrize("seed", SEEDS)
def test_nodes_that_share_what_follows_from_something_alone_do_and_say_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run_schedule(seed)
    monkeypatch.setattr(world, "remembering", lambda chance: FUNCTIONS)
    library._surveyed.clear()
    assert usual == run_schedule(seed)


@pytest.mark.parametrize("ownership", ["available", "strict"])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_election_that_nothing_has_changed_for_would_have_changed_nothing(
    seed: int, ownership: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In worlds that think within their turns: what is put outside takes time, and random numbers."""
    setup = dataclasses.replace(random_setup(random.Random(seed), ownership=ownership), invented=False)
    usual = run_schedule(seed, setup=setup)
    monkeypatch.setattr(AgreedState, "basis_of_elections", lambda self: object())
    assert usual == run_schedule(seed, setup=setup)


@pytest.mark.parametrize("ownership", ["available", "strict"])
@pytest.mark.parametrize("seed", SEEDS[:5])
def test_what_a_node_keeps_is_what_it_would_work_out_anew(
    seed: int, ownership: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, report, compose = AgreedState.digest, Declaration.report, Declaration._compose
    cliques, cast = Detector.cliques, lookout.cast
    asked = {"digest": 0, "declared": 0, "vertices": 0}

    def checked_digest(agreed: AgreedState) -> bytes:
        words = [f"|{a}={d.owner}/{d.reason.value}" for a, d in sorted(agreed.decisions.items())]
        state = f"{agreed.view.id}|{agreed.number}{''.join(words)}"
        assert digest(agreed) == hashlib.blake2b(state.encode(), digest_size=8).digest()
        owners = {name: {a for a, d in agreed.decisions.items() if d.owner == name} for name in agreed.names()}
        assert owners == {name: set(agreed.owned(name)) for name in agreed.names()}
        asked["digest"] += 1
        return digest(agreed)

    def checked_report(declaration: Declaration, agreed: AgreedState, *, is_bound: bool, now: float) -> Report | None:
        said = report(declaration, agreed, is_bound=is_bound, now=now)
        if not is_bound:
            blocked = declaration._standing._blocks(declaration._tenure.refused(), now)
            assert declaration._said is not None
            assert declaration._said[1] == declaration._status(agreed, blocked)
            compose(declaration, agreed, declaration._said[1])
            assert declaration._report == said
            asked["declared"] += 1
        return said

    def checked_cast(*given: Any) -> Cast:
        found = cast(*given)
        assert found == cast(*given[:-1], NOTHING_CAST)
        return found

    def checked_cliques(detector: Detector, now: float) -> tuple[tuple[Member, ...], ...]:
        found = cliques(detector, now)
        here = {detector.me, *(peer.member for peer in detector.alive())}
        assert sorted(here.union(*found)) == detector._vertices
        assert here <= set(detector._vertices)
        asked["vertices"] += 1
        return found

    monkeypatch.setattr(AgreedState, "digest", checked_digest)
    monkeypatch.setattr(Declaration, "report", checked_report)
    monkeypatch.setattr(lookout, "cast", checked_cast)
    monkeypatch.setattr(Detector, "cliques", checked_cliques)
    assert not run_schedule(seed, ownership=ownership).violations
    assert all(asked.values())


class Taken:
    """Steps that are taken, and what they come to."""

    def __init__(self, steps: Steps[tuple[Table, int]]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[None]:
        self.result = yield from self._steps


def test_a_table_that_takes_several_steps_takes_them_each_time_and_a_short_one_none() -> None:
    unpack = remembering(random.Random(0)).packer.unpack
    vips = [VipEntry(address=canonical_address(f"10.0.{n >> 8}.{n & 255}")) for n in range(3_000)]
    for table, long_bytes, steps in ((make_table(vips), 1_000, 2), (make_table(vips[:3]), 1_000, 0)):
        pieces = pack(table)
        for _ in range(2):
            taken = 0
            for _ in (unpacked := Taken(unpack(pieces, table.digest(), long_bytes))):
                taken += 1
            assert unpacked.result == (table, table.size())
            assert taken >= steps
            assert steps or not taken


def test_a_question_is_the_same_as_one_that_is_kept() -> None:
    assert QUESTION.kept().asks_the_same(QUESTION)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Candidate)])
def test_a_question_about_another_candidate_is_another(field: str) -> None:
    other = dataclasses.replace(CANDIDATE, **{field: OTHER_CANDIDATE[field]})
    candidates = (other, *GIVEN.candidates[1:])
    assert not asking(dataclasses.replace(GIVEN, candidates=candidates)).asks_the_same(QUESTION)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Circumstances) if field.name != "claims"])
def test_a_question_in_other_circumstances_is_another(field: str) -> None:
    assert not asking(dataclasses.replace(GIVEN, **{field: OTHER_GIVEN[field]})).asks_the_same(QUESTION)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Question)])
def test_any_other_question_is_another(field: str) -> None:
    assert not dataclasses.replace(QUESTION, **{field: OTHER_QUESTION[field]}).asks_the_same(QUESTION)


def test_a_question_whose_circumstances_came_in_another_order_is_another() -> None:
    for other in (
        asking(dataclasses.replace(GIVEN, holders=turned(GIVEN.holders))),
        asking(dataclasses.replace(GIVEN, pins=turned(GIVEN.pins))),
        dataclasses.replace(QUESTION, decisions=turned(QUESTION.decisions)),
    ):
        assert not other.asks_the_same(QUESTION)


def test_a_question_is_never_the_same_while_somebody_hands_over() -> None:
    given = dataclasses.replace(GIVEN, candidates=(Candidate(name=A, drained=True),))
    assert not asking(given).asks_the_same(asking(given))


def test_a_question_that_is_answered_otherwise_the_next_time_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = 0

    def capricious(self: Question) -> dict[Address, Decision]:
        nonlocal answers
        answers += 1
        return {X: Decision((A, B)[answers % 2], Reason.LEAST_LOADED)}

    monkeypatch.setattr(Question, "answer", capricious)
    answer = remembering(random.Random(0)).answer

    def ask() -> None:
        for _ in range(20 * WORKED_OUT_ANEW):
            answer(QUESTION)

    with pytest.raises(AssertionError, match="the same question"):
        ask()
    assert answers == 2
