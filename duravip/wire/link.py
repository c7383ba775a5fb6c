"""Messages in, datagrams out, and back: codec, fragments and seal in one place, without a socket.

What a datagram's seal encloses is a frame: one byte, WHOLE and then a body (`wire.codec`), or PIECE, the
number of the cut-up body, which piece of how many this is, and the piece. Pieces have no repetition of their
own: a lost one loses the body, and the protocol says it again.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from duravip.cluster.messages import AnyMessage, Leave
from duravip.model import Member, NodeName
from duravip.wire import codec
from duravip.wire.dropped import Dropped, DropReason
from duravip.wire.keyring import Keyring
from duravip.wire.received import Incomplete, Received
from duravip.wire.seal import MAX_DATAGRAM_BYTES, Opened, Opener, Sealer, Unsealer, overhead_bytes
from duravip.wire.versions import VERSIONS, Speaking

_WHOLE: Final = b"\0"
_PIECE: Final = b"\1"
_PIECE_HEAD: Final = struct.Struct(">IHH")  # number of the body, index, count
_PART_AT: Final = len(_PIECE) + _PIECE_HEAD.size
_SMALLEST_PIECE_BYTES: Final = 128
_MAX_PIECES: Final = codec.MAX_BODY_BYTES // _SMALLEST_PIECE_BYTES
_MAX_PARTIAL_BODIES: Final = 8  # of one sender at a time; the oldest gives way
_MAX_PARTIAL_SENDERS: Final = 256


class Piece:
    """Of a cut-up body."""

    __slots__ = ("body", "count", "index", "part")

    def __init__(self, body: int, index: int, count: int, part: bytes) -> None:
        self.body = body  # its number
        self.index = index
        self.count = count
        self.part = part


def read_frame(frame: bytes) -> tuple[AnyMessage, ...] | Piece | Dropped:
    """What a frame encloses, whatever its bytes are. It follows from them alone, so that it may be remembered."""
    if frame.startswith(_WHOLE):
        return codec.decode(frame[len(_WHOLE) :])
    if not frame.startswith(_PIECE) or len(frame) <= _PART_AT:
        return Dropped(DropReason.MALFORMED)
    number, index, count = _PIECE_HEAD.unpack_from(frame, len(_PIECE))
    if index >= count or count < 2 or count > _MAX_PIECES:
        return Dropped(DropReason.MALFORMED)
    return Piece(number, index, count, frame[_PART_AT:])


class _Partial:
    """A body of which some pieces have come."""

    __slots__ = ("count", "parts", "size")

    def __init__(self, count: int) -> None:
        self.count = count
        self.size = 0
        self.parts: dict[int, bytes] = {}


class Link:
    """One incarnation's end of the cluster's conversation. `keyring` says with what is sealed and what is opened; it
    may change (`rekey`). `counters` grows by one for every datagram that was not acted upon."""

    def __init__(
        self,
        *,
        me: Member,
        cluster_group: str,
        keys: Sequence[bytes],
        mtu_bytes: int,
        plain: bool = False,
        versions: Sequence[int] = VERSIONS,
        unseal: Callable[[bytes], Opened | Dropped] | None = None,
        read_frame: Callable[[bytes], tuple[AnyMessage, ...] | Piece | Dropped] = read_frame,
    ) -> None:
        """`plain`: beside the keys, plain datagrams are said and understood too. `unseal`, `read_frame`: what remembers
        the answers of an `Unsealer` with these keys, and of the function; None: its own. Raises ValueError when
        `mtu_bytes` leaves no room for a message, or the name is too long."""
        self.me = me
        self.keyring = Keyring(keys=tuple(keys), plain=plain)
        self._cluster_group = cluster_group
        self._speaking = Speaking(versions)
        self._sealers = self._make_sealers(after=0)
        self._versions = versions
        self._opener = Opener(me=me, unseal=unseal if unseal is not None else self._make_unsealer().unseal)
        room = min(mtu_bytes, MAX_DATAGRAM_BYTES) - overhead_bytes(me.name, secure=True) - len(_WHOLE)
        self._body_bytes = room
        self._piece_bytes = room - _PIECE_HEAD.size
        if self._piece_bytes < _SMALLEST_PIECE_BYTES:
            raise ValueError(f"an MTU of {mtu_bytes} bytes is too small for messages of {me.name}")
        self._next_body = 0
        self._read_frame = read_frame
        self._partial: OrderedDict[Member, OrderedDict[int, _Partial]] = OrderedDict()
        self.counters: dict[DropReason, int] = dict.fromkeys(DropReason, 0)

    def rekey(self, keyring: Keyring) -> None:
        """From now on seals and opens with these. Nothing that was said is said again, nothing heard is forgotten."""
        self.keyring = keyring
        self._sealers = self._make_sealers(after=self._sealers[0].sequence)
        self._opener.unseal = self._make_unsealer().unseal

    def heard_with(self) -> dict[NodeName, int]:
        """Sender -> the id of the key that it has sealed with last; 0: nothing of it was sealed."""
        return self._opener.heard_with()

    @property
    def version(self) -> int:
        """The wire version that is spoken now."""
        return self._speaking.version(said=self._sealers[0].sequence)

    def _make_sealers(self, *, after: int) -> tuple[Sealer, ...]:
        return tuple(
            Sealer(me=self.me, cluster_group=self._cluster_group, key=key, after=after) for key in self.keyring.says
        )

    def _make_unsealer(self) -> Unsealer:
        keyring = self.keyring
        return Unsealer(
            cluster_group=self._cluster_group, keys=keyring.keys, plain=keyring.plain, versions=self._versions
        )

    def pack(self, messages: Sequence[AnyMessage]) -> list[bytes]:
        """Datagrams of at most `mtu_bytes`, to be sent in this order. As many messages share one as fit.
        Raises ValueError for a message beyond codec.MAX_BODY_BYTES, which no honest cluster has."""
        datagrams: list[bytes] = []
        waiting: list[bytes] = []
        size = 4  # kind and array header
        for message in messages:
            encoded = codec.encode_message(message)
            if waiting and (size + len(encoded) > self._body_bytes or len(waiting) == codec.MAX_MESSAGES):
                datagrams += self._seal_body(codec.body_of(waiting))
                waiting, size = [], 4
            waiting.append(encoded)
            size += len(encoded)
        if waiting:
            datagrams += self._seal_body(codec.body_of(waiting))
        return datagrams

    def last_words(self) -> tuple[bytes, ...]:
        """The guard's LEAVE, in every form that the others may need: the same however often it is asked for, until the
        keys change."""
        frame = _WHOLE + codec.body_of([codec.encode_message(Leave())])
        return tuple(sealer.seal_last(frame, version=self._speaking.lowest) for sealer in self._sealers)

    def _seal(self, frame: bytes) -> list[bytes]:
        version, opens = self.version, self._speaking.highest
        return [sealer.seal(frame, version=version, opens=opens) for sealer in self._sealers]

    def _seal_body(self, body: bytes) -> list[bytes]:
        if len(body) <= self._body_bytes:
            return self._seal(_WHOLE + body)
        step = self._piece_bytes
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        number = self._next_body
        self._next_body = (number + 1) % (1 << 32)
        return [
            datagram
            for index, piece in enumerate(pieces)
            for datagram in self._seal(_PIECE + _PIECE_HEAD.pack(number, index, len(pieces)) + piece)
        ]

    def open(self, datagram: bytes) -> Received | Incomplete | Dropped:
        """Whatever the bytes are, one of the three."""
        result = self._open(datagram)
        if isinstance(result, Dropped):
            self.counters[result.reason] += 1
        return result

    def _open(self, datagram: bytes) -> Received | Incomplete | Dropped:
        opened = self._opener.open(datagram)
        if isinstance(opened, Dropped):
            return opened
        self._speaking.heard(opened.opens, said=self._sealers[0].sequence)
        content = self._read_frame(opened.frame)
        if isinstance(content, Piece):
            joined = self._join(opened.sender, content)
            if not isinstance(joined, bytes):
                return joined
            content = codec.decode(joined)
        return content if isinstance(content, Dropped) else Received(opened.sender, content)

    def _join(self, sender: Member, piece: Piece) -> bytes | Incomplete | Dropped:
        bodies = self._partial.setdefault(sender, OrderedDict())
        self._partial.move_to_end(sender)
        if len(self._partial) > _MAX_PARTIAL_SENDERS:
            self._partial.popitem(last=False)
        partial = bodies.setdefault(piece.body, _Partial(piece.count))
        if partial.count != piece.count or piece.index in partial.parts:
            return Dropped(DropReason.MALFORMED)
        partial.parts[piece.index] = piece.part
        partial.size += len(piece.part)
        if partial.size > codec.MAX_BODY_BYTES:
            del bodies[piece.body]
            return Dropped(DropReason.TOO_LARGE)
        if len(partial.parts) == piece.count:
            del bodies[piece.body]
            return b"".join([partial.parts[at] for at in range(piece.count)])
        if len(bodies) > _MAX_PARTIAL_BODIES:
            bodies.popitem(last=False)
        return Incomplete(sender)
