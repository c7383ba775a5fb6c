"""The sealed envelope: who sent this, in which life, and that nobody else can have.

Header, big-endian, always in clear and always authenticated:

    bytes  field
    2      magic "DV"
    1      wire version
    1      0 plain, 1 sealed
    4      key id (0 when plain)
    8      hash of the cluster group's name
    8      the sender's incarnation: its counter
    8      and its 64 random bits
    8      sequence, from 1, different for every datagram of the incarnation
    1      length of the sender's name in UTF-8
    n      the name

After it the frame, encrypted by AES-256-GCM with 16 bytes of tag. The AES key belongs to (cluster group,
name, incarnation) alone: HKDF-SHA256 of the cluster key. So the sequence is the whole nonce, and two lives
of a node, or two nodes, never use one nonce twice under one key, though all hold the same cluster key. The
last sequence, 2^64 - 1, is never used by a Sealer: it belongs to the guard, who says LEAVE for a daemon that
has died.

Several keys: the first seals, all open; the key id picks. Anyone who holds a key can speak as any member.

Replays: one window for each (name, incarnation), whatever path a datagram took. Only a datagram that opened
makes or moves a window, so strangers cannot push out what was learnt from members.

Source: NIST SP 800-38D (nonce uniqueness), RFC 5869 (HKDF), RFC 4303 appendix A2 (the replay window).
"""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from duravip.model import Incarnation, Member, NodeName
from duravip.wire.dropped import Dropped, DropReason

KEY_BYTES = 32
TAG_BYTES = 16
WIRE_VERSION = 1
MAX_NAME_BYTES = 255
MAX_DATAGRAM_BYTES = 65_507  # the largest UDP payload
LAST_SEQUENCE = (1 << 64) - 1
WINDOW = 1024  # datagrams of one incarnation that may overtake each other
MAX_LIVES = 8  # incarnations of one name that are remembered, the newest
MAX_SENDERS = 1024  # names

_MAGIC = b"DV"
_PLAIN, _SEALED = 0, 1
_HEADER = struct.Struct(">2sBBI8sQQQB")
_SEQUENCE_AT, _SEQUENCE_BYTES = struct.calcsize(">2sBBI8sQQ"), 8  # in the header
_COUNTER_LIMIT = 1 << 53  # as `model.Count`


def overhead_bytes(name: NodeName, *, secure: bool) -> int:
    """What the envelope adds to a frame of this sender."""
    return _HEADER.size + len(name.encode()) + (TAG_BYTES if secure else 0)


def _group_hash(cluster_group: str) -> bytes:
    return hashlib.blake2b(cluster_group.encode(), digest_size=8, person=b"duravip group").digest()


def _derive(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key)


def _key_id(key: bytes) -> int:
    return int.from_bytes(_derive(key, b"duravip key id", 4), "big")


def _cipher(key: bytes, group_hash: bytes, sender: Member) -> AESGCM:
    life = sender.incarnation
    info = b"duravip seal 1" + group_hash + struct.pack(">QQ", life.counter, life.nonce) + sender.name.encode()
    return AESGCM(_derive(key, info, KEY_BYTES))


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(12, "big")


class Sealer:
    """Seals what one incarnation says. `key` None: plain, for `insecure = true`."""

    def __init__(self, *, me: Member, cluster_group: str, key: bytes | None) -> None:
        """Raises ValueError for a name that does not fit into the header."""
        name = me.name.encode()
        if not 0 < len(name) <= MAX_NAME_BYTES:
            raise ValueError(f"the node name {me.name!r} must have 1 to {MAX_NAME_BYTES} bytes in UTF-8")
        self._sequence = 0
        group = _group_hash(cluster_group)
        kind, key_id = (_PLAIN, 0) if key is None else (_SEALED, _key_id(key))
        life = me.incarnation
        header = _HEADER.pack(_MAGIC, WIRE_VERSION, kind, key_id, group, life.counter, life.nonce, 0, len(name)) + name
        self._before, self._after = header[:_SEQUENCE_AT], header[_SEQUENCE_AT + _SEQUENCE_BYTES :]
        self._aead = None if key is None else _cipher(key, group, me)

    def seal(self, frame: bytes) -> bytes:
        self._sequence += 1
        return self._sealed(frame, self._sequence)

    def seal_last(self, frame: bytes) -> bytes:
        """With the sequence that no other datagram of this incarnation has: for one frame only. Whoever hears it takes
        nothing that was sealed before it any more."""
        return self._sealed(frame, LAST_SEQUENCE)

    def _sealed(self, frame: bytes, sequence: int) -> bytes:
        header = self._before + sequence.to_bytes(_SEQUENCE_BYTES, "big") + self._after
        if self._aead is None:
            return header + frame
        return header + self._aead.encrypt(_nonce(sequence), frame, header)


class Opened(msgspec.Struct, frozen=True):
    """An authentic frame, not heard before."""

    sender: Member
    frame: bytes


class _Life:
    """What is remembered of one incarnation: its cipher, and which of its last WINDOW sequences were heard
    (bit 0 is `highest`)."""

    __slots__ = ("cipher", "heard", "highest", "key_id", "member")

    def __init__(self, member: Member, key_id: int, cipher: AESGCM | None) -> None:
        self.member = member
        self.key_id = key_id
        self.cipher = cipher
        self.highest = 0
        self.heard = 0

    def accept(self, sequence: int) -> DropReason | None:
        ahead = sequence - self.highest
        if ahead > 0:
            self.heard = ((self.heard << ahead) | 1) & _WINDOW_MASK if ahead < WINDOW else 1
            self.highest = sequence
            return None
        if ahead <= -WINDOW:
            return DropReason.REPLAY
        if self.heard >> -ahead & 1:
            return DropReason.DUPLICATE
        self.heard |= 1 << -ahead
        return None


_WINDOW_MASK = (1 << WINDOW) - 1


class Opener:
    """Opens what the others have sealed. No keys: accepts plain datagrams, and only those."""

    def __init__(self, *, me: Member, cluster_group: str, keys: Sequence[bytes]) -> None:
        self._me = me
        self._me_name = me.name.encode()
        self._me_life = (me.incarnation.counter, me.incarnation.nonce)
        self._group = _group_hash(cluster_group)
        self._keys: dict[int, list[bytes]] = {}
        for key in keys:
            self._keys.setdefault(_key_id(key), []).append(key)
        self._lives: OrderedDict[bytes, dict[tuple[int, int], _Life]] = OrderedDict()

    def open(self, datagram: bytes) -> Opened | Dropped:
        if len(datagram) < _HEADER.size:
            return Dropped(DropReason.TOO_SHORT)
        if len(datagram) > MAX_DATAGRAM_BYTES:
            return Dropped(DropReason.TOO_LARGE)
        magic, version, kind, key_id, group, counter, nonce, sequence, name_bytes = _HEADER.unpack_from(datagram)
        if magic != _MAGIC:
            return Dropped(DropReason.BAD_MAGIC)
        if version != WIRE_VERSION:
            return Dropped(DropReason.WRONG_VERSION)
        if group != self._group:
            return Dropped(DropReason.FOREIGN_CLUSTER)
        body_at = _HEADER.size + name_bytes
        if len(datagram) < body_at:
            return Dropped(DropReason.TOO_SHORT)
        name = datagram[_HEADER.size : body_at]
        if name == self._me_name and (counter, nonce) == self._me_life:
            return Dropped(DropReason.OWN)
        if kind == _PLAIN and self._keys:
            return Dropped(DropReason.INSECURE)
        if kind == _SEALED and key_id not in self._keys:
            return Dropped(DropReason.UNKNOWN_KEY)
        if kind not in (_PLAIN, _SEALED) or not name or not sequence or counter >= _COUNTER_LIMIT:
            return Dropped(DropReason.MALFORMED)

        life = self._lives.get(name, _NO_LIVES).get((counter, nonce))
        if life is None:
            try:
                member = Member(NodeName(name.decode()), Incarnation(counter, nonce))
            except UnicodeDecodeError:
                return Dropped(DropReason.MALFORMED)
        else:
            member = life.member

        cipher: AESGCM | None = None
        if kind == _PLAIN:
            frame = datagram[body_at:]
        else:
            known = life.cipher if life is not None and life.key_id == key_id else None
            opened = self._decrypt(datagram, body_at, sequence, key_id, member, known)
            if opened is None:
                return Dropped(DropReason.FORGED)
            cipher, frame = opened

        if life is None:
            life = self._remember(name, _Life(member, key_id, cipher))
            if life is None:
                return Dropped(DropReason.REPLAY)
        elif life.key_id != key_id:  # the sender was given a new first key without a new life
            life.key_id, life.cipher = key_id, cipher
        refused = life.accept(sequence)
        if refused is None:
            return Opened(member, frame)
        return Dropped(refused, sender=member if refused is DropReason.DUPLICATE else None)

    def _decrypt(
        self, datagram: bytes, body_at: int, sequence: int, key_id: int, sender: Member, known: AESGCM | None
    ) -> tuple[AESGCM, bytes] | None:
        header, sealed, nonce = datagram[:body_at], datagram[body_at:], _nonce(sequence)
        ciphers = [known] if known is not None else [_cipher(key, self._group, sender) for key in self._keys[key_id]]
        for cipher in ciphers:
            try:
                return cipher, cipher.decrypt(nonce, sealed, header)
            except InvalidTag:
                continue
        return None

    def _remember(self, name: bytes, life: _Life) -> _Life | None:
        """None: the incarnation is older than all that are remembered of the name."""
        lives = self._lives.setdefault(name, {})
        self._lives.move_to_end(name)
        key = (life.member.incarnation.counter, life.member.incarnation.nonce)
        if len(lives) >= MAX_LIVES:
            oldest = min(lives)
            if key < oldest:
                return None
            del lives[oldest]
        lives[key] = life
        if len(self._lives) > MAX_SENDERS:
            self._lives.popitem(last=False)
        return life


_NO_LIVES: dict[tuple[int, int], _Life] = {}
