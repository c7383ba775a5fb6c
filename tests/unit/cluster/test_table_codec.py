from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.cluster import table_codec
from duravip.cluster.stepwise import Steps, at_once
from duravip.cluster.table_codec import (
    IPV6_COST,
    PIECE_COST,
    STEP_BYTES,
    STEP_COST,
    USE_COST,
    decode_table,
    decoding,
    encoding,
    inflating,
    pack,
    packing,
    unpack_table,
)
from duravip.model import (
    MAX_ENTRY_BYTES,
    MAX_TABLE_BYTES,
    MAX_VIPS,
    Address,
    Origin,
    Settings,
    Table,
    Use,
    VipEntry,
    digest_of,
    make_table,
)
from tests.crafted import no_tables, vip, well_made

names = st.text(st.sampled_from("ab㌧ address\xa7"), max_size=20)
uses = st.lists(st.builds(Use, names, st.builds(Origin, names, st.integers(0, 70_000))), max_size=5).map(tuple)
entries = st.builds(
    VipEntry,
    address=st.integers(0, 300).map(vip) | st.integers(1, 300).map(lambda n: Address(f"2001:db8::{n:x}")),
    services=uses,
    bindings=uses,
    follow=st.none() | st.builds(Use, names),
    weight=st.sampled_from((1.0, 0.5)),
)
tables = st.builds(
    make_table,
    st.lists(entries, max_size=40, unique_by=lambda entry: entry.address),
    st.builds(Settings, ownership=names, balance_set_size=st.integers(0, 1_000_000)),
)


def table(count: int, salt: str = "") -> Table:
    return make_table(
        VipEntry(address=vip(n), services=(Use("multivip"),), bindings=(Use(f"b{n}{salt}", Origin("f", n, 1)),))
        for n in range(count)
    )


def steps_of(steps: Steps[object]) -> Iterator[None]:
    """Each as it is taken; the last one too."""
    while True:
        try:
            next(steps)
        except (StopIteration, ValueError):
            yield
            return
        yield


@given(tables)
def test_what_is_encoded_and_decoded_and_packed_in_steps_is_the_same_as_at_once(made: Table) -> None:
    encoded = made.encoded()
    assert b"".join(encoding(made)) == encoded
    assert decode_table(encoded) == msgspec.msgpack.decode(encoded, type=Table) == made
    assert at_once(packing(made)) == pack(made)
    assert at_once(inflating(pack(made), digest_of(encoded))) == encoded


@pytest.mark.parametrize("count", [0, 1, 15, 16, 255, 256, MAX_VIPS])
def test_any_number_of_vips(count: int) -> None:
    made = table(count)
    assert b"".join(encoding(made)) == made.encoded()
    assert at_once(packing(made)) == pack(made)
    assert unpack_table(b"".join(pack(made)), made.digest()) == made


def test_newer_software_may_say_more_of_a_table_and_of_its_vips() -> None:
    made = table(3)
    newer = msgspec.to_builtins(made) | {"colour": ["red"]}
    for number, entry in enumerate(newer["vips"]):
        entry |= {"shape": "round"} if number % 2 else {"taste": {"sweet": [1.5, None, -7, b"x", 2**40]}}
    assert decode_table(msgspec.msgpack.encode(newer)) == made


def test_a_table_out_of_order_or_out_of_range_is_refused() -> None:
    good = table(3)
    assert decode_table(good.encoded()) == good
    backwards = msgspec.structs.replace(good, vips=good.vips[::-1])
    wrong_prefix = msgspec.structs.replace(good, vips=(msgspec.structs.replace(good.vips[0], prefix=33),))
    odd = msgspec.structs.replace(good, vips=(msgspec.structs.replace(good.vips[0], address=Address("10.0.0.01")),))
    for bad in (backwards, wrong_prefix, odd):
        with pytest.raises(ValueError, match=r"order|range|appear"):
            decode_table(bad.encoded())


def test_a_table_with_too_many_vips_or_one_vip_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        decode_table(table(MAX_VIPS + 1).encoded())
    long = msgspec.structs.replace(table(1).vips[0], bindings=(Use("b" * MAX_ENTRY_BYTES),))
    with pytest.raises(ValueError, match="does not end"):
        decode_table(make_table([long]).encoded())


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 60))
def test_whatever_the_bytes_are_they_are_a_table_or_a_value_error(noise: bytes, at: int, cut: int) -> None:
    encoded = table(3).encoded()
    for data in (noise, encoded[:at] + noise + encoded[at + cut :], encoded[:at]):
        with contextlib.suppress(ValueError):
            assert isinstance(decode_table(data), Table)


@pytest.mark.parametrize("name", well_made())
def test_the_worst_tables_that_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = well_made()[name]
    encoded = made.encoded()
    assert judged_in_bounded_steps(encoded, monkeypatch) == made
    steps = packing(made)
    assert sum(1 for _ in steps_of(steps)) >= len(encoded) // (table_codec.PACK_BYTES + MAX_ENTRY_BYTES)


@pytest.mark.parametrize("name", no_tables())
def test_the_worst_that_is_made_up_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = no_tables()[name]()
    digest, packed = digest_of(encoded), zlib.compress(encoded, 9)
    assert judged_in_bounded_steps(encoded, monkeypatch) is None
    inflated_in_bounded_steps(packed, 1_100, monkeypatch)
    inflated_in_bounded_steps(packed, 1, monkeypatch)
    if len(encoded) > MAX_TABLE_BYTES:
        with pytest.raises(ValueError, match="longer"):
            unpack_table(packed, digest)


def judged_in_bounded_steps(encoded: bytes, monkeypatch: pytest.MonkeyPatch) -> Table | None:
    """Each step decodes so much, or one VIP; and looks at no more of msgpack's items than a VIP may have."""
    costs: list[int] = []
    decode = table_codec._vip

    def counted(encoded: bytes, at: int, end: int) -> tuple[VipEntry, int]:
        vip, end = decode(encoded, at, end)
        costs.append(end - at + USE_COST * vip.uses() + IPV6_COST * (":" in vip.address))
        return vip, end

    monkeypatch.setattr(table_codec, "_vip", counted)
    found: Table | None = None

    def steps() -> Steps[None]:
        nonlocal found
        found = yield from decoding(encoded)

    for _ in steps_of(steps()):
        assert sum(costs[:-1]) <= STEP_COST
        costs.clear()
    return found


def inflated_in_bounded_steps(packed: bytes, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step takes so many pieces, and gives so many bytes."""
    taken, inflated = 0, 0

    class Hashed:
        def update(self, data: bytes) -> None:
            nonlocal inflated
            inflated += len(data)

        def hexdigest(self) -> str:
            return ""

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for start in range(0, len(packed), size):
            taken += 1
            yield packed[start : start + size]

    monkeypatch.setattr(table_codec, "hasher", Hashed)
    for _ in steps_of(inflating(pieces(), digest_of(b""))):
        assert taken <= STEP_BYTES // PIECE_COST + 1
        assert inflated <= 2 * STEP_BYTES
        taken = inflated = 0
