"""Byte for byte, against frames written out by hand from the RFCs."""

from __future__ import annotations

import struct

import pytest

from duravip.model import Address, canonical_address
from duravip.net import frames

HARDWARE = bytes.fromhex("02aabbccddee")
V4 = Address("192.168.0.51")
V6 = Address("2001:db8::33")


def test_the_request_form_asks_everyone_for_the_senders_own_address() -> None:
    assert frames.gratuitous_arp_request(V4, HARDWARE) == bytes.fromhex(
        "ffffffffffff 02aabbccddee 08060001 0800 06 04 000102aabbccddee c0a80033000000000000 c0a80033"
    )


def test_the_reply_form_carries_the_senders_hardware_address_as_target_too() -> None:
    assert frames.gratuitous_arp_reply(V4, HARDWARE) == bytes.fromhex(
        "ffffffffffff 02aabbccddee 08060001 0800 06 04 000202aabbccddee c0a8003302aabbccddee c0a80033"
    )


def test_the_neighbour_advertisement_overrides_and_goes_to_all_nodes() -> None:
    assert frames.neighbour_advertisement(V6, HARDWARE) == bytes.fromhex(
        "333300000001 02aabbccddee 86dd"
        "60000000 0020 3a ff"
        "20010db8000000000000000000000033"
        "ff020000000000000000000000000001"
        "88 00 5e62 20000000"
        "20010db8000000000000000000000033"
        "02 01 02aabbccddee"
    )


@pytest.mark.parametrize("address", ["2001:db8::33", "fe80::1", "fd00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1:2"])
def test_the_advertisements_checksum_adds_up_to_all_ones(address: str) -> None:
    frame = frames.neighbour_advertisement(canonical_address(address), HARDWARE)
    source_and_destination, icmp = frame[14 + 8 : 14 + 40], frame[14 + 40 :]
    covered = source_and_destination + struct.pack("!II", len(icmp), 58) + icmp
    total = sum(word for (word,) in struct.iter_unpack("!H", covered))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_a_directed_announcement_says_the_same_to_one_host_alone() -> None:
    one, two = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
    for address in (V4, V6):
        to_all = frames.announcement_frames(address, HARDWARE)
        assert frames.announcement_frames(address, HARDWARE, to=[one, two]) == tuple(
            host + frame[6:] for host in (one, two) for frame in to_all
        )
        assert frames.frame_count(address) == len(to_all)
        assert frames.frame_count(address, hosts=2) == 2 * len(to_all)


def test_an_ipv4_announcement_is_both_forms_and_an_ipv6_one_a_single_frame() -> None:
    assert frames.announcement_frames(V4, HARDWARE) == (
        frames.gratuitous_arp_request(V4, HARDWARE),
        frames.gratuitous_arp_reply(V4, HARDWARE),
    )
    assert frames.announcement_frames(V6, HARDWARE) == (frames.neighbour_advertisement(V6, HARDWARE),)
