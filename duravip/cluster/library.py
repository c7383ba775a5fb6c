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
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from duravip.cluster.addresses import is_canonical
from duravip.cluster.flags import Landscape, reading_of, survey
from duravip.cluster.messages import CHUNK_BYTES, MAX_TABLE_CHUNKS, TableChunk, TableWanted
from duravip.model import (
    DEFAULT_SETTINGS,
    MAX_ENTRY_BYTES,
    MAX_TABLE_BYTES,
    MAX_VIPS,
    Address,
    NodeName,
    Settings,
    Table,
    TableDigest,
    VipEntry,
    digest_of,
)

LONG_BYTES = 32_768  # encoded, 100 to 400 VIPs: such a table is opened, decoded and read in turns of their own
STEP_BYTES = 256 * 1024  # of it, decoded in one turn: some 3 ms
WINDOW = 48  # pieces asked for at once
MAX_PULLS = 64
TABLE_WAIT_S = 2.0  # how long the others wait for one that lacks a table
MAX_UNUSED = 64  # tables kept that nobody names any more
MAX_UNUSED_BYTES = 64 * 1024 * 1024  # of them, encoded
MAX_PULLED_BYTES = 32 * 1024 * 1024  # of pieces, of all tables that are not complete
MAX_KEPT_BYTES = 512 * 1024 * 1024  # of all tables, in memory
BYTES_IN_MEMORY = 700  # of each VIP, at least, beside what its encoding takes

_surveyed: deque[tuple[object, Landscape]] = deque(maxlen=4)
"""The last landscapes, whosever library was asked: digests name contents. The simulator has many in one process."""


_fields_decoder = msgspec.msgpack.Decoder(Annotated[dict[str, msgspec.Raw], Meta(max_length=16)])
_vips_decoder = msgspec.msgpack.Decoder(Annotated[tuple[msgspec.Raw, ...], Meta(max_length=MAX_VIPS)])
_vip_decoder = msgspec.msgpack.Decoder(VipEntry)
_settings_decoder = msgspec.msgpack.Decoder(Settings)


class Decoding:
    """Of one table, a step at a time. Raises ValueError for anything that `Table.encoded` of a well-made table cannot
    give. `size`: of all of it, bytes."""

    def __init__(self, encoded: bytes) -> None:
        self.size = len(encoded)
        self._encoded = encoded
        self._raw: tuple[msgspec.Raw, ...] | None = None  # the VIPs, still to be decoded
        self._settings = DEFAULT_SETTINGS
        self._vips: list[VipEntry] = []
        self._last = ""

    def step(self, limit_bytes: int = STEP_BYTES) -> Table | None:
        """Decodes about so much more; the table, when it is complete."""
        try:
            raw = self._raw
            if raw is None:
                raw = self._raw = self._opened()
            while len(self._vips) < len(raw):
                if limit_bytes <= 0:
                    return None
                limit_bytes -= self._take(raw[len(self._vips)])
        except (msgspec.MsgspecError, RecursionError) as wrong:
            raise ValueError(f"no table: {wrong}") from wrong
        return Table(vips=tuple(self._vips), settings=self._settings)

    def _opened(self) -> tuple[msgspec.Raw, ...]:
        fields = _fields_decoder.decode(self._encoded)
        if "settings" in fields:
            self._settings = _settings_decoder.decode(fields["settings"])
        return _vips_decoder.decode(fields["vips"]) if "vips" in fields else ()

    def _take(self, raw: msgspec.Raw) -> int:
        """Decodes one VIP; its size."""
        size = len(raw)
        if size > MAX_ENTRY_BYTES:
            raise ValueError(f"a VIP of {size} bytes in a table")
        vip = _vip_decoder.decode(raw)
        address, prefix = vip.address, vip.prefix
        if address <= self._last or not is_canonical(address):
            raise ValueError(f"table not in order at {address!r}")
        if prefix != 32 and not 0 <= prefix <= (128 if ":" in address else 32):
            raise ValueError(f"{address}: prefix out of range")
        self._vips.append(vip)
        self._last = address
        return size


def decode_table(encoded: bytes) -> Table:
    """All of it at once. Raises ValueError, as `Decoding`."""
    decoding = Decoding(encoded)
    while True:
        table = decoding.step()
        if table is not None:
            return table


def unpack_table(packed: bytes, digest: TableDigest) -> Table:
    """Raises ValueError when `packed` is not the compressed table that `digest` names."""
    return decode_table(_inflated(packed, digest))


def _in_memory(table: Table, size: int) -> int:
    """Bytes, about. `size`: encoded."""
    return size + BYTES_IN_MEMORY * len(table.vips)


def _inflated(packed: bytes, digest: TableDigest) -> bytes:
    engine = zlib.decompressobj()
    try:
        encoded = engine.decompress(packed, MAX_TABLE_BYTES)
    except zlib.error as wrong:
        raise ValueError("not compressed") from wrong
    if engine.unconsumed_tail or digest_of(encoded) != digest:
        raise ValueError("not what its digest says")
    return encoded


@dataclass(slots=True)
class Pull:
    source: NodeName
    count: int = 0
    pieces: dict[int, bytes] = field(default_factory=dict)
    awaited: set[int] = field(default_factory=set)
    size: int = 0  # of the pieces, bytes
    ask_at: float = -math.inf


def _size(pull: Pull) -> int:
    return pull.size


class Library:
    """`wanted` changes with the heartbeats heard; `tick` says what to ask for. `revision` grows with every table that
    comes or goes. What a long table that has come is still to go through is `prepare_next`'s, one step a turn."""

    DERIVED: ClassVar = ("_addresses",)  # from the rest: no part of the state

    def __init__(self, own: Table, *, retry_s: float) -> None:
        self._retry_s = retry_s
        self._tables: dict[TableDigest, Table] = {}
        self._packed: dict[TableDigest, tuple[bytes, ...]] = {}
        self._addresses: dict[TableDigest, frozenset[Address]] = {}
        self._pulls: dict[TableDigest, Pull] = {}
        self._unused: list[TableDigest] = []
        self._sizes: dict[TableDigest, int] = {}  # bytes, encoded
        self._opened: dict[TableDigest, Decoding] = {}  # long ones
        self._unread: list[TableDigest] = []
        self._ticked_at = -math.inf
        self.revision = 0
        self.own = self.add(own)

    def add(self, table: Table) -> TableDigest:
        encoded = table.encoded()
        digest = digest_of(encoded)
        self._keep(digest, table, len(encoded))
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
            found = survey({name: self._tables[digest] for name, digest in known.items()}, known)
            _surveyed.appendleft((key, found))
        return found

    def takes_long(self) -> bool:
        """Whether one of the tables here takes long to be compared, or is still to be prepared."""
        return len(self._opened) > 0 or max(self._sizes.values()) > LONG_BYTES

    def prepare_next(self) -> bool:
        """Does the next thing to a long table; whether there was one."""
        if self._unread:
            digest = self._unread.pop()
            if digest in self._tables:
                reading_of(self._tables[digest], digest)
            return True
        for digest in list(self._opened):
            if digest not in self._pulls or self._decode_more(digest, self._opened[digest]):
                del self._opened[digest]
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
            missing = [index for index in range(max(1, pull.count)) if index not in pull.pieces]
            pull.awaited = set(missing[:WINDOW])
            asked.append(TableWanted(to=pull.source, digest=digest, chunks=tuple(missing[:WINDOW])))
        return asked

    def deadline(self) -> float:
        return min(pull.ask_at for pull in self._pulls.values()) if self._pulls else math.inf

    def on_wanted(self, wanted: TableWanted) -> list[TableChunk]:
        """The pieces asked for; nothing when the table is not here."""
        pieces = self._pieces(wanted.digest)
        return [
            TableChunk(digest=wanted.digest, index=index, count=len(pieces), data=pieces[index])
            for index in wanted.chunks[:WINDOW]
            if index < len(pieces)
        ]

    def on_chunk(self, chunk: TableChunk) -> bool:
        """True when a table has become complete. Pieces that nobody asked for are ignored."""
        pull = self._pulls.get(chunk.digest)
        if pull is None or chunk.digest in self._opened or chunk.index >= chunk.count:
            return False
        if pull.count not in (0, chunk.count):
            pull.pieces.clear()
            pull.size = 0
        pull.count = chunk.count
        pull.size += len(chunk.data) - len(pull.pieces.get(chunk.index, b""))
        pull.pieces[chunk.index] = chunk.data
        if sum(each.size for each in self._pulls.values()) > MAX_PULLED_BYTES:
            largest = max(self._pulls.values(), key=_size)  # honest tables are small beside what fills this
            largest.pieces.clear()
            largest.size = 0
            return False
        pull.awaited.discard(chunk.index)
        if len(pull.pieces) < pull.count:
            if not pull.awaited:
                pull.ask_at = -math.inf
            return False
        return self._finish(chunk.digest, pull)

    def _finish(self, digest: TableDigest, pull: Pull) -> bool:
        packed = b"".join(pull.pieces[index] for index in range(pull.count))
        try:
            encoded = _inflated(packed, digest)
        except ValueError:
            self._begin_anew(digest)
            return False
        decoding = Decoding(encoded)
        if len(encoded) > LONG_BYTES:
            self._opened[digest] = decoding
            self.revision += 1
            return False
        return self._decode_more(digest, decoding) and self.has(digest)

    def _decode_more(self, digest: TableDigest, decoding: Decoding) -> bool:
        """Whether that was all of it. One that is no table, or too much, begins anew."""
        try:
            table = decoding.step()
            if table is None:
                return False
        except ValueError:
            self._begin_anew(digest)
            return True
        if not self._has_room(_in_memory(table, decoding.size)):
            self._begin_anew(digest)
            return True
        self._keep(digest, table, decoding.size)
        del self._pulls[digest]
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
        if size > LONG_BYTES:
            self._unread.append(digest)

    def _pieces(self, digest: TableDigest) -> tuple[bytes, ...]:
        known = self._packed.get(digest)
        if known is None:
            table = self._tables.get(digest)
            if table is None:
                return ()
            packed = zlib.compress(table.encoded(), 1)  # of a thousand VIPs: in a fifth of the usual time
            known = tuple(packed[start : start + CHUNK_BYTES] for start in range(0, len(packed), CHUNK_BYTES))
            if len(known) > MAX_TABLE_CHUNKS:
                return ()
            self._packed[digest] = known
        return known
