"""The Ethernet frames that ask a segment who has an address. Bytes in, bytes out.

They change what nobody remembers: an ARP probe names no sender; a solicitation is sent from the asker's own link-local
address, so that the answer comes to the asker alone. (A solicitation from :: would be answered to everybody.)

Source: RFC 5227 section 2.1.1 (ARP probes), RFC 4861 sections 4.3, 4.6.1 and 7.2.2, RFC 2464 section 7.
"""

from __future__ import annotations

import ipaddress
import struct

from duravip.model import Address
from duravip.net.frames import checksum

_BROADCAST = b"\xff" * 6
_NEXT_HEADER_ICMPV6, _HOP_LIMIT, _NEIGHBOUR_SOLICITATION, _SOURCE_LINK_LAYER_ADDRESS = 58, 255, 135, 1
_SOLICITED_NODE = ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13]


def arp_probe(address: Address, hardware_address: bytes, *, to: bytes | None = None) -> bytes:
    """`hardware_address` is the asker's; `to` the only one that is asked, or None: everybody."""
    packed = ipaddress.IPv4Address(address).packed
    ethernet = struct.pack("!6s6sH", to or _BROADCAST, hardware_address, 0x0806)
    return ethernet + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, hardware_address, bytes(4), bytes(6), packed)


def neighbour_solicitation(
    address: Address, hardware_address: bytes, source: Address, *, to: bytes | None = None
) -> bytes:
    """As `arp_probe`; `source` is an address of the asker's own on the segment."""
    packed, asker = ipaddress.IPv6Address(address).packed, ipaddress.IPv6Address(source).packed
    group = _SOLICITED_NODE + packed[13:]
    body = struct.pack("!I16sBB6s", 0, packed, _SOURCE_LINK_LAYER_ADDRESS, 1, hardware_address)
    length = 4 + len(body)
    pseudo_header = struct.pack("!16s16sIxxxB", asker, group, length, _NEXT_HEADER_ICMPV6)
    unsummed = struct.pack("!BBH", _NEIGHBOUR_SOLICITATION, 0, 0) + body
    summed = struct.pack("!BBH", _NEIGHBOUR_SOLICITATION, 0, checksum(pseudo_header + unsummed)) + body
    ip = struct.pack("!IHBB16s16s", 6 << 28, length, _NEXT_HEADER_ICMPV6, _HOP_LIMIT, asker, group)
    return struct.pack("!6s6sH", to or b"\x33\x33" + group[12:], hardware_address, 0x86DD) + ip + summed
