"""Messages to bytes and back.

A body is one byte, PLAIN or DEFLATED, then a msgpack array of messages (or that array, compressed by zlib).
`decode` gives messages or a `Dropped`, whatever the bytes are: a member that holds the key may be broken.

Newer software may say more: kinds of messages that are unknown here are left out, and so are fields behind the last
that is known (`wire.versions`). Everything else that does not fit is no message.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from duravip.cluster.addresses import AddressSet
from duravip.cluster.messages import AnyMessage
from duravip.wire.dropped import Dropped, DropReason

MAX_BODY_BYTES: Final = 4 << 20  # after decompression
MAX_MESSAGES: Final = 255  # in one body
INFLATED_BYTES: Final = 512 << 10  # that any body may have after decompression
INFLATED_RATIO: Final = 100  # so many more for each compressed one: little that comes cannot make much work
MAX_SPARSE_BYTES: Final = 512 << 10  # that the sets of one body may have beside one for each address
_COMPRESS_FROM_BYTES: Final = 600  # below this zlib costs more than it saves

_PLAIN: Final = b"\0"
_DEFLATED: Final = b"\1"


def _to_builtin(value: object) -> bytes:
    if isinstance(value, AddressSet):
        return value.pack()
    raise NotImplementedError(f"no wire form for {type(value).__name__}")


class _Budget:
    """What is left of MAX_SPARSE_BYTES for the body that is being decoded. Addresses that follow each other closely, a
    byte each, are looked through in no time."""

    def __init__(self) -> None:
        self.left = 0


_budget: Final = _Budget()


def _from_builtin(wanted: type, value: object) -> AddressSet:
    if wanted is not AddressSet or not isinstance(value, bytes):
        raise ValueError("expected a packed address set")
    found = AddressSet.unpack(value)
    _budget.left -= len(value) - len(found)
    if _budget.left < 0:
        raise ValueError("too many addresses in one body that do not follow each other closely")
    return found


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_to_builtin)
_KINDS: Final = frozenset(kind.__struct_config__.tag for kind in AnyMessage.__args__)

_decoder: Final = msgspec.msgpack.Decoder(
    Annotated[tuple[AnyMessage, ...], Meta(min_length=1, max_length=MAX_MESSAGES)], dec_hook=_from_builtin
)
_raw_decoder: Final = msgspec.msgpack.Decoder(
    Annotated[tuple[msgspec.Raw, ...], Meta(min_length=1, max_length=MAX_MESSAGES)]
)
_one_decoder: Final[msgspec.msgpack.Decoder[AnyMessage]] = msgspec.msgpack.Decoder(AnyMessage, dec_hook=_from_builtin)
_fields_decoder: Final = msgspec.msgpack.Decoder(Annotated[tuple[msgspec.Raw, ...], Meta(min_length=1)])


def encode_message(message: AnyMessage) -> bytes:
    """One message's part of a body: give a list of these to `body_of`."""
    return _encoder.encode(message)


def body_of(encoded: Sequence[bytes]) -> bytes:
    """Joins 1 to MAX_MESSAGES results of `encode_message`; compresses where that is shorter, but not by so much that
    nobody would accept it. Raises ValueError for what is beyond MAX_BODY_BYTES."""
    count = len(encoded)
    head = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    array = head + b"".join(encoded)
    if len(array) > MAX_BODY_BYTES:
        raise ValueError(f"a message of {len(array)} bytes is too large to send")
    if len(array) >= _COMPRESS_FROM_BYTES:
        squeezed = zlib.compress(array, 1)
        if len(squeezed) < len(array) <= _inflated_limit(len(squeezed)):
            return _DEFLATED + squeezed
    return _PLAIN + array


def decode(body: bytes) -> tuple[AnyMessage, ...] | Dropped:
    """The messages in the order of `body_of`, every field within its bounds."""
    kind, array = body[:1], body[1:]
    if kind == _DEFLATED:
        inflater = zlib.decompressobj()
        try:
            array = inflater.decompress(array, _inflated_limit(len(array)))
        except zlib.error:
            return Dropped(DropReason.MALFORMED)
        if inflater.unconsumed_tail:
            return Dropped(DropReason.TOO_LARGE)
        if not inflater.eof or inflater.unused_data:
            return Dropped(DropReason.MALFORMED)
    elif kind != _PLAIN:
        return Dropped(DropReason.MALFORMED)
    _budget.left = MAX_SPARSE_BYTES
    try:
        messages: tuple[AnyMessage, ...] = _decoder.decode(array)
    except _NO_MESSAGE:
        pass
    else:
        return messages
    try:
        every = _raw_decoder.decode(array)
        known = [one for one in every if _is_known(one)]
        if len(known) == len(every):  # then there is another reason, and it would be found again
            return Dropped(DropReason.MALFORMED)
        _budget.left = MAX_SPARSE_BYTES
        messages = tuple([_one_decoder.decode(one) for one in known])
    except _NO_MESSAGE:
        return Dropped(DropReason.MALFORMED)
    return messages if messages else Dropped(DropReason.UNKNOWN_KIND)


def _inflated_limit(compressed_bytes: int) -> int:
    return min(MAX_BODY_BYTES, INFLATED_BYTES + INFLATED_RATIO * compressed_bytes)


def _is_known(message: msgspec.Raw) -> bool:
    return msgspec.msgpack.decode(_fields_decoder.decode(message)[0], type=str) in _KINDS


# MsgspecError and UnicodeError are ValueErrors
_NO_MESSAGE: Final = (ValueError, TypeError, OverflowError, RecursionError)
