"""A set of addresses as messages carry it: sorted, and packed into a few bytes each."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from duravip.model import Address, canonical_address

_MAX_VARINT_BYTES = 19  # 128 bits in groups of seven


class AddressSet:
    """An immutable set that iterates in one order everywhere (text order), whatever PYTHONHASHSEED says.

    Packed form: for each family, the addresses as integers in ascending order, each as the difference to the one
    before, minus one, in base-128 groups (least significant first). One byte before each family's list names it
    (4 or 6), then the count. Addresses that follow each other closely cost one byte each.
    """

    __slots__ = ("_members", "_ordered")

    def __init__(self, addresses: Iterable[Address] = ()) -> None:
        self._members = frozenset(addresses)
        self._ordered = tuple(sorted(self._members))

    def __iter__(self) -> Iterator[Address]:
        return iter(self._ordered)

    def __len__(self) -> int:
        return len(self._ordered)

    def __contains__(self, address: object) -> bool:
        return address in self._members

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressSet) and self._ordered == other._ordered

    def __hash__(self) -> int:
        return hash(self._ordered)

    def __repr__(self) -> str:
        return f"AddressSet({list(self._ordered)!r})"

    def __or__(self, other: AddressSet) -> AddressSet:
        if not other:
            return self
        return AddressSet(self._members | other._members)

    def pack(self) -> bytes:
        if not self._ordered:
            return b""
        out = bytearray()
        numbers: dict[int, list[int]] = {4: [], 6: []}
        networks: dict[str, int] = {}  # most addresses have theirs in common with others
        for address in self._ordered:
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

    @classmethod
    def unpack(cls, data: bytes, *, limit: int = 200_000) -> AddressSet:
        """Raises ValueError for anything that `pack` cannot have made, or more than `limit` addresses."""
        if not data:
            return NOTHING
        found: list[Address] = []
        position = 0
        while position < len(data):
            family = data[position]
            if family not in (4, 6):
                raise ValueError("address set: unknown family")
            count, position = _get_varint(data, position + 1)
            if not 0 < count <= limit - len(found):
                raise ValueError("address set: bad count")
            numbers: list[int] = []
            last = -1
            for _ in range(count):
                if position < len(data) and data[position] < 0x80:
                    last += data[position] + 1
                    position += 1
                else:
                    step, position = _get_varint(data, position)
                    last += step + 1
                numbers.append(last)
            if last >= 1 << (32 if family == 4 else 128):
                raise ValueError("address set: number too large")
            found += _texts(numbers) if family == 4 else [Address(str(ipaddress.IPv6Address(n))) for n in numbers]
        return cls(found)


NOTHING = AddressSet()


def is_canonical(text: str) -> bool:
    """Whether the text is an address as `canonical_address` writes it. Raises ValueError for what is no address, or
    says False."""
    if ":" in text:
        return canonical_address(text) == text
    octets = text.split(".")
    return len(octets) == 4 and all(octet in _OCTETS for octet in octets)


_OCTETS = {str(number): number for number in range(256)}
_OCTET_TEXTS = tuple(_OCTETS)


def _number(octets: str) -> int:
    """Of an address, or the beginning of one."""
    number = 0
    for octet in octets.split("."):
        number = number << 8 | _OCTETS[octet]
    return number


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
            return number, position + taken + 1
        shift += 7
    raise ValueError("address set: number too long")
