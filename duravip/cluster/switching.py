"""This node's part in one switch of all members to new tables (`reload --cluster`), and the table it goes by.

Rules of this file
- What was prepared for a round comes into force by the round's `Switched` alone, or by word of a member that has
  delivered it: never by itself. Until then it is kept, whatever becomes of the view.
- One round at a time: a newer one, or a reload of this node's own, ends what was prepared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from duravip.cluster.messages import MAX_ROUNDS, MemberState, MemberStatus, Prepared, Round
from duravip.model import TableDigest


class Switching:
    """`table`: the one this node wants in force. `prepared`: what it declares for the round it was asked for.
    `switched`: the last rounds that it knows to have come into force, in order."""

    def __init__(self, table: TableDigest) -> None:
        self.table = table
        self.prepared: Prepared | None = None
        self.switched: tuple[Round, ...] = ()
        self._asked: Round | None = None

    def tables(self) -> set[TableDigest]:
        """Those that must not be forgotten."""
        prepared = self.prepared.table if self.prepared is not None else None
        return {self.table} if prepared is None else {self.table, prepared}

    def on_loaded(self, table: TableDigest) -> None:
        """This node alone has read its configuration again."""
        self.table = table
        self.prepared = None

    def on_asked(self, asked: Round) -> None:
        """All are asked to prepare."""
        self._asked = asked
        self.prepared = None

    def on_read(self, asked: Round, table: TableDigest | None, refusal: str) -> None:
        """What came of reading aside; ignored when another round has begun since."""
        if asked == self._asked:
            self.prepared = Prepared(round=asked, table=table, refusal=refusal)

    def on_switched(self, switched: Round) -> bool:
        """True when what was prepared here is what this node goes by from now on."""
        self._remember({switched})
        prepared = self.prepared
        if prepared is None or prepared.round != switched or prepared.table is None:
            return False
        self.table = prepared.table
        self.prepared = None
        return True

    def on_abandoned(self, abandoned: Round) -> None:
        if self.prepared is not None and self.prepared.round == abandoned:
            self.prepared = None

    def missed(self, states: Iterable[MemberState]) -> Round | None:
        """The round that a member of the new view has seen come into force while this node, which had prepared for it,
        had lost sight of the others. What they remember, this node remembers too."""
        self._remember({known for state in states for known in state.switched})
        prepared = self.prepared
        return prepared.round if prepared is not None and prepared.round in self.switched else None

    def _remember(self, switched: Collection[Round]) -> None:
        every = sorted({*self.switched, *switched}, key=lambda one: (one.view, one.number))
        self.switched = tuple(every[-MAX_ROUNDS:])


def wanted_table(status: MemberStatus, switched: Collection[Round]) -> TableDigest:
    """The table that a member wants where these rounds are known to be in force: it may have declared its status
    before it knew."""
    prepared = status.prepared
    if prepared is not None and prepared.table is not None and prepared.round in switched:
        return prepared.table
    return status.table
