"""What software of wire version 1 understands, written down once and never changed: a copy of the format as it was on
26 November 2026, that shares nothing with `duravip.wire` and `duravip.cluster`. Tests have it hear today's code.

It forgives nothing but what version 1 reads over by its rules: kinds of messages that it does not know, and fields
behind the last one that it knows; not so in what is agreed.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

HEADER = struct.Struct(">2sBBI8sQQQB")

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
Nonce = Annotated[int, Meta(ge=0)]
Digest = Annotated[str, Meta(min_length=32, max_length=32)]
Hardware = Annotated[bytes, Meta(min_length=6, max_length=6)]
Names = Annotated[tuple[Name, ...], Meta(max_length=256)]
Weight = Annotated[float, Meta(ge=0.01, le=1000)]
Addresses = bytes  # packed; `addresses` reads them


class Part(msgspec.Struct, frozen=True, array_like=True):
    pass


class Said(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Incarnation(Part, frozen=True):
    counter: Count
    nonce: Nonce


class ViewId(Part, frozen=True):
    epoch: Count
    coordinator: Name
    incarnation: Incarnation


class Member(Part, frozen=True):
    name: Name
    incarnation: Incarnation


class Decision(Part, frozen=True):
    owner: Name | None
    reason: Annotated[int, Meta(ge=1, le=13)]


class Heard(Part, frozen=True):
    name: Name
    counter: Count
    nonce: Nonce
    beat: Count
    alive: bool
    in_view: bool


class Blocked(Part, frozen=True):
    everything: Annotated[str, Meta(max_length=200)] = ""
    addresses: Addresses = b""
    claimed: Addresses = b""


class Round(Part, frozen=True):
    view: ViewId
    number: Count
    by: Name
    sequence: Count


class Prepared(Part, frozen=True):
    round: Round
    table: Digest | None
    refusal: Annotated[str, Meta(max_length=600)] = ""


class MemberStatus(Part, frozen=True):
    table: Digest
    has: Annotated[tuple[Digest, ...], Meta(max_length=512)] = ()
    drained: bool = False
    leaving: bool = False
    blocked: Blocked = Blocked()
    weight: Weight = 1.0
    prepared: Prepared | None = None
    gone: Names = ()


class Roll(Part, frozen=True):
    members: Names
    tie_breaker: Annotated[str, Meta(max_length=255)] = ""
    lifetime_s: Annotated[int, Meta(ge=1, le=86_400)] = 10


class Charter(Part, frozen=True):
    generation: Count = 0
    rolls: Annotated[tuple[Roll, ...], Meta(max_length=16)] = ()


class Missing(Part, frozen=True):
    name: Name
    for_s: Annotated[float, Meta(ge=0)]


class Pin(Part, frozen=True):
    address: Annotated[str, Meta(min_length=2, max_length=45)]
    node: Name | None
    epoch: Count
    number: Count


class MemberState(Part, frozen=True):
    member: Member
    previous: ViewId | None
    mature: bool
    status: MemberStatus
    in_force: Digest | None
    held: Addresses
    releasing: Addresses
    former: Addresses = b""
    pins: Annotated[tuple[Pin, ...], Meta(max_length=20_000)] = ()
    switched: Annotated[tuple[Round, ...], Meta(max_length=8)] = ()
    charter: Charter = Charter()
    missing: Annotated[tuple[Missing, ...], Meta(max_length=512)] = ()


class Group(Part, frozen=True):
    decision: Decision
    addresses: Addresses


class NeighbourSeen(Part, frozen=True):
    address: Annotated[bytes, Meta(min_length=4, max_length=16)]
    hardware_address: Hardware


# --- what is numbered ---------------------------------------------------------------------------------------------


class Reported(Said, frozen=True):
    name: Name
    sequence: Count
    status: MemberStatus
    as_of: Count
    released: Addresses


class TableChosen(Said, frozen=True):
    name: Name
    digest: Digest | None


class Matured(Said, frozen=True):
    names: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=256)]


class ViewAged(Said, frozen=True):
    pass


class Assigned(Said, frozen=True):
    balancing: bool
    groups: Annotated[tuple[Group, ...], Meta(max_length=4096)]


class Overdue(Said, frozen=True):
    addresses: Addresses


class Chartered(Said, frozen=True):
    charter: Charter
    voters: Names = ()


class Pinned(Said, frozen=True):
    by: Name
    sequence: Count
    address: Annotated[str, Meta(min_length=2, max_length=45)]
    node: Name | None


class DrainAsked(Said, frozen=True):
    by: Name
    sequence: Count
    name: Name
    drained: bool
    force: bool = False


class Announced(Said, frozen=True):
    by: Name
    sequence: Count


class SwitchAsked(Said, frozen=True):
    by: Name
    sequence: Count


class Switched(Said, frozen=True):
    round: Round


class SwitchAbandoned(Said, frozen=True):
    round: Round
    reason: Annotated[str, Meta(max_length=700)]


WishBody = Pinned | DrainAsked | Announced | SwitchAsked
AnyBody = (
    Reported | TableChosen | Matured | ViewAged | Assigned | Overdue | Chartered | WishBody | Switched | SwitchAbandoned
)


# --- messages -----------------------------------------------------------------------------------------------------


class Heartbeat(Said, frozen=True):
    beat: Count
    view: ViewId | None
    promised: Count
    number: Count
    state: Annotated[bytes, Meta(max_length=16)]
    table: Digest
    complete: bool
    version: Annotated[str, Meta(max_length=40)]
    heard: Annotated[tuple[Heard, ...], Meta(max_length=512)]
    hardware: Annotated[tuple[Hardware, ...], Meta(max_length=32)] = ()


class Probe(Said, frozen=True):
    to: Name


class Leave(Said, frozen=True):
    pass


class Propose(Said, frozen=True):
    view: ViewId
    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=256)]


class Promise(Said, frozen=True):
    to: Name
    view: ViewId
    state: MemberState


class Refuse(Said, frozen=True):
    to: Name
    view: ViewId
    promised: Count


class Install(Said, frozen=True):
    view: ViewId
    states: Annotated[tuple[MemberState, ...], Meta(min_length=1, max_length=256)]


class Report(Said, frozen=True):
    to: Name
    view: ViewId
    sequence: Count
    status: MemberStatus
    as_of: Count
    released: Addresses


class Wish(Said, frozen=True):
    to: Name
    view: ViewId
    body: WishBody


class Resend(Said, frozen=True):
    to: Name
    view: ViewId
    first: Count


class TableWanted(Said, frozen=True):
    to: Name
    digest: Digest
    chunks: Annotated[tuple[Count, ...], Meta(max_length=256)]


class TableChunk(Said, frozen=True):
    digest: Digest
    index: Count
    count: Annotated[int, Meta(ge=1, le=65_536)]
    data: Annotated[bytes, Meta(max_length=1100)]


class Neighbours(Said, frozen=True):
    neighbours: Annotated[tuple[NeighbourSeen, ...], Meta(min_length=1, max_length=40)]


class Numbered(Said, frozen=True):
    view: ViewId
    number: Count
    body: AnyBody


AnyMessage = (
    Heartbeat
    | Probe
    | Leave
    | Propose
    | Promise
    | Refuse
    | Install
    | Report
    | Wish
    | Resend
    | TableWanted
    | TableChunk
    | Neighbours
    | Numbered
)
AGREED = Promise | Install | Report | Wish | Numbered
KINDS = {kind.__name__ for kind in AnyMessage.__args__}

_one = msgspec.msgpack.Decoder(AnyMessage)


# --- datagrams ----------------------------------------------------------------------------------------------------


class NotUnderstoodError(Exception):
    """Software of version 1 would have dropped this."""


@dataclass
class Listener:
    """One node of version 1 with this key, listening."""

    group: str
    key: bytes | None
    sequences: set[tuple[str, int, int, int]] = field(default_factory=set)
    pieces: dict[tuple[str, int, int, int], dict[int, bytes]] = field(default_factory=dict)

    def hear(self, datagram: bytes) -> tuple[tuple[str, int, int], list[AnyMessage]]:
        """Who says what; nothing yet where a body is not complete. Raises NotUnderstoodError."""
        magic, version, flags, key_id, group, counter, nonce, sequence, length = HEADER.unpack_from(datagram)
        header, rest = datagram[: HEADER.size + length], datagram[HEADER.size + length :]
        name = header[HEADER.size :].decode()
        sender = name, counter, nonce
        if (magic, version, group) != (b"DV", 1, _hash(self.group)) or not sequence or not name:
            raise NotUnderstoodError("no datagram of version 1 of this group")
        expected = _derived(self.key, b"duravip key id", 4) if self.key is not None else 0
        if flags & 1 != (self.key is not None) or key_id != expected:
            raise NotUnderstoodError("another key")
        if (*sender, sequence) in self.sequences:
            raise NotUnderstoodError("a sequence that was heard before")
        self.sequences.add((*sender, sequence))
        if self.key is not None:
            info = b"duravip seal 1" + group + struct.pack(">QQ", counter, nonce) + name.encode()
            cipher = AESGCM(_derived(self.key, info, 32).to_bytes(32, "big"))
            rest = cipher.decrypt(sequence.to_bytes(12, "big"), rest, header)
        return sender, self._messages(sender, rest)

    def _messages(self, sender: tuple[str, int, int], frame: bytes) -> list[AnyMessage]:
        kind, body = frame[0], frame[1:]
        if kind == 1:
            number, index, count = struct.unpack_from(">IHH", body)
            pieces = self.pieces.setdefault((*sender, number), {})
            pieces[index] = body[8:]
            if len(pieces) < count:
                return []
            body = b"".join(pieces[at] for at in range(count))
        elif kind != 0:
            raise NotUnderstoodError("another kind of frame")
        if body[0] not in (0, 1):
            raise NotUnderstoodError("another kind of body")
        return self.understood(zlib.decompress(body[1:]) if body[0] else body[1:])

    def understood(self, array: bytes) -> list[AnyMessage]:
        """The messages of a body. Raises NotUnderstoodError."""
        try:
            raws = msgspec.msgpack.decode(array, type=list[msgspec.Raw])
            said = [_one.decode(raw) for raw in raws if msgspec.msgpack.decode(raw, type=list[Any])[0] in KINDS]
            agreed = {msgspec.msgpack.encode(one) for one in said if isinstance(one, AGREED)}
        except msgspec.MsgspecError as wrong:
            raise NotUnderstoodError(str(wrong)) from wrong
        if not 1 <= len(raws) <= 255:
            raise NotUnderstoodError("no body of 1 to 255 messages")
        if not agreed <= {bytes(raw) for raw in raws}:
            raise NotUnderstoodError("more is agreed than version 1 knows of")
        return said


def addresses(packed: bytes) -> list[tuple[int, int]]:
    """A packed address set: (family, number)."""
    numbers = list(_varints(packed))
    found: list[tuple[int, int]] = []
    while numbers:
        family, count, *rest = numbers
        if family not in (4, 6) or not 0 < count <= len(rest):
            raise NotUnderstoodError("no address set")
        last = -1
        for step in rest[:count]:
            last += step + 1
            found.append((family, last))
        numbers = rest[count:]
    return found


def _varints(packed: bytes) -> Any:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
    if shift:
        raise NotUnderstoodError("an address set that is cut short")


def _hash(group: str) -> bytes:
    return hashlib.blake2b(group.encode(), digest_size=8, person=b"duravip group").digest()


def _derived(key: bytes, info: bytes, length: int) -> int:
    return int.from_bytes(HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key), "big")
