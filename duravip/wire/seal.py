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
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from duravip.model import Incarnation, Member, NodeName
from duravip.wire.dropped import Dropped, DropReason
from duravip.wire.versions import VERSIONS

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_NAME_BYTES: Final = 255
MAX_DATAGRAM_BYTES: Final = 65_507  # the largest UDP payload
LAST_SEQUENCE: Final = (1 << 64) - 1
WINDOW: Final = 1024  # datagrams of one incarnation that may overtake each other
MAX_LIVES: Final = 8  # incarnations of one name that are remembered, the newest
MAX_SENDERS: Final = 1024  # names

_MAGIC: Final = b"DV"
_PLAIN, _SEALED = 0, 1  # the lowest bit
_OPENS_SHIFT: Final = 4  # of the highest version that the sender opens
_HEADER: Final = struct.Struct(">2sBBI8sQQQB")
_FLAGS_AT: Final = struct.calcsize(">2sB")
_KEY_ID_AT: Final = struct.calcsize(">2sBB")
_SEQUENCE_AT, _SEQUENCE_BYTES = struct.calcsize(">2sBBI8sQQ"), 8  # in the header
_COUNTER_LIMIT: Final = 1 << 53  # as `model.Count`


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


class Opened:
    """An authentic frame. `opens`: the highest wire version that its sender opens. `key_id`: of the key that sealed it;
    0: it is plain."""

    __slots__ = ("frame", "key_id", "opens", "sender", "sequence")

    def __init__(self, sender: Member, frame: bytes, *, sequence: int, key_id: int, opens: int) -> None:
        self.sender = sender
        self.frame = frame
        self.sequence = sequence
        self.key_id = key_id
        self.opens = opens


class _Origin:
    """A life, and how it seals: with this cipher; None: not at all."""

    __slots__ = ("cipher", "sender")

    def __init__(self, sender: Member, cipher: AESGCM | None) -> None:
        self.sender = sender
        self.cipher = cipher

    def frame(self, body: bytes, header: bytes, sequence: int) -> bytes | None:
        """None: this is not what sealed it."""
        if self.cipher is None:
            return body
        try:
            return self.cipher.decrypt(_nonce(sequence), body, header)
        except InvalidTag:
            return None


class Unsealer:
    """Opens envelopes. The answer follows from the datagram and the keys alone: it may be remembered, and shared by all
    who have the same keys. `plain`: plain datagrams too, as always without keys."""

    def __init__(
        self, *, cluster_group: str, keys: Sequence[bytes], plain: bool = False, versions: Sequence[int] = VERSIONS
    ) -> None:
        self._group = _group_hash(cluster_group)
        self._keys: dict[int, list[bytes]] = {}
        for key in keys:
            self._keys.setdefault(key_id(key), []).append(key)
        self._plain = plain or not keys
        self._versions = frozenset(versions)
        self._origins: OrderedDict[bytes, _Origin] = OrderedDict()  # of what opened, by the headers' constant part

    def unseal(self, datagram: bytes) -> Opened | Dropped:
        if len(datagram) < _HEADER.size:
            return Dropped(DropReason.TOO_SHORT)
        if len(datagram) > MAX_DATAGRAM_BYTES:
            return Dropped(DropReason.TOO_LARGE)
        magic, version, flags, key_id, group, counter, nonce, sequence, name_bytes = _HEADER.unpack_from(datagram)
        if magic != _MAGIC:
            return Dropped(DropReason.BAD_MAGIC)
        if version not in self._versions:
            return Dropped(DropReason.WRONG_VERSION)
        if group != self._group:
            return Dropped(DropReason.FOREIGN_CLUSTER)
        body_at = _HEADER.size + name_bytes
        if len(datagram) < body_at:
            return Dropped(DropReason.TOO_SHORT)
        is_plain = flags & _SEALED == _PLAIN
        if is_plain and not self._plain:
            return Dropped(DropReason.INSECURE)
        if not is_plain and key_id not in self._keys:
            return Dropped(DropReason.UNKNOWN_KEY)
        if not name_bytes or not sequence or counter >= _COUNTER_LIMIT:
            return Dropped(DropReason.MALFORMED)

        header, body, name = datagram[:body_at], datagram[body_at:], datagram[_HEADER.size : body_at]
        constant = header[_FLAGS_AT:_SEQUENCE_AT] + name
        known = self._origins.get(constant)
        if known is not None:
            possible = [known]
        else:
            try:
                sender = Member(NodeName(name.decode()), Incarnation(counter, nonce))
            except UnicodeDecodeError:
                return Dropped(DropReason.MALFORMED)
            ciphers = [None] if is_plain else [_cipher(key, self._group, sender) for key in self._keys[key_id]]
            possible = [_Origin(sender, cipher) for cipher in ciphers]
        for origin in possible:
            frame = origin.frame(body, header, sequence)
            if frame is not None:
                if known is None:
                    self._remember(constant, origin)
                opens = max(flags >> _OPENS_SHIFT, version)
                return Opened(origin.sender, frame, sequence=sequence, key_id=0 if is_plain else key_id, opens=opens)
        return Dropped(DropReason.FORGED)

    def _remember(self, constant: bytes, origin: _Origin) -> None:
        self._origins[constant] = origin
        if len(self._origins) > MAX_SENDERS:
            self._origins.popitem(last=False)


class _Life:
    """What is remembered of one incarnation: the key that sealed last, and which of its last WINDOW sequences were
    heard (bit 0 is `highest`)."""

    __slots__ = ("heard", "highest", "key_id")

    def __init__(self) -> None:
        self.key_id = 0
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


_WINDOW_MASK: Final = (1 << WINDOW) - 1


class Opener:
    """Opens what the others have sealed, each datagram once. `unseal`: as an `Unsealer` does."""

    def __init__(self, *, me: Member, unseal: Callable[[bytes], Opened | Dropped]) -> None:
        self.unseal = unseal  # may change; what was heard stays heard
        self._me = me
        self._lives: OrderedDict[NodeName, dict[Incarnation, _Life]] = OrderedDict()

    def heard_with(self) -> dict[NodeName, int]:
        """Sender -> the id of the key that its newest life has sealed with last; 0: it has only said plain things."""
        return {name: lives[max(lives)].key_id for name, lives in self._lives.items()}

    def open(self, datagram: bytes) -> Opened | Dropped:
        opened = self.unseal(datagram)
        if isinstance(opened, Dropped):
            return opened
        sender = opened.sender
        if sender == self._me:
            return Dropped(DropReason.OWN)
        lives = self._lives.get(sender.name)
        life = lives.get(sender.incarnation) if lives is not None else None
        if life is None:
            life = self._remember(sender)
            if life is None:
                return Dropped(DropReason.REPLAY)
        if opened.key_id:
            life.key_id = opened.key_id
        refused = life.accept(opened.sequence)
        if refused is None:
            return opened
        return Dropped(refused, sender=sender if refused is DropReason.DUPLICATE else None)

    def _remember(self, sender: Member) -> _Life | None:
        """None: the incarnation is older than all that are remembered of the name."""
        lives = self._lives.setdefault(sender.name, {})
        self._lives.move_to_end(sender.name)
        if len(lives) >= MAX_LIVES:
            oldest = min(lives)
            if sender.incarnation < oldest:
                return None
            del lives[oldest]
        life = lives[sender.incarnation] = _Life()
        if len(self._lives) > MAX_SENDERS:
            self._lives.popitem(last=False)
        return life
