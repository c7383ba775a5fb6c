"""rtnetlink messages byte for byte, and any bytes at all."""

from __future__ import annotations

import errno
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.model import Address
from duravip_plugins import netlink_codec as codec

little = pytest.mark.skipif(sys.byteorder != "little", reason="written out for a little-endian machine")


@little
def test_the_request_to_add_an_ipv4_address() -> None:
    assert codec.add_request(Address("10.1.1.5"), 3, 32, sequence=7) == bytes.fromhex(
        "44000000 1400 0505 07000000 00000000"  # 68 bytes, RTM_NEWADDR, request+ack+create+replace
        "02 20 00 00 03000000"
        "0800 0200 0a010105"  # IFA_LOCAL
        "0800 0100 0a010105"  # IFA_ADDRESS
        "1400 0600 ffffffff ffffffff 00000000 00000000"  # IFA_CACHEINFO: preferred and valid for ever
        "0500 0b00 44000000"  # IFA_PROTO, padded
    )


@little
def test_the_request_to_add_an_ipv6_address_asks_for_no_detection_and_no_use_as_a_source() -> None:
    request = codec.add_request(Address("fd00::5"), 3, 128, sequence=0)
    assert bytes.fromhex("0800 0800 02020000") in request  # IFA_FLAGS: nodad, noprefixroute
    assert bytes.fromhex("1400 0600 00000000 ffffffff 00000000 00000000") in request  # preferred 0, valid for ever
    shorter = codec.add_request(Address("fd00::5"), 3, 64, sequence=0)
    assert bytes.fromhex("0800 0800 02000000") in shorter


@little
def test_a_lifetime_is_in_whole_seconds_and_never_shorter_than_asked() -> None:
    assert bytes.fromhex("1400 0600 0a000000 0a000000") in codec.add_request(
        Address("10.1.1.5"), 3, 32, sequence=0, lifetime_s=9.5
    )
    assert bytes.fromhex("1400 0600 00000000 0a000000") in codec.add_request(
        Address("fd00::5"), 3, 128, sequence=0, lifetime_s=10
    )


def reply(kind: int, flags: int, payload: bytes) -> codec.Message:
    return codec.Message(kind=kind, flags=flags, sequence=0, port=0, payload=payload)


def test_an_acknowledgement_is_no_error() -> None:
    assert codec.parse_error(reply(codec.NLMSG_ERROR, 0x100, struct.pack("=i", 0) + bytes(16))) == (0, "")


@pytest.mark.parametrize("capped", [True, False])
def test_the_kernels_own_words_are_found_behind_the_echoed_request(capped: bool) -> None:
    echoed = codec.add_request(Address("10.1.1.5"), 3, 32, sequence=0)
    words = struct.pack("=HH", 4 + 6, 1) + b"oh no\0"
    payload = struct.pack("=i", -errno.EINVAL) + (echoed[:16] if capped else echoed) + words
    flags = 0x200 | (0x100 if capped else 0)
    assert codec.parse_error(reply(codec.NLMSG_ERROR, flags, payload)) == (errno.EINVAL, "oh no")


def test_a_request_parses_back_to_what_it_asks_for() -> None:
    for text, prefix in (("10.1.1.5", 24), ("fd00::5", 64)):
        (message,) = codec.messages(codec.add_request(Address(text), 9, prefix, sequence=1))
        assert codec.parse_address(message.payload) == codec.AddressRow(
            address=Address(text), index=9, prefix=prefix, ours=True
        )


@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_any_bytes_parse_to_something_or_nothing(data: bytes, flags: int) -> None:
    for message in codec.messages(data):
        codec.parse_error(message)
    codec.parse_error(reply(codec.NLMSG_ERROR, flags, data))
    codec.parse_address(data)
    codec.parse_link(data)


@given(st.binary(max_size=80))
def test_any_attributes_behind_a_good_head_parse_to_something_or_nothing(tail: bytes) -> None:
    codec.parse_address(struct.pack("=BBBBi", 2, 32, 0, 0, 1) + tail)
    codec.parse_link(struct.pack("=BxHiII", 0, 1, 1, 0, 0) + tail)
    good = struct.pack("=IHHII", 16 + len(tail), codec.NLMSG_ERROR, 0x200, 0, 0) + tail
    for message in codec.messages(good):
        codec.parse_error(message)
