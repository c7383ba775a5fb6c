"""The kernel's part of listening for claims: a socket filter that lets pass only frames about given addresses.

Rules of this file: pure. A filter may let pass what it need not, never the reverse; what passes is parsed and compared
again.

Theory of operation. The addresses become ranges of 32-bit numbers (of an IPv6 address the last 32 bits), at most
MAX_RANGES of them: where there are more, those with the smallest gaps between them are joined. The program loads the
number that the frame speaks of and finds it in a binary tree of comparisons, so a frame costs some twenty instructions
however many addresses there are. Frames for other hosts, and of a VLAN that this interface does not belong to, do not
pass.

Source: McCanne and Jacobson, "The BSD Packet Filter" (1993); Linux Documentation/networking/filter.rst.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Set
from itertools import pairwise

from duravip.model import Address

MAX_RANGES = 150  # six instructions each, which the kernel may double; it gives a socket 20 kB for all (optmem_max)

_LOAD_BYTE, _LOAD_WORD = 0x30, 0x20  # BPF_LD | BPF_ABS
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _JUMP = 0x15, 0x25, 0x35, 0x05
_RETURN = 0x06
_PACKET_TYPE, _HAS_VLAN_TAG = 0xFFFFF000 + 4, 0xFFFFF000 + 48  # SKF_AD_OFF + SKF_AD_...
_OTHER_HOST = 3  # PACKET_OTHERHOST
_WHOLE_FRAME = 0xFFFF
_ARP_SENDER = 28
_NEXT_HEADER, _ICMPV6_TYPE = 20, 54
_SOURCE_END, _TARGET_END = 34, 74  # the last four bytes of the packet's source, of the message's target


Instruction = tuple[int, int, int, int]
Range = tuple[int, int]
_PASS: Instruction = (_RETURN, 0, 0, _WHOLE_FRAME)
_DROP: Instruction = (_RETURN, 0, 0, 0)
_FOR_US: tuple[Instruction, ...] = (
    (_LOAD_BYTE, 0, 0, _PACKET_TYPE),
    (_IF_EQUAL, 0, 1, _OTHER_HOST),
    _DROP,
    (_LOAD_BYTE, 0, 0, _HAS_VLAN_TAG),
    (_IF_EQUAL, 1, 0, 0),
    _DROP,
)


class ClaimFilter:
    """Of the addresses of one family, at least one: the filter, ready to be attached."""

    def __init__(self, addresses: Set[Address], *, is_v6: bool) -> None:
        self.addresses = addresses
        self.is_v6 = is_v6
        self.program = neighbour_filter(addresses) if is_v6 else arp_filter(addresses)


def arp_filter(addresses: Iterable[Address]) -> bytes:
    """For frames of ARP: those whose sender says that it has one of these IPv4 addresses."""
    ranges = ranges_of(int(ipaddress.IPv4Address(address)) for address in addresses)
    return encode((*_FOR_US, (_LOAD_WORD, 0, 0, _ARP_SENDER), *_search(ranges)))


def neighbour_filter(addresses: Iterable[Address]) -> bytes:
    """For frames of IPv6: neighbour advertisements for one of these addresses, and solicitations from one."""
    ranges = ranges_of(int(ipaddress.IPv6Address(address)) & 0xFFFFFFFF for address in addresses)
    program = (
        *_FOR_US,
        (_LOAD_BYTE, 0, 0, _NEXT_HEADER),
        (_IF_EQUAL, 1, 0, 58),
        _DROP,
        (_LOAD_BYTE, 0, 0, _ICMPV6_TYPE),
        (_IF_EQUAL, 2, 0, 136),
        (_IF_EQUAL, 3, 0, 135),
        _DROP,
        (_LOAD_WORD, 0, 0, _TARGET_END),
        (_JUMP, 0, 0, 1),
        (_LOAD_WORD, 0, 0, _SOURCE_END),
        *_search(ranges),
    )
    return encode(program)


def ranges_of(numbers: Iterable[int], *, limit: int = MAX_RANGES) -> list[Range]:
    """Ascending and apart, both ends included."""
    ordered = sorted(set(numbers))
    if not ordered:
        return []
    gaps = [(after - before, index) for index, (before, after) in enumerate(pairwise(ordered))]
    widest = sorted((gap for gap in gaps if gap[0] > 1), reverse=True)[: limit - 1]
    ranges = []
    start = 0
    for index in sorted(index for _, index in widest):
        ranges.append((ordered[start], ordered[index]))
        start = index + 1
    return [*ranges, (ordered[start], ordered[-1])]


def encode(program: Iterable[Instruction]) -> bytes:
    """As `struct sock_filter` has it."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _search(ranges: list[Range]) -> tuple[Instruction, ...]:
    if not ranges:
        return (_DROP,)
    if len(ranges) == 1:
        [(low, high)] = ranges
        return ((_IF_AT_LEAST, 0, 2, low), (_IF_GREATER, 1, 0, high), _PASS, _DROP)
    middle = len(ranges) // 2
    above = _search(ranges[middle:])
    # A conditional jump reaches 255 instructions, an unconditional one any.
    return ((_IF_AT_LEAST, 1, 0, ranges[middle][0]), (_JUMP, 0, 0, len(above)), *above, *_search(ranges[:middle]))
