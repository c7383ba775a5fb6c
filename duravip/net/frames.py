"""The Ethernet frames that tell a segment who has an address now. Bytes in, bytes out.

Source: RFC 826 and RFC 5227 section 3 (ARP announcements), RFC 4861 sections 4.4 and 7.2.6 (unsolicited
neighbour advertisements), RFC 2464 section 7 (multicast over Ethernet), RFC 6085 (a multicast packet to one host's
hardware address).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

from duravip.model import Address

_ETHERTYPE_ARP, _ETHERTYPE_IPV6 = 0x0806, 0x86DD
_BROADCAST = b"\xff" * 6
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
_ALL_NODES_ETHERNET = b"\x33\x33\x00\x00\x00\x01"
_NEXT_HEADER_ICMPV6 = 58
_HOP_LIMIT = 255  # anything less is ignored: it could have come from another segment
_NEIGHBOUR_ADVERTISEMENT = 136
_OVERRIDE = 0x20000000
_TARGET_LINK_LAYER_ADDRESS = 2


def announcement_frames(
    address: Address, hardware_address: bytes, *, to: Sequence[bytes] | None = None
) -> tuple[bytes, ...]:
    """All frames of one announcement. IPv4: the request form and the reply form, for either is ignored by
    some switches and hosts. IPv6: one advertisement. `hardware_address` is six bytes.

    `to`: the hardware addresses of the only hosts that are told, None for all. What they are told is the same:
    an answer to a host by name is ignored by Linux within a second of the last update, an announcement is not.
    """
    if ":" in address:
        frames: tuple[bytes, ...] = (neighbour_advertisement(address, hardware_address),)
    else:
        frames = (
            gratuitous_arp_request(address, hardware_address),
            gratuitous_arp_reply(address, hardware_address),
        )
    if to is None:
        return frames
    return tuple(one + frame[len(one) :] for one in to for frame in frames)


def frame_count(address: Address, *, hosts: int | None = None) -> int:
    """How many frames one announcement is: to everybody, or to so many hosts."""
    return (1 if ":" in address else 2) * (1 if hosts is None else hosts)


def gratuitous_arp_request(address: Address, hardware_address: bytes) -> bytes:
    """Asks everyone for our own address; the target hardware address is zero, as in any question."""
    return _arp(1, address, hardware_address, target=bytes(6))


def gratuitous_arp_reply(address: Address, hardware_address: bytes) -> bytes:
    """Answers a question that nobody asked. The target hardware address is our own: Linux takes a reply with
    zeros or ones there for an answer to somebody else, and ignores it within a second of the last update."""
    return _arp(2, address, hardware_address, target=hardware_address)


def neighbour_advertisement(address: Address, hardware_address: bytes) -> bytes:
    """Unsolicited, to all nodes, with the override flag: replaces what neighbours remember."""
    packed = ipaddress.IPv6Address(address).packed
    option = struct.pack("!BB6s", _TARGET_LINK_LAYER_ADDRESS, 1, hardware_address)
    body = struct.pack("!I16s", _OVERRIDE, packed) + option
    length = 4 + len(body)
    pseudo_header = struct.pack("!16s16sIxxxB", packed, _ALL_NODES, length, _NEXT_HEADER_ICMPV6)
    unsummed = struct.pack("!BBH", _NEIGHBOUR_ADVERTISEMENT, 0, 0) + body
    summed = struct.pack("!BBH", _NEIGHBOUR_ADVERTISEMENT, 0, checksum(pseudo_header + unsummed)) + body
    ip = struct.pack("!IHBB16s16s", 6 << 28, length, _NEXT_HEADER_ICMPV6, _HOP_LIMIT, packed, _ALL_NODES)
    return _ethernet(_ALL_NODES_ETHERNET, hardware_address, _ETHERTYPE_IPV6) + ip + summed


def _arp(operation: int, address: Address, hardware_address: bytes, *, target: bytes) -> bytes:
    packed = ipaddress.IPv4Address(address).packed
    header = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    body = struct.pack("!6s4s6s4s", hardware_address, packed, target, packed)
    return _ethernet(_BROADCAST, hardware_address, _ETHERTYPE_ARP) + header + body


def _ethernet(destination: bytes, source: bytes, ethertype: int) -> bytes:
    return struct.pack("!6s6sH", destination, source, ethertype)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(word for (word,) in struct.iter_unpack("!H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
