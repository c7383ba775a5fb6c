"""What a frame says about who has an address. Bytes in, a claim or None out; never an exception.

A claim is an ARP packet, request or reply, with a sender; a neighbour advertisement; or a neighbour solicitation that
is sent from the address. Probes claim nothing (ARP from 0.0.0.0, solicitations from ::): whoever has the address
answers them, and the kernel does that. Checksums are not looked at: the link has its own, and between virtual machines
of one host they need not be filled in.

Source: RFC 826, RFC 5227 section 2.4, RFC 4861 sections 4.3, 4.4, 4.6.1, 7.1.1 and 7.1.2.
"""

from __future__ import annotations

import ipaddress
import struct

from duravip.model import Address, Claim

FRAME_BYTES = 256  # of a frame, as many as need to be read

_ARP, _IPV6 = b"\x08\x06", b"\x86\xdd"
_ETHERNET_AND_IPV4 = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_ARP_OPERATIONS = (b"\x00\x01", b"\x00\x02")
_NEXT_HEADER_ICMPV6 = 58
_HOP_LIMIT = 255
_ICMPV6 = 54  # where it begins, without extension headers
_SOLICITATION, _ADVERTISEMENT = 135, 136
_OPTIONS = _ICMPV6 + 24
_SOURCE_LINK_LAYER, _TARGET_LINK_LAYER = 1, 2


def parse(frame: bytes) -> Claim | None:
    """What an Ethernet frame claims; None: nothing."""
    kind = frame[12:14]
    if kind == _ARP:
        return _parse_arp(frame)
    if kind == _IPV6:
        return _parse_neighbour(frame)
    return None


def _parse_arp(frame: bytes) -> Claim | None:
    if len(frame) < 42 or frame[14:20] != _ETHERNET_AND_IPV4 or frame[20:22] not in _ARP_OPERATIONS:
        return None
    sender = frame[28:32]
    if sender == bytes(4):
        return None
    return _claim(ipaddress.IPv4Address(sender), frame[22:28])


def _parse_neighbour(frame: bytes) -> Claim | None:
    if len(frame) < _OPTIONS or frame[14] >> 4 != 6 or frame[20] != _NEXT_HEADER_ICMPV6 or frame[21] != _HOP_LIMIT:
        return None
    if frame[_ICMPV6 + 1] != 0:
        return None
    if frame[_ICMPV6] == _ADVERTISEMENT:
        address, option = frame[_ICMPV6 + 8 : _OPTIONS], _TARGET_LINK_LAYER
    elif frame[_ICMPV6] == _SOLICITATION and frame[22:38] != bytes(16):
        address, option = frame[22:38], _SOURCE_LINK_LAYER
    else:
        return None
    return _claim(ipaddress.IPv6Address(address), _link_layer_address(frame, option))


def _link_layer_address(frame: bytes, wanted: int) -> bytes:
    """The option's, else the sender of the frame."""
    position = _OPTIONS
    while position + 8 <= len(frame) and frame[position + 1]:
        if frame[position] == wanted and frame[position + 1] == 1:
            return frame[position + 2 : position + 8]
        position += 8 * frame[position + 1]
    return frame[6:12]


def _claim(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, hardware_address: bytes) -> Claim | None:
    if ip.is_multicast or hardware_address[0] & 1 or hardware_address == bytes(6):
        return None
    return Claim(address=Address(str(ip)), hardware_address=hardware_address)
