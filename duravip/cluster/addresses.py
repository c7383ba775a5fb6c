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
        for address in self._ordered:
            family = 6 if ":" in address else 4
            numbers[family].append(_number(family, address))
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
            top = 1 << (32 if family == 4 else 128)
            count, position = _get_varint(data, position + 1)
            if not 0 < count <= limit - len(found):
                raise ValueError("address set: bad count")
            last = -1
            for _ in range(count):
                step, position = _get_varint(data, position)
                last += step + 1
                if last >= top:
                    raise ValueError("address set: number too large")
                found.append(_text(family, last))
        return cls(found)


NOTHING = AddressSet()


def is_canonical(text: str) -> bool:
    """Whether the text is an address as `canonical_address` writes it. Raises ValueError for what is no address, or
    says False."""
    if ":" in text:
        return canonical_address(text) == text
    number = _number(4, Address(text))  # five times as fast as ipaddress
    return 0 <= number < 1 << 32 and _text(4, number) == text


def _number(family: int, address: Address) -> int:
    if family == 6:
        return int(ipaddress.IPv6Address(address))
    first, second, third, fourth = address.split(".")  # three times as fast as ipaddress
    return int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)


def _text(family: int, number: int) -> Address:
    if family == 6:
        return Address(str(ipaddress.IPv6Address(number)))
    return Address(f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


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
