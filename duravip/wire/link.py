"""Messages in, datagrams out, and back: codec, fragments and seal in one place, without a socket.

What a datagram's seal encloses is a frame: one byte, WHOLE and then a body (`wire.codec`), or PIECE, the
number of the cut-up body, which piece of how many this is, and the piece. Pieces have no repetition of their
own: a lost one loses the body, and the protocol says it again.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
import struct
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from duravip.cluster.messages import AnyMessage, Leave
from duravip.errors import ConfigurationError
from duravip.model import Member
from duravip.wire import codec
from duravip.wire.dropped import Dropped, DropReason
from duravip.wire.seal import KEY_BYTES, MAX_DATAGRAM_BYTES, Opener, Sealer, overhead_bytes

_WHOLE = b"\0"
_PIECE = b"\1"
_PIECE_HEAD = struct.Struct(">IHH")  # number of the body, index, count
_SMALLEST_PIECE_BYTES = 128
_MAX_PIECES = codec.MAX_BODY_BYTES // _SMALLEST_PIECE_BYTES
_MAX_PARTIAL_BODIES = 8  # of one sender at a time; the oldest gives way
_MAX_PARTIAL_SENDERS = 256


class Received(msgspec.Struct, frozen=True):
    """Authentic, new, decoded: ready for `inputs.PacketHeard`."""

    sender: Member
    messages: tuple[AnyMessage, ...]


class Incomplete(msgspec.Struct, frozen=True):
    """An authentic piece; the rest is not here yet."""

    sender: Member


class _Partial:
    """A body of which some pieces have come."""

    __slots__ = ("count", "pieces", "size")

    def __init__(self, count: int) -> None:
        self.count = count
        self.size = 0
        self.pieces: dict[int, bytes] = {}


class Link:
    """One incarnation's end of the cluster's conversation. No keys: insecure, no seal. `counters` grows by
    one for every datagram that was not acted upon."""

    def __init__(self, *, me: Member, cluster_group: str, keys: Sequence[bytes], mtu_bytes: int) -> None:
        """Raises ValueError when `mtu_bytes` leaves no room for a message, or the name is too long."""
        self.me = me
        self._sealer = Sealer(me=me, cluster_group=cluster_group, key=keys[0] if keys else None)
        self._opener = Opener(me=me, cluster_group=cluster_group, keys=keys)
        room = min(mtu_bytes, MAX_DATAGRAM_BYTES) - overhead_bytes(me.name, secure=bool(keys)) - len(_WHOLE)
        self._body_bytes = room
        self._piece_bytes = room - _PIECE_HEAD.size
        if self._piece_bytes < _SMALLEST_PIECE_BYTES:
            raise ValueError(f"an MTU of {mtu_bytes} bytes is too small for messages of {me.name}")
        self._next_body = 0
        self._partial: OrderedDict[Member, OrderedDict[int, _Partial]] = OrderedDict()
        self.counters: dict[DropReason, int] = dict.fromkeys(DropReason, 0)

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

    def last_words(self) -> bytes:
        """The guard's LEAVE: the same datagram however often it is asked for."""
        return self._sealer.seal_last(_WHOLE + codec.body_of([codec.encode_message(Leave())]))

    def _seal_body(self, body: bytes) -> list[bytes]:
        if len(body) <= self._body_bytes:
            return [self._sealer.seal(_WHOLE + body)]
        if len(body) > codec.MAX_BODY_BYTES:
            raise ValueError(f"a message of {len(body)} bytes is too large to send")
        step = self._piece_bytes
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        number = self._next_body
        self._next_body = (number + 1) % (1 << 32)
        return [
            self._sealer.seal(_PIECE + _PIECE_HEAD.pack(number, index, len(pieces)) + piece)
            for index, piece in enumerate(pieces)
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
        kind, body = opened.frame[:1], opened.frame[1:]
        if kind == _PIECE:
            joined = self._join(opened.sender, body)
            if not isinstance(joined, bytes):
                return joined
            body = joined
        elif kind != _WHOLE:
            return Dropped(DropReason.MALFORMED)
        messages = codec.decode(body)
        return messages if isinstance(messages, Dropped) else Received(opened.sender, messages)

    def _join(self, sender: Member, framed: bytes) -> bytes | Incomplete | Dropped:
        if len(framed) <= _PIECE_HEAD.size:
            return Dropped(DropReason.MALFORMED)
        number, index, count = _PIECE_HEAD.unpack_from(framed)
        if index >= count or count < 2 or count > _MAX_PIECES:
            return Dropped(DropReason.MALFORMED)
        bodies = self._partial.setdefault(sender, OrderedDict())
        self._partial.move_to_end(sender)
        if len(self._partial) > _MAX_PARTIAL_SENDERS:
            self._partial.popitem(last=False)
        partial = bodies.setdefault(number, _Partial(count))
        piece = framed[_PIECE_HEAD.size :]
        if partial.count != count or index in partial.pieces:
            return Dropped(DropReason.MALFORMED)
        partial.pieces[index] = piece
        partial.size += len(piece)
        if partial.size > codec.MAX_BODY_BYTES:
            del bodies[number]
            return Dropped(DropReason.TOO_LARGE)
        if len(partial.pieces) == count:
            del bodies[number]
            return b"".join(partial.pieces[at] for at in range(count))
        if len(bodies) > _MAX_PARTIAL_BODIES:
            bodies.popitem(last=False)
        return Incomplete(sender)


def read_keys(path: str) -> tuple[bytes, ...]:
    """The cluster keys of a key file: one a line, base64 of 32 bytes; blank lines and `#` comments do not
    count. Raises ConfigurationError, with the line where there is one."""
    try:
        with Path(path).open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(1 << 20)
    except OSError as wrong:
        raise ConfigurationError(
            f"cannot read the cluster key: {wrong.strerror}",
            path=path,
            hint="make one with `duravip keygen FILE`, or copy the other members'",
        ) from wrong
    if mode & 0o077:
        raise ConfigurationError(
            f"others than its owner may use the cluster key (mode {mode:04o})",
            path=path,
            hint=f"chmod 600 {path}",
        )
    keys: list[bytes] = []
    for number, line in enumerate(text.split(b"\n"), 1):
        content = line.partition(b"#")[0].strip()
        if not content:
            continue
        try:
            key = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigurationError(
                f"not a cluster key: expected base64 of {KEY_BYTES} bytes",
                path=path,
                line=number,
                hint="make one with `duravip keygen`",
            )
        if key not in keys:
            keys.append(key)
    if not keys:
        raise ConfigurationError("no cluster key in this file", path=path, hint="make one with `duravip keygen`")
    return tuple(keys)
