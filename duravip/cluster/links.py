"""Between which nodes a link is missing, and since when.

Rules of this file
- A link is missing between two nodes when one of them does not take the other for alive. Who is looked at, and whom
  each of those takes for alive, its *row*, is told with every `update`.
- Work follows what has changed: a row is looked at again only when it is another object than before.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from duravip.model import Member

Row = frozenset[Member]


class Links:
    """`missing_since`: the pairs without a link, the smaller member first; the oldest come first. Times are the
    caller's seconds, never less than before."""

    def __init__(self) -> None:
        self._rows: dict[Member, Row] = {}
        self._lacks: dict[Member, set[Member]] = {}  # of those that are looked at, whom each does not take for alive
        self.missing_since: dict[tuple[Member, Member], float] = {}

    def update(self, rows: Mapping[Member, Row], now: float) -> None:
        """These are looked at, and nobody else."""
        changed = [member for member, row in rows.items() if self._rows.get(member) is not row]
        if len(self._rows) + len([member for member in changed if member not in self._rows]) > len(rows):
            for member in self._rows.keys() - rows.keys():
                self._drop(member)
        for member in changed:
            if member not in self._rows:
                self._enter(member, now)
            self._rows[member] = rows[member]
        found: list[tuple[Member, set[Member]]] = []
        for member in changed:
            before, lacks = self._lacks[member], self._rows.keys() - rows[member]
            lacks.discard(member)
            self._lacks[member] = lacks
            for other in lacks - before:
                self.missing_since.setdefault(_pair(member, other), now)
            found.append((member, before - lacks))
        for member, others in found:
            for other in others:
                if member not in self._lacks[other]:
                    self.missing_since.pop(_pair(member, other), None)

    def pass_over(self, gap_s: float) -> None:
        """So long nobody looked: that counts for nothing."""
        self.missing_since = {pair: since + gap_s for pair, since in self.missing_since.items()}

    def forget(self) -> None:
        """What is missing has been missing since the next update."""
        self._rows.clear()
        self._lacks.clear()
        self.missing_since.clear()

    def oldest_since(self) -> float:
        """Since when the first is missing; infinity when none is."""
        return next(iter(self.missing_since.values()), math.inf)

    def next_at(self, length_s: float, now: float) -> float:
        """When, after `now`, the next one will have been missing for so long."""
        return next((since + length_s for since in self.missing_since.values() if since + length_s > now), math.inf)

    def missing_for(self, length_s: float, now: float) -> dict[Member, set[Member]]:
        """Who has been without a link to whom for so long, both ways round."""
        found: dict[Member, set[Member]] = {}
        for (one, other), since in self.missing_since.items():
            if now - since >= length_s:
                found.setdefault(one, set()).add(other)
                found.setdefault(other, set()).add(one)
        return found

    def are_whole(self, some: Collection[Member], others: Collection[Member]) -> bool:
        """Whether no link is missing between any of `some` and any of `others`."""
        return not any(
            (one in some and other in others) or (other in some and one in others) for one, other in self.missing_since
        )

    def _enter(self, member: Member, now: float) -> None:
        """Nobody is known to be lacked by it yet; who lacks it?"""
        for other, row in self._rows.items():
            if member not in row:
                self._lacks[other].add(member)
                self.missing_since[_pair(member, other)] = now
        self._lacks[member] = set()

    def _drop(self, member: Member) -> None:
        del self._rows[member]
        lacking = self._lacks.pop(member)
        for other, lacks in self._lacks.items():
            if member in lacks:
                lacks.discard(member)
                lacking.add(other)
        for other in lacking:
            self.missing_since.pop(_pair(member, other), None)


def _pair(one: Member, other: Member) -> tuple[Member, Member]:
    return (one, other) if one < other else (other, one)
