"""Elections and balancing as questions: values whose answers are pure functions of them.

Rules of this file: a question that is answered within the turn may refer to what changes afterwards; one that is put
outside is `kept` first, and then nothing that it refers to changes any more.

Theory of operation. What takes long (with many VIPs, or many classes of them) is not worked out within a turn: a node
hands the question out (`effects.Deliberate`), goes on, and hears the answer (`inputs.Deliberated`) when there is one.
The coordinator waits for it, and asks anew if anything agreed has changed meanwhile; a member obeys an assignment at
once, and learns afterwards whether its own answer would have been the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from duravip.cluster.balance import balance
from duravip.cluster.election import elect
from duravip.cluster.electorate import Candidate, Circumstances, somebody_hands_over
from duravip.cluster.flags import Landscape
from duravip.model import Address, Decision, NodeName, Reason

GONE: Final = Decision(None, Reason.NOBODY_ELIGIBLE)  # of an address that is in nobody's table any more


@dataclass(slots=True, init=False)
class Question:
    """What changes next? Never changed itself. `decisions` are those in force. `limit`: of the moves of one balancing
    round; None: what an election changes."""

    landscape: Landscape
    given: Circumstances
    decisions: dict[Address, Decision]
    limit: int | None

    def __init__(  # written out, so that it is compiled
        self,
        *,
        landscape: Landscape,
        given: Circumstances,
        decisions: dict[Address, Decision],
        limit: int | None = None,
    ) -> None:
        self.landscape = landscape
        self.given = given
        self.decisions = decisions
        self.limit = limit

    def kept(self) -> Question:
        """One that answers the same whatever happens meanwhile."""
        given = self.given
        claims: Mapping[Address, Collection[NodeName]] = {}
        if somebody_hands_over(given.candidates):
            claims = {address: frozenset(names) for address, names in given.claims.items()}
        kept = Circumstances(
            candidates=given.candidates,
            holders=dict(given.holders),
            claims=claims,
            pins=dict(given.pins),
            view_mature=given.view_mature,
            moving=given.moving,
            fail_back=given.fail_back,
            no_majority=given.no_majority,
        )
        return Question(landscape=self.landscape, given=kept, decisions=dict(self.decisions), limit=self.limit)

    def asks_the_same(self, other: Question) -> bool:
        """Whether the answer must be the same: what was agreed is, and came in the same order. Never so while somebody
        hands over."""
        mine, theirs = self.given, other.given
        return (
            self.landscape is other.landscape
            and self.limit == other.limit
            and (mine.moving > 0) == (theirs.moving > 0)
            and mine.view_mature == theirs.view_mature
            and mine.fail_back == theirs.fail_back
            and mine.no_majority == theirs.no_majority
            and not (somebody_hands_over(mine.candidates) or somebody_hands_over(theirs.candidates))
            and self.decisions == other.decisions
            and mine.holders == theirs.holders
            and mine.pins == theirs.pins
            and list(self.decisions) == list(other.decisions)
            and list(mine.holders) == list(theirs.holders)
            and list(mine.pins) == list(theirs.pins)
            and len(mine.candidates) == len(theirs.candidates)
            and all(map(_is_the_same, mine.candidates, theirs.candidates))
        )

    def is_long(self, many: int) -> bool:
        """Whether an election would take long: some have no holder, and there are so many sets of nodes that may own
        something."""
        universe, holders = self.landscape.universe, self.given.holders
        return (
            len(universe) >= many
            and any(address not in holders for address in universe)
            and self.landscape.classes() >= many
        )

    def answer(self) -> dict[Address, Decision]:
        """The decisions that change: an election's where the owner differs, or that say anew why nobody owns."""
        if self.limit is not None:
            return balance(self.landscape, self.given, self.decisions, self.limit)
        new = elect(self.landscape, self.given)
        changed = {}
        for address, decision in new.items():
            old = self.decisions.get(address)
            if old is None or old.owner != decision.owner or (decision.owner is None and old != decision):
                changed[address] = decision
        for address, old in self.decisions.items():
            if address not in new and old != GONE:
                changed[address] = GONE
        return changed


def _is_the_same(one: Candidate, other: Candidate) -> bool:
    return (
        one.name == other.name
        and one.mature == other.mature
        and one.drained == other.drained
        and one.leaving == other.leaving
        and one.weight == other.weight
        and one.barred == other.barred
        and one.blocked == other.blocked
        and one.previous == other.previous
    )


Answer = Callable[[Question], Mapping[Address, Decision]]


def answer(question: Question) -> Mapping[Address, Decision]:
    return question.answer()
