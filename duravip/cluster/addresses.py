"""A set of addresses as messages carry it: sorted, and packed into a few bytes each.

Rules of this file
- What comes packed is looked through at once, and unpacked only when somebody wants to know what is in it: a few bytes
  can stand for very many addresses, and most of what a liar says nobody wants to know.
- There is one packed form of a set.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from duravip.model import MAX_VIPS, Address, canonical_address

MAX_ADDRESSES: Final = MAX_VIPS  # in one set

_MAX_VARINT_BYTES: Final = 19  # 128 bits in groups of seven


class AddressSet:
    """An immutable set that iterates in one order everywhere (text order), whatever PYTHONHASHSEED says.

    Packed form: for each family, the addresses as integers in ascending order, each as the difference to the one
    before, minus one, in base-128 groups (least significant first, as few as it takes). One byte before each family's
    list names it (4, then 6), then the count; a family without addresses is left out. Addresses that follow each other
    closely cost one byte each.
    """

    __slots__ = ("_count", "_members", "_ordered", "_packed")

    def __init__(self, addresses: Iterable[Address] = ()) -> None:
        members = frozenset(addresses)
        self._count = len(members)
        self._members: frozenset[Address] | None = members
        self._ordered: tuple[Address, ...] | None = tuple(sorted(members))
        self._packed: bytes | None = None

    def __iter__(self) -> Iterator[Address]:
        return iter(self._unpacked())

    def __len__(self) -> int:
        return self._count

    def __contains__(self, address: object) -> bool:
        members = self._members
        if members is None:
            members = self._members = frozenset(self._unpacked())
        return address in members

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AddressSet) or self._count != other._count:
            return False
        if self._packed is not None and other._packed is not None:
            return self._packed == other._packed
        return self._unpacked() == other._unpacked()

    def __hash__(self) -> int:
        return hash(self._unpacked())

    def __repr__(self) -> str:
        return f"AddressSet({list(self._unpacked())!r})"

    def __or__(self, other: AddressSet) -> AddressSet:
        if not other:
            return self
        return AddressSet((*self._unpacked(), *other._unpacked()))

    def pack(self) -> bytes:
        packed = self._packed
        if packed is None:
            packed = self._packed = _pack(self._unpacked())
        return packed

    @classmethod
    def unpack(cls, data: bytes, *, limit: int = MAX_ADDRESSES) -> AddressSet:
        """Raises ValueError for anything that `pack` cannot have made, or more than `limit` addresses."""
        count = _count(data, limit)
        if not count:
            return NOTHING
        made = cls()
        made._count, made._packed = count, data
        made._members = made._ordered = None
        return made

    def _unpacked(self) -> tuple[Address, ...]:
        ordered = self._ordered
        if ordered is None:
            ordered = self._ordered = tuple(sorted(_addresses(self.pack())))
        return ordered


NOTHING: Final = AddressSet()


def is_canonical(text: str) -> bool:
    """Whether the text is an address as `canonical_address` writes it. Raises ValueError for what is no address, or
    says False."""
    if ":" in text:
        return canonical_address(text) == text
    octets = text.split(".")
    return len(octets) == 4 and all(octet in _OCTETS for octet in octets)


_OCTETS: Final = {str(number): number for number in range(256)}
_OCTET_TEXTS: Final = tuple(_OCTETS)


def _number(octets: str) -> int:
    """Of an address, or the beginning of one."""
    number = 0
    for octet in octets.split("."):
        number = number << 8 | _OCTETS[octet]
    return number


def _pack(addresses: tuple[Address, ...]) -> bytes:
    out = bytearray()
    numbers: dict[int, list[int]] = {4: [], 6: []}
    networks: dict[str, int] = {}  # most addresses have theirs in common with others
    for address in addresses:
        if ":" in address:
            numbers[6].append(int(ipaddress.IPv6Address(address)))
            continue
        network, _, host = address.rpartition(".")
        start = networks.get(network)
        if start is None:
            start = networks[network] = _number(network) << 8
        numbers[4].append(start + _OCTETS[host])
    for family, found in numbers.items():
        if not found:
            continue
        out.append(family)
        _put_varint(out, len(found))
        last = -1
        for number in sorted(found):
            if number - last <= 0x80:
                out.append(number - last - 1)
            else:
                _put_varint(out, number - last - 1)
            last = number
    return bytes(out)


def _count(data: bytes, limit: int) -> int:
    """How many addresses are packed in it. Raises ValueError for anything that `_pack` cannot have made, or more than
    `limit`."""
    total = position = before = 0
    while position < len(data):
        family = data[position]
        if family not in (4, 6) or family <= before:
            raise ValueError("address set: unknown family")
        before = family
        count, position = _get_varint(data, position + 1)
        if not 0 < count <= limit - total:
            raise ValueError("address set: bad count")
        total += count
        last, position = _get_varint(data, position)
        steps = data[position : position + count - 1]
        if len(steps) == count - 1 and max(steps, default=0) < 0x80:  # as mostly: they follow each other closely
            last += sum(steps) + count - 1
            position += count - 1
        else:
            for _ in range(count - 1):
                step, position = _get_varint(data, position)
                last += step + 1
        if last >= 1 << (32 if family == 4 else 128):
            raise ValueError("address set: number too large")
    return total


def _addresses(data: bytes) -> list[Address]:
    """Those that are packed in it, which `_count` has looked through."""
    found: list[Address] = []
    position = 0
    while position < len(data):
        family = data[position]
        count, position = _get_varint(data, position + 1)
        numbers: list[int] = []
        last = -1
        for _ in range(count):
            step, position = _get_varint(data, position)
            last += step + 1
            numbers.append(last)
        found += _texts(numbers) if family == 4 else [Address(str(ipaddress.IPv6Address(n))) for n in numbers]
    return found


def _texts(numbers: list[int]) -> list[Address]:
    """IPv4 addresses; those of one network follow each other."""
    texts: list[Address] = []
    before, network = -1, ""
    for number in numbers:
        if number >> 8 != before:
            before = number >> 8
            network = f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}."
        texts.append(Address(network + _OCTET_TEXTS[number & 255]))
    return texts


def _put_varint(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _get_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    for taken in range(_MAX_VARINT_BYTES):
        if position + taken >= len(data):
            raise ValueError("address set: cut short")
        byte = data[position + taken]
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if not byte and taken:
                raise ValueError("address set: number longer than it need be")
            return number, position + taken + 1
        shift += 7
    raise ValueError("address set: number too long")
