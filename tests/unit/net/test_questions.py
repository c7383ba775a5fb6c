"""Byte for byte, against frames written out by hand from the RFCs."""

from __future__ import annotations

import struct

from duravip.model import Address
from duravip.net.questions import arp_probe, neighbour_solicitation

HARDWARE = bytes.fromhex("02aabbccddee")
OTHER = bytes.fromhex("020000000099")
V4, V6, MINE = Address("192.168.0.51"), Address("2001:db8::33"), Address("fe80::1")


def test_a_probe_names_no_sender_and_goes_to_everybody_or_to_one() -> None:
    packet = bytes.fromhex("08060001 0800 06 04 0001 02aabbccddee 00000000 000000000000 c0a80033")
    assert arp_probe(V4, HARDWARE) == b"\xff" * 6 + HARDWARE + packet
    assert arp_probe(V4, HARDWARE, to=OTHER) == OTHER + HARDWARE + packet


def test_a_solicitation_comes_from_the_askers_own_address_and_goes_to_the_group_or_to_one() -> None:
    frame = neighbour_solicitation(V6, HARDWARE, MINE)
    assert frame[:14] == bytes.fromhex("3333ff000033 02aabbccddee 86dd")
    assert frame[14:54] == bytes.fromhex(
        "60000000 0020 3a ff fe800000000000000000000000000001 ff0200000000000000000001ff000033"
    )
    assert frame[54:56] == bytes((135, 0))
    assert frame[58:] == bytes.fromhex("00000000 20010db8000000000000000000000033 0101 02aabbccddee")
    covered = frame[22:54] + struct.pack("!II", len(frame) - 54, 58) + frame[54:]
    total = sum(word for (word,) in struct.iter_unpack("!H", covered))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF, "the checksum adds up"
    assert neighbour_solicitation(V6, HARDWARE, MINE, to=OTHER) == OTHER + frame[6:]
