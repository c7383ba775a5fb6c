"""Any bytes give messages or a `Dropped`, never another exception; what was said arrives as it was said."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec import inspect

from duravip.cluster import messages as m
from duravip.cluster.addresses import AddressSet
from duravip.model import Address, Incarnation, Member, NodeName
from duravip.wire import codec
from duravip.wire.dropped import Dropped
from duravip.wire.link import Link
from duravip.wire.received import Received

KEY = bytes(range(32))

addresses = (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(lambda ip: Address(str(ip)))


def any_of(info: inspect.Type) -> st.SearchStrategy[object]:
    """Values of a field's type, within its bounds; long ones are cut short."""
    match info:
        case inspect.IntType(ge=low, lt=below, le=high):
            top = below - 1 if below is not None else high if high is not None else (1 << 64) - 1
            return st.integers(low if low is not None else -(1 << 63), top)
        case inspect.FloatType(ge=low, le=high):
            return st.floats(low, high)
        case inspect.StrType(min_length=low, max_length=high):
            low, high = low or 0, min(high or 40, max(low or 0, 40))
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=low, max_size=high)
        case inspect.BytesType(min_length=low, max_length=high):
            return st.binary(min_size=low or 0, max_size=high)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.CustomType(cls=cls) if cls is AddressSet:
            return st.lists(addresses, max_size=8).map(AddressSet)
        case inspect.VarTupleType(item_type=item, min_length=low):
            return st.lists(any_of(item), min_size=low or 0, max_size=(low or 0) + 3).map(tuple)
        case inspect.UnionType(types=types):
            return st.one_of([any_of(one) for one in types])
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: any_of(field.type) for field in fields})
    raise TypeError(f"a field of a message has a type without bounds or strategy: {info}")


kinds: tuple[type, ...] = m.AnyMessage.__args__
by_kind = {kind: any_of(inspect.type_info(kind)) for kind in kinds}


def link(name: str, *, keys: tuple[bytes, ...] = (KEY,), mtu_bytes: int = 1400) -> Link:
    me = Member(NodeName(name), Incarnation(1, 7))
    return Link(me=me, cluster_group="fuzz", keys=keys, mtu_bytes=mtu_bytes)


@pytest.mark.parametrize("kind", by_kind, ids=lambda kind: kind.__name__)
def test_every_message_arrives_as_it_was_said(kind: type[m.AnyMessage]) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(by_kind[kind], min_size=1, max_size=3), st.sampled_from([300, 1400, 9000]), st.booleans())
    def check(said: list[m.AnyMessage], mtu_bytes: int, secure: bool) -> None:
        keys = (KEY,) if secure else ()
        a, b = link("a", keys=keys, mtu_bytes=mtu_bytes), link("b", keys=keys, mtu_bytes=mtu_bytes)
        heard: list[m.AnyMessage] = []
        for datagram in a.pack(said):
            assert len(datagram) <= mtu_bytes
            result = b.open(datagram)
            if isinstance(result, Received):
                assert result.sender == a.me
                heard += result.messages
        assert heard == said
        assert not any(b.counters.values())

    check()


@given(st.binary(max_size=400))
def test_any_bytes_are_a_drop_for_a_link(data: bytes) -> None:
    for keys in ((KEY,), ()):
        assert isinstance(link("a", keys=keys).open(data), Dropped)


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_a_drop_for_the_codec(data: bytes) -> None:
    for kind in (b"", b"\0", b"\1"):
        assert isinstance(codec.decode(kind + data), tuple | Dropped)


@settings(deadline=None)
@given(st.one_of(*by_kind.values()), st.data())
def test_a_damaged_body_is_messages_or_a_drop(message: m.AnyMessage, data: st.DataObject) -> None:
    body = bytearray(codec.body_of([codec.encode_message(message)]))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    assert isinstance(codec.decode(bytes(body)), tuple | Dropped)
    assert isinstance(codec.decode(bytes(body[:cut])), tuple | Dropped)


@settings(deadline=None)
@given(st.one_of(*by_kind.values()), st.data())
def test_a_sealed_datagram_with_one_bit_flipped_never_opens(message: m.AnyMessage, data: st.DataObject) -> None:
    a, b = link("a"), link("b")
    for datagram in a.pack([message]):
        damaged = bytearray(datagram)
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        assert isinstance(b.open(bytes(damaged)), Dropped)


@settings(deadline=None)
@given(st.one_of(*by_kind.values()), st.data())
def test_a_damaged_plain_datagram_is_something_or_a_drop(message: m.AnyMessage, data: st.DataObject) -> None:
    a, b = link("a", keys=()), link("b", keys=())
    for datagram in a.pack([message]):
        damaged = bytearray(datagram)
        for _ in range(data.draw(st.integers(1, 3))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        b.open(bytes(damaged))
