"""How a table becomes pieces that fit a datagram, and pieces a table, a step at a time.

Rules of this file
- What comes in may be anything that a member who lies can make up. Each step handles a bounded part of it, whatever is
  in it.
- Raises ValueError for anything that `Table.encoded` of a well-made table cannot give.

Theory of operation. An encoded table is a map whose first field are the VIPs. Each is decoded for itself: it ends, most
probably, where the next one begins as the first did, or where the next field does. That the decoder takes exactly these
bytes for a whole VIP proves it; else the end is looked for item by item.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from duravip.cluster.addresses import is_canonical
from duravip.cluster.messages import CHUNK_BYTES, MAX_TABLE_CHUNKS
from duravip.cluster.stepwise import Steps, at_once
from duravip.model import (
    DEFAULT_SETTINGS,
    MAX_ENTRY_BYTES,
    MAX_TABLE_BYTES,
    MAX_USES,
    MAX_VIPS,
    Settings,
    Table,
    TableDigest,
    VipEntry,
    hasher,
)

STEP_BYTES: Final = 256 * 1024  # inflated in one step: some 2 ms
PIECE_COST: Final = 100  # of each piece, beside a byte for each byte that comes of it
PACK_BYTES: Final = 128 * 1024  # packed in one step, and one VIP: some 2 ms
PACK_LEVEL: Final = 1
STEP_COST: Final = 256 * 1024  # of VIPs decoded in one step: some 2 ms; one that may cost more has its own
USE_COST: Final = 50  # of each value in a VIP, beside a byte for each byte
WORST_COST: Final = 1 + USE_COST // 2  # of a byte: a value has two, at the least
IPV6_COST: Final = 500  # of an address
STEP_FREED: Final = 16_384  # values of what is no table, in one step
MAX_ITEMS: Final = 16_384  # of msgpack, in a VIP whose end is looked for
MAX_REST_BYTES: Final = 256 * 1024  # of all fields but the VIPs

_FIRST_FIELD: Final = b"\xa4vips"
_NEXT_FIELD: Final = b"\xa8settings"
_VIP_FIELD: Final = b"\xa7address"

_fields_decoder: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_vip_decoder: Final = msgspec.msgpack.Decoder(VipEntry)
_settings_decoder: Final = msgspec.msgpack.Decoder(Settings)


# --- pieces to bytes ----------------------------------------------------------------------------------------------


def inflating(pieces: Iterable[bytes], digest: TableDigest) -> Steps[bytes | bytearray]:
    """The encoded table that the pieces are, compressed. Raises ValueError when it is not what `digest` names."""
    engine, hashed = zlib.decompressobj(), hasher()
    encoded = bytearray()  # grows in place, mostly: to join all of it at the end would be a turn's work
    left = STEP_BYTES
    for piece in pieces:
        if engine.eof:
            break
        rest, goes_on = piece, True
        left -= PIECE_COST
        while goes_on and not engine.eof:
            try:
                part = engine.decompress(rest, STEP_BYTES)
            except zlib.error as wrong:
                raise ValueError("not compressed") from wrong
            rest, goes_on = engine.unconsumed_tail, len(part) == STEP_BYTES
            encoded += part
            if len(encoded) > MAX_TABLE_BYTES:
                raise ValueError("longer than any table")
            hashed.update(part)
            left -= len(part)
            if left <= 0:
                yield
                left = STEP_BYTES
    if hashed.hexdigest() != digest:
        raise ValueError("not what its digest says")
    return encoded


# --- bytes to a table ---------------------------------------------------------------------------------------------


def decoding(encoded: bytes | bytearray) -> Steps[Table]:
    """Raises ValueError for anything that `Table.encoded` of a well-made table cannot give."""
    fields, count, at = _beginning(encoded)
    head = encoded[at : at + 1] + _VIP_FIELD
    vips: list[VipEntry] = []
    last, uses, left = "", 0, STEP_COST
    try:
        for number in range(count):
            end = _end_of_vip(encoded, at, head if number < count - 1 else _NEXT_FIELD)
            if left < STEP_COST and left < WORST_COST * (end - at):
                yield
                left = STEP_COST
            vip, ends_at = _vip(encoded, at, end)
            if ends_at != end:  # it was looked for
                left = 0
            uses += vip.uses()
            _check(vip, last, uses)
            left -= ends_at - at + USE_COST * vip.uses() + (IPV6_COST if ":" in vip.address else 0)
            vips.append(vip)
            last, at = vip.address, ends_at
        return Table(vips=tuple(vips), settings=_settings(fields - 1, encoded[at:]))
    except (ValueError, msgspec.MsgspecError, RecursionError) as wrong:
        refusal = str(wrong)
    while vips:  # to free very many takes a while too
        freed = 0
        while vips and freed < STEP_FREED:
            freed += 8 + vips.pop().uses()
        yield
    raise ValueError(f"no table: {refusal}")


def _check(vip: VipEntry, last: str, uses: int) -> None:
    """`last`: the address of the VIP before it. `uses`: up to this one."""
    address, prefix = vip.address, vip.prefix
    if address <= last or not is_canonical(address):
        raise ValueError(f"not in order at {address!r}")
    if prefix != 32 and not 0 <= prefix <= (128 if ":" in address else 32):
        raise ValueError(f"{address}: prefix out of range")
    if uses > MAX_USES:
        raise ValueError(f"more than {MAX_USES} services, Bindings and preferences")


def _beginning(encoded: bytes | bytearray) -> tuple[int, int, int]:
    """How many fields there are, how many VIPs in the first, and where these begin."""
    start = 1 + len(_FIRST_FIELD)
    fields, kind = encoded[0] & 0x0F if encoded else 0, encoded[start : start + 1]
    if not fields or encoded[0] & 0xF0 != 0x80 or encoded[1:start] != _FIRST_FIELD or not kind:
        raise ValueError("no table: VIPs are not what it begins with")
    if kind[0] & 0xF0 == 0x90:
        return fields, kind[0] & 0x0F, start + 1
    count = int.from_bytes(encoded[start + 1 : start + 3], "big")
    if kind[0] != 0xDC or count > MAX_VIPS:
        raise ValueError("no table: VIPs of another length than it can have")
    return fields, count, start + 3


def _end_of_vip(encoded: bytes | bytearray, at: int, following: bytes | bytearray) -> int:
    """Where the VIP probably ends."""
    end = encoded.find(following, at + 1, at + MAX_ENTRY_BYTES + len(following))
    return end if end >= 0 else _end_of_item(encoded, at)


def _vip(encoded: bytes | bytearray, at: int, end: int) -> tuple[VipEntry, int]:
    """And where it ends indeed."""
    try:
        return _vip_decoder.decode(encoded[at:end]), end
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # what follows it is in one of its names, too
        end = _end_of_item(encoded, at)
        return _vip_decoder.decode(encoded[at:end]), end


def _end_of_item(encoded: bytes | bytearray, at: int) -> int:
    """Where what begins at `at` ends, and what is in it."""
    left, items = 1, 0
    start = at
    while left:
        items += 1
        if at >= len(encoded) or items > MAX_ITEMS or at - start > MAX_ENTRY_BYTES:
            raise ValueError("a VIP that does not end")
        kind = encoded[at]
        at += 1
        left -= 1
        if kind < 0x80 or kind >= 0xE0 or kind in (0xC0, 0xC2, 0xC3):
            continue
        if kind < 0x90:
            left += 2 * (kind & 0x0F)
        elif kind < 0xA0:
            left += kind & 0x0F
        elif kind < 0xC0:
            at += kind & 0x1F
        elif kind in _SIZES:
            at += _SIZES[kind]
        elif kind in _LENGTHS:
            width = _LENGTHS[kind]
            length = int.from_bytes(encoded[at : at + width], "big")
            at += width
            if kind in (0xDC, 0xDD):
                left += length
            elif kind in (0xDE, 0xDF):
                left += 2 * length
            else:
                at += length + (kind in (0xC7, 0xC8, 0xC9))
        else:
            raise ValueError("not msgpack")
    return at


_SIZES = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIZES |= {0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_LENGTHS |= {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def _settings(fields: int, rest: bytes | bytearray) -> Settings:
    """`rest`: so many fields, those after the VIPs."""
    if len(rest) > MAX_REST_BYTES:
        raise ValueError(f"{len(rest)} bytes of settings in a table")
    found = _fields_decoder.decode(bytes((0x80 | fields,)) + rest)
    return _settings_decoder.decode(found["settings"]) if "settings" in found else DEFAULT_SETTINGS


def decode_table(encoded: bytes | bytearray) -> Table:
    """All of it at once. Raises ValueError, as `decoding`."""
    return at_once(decoding(encoded))


def unpacking(pieces: tuple[bytes, ...], digest: TableDigest, long_bytes: int) -> Steps[tuple[Table, int]]:
    """The table that the compressed pieces are, and how many bytes it has encoded: one that has no more than
    `long_bytes` is decoded in a single step. Raises ValueError, as `inflating` and `decoding`."""
    encoded = yield from inflating(pieces, digest)
    if len(encoded) <= long_bytes:
        return decode_table(encoded), len(encoded)
    yield
    return (yield from decoding(encoded)), len(encoded)


def unpack_table(packed: bytes, digest: TableDigest) -> Table:
    """Raises ValueError when `packed` is not the compressed table that `digest` names."""
    return decode_table(at_once(inflating((packed,), digest)))


# --- a table to pieces --------------------------------------------------------------------------------------------


def packing(table: Table) -> Steps[tuple[bytes, ...]]:
    """No pieces, when they would be too many."""
    engine = zlib.compressobj(PACK_LEVEL)
    packed: list[bytes] = []
    waiting = bytearray()
    for part in encoding(table):
        waiting += part
        if len(waiting) >= PACK_BYTES:
            packed.append(engine.compress(waiting))
            waiting = bytearray()
            yield
    packed += [engine.compress(waiting), engine.flush()]
    return pieces_of(b"".join(packed))


def encoding(table: Table) -> Iterator[bytes]:
    """Together, what `Table.encoded` gives."""
    count = len(table.vips)
    yield bytes((0x80 | len(table.__struct_fields__),)) + _FIRST_FIELD
    yield bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    for vip in table.vips:
        yield msgspec.msgpack.encode(vip)
    yield _NEXT_FIELD + msgspec.msgpack.encode(table.settings)


def pack(table: Table) -> tuple[bytes, ...]:
    """All at once: of a thousand VIPs at this level in a fifth of the usual time."""
    return pieces_of(zlib.compress(table.encoded(), PACK_LEVEL))


def pieces_of(packed: bytes) -> tuple[bytes, ...]:
    found = tuple(packed[start : start + CHUNK_BYTES] for start in range(0, len(packed), CHUNK_BYTES))
    return found if len(found) <= MAX_TABLE_CHUNKS else ()


@dataclass(frozen=True, slots=True)
class Packer:
    """Both ways. The simulator's remembers."""

    pack: Callable[[Table], tuple[bytes, ...]] = pack
    unpack: Callable[[tuple[bytes, ...], TableDigest, int], Steps[tuple[Table, int]]] = unpacking


PACKER: Final = Packer()
