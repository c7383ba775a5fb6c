from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster.addresses import AddressSet, is_canonical
from duravip.model import Address, canonical_address

ADDRESSES = st.sets(st.ip_addresses().map(lambda ip: canonical_address(str(ip))), max_size=50)


@given(ADDRESSES)
def test_packing_and_unpacking_gives_the_same_set(addresses: set[Address]) -> None:
    packed = AddressSet(addresses)
    assert AddressSet.unpack(packed.pack()) == packed
    assert set(packed) == addresses


@given(st.binary(max_size=60))
def test_any_bytes_give_a_set_or_a_value_error(data: bytes) -> None:
    try:
        found = AddressSet.unpack(data, limit=1000)
    except ValueError:
        return
    assert len(found) == len(set(found))
    assert all(canonical_address(address) == address for address in found)
    assert AddressSet(found).pack() == data, "there is one packed form"


@given(ADDRESSES, ADDRESSES)
def test_a_set_that_came_packed_is_like_one_that_was_made(one: set[Address], other: set[Address]) -> None:
    for left in (AddressSet(one), AddressSet.unpack(AddressSet(one).pack())):
        for right in (AddressSet(other), AddressSet.unpack(AddressSet(other).pack())):
            assert (left == right) == (one == other)
            assert set(left | right) == one | other
            assert (hash(left) == hash(right)) or left != right
        assert len(left) == len(one)
        assert all(address in left for address in one)
        assert not any(address in left for address in other - one)
        assert left.pack() == AddressSet(one).pack()


def test_neighbouring_addresses_cost_a_byte_each() -> None:
    block = AddressSet(canonical_address(f"10.1.{i >> 8}.{i & 255}") for i in range(1000))
    assert len(block.pack()) < 1010


def test_a_count_beyond_the_limit_is_refused_before_anything_is_made() -> None:
    block = AddressSet(canonical_address(f"10.1.0.{i}") for i in range(10))
    with pytest.raises(ValueError, match="count"):
        AddressSet.unpack(block.pack(), limit=9)


def test_the_order_is_that_of_the_texts() -> None:
    texts = ["10.0.0.9", "10.0.0.10", "2001:db8::1"]
    assert list(AddressSet(Address(text) for text in texts)) == sorted(texts)


def _is_written_canonically(text: str) -> bool:
    try:
        return canonical_address(text) == text
    except ValueError:
        return False


NEARLY = st.text(alphabet="0123456789.:-+_ af١", max_size=20)
"""Texts that a reader of numbers may take for addresses: signs, blanks, underscores, other digits, zeros."""
QUADS = st.lists(st.integers(-2, 300), min_size=3, max_size=5).map(lambda parts: ".".join(map(str, parts)))


@given(st.ip_addresses().map(str) | NEARLY | QUADS)
def test_a_text_is_canonical_when_it_is_written_as_the_model_writes_it(text: str) -> None:
    try:
        found = is_canonical(text)
    except ValueError:
        found = False
    assert found == _is_written_canonically(text)
