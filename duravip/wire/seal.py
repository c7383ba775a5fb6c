"""The sealed envelope: who sent this, in which life, and that nobody else can have.

Header, big-endian, always in clear and always authenticated:

    bytes  field
    2      magic "DV"
    1      wire version
    1      lowest bit: 0 plain, 1 sealed; upper four: the highest wire version that the sender opens, 0 when it is this
           one; the rest is 0 when sent and not looked at
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

Several keys: the first seals, all open; the key id picks. Anyone who holds a key can speak as any member. Keys may
change during a life; the sequence goes on, and what was learnt of the others stays.

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
from duravip.wire.versions import VERSIONS

KEY_BYTES = 32
TAG_BYTES = 16
MAX_NAME_BYTES = 255
MAX_DATAGRAM_BYTES = 65_507  # the largest UDP payload
LAST_SEQUENCE = (1 << 64) - 1
WINDOW = 1024  # datagrams of one incarnation that may overtake each other
MAX_LIVES = 8  # incarnations of one name that are remembered, the newest
MAX_SENDERS = 1024  # names

_MAGIC = b"DV"
_PLAIN, _SEALED = 0, 1  # the lowest bit
_OPENS_SHIFT = 4  # of the highest version that the sender opens
_HEADER = struct.Struct(">2sBBI8sQQQB")
_FLAGS_AT = struct.calcsize(">2sB")
_SEQUENCE_AT, _SEQUENCE_BYTES = struct.calcsize(">2sBBI8sQQ"), 8  # in the header
_COUNTER_LIMIT = 1 << 53  # as `model.Count`


def overhead_bytes(name: NodeName, *, secure: bool) -> int:
    """What the envelope adds to a frame of this sender."""
    return _HEADER.size + len(name.encode()) + (TAG_BYTES if secure else 0)


def _group_hash(cluster_group: str) -> bytes:
    return hashlib.blake2b(cluster_group.encode(), digest_size=8, person=b"duravip group").digest()


def _derive(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key)


def key_id(key: bytes) -> int:
    """What a key is called in clear. Two keys may have one id: rarely, and it does no harm."""
    return int.from_bytes(_derive(key, b"duravip key id", 4), "big")


def _cipher(key: bytes, group_hash: bytes, sender: Member) -> AESGCM:
    life = sender.incarnation
    info = b"duravip seal 1" + group_hash + struct.pack(">QQ", life.counter, life.nonce) + sender.name.encode()
    return AESGCM(_derive(key, info, KEY_BYTES))


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(12, "big")


class Sealer:
    """Seals what one incarnation says. `key` None: plain. `after`: the last sequence that the incarnation has used."""

    def __init__(self, *, me: Member, cluster_group: str, key: bytes | None, after: int = 0) -> None:
        """Raises ValueError for a name that does not fit into the header."""
        name = me.name.encode()
        if not 0 < len(name) <= MAX_NAME_BYTES:
            raise ValueError(f"the node name {me.name!r} must have 1 to {MAX_NAME_BYTES} bytes in UTF-8")
        self.sequence = after
        self._kind, number = (_PLAIN, 0) if key is None else (_SEALED, key_id(key))
        group, life = _group_hash(cluster_group), me.incarnation
        header = _HEADER.pack(_MAGIC, 0, 0, number, group, life.counter, life.nonce, 0, len(name)) + name
        self._before, self._after = header[_FLAGS_AT + 1 : _SEQUENCE_AT], header[_SEQUENCE_AT + _SEQUENCE_BYTES :]
        self._aead = None if key is None else _cipher(key, group, me)

    def seal(self, frame: bytes, *, version: int = VERSIONS[-1], opens: int = VERSIONS[-1]) -> bytes:
        """In this wire version, saying that the sender opens them up to `opens`."""
        self.sequence += 1
        return self._sealed(frame, self.sequence, version, opens)

    def seal_last(self, frame: bytes, *, version: int = VERSIONS[-1]) -> bytes:
        """With the sequence that no other datagram of this incarnation has: for one frame only. Whoever hears it takes
        nothing that was sealed before it any more."""
        return self._sealed(frame, LAST_SEQUENCE, version, version)

    def _sealed(self, frame: bytes, sequence: int, version: int, opens: int) -> bytes:
        flags = self._kind if opens == version else self._kind | opens << _OPENS_SHIFT
        head = _MAGIC + bytes((version, flags)) + self._before
        header = head + sequence.to_bytes(_SEQUENCE_BYTES, "big") + self._after
        if self._aead is None:
            return header + frame
        return header + self._aead.encrypt(_nonce(sequence), frame, header)


class Opened(msgspec.Struct, frozen=True):
    """An authentic frame, not heard before. `opens`: the highest wire version that its sender opens."""

    sender: Member
    frame: bytes
    opens: int = VERSIONS[-1]


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
    """Opens what the others have sealed. `plain`: plain datagrams too, as always without keys."""

    def __init__(
        self,
        *,
        me: Member,
        cluster_group: str,
        keys: Sequence[bytes],
        plain: bool = False,
        versions: Sequence[int] = VERSIONS,
    ) -> None:
        self._me = me
        self._versions = frozenset(versions)
        self._me_name = me.name.encode()
        self._me_life = (me.incarnation.counter, me.incarnation.nonce)
        self._group = _group_hash(cluster_group)
        self._keys: dict[int, list[bytes]] = {}
        self._plain = True
        self._lives: OrderedDict[bytes, dict[tuple[int, int], _Life]] = OrderedDict()
        self.rekey(keys, plain=plain)

    def rekey(self, keys: Sequence[bytes], *, plain: bool) -> None:
        """From now on these count; what was heard stays heard."""
        self._keys = {}
        for key in keys:
            self._keys.setdefault(key_id(key), []).append(key)
        self._plain = plain or not keys

    def heard_with(self) -> dict[NodeName, int]:
        """Sender -> the id of the key that its newest life has sealed with last; 0: it has only said plain things."""
        newest = (lives[max(lives)] for lives in self._lives.values())
        return {life.member.name: life.key_id for life in newest}

    def open(self, datagram: bytes) -> Opened | Dropped:
        if len(datagram) < _HEADER.size:
            return Dropped(DropReason.TOO_SHORT)
        if len(datagram) > MAX_DATAGRAM_BYTES:
            return Dropped(DropReason.TOO_LARGE)
        magic, version, flags, key_id, group, counter, nonce, sequence, name_bytes = _HEADER.unpack_from(datagram)
        kind = flags & _SEALED
        if magic != _MAGIC:
            return Dropped(DropReason.BAD_MAGIC)
        if version not in self._versions:
            return Dropped(DropReason.WRONG_VERSION)
        if group != self._group:
            return Dropped(DropReason.FOREIGN_CLUSTER)
        body_at = _HEADER.size + name_bytes
        if len(datagram) < body_at:
            return Dropped(DropReason.TOO_SHORT)
        name = datagram[_HEADER.size : body_at]
        if name == self._me_name and (counter, nonce) == self._me_life:
            return Dropped(DropReason.OWN)
        if kind == _PLAIN and not self._plain:
            return Dropped(DropReason.INSECURE)
        if kind == _SEALED and key_id not in self._keys:
            return Dropped(DropReason.UNKNOWN_KEY)
        if not name or not sequence or counter >= _COUNTER_LIMIT:
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
        elif cipher is not None and cipher is not life.cipher:  # it was given another first key without a new life
            life.key_id, life.cipher = key_id, cipher
        refused = life.accept(sequence)
        if refused is None:
            return Opened(member, frame, max(flags >> _OPENS_SHIFT, version))
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
