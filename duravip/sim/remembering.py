"""What follows from a question, a heartbeat or tables alone: found out once for all simulated nodes; what follows from
tables, for all worlds of this process.

Rules of this file: nodes that have agreed upon the same ask the same question. One in WORKED_OUT_ANEW is answered anew
all the same; an answer that differs then is no pure function's.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from typing import Final, TypeVar

from duravip.cluster.deliberation import Question
from duravip.cluster.electorate import somebody_hands_over
from duravip.cluster.flags import Landscape, survey
from duravip.cluster.heartbeat import news_of
from duravip.cluster.messages import Heartbeat
from duravip.cluster.parameters import Functions
from duravip.cluster.stepwise import Steps
from duravip.cluster.table_codec import Packer, pack, unpacking
from duravip.model import Address, Decision, Member, NodeName, Table, TableDigest

Key = TypeVar("Key")
Value = TypeVar("Value")
REMEMBERED_TABLES: Final = 32  # and so many landscapes, whichever world they are of
REMEMBERED: Final = 4  # questions that members of one view, or of several, may have put at about the same time
WORKED_OUT_ANEW: Final = 8


def remembering(chance: random.Random) -> Functions:
    """For all nodes of one world, whose own the answers and the news are."""
    return Functions(answer=_Answers(chance), news_of=_News(), packer=Packer(_pack, _unpack), survey=_survey)


class _Answers:
    """A question of another class than `Question` is always worked out."""

    def __init__(self, chance: random.Random) -> None:
        self._random = chance
        self._known: deque[tuple[Question, dict[Address, Decision]]] = deque(maxlen=REMEMBERED)

    def __call__(self, question: Question) -> Mapping[Address, Decision]:
        """Raises AssertionError when the same question has had another answer before."""
        if type(question) is not Question:
            return question.answer()
        for known, answer in self._known:
            if known.asks_the_same(question):
                if self._random.random() * WORKED_OUT_ANEW < 1:
                    again = question.answer()
                    assert list(again.items()) == list(answer.items()), f"the same question: {answer}, then {again}"
                return answer
        answer = question.answer()
        if not somebody_hands_over(question.given.candidates):
            self._known.appendleft((question.kept(), answer))
        return answer


class _News:
    """Everybody hears the same heartbeat of a sender: an object that `_Openings` gives to all."""

    def __init__(self) -> None:
        self._last: dict[NodeName, tuple[Heartbeat, object]] = {}

    def __call__(self, sender: Member, heartbeat: Heartbeat) -> object:
        """As `news_of`; the same object when the sender says the same again."""
        last = self._last.get(sender.name)
        if last is not None and last[0] is heartbeat:
            return last[1]
        news = news_of(sender, heartbeat)
        if last is not None and last[1] == news:
            news = last[1]
        self._last[sender.name] = heartbeat, news
        return news


# Whichever world asks: what follows from a digest is the same in all of them. Functions, so that a node that is copied
# does not take along what they remember.
_packed: dict[TableDigest, tuple[bytes, ...]] = {}
_unpacked: dict[tuple[TableDigest, tuple[bytes, ...], int], tuple[Table, int]] = {}
_surveyed: dict[tuple[tuple[NodeName, TableDigest], ...], Landscape] = {}


def _remember(memory: dict[Key, Value], key: Key, value: Value) -> Value:
    """The oldest gives way."""
    memory[key] = value
    if len(memory) > REMEMBERED_TABLES:
        del memory[next(iter(memory))]
    return value


def _pack(table: Table) -> tuple[bytes, ...]:
    digest = table.digest()
    found = _packed.get(digest)
    return found if found is not None else _remember(_packed, digest, pack(table))


def _unpack(pieces: tuple[bytes, ...], digest: TableDigest, long_bytes: int) -> Steps[tuple[Table, int]]:
    """As `unpacking`. What takes several steps takes them each time, so that it makes no difference what is
    remembered."""
    key = digest, pieces, long_bytes
    found = _unpacked.get(key)
    if found is not None:
        return found
    steps = unpacking(pieces, digest, long_bytes)
    try:
        next(steps)
    except StopIteration as done:
        table: tuple[Table, int] = done.value
        return _remember(_unpacked, key, table)
    yield
    return (yield from steps)


def _survey(tables: Mapping[NodeName, Table], digests: Mapping[NodeName, TableDigest]) -> Landscape:
    key = tuple(digests.items())
    found = _surveyed.get(key)
    return found if found is not None else _remember(_surveyed, key, survey(tables, digests))
