"""Which member's table comes into force next.

Rules of this file: pure; the agreed state and the time are all that it looks at.

Theory of operation. A table comes into force when every member has its content. A member that is still without one
after TABLE_WAIT_S is a laggard: it loses its own table, and is not waited for until it has caught up. All laggards have
lost theirs before anything comes into force that they know nothing of, so none of them holds on to what that forbids.
"""

from __future__ import annotations

from duravip.cluster.agreed import AgreedState
from duravip.cluster.library import TABLE_WAIT_S
from duravip.cluster.messages import TableChosen
from duravip.model import NodeName, TableDigest


class TableChoice:
    """The coordinator's. `laggards`: members that are not waited for. Times are its monotonic seconds."""

    def __init__(self, agreed: AgreedState) -> None:
        self._agreed = agreed
        self.laggards: set[NodeName] = set()
        self._waiting_since: dict[tuple[NodeName, TableDigest], float] = {}

    def deadlines(self) -> list[float]:
        """When somebody has been waited for long enough."""
        return [since + TABLE_WAIT_S for since in self._waiting_since.values()]

    def next(self, now: float) -> TableChosen | None:
        """What to number now."""
        agreed = self._agreed
        in_force = {digest for name, digest in agreed.tables.items() if digest is not None}
        keeping_up = [name for name in agreed.names() if name not in self.laggards]
        needed = in_force | {agreed.wanted(name) for name in keeping_up}
        self.laggards = {name for name in self.laggards if not needed <= set(agreed.status[name].has)}
        chosen = self._demotion()
        if chosen is not None:
            return chosen
        waiting: dict[tuple[NodeName, TableDigest], float] = {}
        for name in agreed.names():
            wanted = agreed.wanted(name)
            if wanted == agreed.tables[name] or name in self.laggards:
                continue
            others = [other for other in agreed.names() if other not in self.laggards]
            lacking = [other for other in others if wanted not in agreed.status[other].has]
            uninformed = not in_force <= set(agreed.status[name].has)
            if not lacking and not uninformed:
                chosen = TableChosen(name=name, digest=wanted)
                break
            since = self._waiting_since.get((name, wanted), now)
            if now - since >= TABLE_WAIT_S:
                self.laggards.update(lacking, [name] if uninformed else [])
                chosen = self._demotion()
                if chosen is not None:
                    break
                continue
            waiting[(name, wanted)] = since
        self._waiting_since = waiting
        return chosen

    def _demotion(self) -> TableChosen | None:
        """Of a laggard that has not lost its table yet."""
        first = min((name for name in self.laggards if self._agreed.tables[name] is not None), default=None)
        return TableChosen(name=first, digest=None) if first is not None else None
