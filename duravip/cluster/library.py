"""Tables by their digests: which this node has, and how it gets those that others name.

Rules of this file
- A table is what its digest says, or it is thrown away; so it does not matter who sent it.
- What members who lie can make it keep is bounded: pieces of tables that never come to be, tables that nobody names any
  more, and all of them together.
- Asking is paced and bounded: one window of pieces in flight for each missing table, repeated until it is there. A
  transfer goes on where it stopped, whoever answers.

Tables travel compressed, in pieces that fit a datagram. Heartbeats name digests, so tables are usually here before a
view needs them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Final

from duravip.cluster.flags import Landscape, Survey, survey
from duravip.cluster.messages import TableChunk, TableWanted
from duravip.cluster.parameters import LONG_BYTES
from duravip.cluster.reading import reading
from duravip.cluster.stepwise import Steps
from duravip.cluster.table_codec import PACKER, Packer, packing
from duravip.model import Address, NodeName, Table, TableDigest

WINDOW: Final = 48  # pieces asked for at once
LOOKED_AT: Final = 512  # pieces, for some that are missing
MAX_PULLS: Final = 64
TABLE_WAIT_S: Final = 2.0  # how long the others wait for one that lacks a table
MAX_UNUSED: Final = 64  # tables kept that nobody names any more
MAX_UNUSED_BYTES: Final = 64 * 1024 * 1024  # of them, encoded
MAX_PULLED_BYTES: Final = 32 * 1024 * 1024  # of pieces, of all tables that are not complete
MAX_KEPT_BYTES: Final = 512 * 1024 * 1024  # of all tables, in memory
BYTES_IN_MEMORY: Final = 700  # of each VIP, at least, beside what its encoding takes

_surveyed: deque[tuple[object, Landscape]] = deque(maxlen=4)
"""The last landscapes, whosever library was asked: digests name contents."""


def _in_memory(table: Table, size: int) -> int:
    """Bytes, about. `size`: encoded."""
    return size + BYTES_IN_MEMORY * len(table.vips)


@dataclass(slots=True)
class Pull:
    source: NodeName
    count: int = 0
    pieces: dict[int, bytes] = field(default_factory=dict)
    lowest: int = 0  # piece that is missing
    awaited: set[int] = field(default_factory=set)
    size: int = 0  # of the pieces, bytes
    unpacked: int = 0  # of the table, bytes, once that is known
    ask_at: float = -math.inf

    def missing(self) -> list[int]:
        """The first few pieces that are, as many as are asked for at once."""
        while self.lowest in self.pieces:
            self.lowest += 1
        end = min(max(1, self.count), self.lowest + LOOKED_AT)
        return list(islice((index for index in range(self.lowest, end) if index not in self.pieces), WINDOW))

    def clear(self) -> None:
        """Nothing has come."""
        self.pieces.clear()
        self.size = self.lowest = 0


class Library:
    """`wanted` changes with the heartbeats heard; `tick` says what to ask for. `revision` grows with every table that
    comes or goes. What is long is done by `prepare_next`, one step a turn: a table that has come is inflated, decoded
    and read before it is here; one that is asked for is packed. A library with such work under way cannot be copied."""

    DERIVED: ClassVar = ("_addresses",)  # from the rest: no part of the state

    def __init__(
        self,
        own: Table,
        *,
        retry_s: float,
        long_bytes: int = LONG_BYTES,
        packer: Packer = PACKER,
        survey: Survey = survey,
    ) -> None:
        self._retry_s = retry_s
        self._long_bytes = long_bytes
        self._packer = packer
        self._survey = survey
        self._tables: dict[TableDigest, Table] = {}
        self._packed: dict[TableDigest, tuple[bytes, ...]] = {}
        self._addresses: dict[TableDigest, frozenset[Address]] = {}
        self._pulls: dict[TableDigest, Pull] = {}
        self._unused: list[TableDigest] = []
        self._sizes: dict[TableDigest, int] = {}  # bytes, encoded
        self._arriving: dict[TableDigest, Steps[Table]] = {}  # all of their pieces are here
        self._packing: dict[TableDigest, Steps[tuple[bytes, ...]]] = {}
        self._ticked_at = -math.inf
        self.revision = 0
        self.own = self.add(own)

    def add(self, table: Table) -> TableDigest:
        digest = table.digest()
        self._keep(digest, table, table.size())
        if self._is_long(digest) and digest not in self._packed:
            self._packing.setdefault(digest, packing(table))
        return digest

    def get(self, digest: TableDigest | None) -> Table | None:
        return self._tables.get(digest) if digest is not None else None

    def require(self, digest: TableDigest) -> Table:
        """One that is never forgotten: this node's own."""
        return self._tables[digest]

    def has(self, digest: TableDigest) -> bool:
        return digest in self._tables

    def addresses(self, digest: TableDigest) -> frozenset[Address] | None:
        """Of the table's VIPs; None when it is not here."""
        found = self._addresses.get(digest)
        if found is None and digest in self._tables:
            found = self._addresses[digest] = frozenset(vip.address for vip in self._tables[digest].vips)
        return found

    def survey(self, digests: Mapping[NodeName, TableDigest | None]) -> Landscape:
        """What follows from these members' tables, those that are here; remembered, since views change more often
        than tables."""
        known = {name: digest for name, digest in digests.items() if digest is not None and digest in self._tables}
        key = tuple(known.items())
        found = next((landscape for surveyed, landscape in _surveyed if surveyed == key), None)
        if found is None:
            found = self._survey({name: self._tables[digest] for name, digest in known.items()}, known)
            _surveyed.appendleft((key, found))
        return found

    def _is_long(self, digest: TableDigest) -> bool:
        return self._sizes[digest] > self._long_bytes

    def takes_long(self) -> bool:
        """Whether one of the tables here takes long to be compared, or is still to be prepared."""
        return len(self._arriving) > 0 or max(self._sizes.values()) > self._long_bytes

    def is_preparing(self) -> bool:
        """Whether there is something for `prepare_next` to do."""
        return bool(self._arriving or self._packing)

    def prepare_next(self) -> bool:
        """One step of what takes long; whether there was any. Tables that come take turns."""
        for digest, packed in self._packing.items():
            try:
                next(packed)
            except StopIteration as done:
                del self._packing[digest]
                self._packed[digest] = done.value
            return True
        for digest, arriving in self._arriving.items():
            del self._arriving[digest]
            if not self._has_arrived(digest, arriving):
                self._arriving[digest] = arriving
            return True
        return False

    def complete(self) -> bool:
        """Nothing that is wanted is missing."""
        return not self._pulls

    def want(self, named: Iterable[tuple[TableDigest, NodeName]], keep: Iterable[TableDigest]) -> None:
        """`named`: digests that live peers name, each with one that has it. Others are no longer asked for. Tables
        neither named nor in `keep` are kept for a while, the oldest dropped first."""
        sources = dict(named)
        self._pulls = {digest: pull for digest, pull in self._pulls.items() if digest in sources}
        self._arriving = {digest: steps for digest, steps in self._arriving.items() if digest in self._pulls}
        for digest, source in sources.items():
            if digest in self._tables:
                continue
            if digest in self._pulls:
                self._pulls[digest].source = source
            elif len(self._pulls) < MAX_PULLS:
                self._pulls[digest] = Pull(source)
        used = {*sources, *keep, self.own}
        self._unused = [digest for digest in self._unused if digest not in used and digest in self._tables]
        self._unused += [digest for digest in self._tables if digest not in used and digest not in self._unused]
        size = sum(self._sizes[digest] for digest in self._unused)
        while len(self._unused) > MAX_UNUSED or size > MAX_UNUSED_BYTES:
            gone = self._unused.pop(0)
            size -= self._sizes[gone]
            self._drop(gone)

    def tick(self, now: float) -> list[TableWanted]:
        self._ticked_at = now
        asked = []
        for digest, pull in self._pulls.items():
            if now < pull.ask_at:
                continue
            pull.ask_at = now + self._retry_s
            missing = pull.missing()
            pull.awaited = set(missing)
            asked.append(TableWanted(to=pull.source, digest=digest, chunks=tuple(missing)))
        return asked

    def deadline(self) -> float:
        if self.is_preparing():
            return -math.inf
        return min(pull.ask_at for pull in self._pulls.values()) if self._pulls else math.inf

    def on_wanted(self, wanted: TableWanted) -> list[TableChunk]:
        """The pieces asked for; nothing when the table is not here, or still to be packed."""
        pieces = self._pieces(wanted.digest)
        return [
            TableChunk(digest=wanted.digest, index=index, count=len(pieces), data=pieces[index])
            for index in wanted.chunks[:WINDOW]
            if index < len(pieces)
        ]

    def on_chunk(self, chunk: TableChunk) -> bool:
        """True when a table has become complete. Pieces that nobody asked for are ignored."""
        pull = self._pulls.get(chunk.digest)
        if pull is None or chunk.digest in self._arriving or chunk.index >= chunk.count:
            return False
        if pull.count not in (0, chunk.count):
            pull.clear()
        pull.count = chunk.count
        pull.size += len(chunk.data) - len(pull.pieces.get(chunk.index, b""))
        pull.pieces[chunk.index] = chunk.data
        if sum(each.size for each in self._pulls.values()) > MAX_PULLED_BYTES:
            largest = max(self._pulls, key=self._pulled)  # honest tables are small beside what fills this
            self._pulls[largest].clear()
            self._arriving.pop(largest, None)
            return False
        pull.awaited.discard(chunk.index)
        if len(pull.pieces) < pull.count:
            if not pull.awaited:
                pull.ask_at = -math.inf
            return False
        return self._finish(chunk.digest, pull)

    def _pulled(self, digest: TableDigest) -> int:
        return self._pulls[digest].size

    def _finish(self, digest: TableDigest, pull: Pull) -> bool:
        """All pieces are here. Whether the table is, then."""
        steps = self._arrival(digest, pull)
        if self._has_arrived(digest, steps):
            return self.has(digest)
        self._arriving[digest] = steps
        self.revision += 1
        return False

    def _arrival(self, digest: TableDigest, pull: Pull) -> Steps[Table]:
        """One that is not long takes a single step."""
        pieces = tuple([pull.pieces[index] for index in range(pull.count)])
        table, pull.unpacked = yield from self._packer.unpack(pieces, digest, self._long_bytes)
        if pull.unpacked > self._long_bytes:
            yield
            yield from reading(table, digest)
        return table

    def _has_arrived(self, digest: TableDigest, steps: Steps[Table]) -> bool:
        """Takes one step; whether that was the last. One that is no table, or too much, begins anew."""
        try:
            next(steps)
        except ValueError:
            self._begin_anew(digest)
        except StopIteration as done:
            table, size = done.value, self._pulls[digest].unpacked
            if self._has_room(_in_memory(table, size)):
                self._keep(digest, table, size)
                del self._pulls[digest]
            else:
                self._begin_anew(digest)
        else:
            return False
        return True

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes of memory are left, once what nobody names any more has made room for them."""
        left = MAX_KEPT_BYTES - sum(_in_memory(table, self._sizes[digest]) for digest, table in self._tables.items())
        while size > left and self._unused:
            left += self._drop(self._unused.pop(0))
        return size <= left

    def _drop(self, digest: TableDigest) -> int:
        """Its bytes of memory."""
        table, size = self._tables.pop(digest), self._sizes.pop(digest)
        self.revision += 1
        self._packed.pop(digest, None)
        self._packing.pop(digest, None)
        self._addresses.pop(digest, None)
        return _in_memory(table, size)

    def _begin_anew(self, digest: TableDigest) -> None:
        """An interval after the next question would have been due."""
        pull = self._pulls[digest]
        self._pulls[digest] = Pull(pull.source, ask_at=max(pull.ask_at, self._ticked_at) + self._retry_s)

    def _keep(self, digest: TableDigest, table: Table, size: int) -> None:
        self._tables[digest] = table
        self._sizes[digest] = size
        self.revision += 1

    def _pieces(self, digest: TableDigest) -> tuple[bytes, ...]:
        known = self._packed.get(digest)
        if known is None:
            table = self._tables.get(digest)
            if table is None:
                return ()
            if self._is_long(digest):
                self._packing.setdefault(digest, packing(table))
                return ()
            known = self._packed[digest] = self._packer.pack(table)
        return known
