import ipaddress
import zlib

import msgspec
import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.messages import Assigned, Group, Leave, Numbered, Probe
from duravip.model import Address, Decision, Incarnation, NodeName, Reason, ViewId
from duravip.wire import codec
from duravip.wire.dropped import Dropped, DropReason

MALFORMED = Dropped(DropReason.MALFORMED)
LEAVE = Leave()
VIEW = ViewId(1, NodeName("a"), Incarnation(1, 2))


def body(*messages: object) -> bytes:
    return codec.body_of([codec.encode_message(message) for message in messages])


def test_a_body_carries_its_messages_in_order() -> None:
    said = (LEAVE, Probe(to=NodeName("b")), LEAVE)
    assert codec.decode(body(*said)) == said


def test_a_body_carries_as_many_messages_as_the_limit_says_and_no_more() -> None:
    assert codec.decode(body(*[LEAVE] * codec.MAX_MESSAGES)) == (LEAVE,) * codec.MAX_MESSAGES
    assert codec.decode(body(*[LEAVE] * (codec.MAX_MESSAGES + 1))) == MALFORMED


def test_a_long_repetitive_body_is_compressed() -> None:
    many = [Probe(to=NodeName("node-with-a-long-name"))] * 200
    encoded = body(*many)
    assert len(encoded) < 200
    assert codec.decode(encoded) == tuple(many)


@pytest.mark.parametrize("size", [2 * codec.INFLATED_BYTES, codec.MAX_BODY_BYTES + 1])
def test_a_body_that_would_inflate_beyond_the_limit_is_dropped(size: int) -> None:
    bomb = b"\1" + zlib.compress(bytes(size), 9)
    assert codec.decode(bomb) == Dropped(DropReason.TOO_LARGE)


def assigned(sets: int, *, step: int = 1) -> list[bytes]:
    """As a message: of so many sets of 10,240 addresses, each `step` from the next."""
    owned = Decision(NodeName("a"), Reason.LEAST_LOADED)
    numbers = range(10 << 24, (10 << 24) + step * 10_240, step)
    group = Group(owned, AddressSet(Address(str(ipaddress.IPv4Address(number))) for number in numbers))
    return [codec.encode_message(Numbered(view=VIEW, number=1, body=Assigned(balancing=False, groups=(group,) * sets)))]


@pytest.mark.parametrize("nodes", [16, 40, 128, 256])
def test_many_nodes_may_bring_along_ten_thousand_addresses_each(nodes: int) -> None:
    """They had not heard each other, and each owned everything."""
    encoded = codec.body_of(assigned(nodes))
    assert not isinstance(codec.decode(encoded), Dropped)


@pytest.mark.parametrize(("sets", "step"), [(16, 250), (64, 200)])
def test_they_may_be_far_apart_but_not_for_any_number_of_nodes(sets: int, step: int) -> None:
    heard = codec.decode(codec.body_of(assigned(sets, step=step)))
    assert (heard == MALFORMED) == (sets * 10_240 > codec.MAX_SPARSE_BYTES)


def test_what_is_no_message_is_looked_through_once() -> None:
    """However much of it is well made."""
    (one,) = assigned(1, step=250)
    wrong = b"\x91\xa5Probe"
    assert codec.decode(codec.body_of([one, wrong])) == MALFORMED


def test_a_body_that_nobody_would_accept_is_not_made() -> None:
    with pytest.raises(ValueError, match="too large"):
        codec.body_of([bytes(codec.MAX_BODY_BYTES)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0", id="no array"),
        pytest.param(b"\0\x90", id="no message"),
        pytest.param(b"\2\x91\x91\xa5Leave", id="unknown kind"),
        pytest.param(b"\0\x92\x91\xa5Leavx\x91\xa5Probe", id="a message without its field beside an unknown one"),
        pytest.param(b"\0\x91\x90", id="a message without a kind"),
        pytest.param(b"\0\x91\x91\x07", id="a kind that is no text"),
        pytest.param(b"\0\x91\x91\xa5Leave\0", id="bytes left over"),
        pytest.param(b"\1" + zlib.compress(b"\x91\x91\xa5Leave") + b"x", id="bytes after the compressed"),
        pytest.param(b"\1" + zlib.compress(b"\x91\x91\xa5Leave")[:-1], id="compressed and cut"),
        pytest.param(b"\0\xdd\xff\xff\xff\xff", id="four thousand million messages"),
        pytest.param(b"\0\x91\x92\xa5Probe\xa2\xff\xff", id="not UTF-8"),
        pytest.param(b"\0\x91\x92\xa5Probe\xa0", id="an empty name"),
        pytest.param(b"\0\x91\x92\xa5Probe\xda\x01\x00" + b"n" * 256, id="a name too long"),
    ],
)
def test_what_is_no_body_is_dropped(data: bytes) -> None:
    assert codec.decode(data) == MALFORMED


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param("text", id="no bytes"),
        pytest.param(b"\x05\x01\x01", id="unknown family"),
        pytest.param(b"\x04\xff\xff\xff\xff\x7f\x01", id="too many"),
        pytest.param({"a": [1]}, id="a map"),
    ],
)
def test_an_address_set_that_cannot_be_is_dropped(packed: object) -> None:
    decision = Decision(NodeName("a"), Reason.HOLDER)
    good = Numbered(
        view=VIEW,
        number=1,
        body=Assigned(balancing=False, groups=(Group(decision, AddressSet([Address("192.0.2.1")])),)),
    )
    assert codec.decode(body(good)) == (good,)
    raw = msgspec.msgpack.decode(codec.encode_message(good))
    raw[-1][-1][0][1] = packed
    assert codec.decode(codec.body_of([msgspec.msgpack.encode(raw)])) == MALFORMED


def test_nesting_without_end_is_dropped() -> None:
    deep = b"\x91" * 200_000
    raw = b"\x94\xa8Numbered" + msgspec.msgpack.encode(msgspec.to_builtins(VIEW)) + b"\x01"
    raw += b"\x93\xa8Assigned\xc2\x91\x92\x92\xa1a\x07" + deep
    assert codec.decode(b"\0\x91" + raw) == MALFORMED


@pytest.mark.parametrize("epoch", [-1, 1 << 53, 1 << 63])
def test_a_number_outside_its_bounds_is_dropped(epoch: int) -> None:
    wrong = Numbered(
        view=ViewId(epoch, NodeName("a"), Incarnation(1, 2)),
        number=1,
        body=Assigned(balancing=True, groups=()),
    )
    assert codec.decode(body(wrong)) == MALFORMED


def test_kinds_of_messages_and_last_fields_that_only_newer_software_knows_are_read_over() -> None:
    leave, probe, news = ["Leave", {"more": 1}], ["Probe", "b", 7, [8]], ["News", 1, 2]
    assert codec.decode(b"\0" + msgspec.msgpack.encode([leave, news, probe])) == (Leave(), Probe(to=NodeName("b")))


def test_a_body_of_nothing_but_unknown_kinds_is_counted_as_that() -> None:
    assert codec.decode(b"\0" + msgspec.msgpack.encode([["News", 1]])) == Dropped(DropReason.UNKNOWN_KIND)


def test_a_numbered_message_whose_body_is_unknown_is_no_message() -> None:
    said = ["Numbered", [1, "a", [1, 2]], 5, ["Unheard-of", 1]]
    assert codec.decode(b"\0" + msgspec.msgpack.encode([["Leave"], said])) == MALFORMED
