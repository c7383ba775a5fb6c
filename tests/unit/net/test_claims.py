"""What a frame claims: the frames of the RFCs, what claims nothing, and any bytes at all."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.model import Address, Claim
from duravip.net import frames
from duravip.net.claims import parse
from duravip.net.questions import arp_probe, neighbour_solicitation

HARDWARE = bytes.fromhex("02aabbccddee")
SENDER = bytes.fromhex("020000000001")
V4, V6, OTHER6 = Address("192.168.0.51"), Address("2001:db8::33"), Address("2001:db8::1")

addresses = st.ip_addresses().filter(lambda ip: not ip.is_multicast and int(ip) != 0).map(lambda ip: Address(str(ip)))
hardware_addresses = st.binary(min_size=6, max_size=6).filter(lambda one: any(one) and not one[0] & 1)


def ipv6(
    kind: int, body: bytes, *, source: str = OTHER6, hop_limit: int = 255, code: int = 0, header: int = 58
) -> bytes:
    """An ICMPv6 message in a frame from SENDER, without a checksum."""
    packet = bytes.fromhex("60000000") + (4 + len(body)).to_bytes(2, "big") + bytes((header, hop_limit))
    packet += ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address("ff02::1").packed
    return bytes.fromhex("333300000001") + SENDER + b"\x86\xdd" + packet + bytes((kind, code, 0, 0)) + body


def advertisement(*options: bytes, target: str = V6) -> bytes:
    return bytes.fromhex("20000000") + ipaddress.IPv6Address(target).packed + b"".join(options)


TARGET_OPTION = bytes((2, 1)) + HARDWARE


@given(addresses, hardware_addresses)
def test_what_we_announce_claims_the_address_for_the_hardware(address: Address, hardware: bytes) -> None:
    for frame in frames.announcement_frames(address, hardware):
        assert parse(frame) == Claim(address=address, hardware_address=hardware)


def test_an_arp_question_of_one_who_speaks_from_the_address_is_a_claim() -> None:
    frame = bytes.fromhex(
        "ffffffffffff 02aabbccddee 0806 0001 0800 06 04 0001 02aabbccddee c0a80033 000000000000 c0a80001"
    )
    assert parse(frame) == Claim(address=V4, hardware_address=HARDWARE)


def test_the_hardware_address_is_the_packets_and_not_the_frames() -> None:
    frame = frames.gratuitous_arp_request(V4, HARDWARE)
    assert parse(frame[:6] + SENDER + frame[12:]) == Claim(address=V4, hardware_address=HARDWARE)
    assert parse(ipv6(136, advertisement(TARGET_OPTION))) == Claim(address=V6, hardware_address=HARDWARE)
    assert parse(ipv6(136, advertisement(bytes((14, 1)) + bytes(6), TARGET_OPTION))) == Claim(
        address=V6, hardware_address=HARDWARE
    )


def test_an_advertisement_without_its_option_is_of_whoever_sent_the_frame() -> None:
    assert parse(ipv6(136, advertisement())) == Claim(address=V6, hardware_address=SENDER)
    assert parse(ipv6(136, advertisement(b"\x02\x00" + HARDWARE))) == Claim(address=V6, hardware_address=SENDER)


def test_a_solicitation_claims_the_address_that_it_is_sent_from() -> None:
    assert parse(ipv6(135, advertisement(target=OTHER6), source=V6)) == Claim(address=V6, hardware_address=SENDER)


def test_questions_claim_nothing_that_could_be_a_vip() -> None:
    assert parse(arp_probe(V4, HARDWARE)) is None
    assert parse(ipv6(135, advertisement(), source="::")) is None
    asked = parse(neighbour_solicitation(V6, HARDWARE, Address("fe80::1")))
    assert asked == Claim(address=Address("fe80::1"), hardware_address=HARDWARE), "the asker's own, and no more"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ipv6(136, advertisement(TARGET_OPTION), hop_limit=254), id="from another segment"),
        pytest.param(ipv6(136, advertisement(TARGET_OPTION), code=1), id="another code"),
        pytest.param(ipv6(134, advertisement(TARGET_OPTION)), id="a router's"),
        pytest.param(ipv6(136, advertisement(TARGET_OPTION), header=17), id="UDP"),
        pytest.param(ipv6(136, advertisement(TARGET_OPTION, target="ff02::1")), id="a multicast address"),
        pytest.param(frames.gratuitous_arp_request(V4, b"\x01" + HARDWARE[1:]), id="a multicast hardware address"),
        pytest.param(frames.gratuitous_arp_request(V4, bytes(6)), id="no hardware address"),
        pytest.param(frames.gratuitous_arp_request(V4, HARDWARE)[:41], id="cut short"),
        pytest.param(ipv6(136, advertisement(TARGET_OPTION))[:77], id="cut short, IPv6"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_not_valid_claims_nothing(frame: bytes) -> None:
    assert parse(frame) is None


@given(st.data())
def test_any_bytes_give_a_claim_or_none(data: st.DataObject) -> None:
    """Bytes at random, and honest frames with some of their bytes changed."""
    honest = (
        frames.gratuitous_arp_reply(V4, HARDWARE),
        ipv6(136, advertisement(TARGET_OPTION)),
        ipv6(135, advertisement(b"\x01\x01" + HARDWARE)),
    )
    frame = bytearray(data.draw(st.sampled_from(honest) | st.binary(max_size=256)))
    for position in data.draw(st.lists(st.integers(0, max(0, len(frame) - 1)), max_size=8)) if frame else ():
        frame[position] = data.draw(st.integers(0, 255))
    claim = parse(bytes(frame[: data.draw(st.integers(0, 256))]))
    if claim is not None:
        assert str(ipaddress.ip_address(claim.address)) == claim.address
        assert len(claim.hardware_address) == 6
