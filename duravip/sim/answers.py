"""The answers of all simulated nodes to questions that take no turn of their own.

Rules of this file: nodes that have agreed upon the same ask the same question: it is answered once for all of them.
One in WORKED_OUT_ANEW is worked out anew all the same; an answer that differs then is no pure function's.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from typing import Final

from duravip.cluster.deliberation import Question
from duravip.model import Address, Decision

REMEMBERED: Final = 4  # questions that members of one view, or of several, may have put at about the same time
WORKED_OUT_ANEW: Final = 8


class Answers:
    """Of one world. A question of another class than `Question` is always worked out."""

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
        if not question.given.minds_claims():
            self._known.appendleft((question.kept(), answer))
        return answer
