"""The filter's program, run by a slow and obvious interpreter of classic BPF; the kernel runs it in tests/netns."""

from __future__ import annotations

import ipaddress
import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.model import Address
from duravip.net import frames
from duravip.net.claim_filter import MAX_RANGES, arp_filter, neighbour_filter, ranges_of

HARDWARE = bytes.fromhex("02aabbccddee")
MOST_INSTRUCTIONS = 1_000
MOST_STEPS = 60

ipv4 = st.ip_addresses(v=4).map(lambda ip: Address(str(ip)))
ipv6 = st.ip_addresses(v=6).map(lambda ip: Address(str(ip)))


def passes(program: bytes, frame: bytes, *, packet_type: int = 0, vlan: int = 0) -> bool:
    """What the kernel would do, and that it may: no jump leaves the program, and it is short."""
    instructions = list(struct.iter_unpack("=HBBI", program))
    assert len(instructions) <= MOST_INSTRUCTIONS
    ancillary = {0xFFFFF004: packet_type, 0xFFFFF030: vlan}
    accumulator = position = 0
    for _ in range(MOST_STEPS):
        code, if_true, if_false, operand = instructions[position]
        position += 1
        match code:
            case 0x30 | 0x20 if operand in ancillary:
                accumulator = ancillary[operand]
            case 0x30 | 0x20:
                width = 1 if code == 0x30 else 4
                if operand + width > len(frame):
                    return False
                accumulator = int.from_bytes(frame[operand : operand + width], "big")
            case 0x15 | 0x25 | 0x35:
                holds = {0x15: accumulator == operand, 0x25: accumulator > operand, 0x35: accumulator >= operand}[code]
                position += if_true if holds else if_false
            case 0x05:
                position += operand
            case 0x06:
                return operand > 0
            case _:
                raise AssertionError(f"an unknown instruction: {code:#x}")
    raise AssertionError("too many steps")


def announced(address: Address) -> bytes:
    return frames.announcement_frames(address, HARDWARE)[0]


@given(st.sets(ipv4, min_size=1, max_size=40), ipv4)
def test_arp_about_ours_passes_and_about_others_does_not(ours: set[Address], other: Address) -> None:
    program = arp_filter(ours)
    assert all(passes(program, announced(address)) for address in ours)
    assert passes(program, announced(other)) is (other in ours)


@given(st.sets(ipv6, min_size=1, max_size=40), ipv6)
def test_advertisements_of_ours_pass_and_of_others_do_not(ours: set[Address], other: Address) -> None:
    program = neighbour_filter(ours)
    assert all(passes(program, announced(address)) for address in ours)
    ends = {int(ipaddress.IPv6Address(address)) & 0xFFFFFFFF for address in ours}
    assert passes(program, announced(other)) is (int(ipaddress.IPv6Address(other)) & 0xFFFFFFFF in ends)


def test_a_solicitation_passes_by_its_source_and_other_packets_do_not() -> None:
    ours, asked = Address("2001:db8::33"), Address("2001:db8::77")
    program = neighbour_filter({ours})
    frame = bytearray(announced(asked))
    frame[22:38] = ipaddress.IPv6Address(ours).packed
    assert not passes(program, bytes(frame)), "an advertisement is about its target"
    frame[54] = 135
    assert passes(program, bytes(frame))
    assert not passes(neighbour_filter({asked}), bytes(frame))
    frame[54] = 134
    assert not passes(program, bytes(frame))
    frame[20] = 17
    assert not passes(program, bytes(frame))


def test_frames_for_other_hosts_and_other_vlans_do_not_pass() -> None:
    ours = Address("192.0.2.1")
    assert not passes(arp_filter({ours}), announced(ours), packet_type=3)
    assert not passes(arp_filter({ours}), announced(ours), vlan=1)
    assert passes(arp_filter({ours}), announced(ours), packet_type=1)


@pytest.mark.parametrize("step", [1, 3], ids=["in a row", "scattered"])
def test_ten_thousand_addresses_fit_and_all_pass(step: int) -> None:
    ours = [Address(str(ipaddress.IPv4Address(0x0A000000 + step * number))) for number in range(10_240)]
    program = arp_filter(ours)
    assert all(passes(program, announced(address)) for address in ours[::97])
    assert not passes(program, announced(Address("10.255.0.1")))
    assert len(program) // 8 == 11 if step == 1 else len(program) // 8 > 800


@given(st.sets(st.integers(0, 200), max_size=60), st.integers(1, 8))
def test_ranges_hold_all_numbers_are_apart_and_few_and_waste_the_least(numbers: set[int], limit: int) -> None:
    ranges = ranges_of(numbers, limit=limit)
    assert len(ranges) <= limit
    assert all(low <= high for low, high in ranges)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ranges))
    covered = {number for low, high in ranges for number in range(low, high + 1)}
    assert numbers <= covered
    ordered = sorted(numbers)
    gaps = sorted((after - before - 1 for before, after in itertools.pairwise(ordered)), reverse=True)
    assert len(covered - numbers) == sum(gaps[limit - 1 :])


def test_the_usual_number_of_ranges_leaves_room_for_the_rest_of_the_program() -> None:
    scattered = [
        Address(str(ipaddress.IPv6Address((0x20010DB8 << 96) + 5 * number))) for number in range(2 * MAX_RANGES)
    ]
    assert len(neighbour_filter(scattered)) // 8 <= MOST_INSTRUCTIONS
