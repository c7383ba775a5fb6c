"""rtnetlink in bytes: requests for addresses and links, and what the kernel answers. Nothing is sent from here.

Layout of everything (rtnetlink(7), linux/if_addr.h, linux/if_link.h): a 16-byte header, a fixed part that
depends on the type, then attributes (length, kind, value), each padded to four bytes. Numbers are in the
machine's byte order.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import math
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from duravip.model import Address

OUR_PROTOCOL = 0x44
"""The mark (IFA_PROTO, Linux 5.18 and later) of every address we add. Below 4 is the kernel's own."""

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100

AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10

_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP = 0x1, 0x4, 0x300
_NLM_F_REPLACE, _NLM_F_CREATE = 0x100, 0x400
_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200

_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO, _IFA_FLAGS, _IFA_PROTO = 1, 2, 6, 8, 11
_IFA_F_NODAD, _IFA_F_PERMANENT, _IFA_F_NOPREFIXROUTE = 0x02, 0x80, 0x200
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_EXT_MASK = 1, 3, 4, 29
_RTEXT_FILTER_SKIP_STATS = 8
_IFF_UP, _IFF_LOOPBACK, _IFF_MULTICAST, _IFF_LOWER_UP = 0x1, 0x8, 0x1000, 0x10000
_NLMSGERR_ATTR_MSG = 1
_FOREVER = 0xFFFFFFFF
_LAST_SECOND = 1  # the kernel ends a lifetime up to 20 ms early, and tells what is left in whole seconds, rounded up

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_SEQUENCE = struct.Struct("=I")
_IFADDRMSG = struct.Struct("=BBBBi")  # family, prefix, flags, scope, index
_IFINFOMSG = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # length, kind
_LIFETIMES = struct.Struct("=II")  # preferred, valid: the beginning of ifa_cacheinfo, in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRow:
    """One address on one interface (by index), as the kernel tells it. `immortal`: it says there is no lifetime.
    `expired`: there is one, and hardly anything is left of it."""

    address: Address
    index: int
    prefix: int
    ours: bool
    immortal: bool = False
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """One interface. `up`: `switched_on` and with a carrier. `hardware_address` is `aa:bb:...` or ""."""

    index: int
    name: str
    hardware_address: str
    mtu_bytes: int
    up: bool
    switched_on: bool
    loopback: bool
    multicast: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`payload` is everything after the header. `port`: of the socket whose request this answers or tells of; 0 is the
    kernel. `interrupted`: the table changed during this dump."""

    kind: int
    flags: int
    sequence: int
    port: int
    payload: bytes

    @property
    def interrupted(self) -> bool:
        return bool(self.flags & _NLM_F_DUMP_INTR)


def address_bytes(address: Address) -> bytes:
    return socket.inet_pton(family_of(address), address)


def family_of(address: Address) -> int:
    return AF_INET6 if ":" in address else AF_INET


def add_request(address: Address, index: int, prefix: int, *, sequence: int, lifetime_s: float = 0.0) -> bytes:
    """Create the address, or change the one that is there: our mark, and a lifetime that begins now; 0: for ever.

    IPv6: without duplicate address detection (the cluster has settled who owns it, and detection would cost a
    second), and never chosen as a source by the kernel (preferred lifetime 0). IPv4 knows no such choice.
    """
    packed = address_bytes(address)
    head, between, tail = _add_template(len(packed), index, prefix, math.ceil(lifetime_s) or _FOREVER)
    return head[:8] + _SEQUENCE.pack(sequence) + head[12:] + packed + between + packed + tail


@functools.lru_cache(maxsize=64)
def _add_template(size: int, index: int, prefix: int, valid_s: int) -> tuple[bytes, bytes, bytes]:
    """An addition without its address and its sequence: what is before, between and behind the two places where the
    address of `size` bytes stands. Addresses come by the thousand, and differ in nothing else."""
    nothing = bytes(size)
    attributes = _attribute(_IFA_LOCAL, nothing) + _attribute(_IFA_ADDRESS, nothing)
    preferred_s = valid_s
    if size == 16:
        flags = _IFA_F_NODAD | (_IFA_F_NOPREFIXROUTE if prefix == 128 else 0)
        attributes += _attribute(_IFA_FLAGS, struct.pack("=I", flags))
        preferred_s = 0
    attributes += _attribute(_IFA_CACHEINFO, struct.pack("=IIII", preferred_s, valid_s, 0, 0))
    attributes += _attribute(_IFA_PROTO, bytes((OUR_PROTOCOL,)))
    body = _IFADDRMSG.pack(AF_INET if size == 4 else AF_INET6, prefix, 0, 0, index) + attributes
    whole = _message(RTM_NEWADDR, _NLM_F_ACK | _NLM_F_CREATE | _NLM_F_REPLACE, 0, body)
    first = _HEADER.size + _IFADDRMSG.size + _ATTRIBUTE.size
    second = first + size + _ATTRIBUTE.size
    return whole[:first], whole[first + size : second], whole[second + size :]


def delete_request(address: Address, index: int, prefix: int, *, sequence: int) -> bytes:
    """By the local address alone, so that a point-to-point address goes as well."""
    body = _IFADDRMSG.pack(family_of(address), prefix, 0, 0, index)
    body += _attribute(_IFA_LOCAL, address_bytes(address))
    return _message(RTM_DELADDR, _NLM_F_ACK, sequence, body)


def address_dump_request(family: int, *, sequence: int) -> bytes:
    return _message(RTM_GETADDR, _NLM_F_DUMP, sequence, _IFADDRMSG.pack(family, 0, 0, 0, 0))


def link_dump_request(*, sequence: int) -> bytes:
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, 0, 0)
    body += _attribute(_IFLA_EXT_MASK, struct.pack("=I", _RTEXT_FILTER_SKIP_STATS))
    return _message(RTM_GETLINK, _NLM_F_DUMP, sequence, body)


def link_request(name: str, *, sequence: int) -> bytes:
    """One interface, by its name."""
    body = _IFINFOMSG.pack(AF_UNSPEC, 0, 0, 0, 0)
    body += _attribute(_IFLA_IFNAME, os.fsencode(name) + b"\0")
    body += _attribute(_IFLA_EXT_MASK, struct.pack("=I", _RTEXT_FILTER_SKIP_STATS))
    return _message(RTM_GETLINK, 0, sequence, body)


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram; stops at anything that is cut short."""
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, position)
        if length < _HEADER.size or position + length > len(data):
            return
        payload = data[position + _HEADER.size : position + length]
        yield Message(kind=kind, flags=flags, sequence=sequence, port=port, payload=payload)
        position += _aligned(length)


def parse_error(message: Message) -> tuple[int, str]:
    """Of NLMSG_ERROR or NLMSG_DONE: the errno (0 is success) and the kernel's own words for it ("" if it has
    none)."""
    if len(message.payload) < 4:
        return errno.EPROTO, ""
    (negative,) = struct.unpack_from("=i", message.payload)
    text = ""
    if message.kind == NLMSG_ERROR and message.flags & _NLM_F_ACK_TLVS:
        start = 4 + _HEADER.size
        if not message.flags & _NLM_F_CAPPED and len(message.payload) >= start:
            (echoed,) = struct.unpack_from("=I", message.payload, 4)
            start = 4 + _aligned(echoed)
        raw = dict(_attributes(message.payload, start)).get(_NLMSGERR_ATTR_MSG, b"")
        text = raw.rstrip(b"\0").decode("utf-8", "replace")
    return -negative, text


def parse_address(payload: bytes) -> AddressRow | None:
    """Of RTM_NEWADDR and RTM_DELADDR. None for families that are not IP."""
    if len(payload) < _IFADDRMSG.size:
        return None
    family, prefix, _, _, index = _IFADDRMSG.unpack_from(payload)
    found = dict(_attributes(payload, _IFADDRMSG.size))
    raw = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
    if family not in (AF_INET, AF_INET6) or raw is None or len(raw) != (4 if family == AF_INET else 16):
        return None
    flags = int.from_bytes(found.get(_IFA_FLAGS, b""), sys.byteorder)
    lifetimes = found.get(_IFA_CACHEINFO, b"")
    return AddressRow(
        address=Address(str(ipaddress.ip_address(raw))),
        index=index,
        prefix=prefix,
        ours=found.get(_IFA_PROTO) == bytes((OUR_PROTOCOL,)),
        immortal=bool(flags & _IFA_F_PERMANENT),
        expired=len(lifetimes) >= _LIFETIMES.size and _LIFETIMES.unpack_from(lifetimes)[1] <= _LAST_SECOND,
    )


def parse_link(payload: bytes) -> LinkRow | None:
    """Of RTM_NEWLINK and RTM_DELLINK. None without a name, and for what a bridge tells of its ports and IPv6 of its
    own: those have a family, and say nothing of the interface itself."""
    if len(payload) < _IFINFOMSG.size:
        return None
    family, _, index, flags, _ = _IFINFOMSG.unpack_from(payload)
    found = dict(_attributes(payload, _IFINFOMSG.size))
    name = found.get(_IFLA_IFNAME, b"").rstrip(b"\0")
    if not name or family != AF_UNSPEC:
        return None
    mtu = found.get(_IFLA_MTU, b"")
    return LinkRow(
        index=index,
        name=os.fsdecode(name),
        hardware_address=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu_bytes=int(struct.unpack("=I", mtu)[0]) if len(mtu) == 4 else 0,
        up=flags & (_IFF_UP | _IFF_LOWER_UP) == _IFF_UP | _IFF_LOWER_UP,
        switched_on=bool(flags & _IFF_UP),
        loopback=bool(flags & _IFF_LOOPBACK),
        multicast=bool(flags & _IFF_MULTICAST),
    )


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    length = _HEADER.size + len(body)
    header = _HEADER.pack(length, kind, flags | _NLM_F_REQUEST, sequence, 0)
    return header + body + bytes(_aligned(length) - length)


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _attributes(data: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < _ATTRIBUTE.size or position + length > len(data):
            return
        yield kind & 0x3FFF, data[position + _ATTRIBUTE.size : position + length]
        position += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
