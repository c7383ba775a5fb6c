"""Values that every room may use: names, addresses, what a node's table says about its VIPs, views, flags.

All are immutable and compare by value. Those that there are many of need no garbage collection (gc=False): nothing that
they hold leads back to them. Collections inside them are sorted tuples, so that equal content has equal
encoding on every node (the table digest depends on it).
"""

from __future__ import annotations

import enum
import hashlib
import ipaddress
from collections.abc import Iterable
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Annotated, NewType

import msgspec
from msgspec import Meta

Address = NewType("Address", str)
"""Canonical text of an IP address, as `str(ipaddress.ip_address(x))` gives it. Make it with `canonical_address`."""

NodeName = NewType("NodeName", str)
"""A node's canonical name, compared whole and case-sensitively."""

TableDigest = NewType("TableDigest", str)
"""32 hex digits naming the exact content of a table."""

# Bounds of the fields that travel in messages: a decoder refuses what lies outside.
Name = Annotated[NodeName, Meta(min_length=1, max_length=255)]
MAX_COUNT = (1 << 53) - 1
Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
Nonce = Annotated[int, Meta(ge=0)]  # msgpack has 64 bits at most
MAX_VIPS = 20_480  # of one table
MAX_TABLE_BYTES = 8 * 1024 * 1024  # encoded
MAX_ENTRY_BYTES = 64 * 1024  # of one VIP in it
MAX_USES = 131_072  # services, Bindings and preferences in it
Weight = Annotated[float, Meta(ge=0.01, le=1000)]  # as the options say; sums of more would not be exact

_OCTETS = frozenset(map(str, range(256)))


@lru_cache(maxsize=4096)
def canonical_address(text: str) -> Address:
    """Raises ValueError when `text` is no IPv4 or IPv6 address."""
    octets = text.split(".")
    if len(octets) == 4 and _OCTETS.issuperset(octets):  # ten times as fast as ipaddress
        return Address(text)
    return Address(str(ipaddress.ip_address(text)))


def address_order(address: Address) -> tuple[int, int]:
    """The order in which people expect addresses: IPv4 first, then by number."""
    if ":" in address:
        return 6, int(ipaddress.IPv6Address(address))
    one, two, three, four = address.split(".")
    return 4, int(one) << 24 | int(two) << 16 | int(three) << 8 | int(four)


class Origin(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where something was written. Lines and columns count from 1; 0 means unknown."""

    file: str = ""
    line: int = 0
    column: int = 0


class Use(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One value that a configuration gives to a VIP (a service, a Binding name, a preference), and where."""

    value: str
    origin: Origin = Origin()


class VipEntry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All that one node's table says about one of its VIPs.

    `services` holds `multivip` for a Binding and `kind:port` for a Listen (`esmtp:25`), sorted by value, each value
    once. `bindings` are names, likewise. `alternatives`: who should own it while `preference` may not, the best first.
    `interface` is None when no Topology matches. `prefix` is in bits. `anti_affinity` and `together` name groups, ""
    is none. `origin` is the first place that enables it.
    """

    address: Address
    services: tuple[Use, ...] = ()
    bindings: tuple[Use, ...] = ()
    preference: Use | None = None
    alternatives: tuple[Use, ...] = ()
    follow: Use | None = None
    interface: str | None = None
    prefix: int = 32
    weight: Weight = 1.0
    anti_affinity: str = ""
    together: str = ""
    origin: Origin = Origin()

    def preferences(self) -> tuple[Use, ...]:
        """The nodes that should own it, the best first."""
        return (self.preference, *self.alternatives) if self.preference is not None else ()

    def uses(self) -> int:
        """How many values it has, about."""
        return len(self.services) + len(self.bindings) + len(self.alternatives)

    def service_names(self) -> tuple[str, ...]:
        return tuple(use.value for use in self.services)

    def binding_names(self) -> tuple[str, ...]:
        return tuple(use.value for use in self.bindings)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that all members should give alike; the coordinator's are in force where they differ.

    `balance_set_size` is a number of VIPs, 0 meaning `auto`. Times are seconds. The bounds are the options'.
    """

    balance_set_size: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    view_mature_time: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    view_balance_interval: Annotated[float, Meta(ge=0.1, le=86_400)] = 10.0
    ownership: str = "available"
    members: Annotated[tuple[NodeName, ...], Meta(max_length=256)] = ()
    tie_breaker: NodeName | None = None
    address_lifetime: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    fail_back: str = "when-mature"


DEFAULT_SETTINGS = Settings()


class Table(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Everything one node's configuration says about its VIPs. `vips` is sorted by address text, each once.

    It does not name the node: nodes with the same file have the same table and digest.
    """

    vips: tuple[VipEntry, ...] = ()
    settings: Settings = DEFAULT_SETTINGS

    def encoded(self) -> bytes:
        return msgspec.msgpack.encode(self)

    def digest(self) -> TableDigest:
        return self._named[0]

    def size(self) -> int:
        """Bytes, encoded."""
        return self._named[1]

    @cached_property
    def _named(self) -> tuple[TableDigest, int]:
        encoded = self.encoded()
        return digest_of(encoded), len(encoded)


def digest_of(encoded_table: bytes) -> TableDigest:
    made = hasher()
    made.update(encoded_table)
    return TableDigest(made.hexdigest())


def hasher() -> hashlib.blake2b:
    """For a digest of what comes bit by bit."""
    return hashlib.blake2b(digest_size=16)


def make_table(vips: Iterable[VipEntry], settings: Settings = DEFAULT_SETTINGS) -> Table:
    """The only way to make a Table by hand: sorts, and refuses two entries for one address with ValueError."""
    ordered = tuple(sorted(vips, key=lambda vip: vip.address))
    for before, after in pairwise(ordered):
        if before.address == after.address:
            raise ValueError(f"two entries for {after.address} in one table")
    return Table(vips=ordered, settings=settings)


class Incarnation(msgspec.Struct, frozen=True, gc=False, order=True, array_like=True, cache_hash=True):
    """One life of a node's daemon. `counter` grows with every start; `nonce` is 64 random bits."""

    counter: Count
    nonce: Nonce

    def __str__(self) -> str:
        return f"{self.counter}.{self.nonce:016x}"


class ViewId(msgspec.Struct, frozen=True, gc=False, order=True, array_like=True):
    """Names a view. Ordered by epoch, then coordinator, then its incarnation; it only grows at any node."""

    epoch: Count
    coordinator: Name
    incarnation: Incarnation

    def __str__(self) -> str:
        return f"{self.epoch}@{self.coordinator}#{self.incarnation.counter}"


class Member(msgspec.Struct, frozen=True, gc=False, order=True, array_like=True, cache_hash=True):
    """A node in one life: what views are made of."""

    name: Name
    incarnation: Incarnation


class View(msgspec.Struct, frozen=True):
    """An agreed list of members, sorted by name, each name once."""

    id: ViewId
    members: tuple[Member, ...]

    def names(self) -> tuple[NodeName, ...]:
        return tuple([member.name for member in self.members])


class Flag(enum.Enum):
    """What may be wrong with a VIP across the cluster; none of them is SAFE."""

    __hash__ = object.__hash__  # each is one object; Enum's own is in Python

    BROKEN = "BROKEN"
    CONFLICT = "CONFLICT"
    UNSAFE = "UNSAFE"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One node's part in a flag: what it says (`value`), where, and a sentence for people (`text`)."""

    flag: str
    node: NodeName
    file: str = ""
    line: int = 0
    value: str = ""
    text: str = ""


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """Somebody says on a network segment that it has an address. `hardware_address` is six bytes."""

    address: Address
    hardware_address: bytes


class Reason(enum.Enum):
    """Why a VIP has the owner it has, or none. The value goes over the wire; words are in `cluster.election`."""

    __hash__ = object.__hash__  # each is one object; Enum's own is in Python, and elections ask for it all the time

    BROKEN = 1
    FOLLOWS = 2
    FOLLOWED_UNOWNED = 3
    CANNOT_FOLLOW = 4
    PINNED = 5
    PREFERRED = 6
    HOLDER = 7
    MERGE = 8
    LEAST_LOADED = 9
    BALANCED = 10
    NOBODY_ELIGIBLE = 11
    TOGETHER = 12
    NO_MAJORITY = 13


class Decision(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The election's answer for one VIP."""

    owner: Name | None
    reason: Reason
