import base64
import os
from pathlib import Path

import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.messages import AnyMessage, Leave, MemberStatus, Probe, Report, TableChunk
from duravip.errors import ConfigurationError
from duravip.model import Incarnation, Member, NodeName, TableDigest, ViewId, canonical_address
from duravip.wire.dropped import Dropped, DropReason
from duravip.wire.link import Incomplete, Link, Received, read_keys

KEY = bytes(range(32))
VIEW = ViewId(1, NodeName("a"), Incarnation(1, 1))
DIGEST = TableDigest("0" * 32)


def link(name: str, *, keys: tuple[bytes, ...] = (KEY,), mtu_bytes: int = 1400) -> Link:
    me = Member(NodeName(name), Incarnation(1, 7))
    return Link(me=me, cluster_group="g", keys=keys, mtu_bytes=mtu_bytes)


def chunk(index: int, size: int) -> TableChunk:
    return TableChunk(digest=DIGEST, index=index, count=99, data=os.urandom(size))


def large(count: int) -> Report:
    """A message that neither fits into a datagram nor shrinks."""
    spread = AddressSet(
        canonical_address(f"2001:db8::{os.urandom(2).hex()}:{os.urandom(2).hex()}") for _ in range(count)
    )
    return Report(to=NodeName("b"), view=VIEW, sequence=1, status=MemberStatus(DIGEST), as_of=0, released=spread)


def heard(receiver: Link, datagrams: list[bytes]) -> list[AnyMessage]:
    found: list[AnyMessage] = []
    for datagram in datagrams:
        result = receiver.open(datagram)
        if isinstance(result, Received):
            found += result.messages
    return found


def test_last_words_are_a_leave_that_is_heard_once() -> None:
    a, b = link("a"), link("b")
    assert heard(b, [a.last_words(), a.last_words(), *a.pack([Probe(to=NodeName("b"))])]) == [Leave()]


def test_messages_that_fit_share_a_datagram() -> None:
    said: list[AnyMessage] = [Leave(), Probe(to=NodeName("b")), Leave()]
    datagrams = link("a").pack(said)
    assert len(datagrams) == 1
    assert heard(link("b"), datagrams) == said


def test_messages_that_do_not_fit_share_as_few_datagrams_as_their_order_allows() -> None:
    said: list[AnyMessage] = [chunk(n, 600) for n in range(5)]
    datagrams = link("a").pack(said)
    assert len(datagrams) == 3
    assert all(len(datagram) <= 1400 for datagram in datagrams)
    assert heard(link("b"), datagrams) == said


def test_nothing_to_say_is_no_datagram() -> None:
    assert link("a").pack([]) == []


def test_a_message_larger_than_a_datagram_is_cut_and_joined_in_any_order() -> None:
    message = large(2000)
    datagrams = link("a").pack([message])
    assert len(datagrams) > 2
    assert all(len(datagram) <= 1400 for datagram in datagrams)
    b = link("b")
    results = [b.open(datagram) for datagram in reversed(datagrams)]
    assert results[:-1] == [Incomplete(link("a").me)] * (len(datagrams) - 1)
    assert results[-1] == Received(link("a").me, (message,))


def test_a_lost_piece_loses_its_message_only() -> None:
    a, b = link("a"), link("b")
    assert heard(b, a.pack([large(2000)])[1:]) == []
    second = large(2000)
    assert heard(b, a.pack([second])) == [second]


def test_pieces_that_never_complete_give_way_to_newer_ones() -> None:
    a, b = link("a"), link("b")
    first = a.pack([large(2000)])
    b.open(first[0])
    for _ in range(8):
        b.open(a.pack([large(2000)])[0])
    assert heard(b, first[1:]) == []


def test_pieces_of_two_senders_are_never_mixed() -> None:
    a, c, b = link("a"), link("c"), link("b")
    from_a, from_c = large(2000), large(2000)
    mixed = [one for pair in zip(a.pack([from_a]), c.pack([from_c]), strict=True) for one in pair]
    assert heard(b, mixed) == [from_a, from_c]


def test_every_drop_is_counted_under_its_reason() -> None:
    a, b = link("a"), link("b")
    datagram = a.pack([Leave()])[0]
    b.open(datagram)
    assert b.open(datagram) == Dropped(DropReason.DUPLICATE, sender=a.me)
    assert b.open(b"") == Dropped(DropReason.TOO_SHORT)
    assert b.open(b"") == Dropped(DropReason.TOO_SHORT)
    assert {reason: n for reason, n in b.counters.items() if n} == {
        DropReason.DUPLICATE: 1,
        DropReason.TOO_SHORT: 2,
    }


def test_a_frame_that_no_link_makes_is_malformed() -> None:
    a, b = link("a"), link("b")
    for frame in (
        b"",
        b"\2",
        b"\1",
        b"\1" + bytes(8),
        b"\1" + bytes((0, 0, 0, 1, 0, 5, 0, 2)) + b"x",
        b"\0\0\xc1",
    ):
        assert b.open(a._sealer.seal(frame)) == Dropped(DropReason.MALFORMED)


def test_an_mtu_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="MTU"):
        link("a", mtu_bytes=150)


def key_file(path: Path, text: str, mode: int = 0o600) -> str:
    file = path / "cluster.key"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


def test_a_key_file_has_one_key_a_line_and_comments(tmp_path: Path) -> None:
    one, two = base64.b64encode(KEY).decode(), base64.b64encode(bytes(32)).decode()
    assert read_keys(key_file(tmp_path, f"# ours\n\n{one}  # new\n{two}\r\n{one}\n")) == (KEY, bytes(32))


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("", 0o600, "no cluster key"),
        ("# nothing\n", 0o600, "no cluster key"),
        ("\nabc\n", 0o600, "cluster.key:2"),
        (base64.b64encode(bytes(31)).decode(), 0o600, "32 bytes"),
        ("k\xe9y", 0o600, "32 bytes"),
        (base64.b64encode(KEY).decode(), 0o640, "chmod 600"),
        (base64.b64encode(KEY).decode(), 0o604, "chmod 600"),
    ],
)
def test_a_bad_key_file_is_an_error_that_says_where(tmp_path: Path, text: str, mode: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_keys(key_file(tmp_path, text, mode))
    assert caught.value.path.endswith("cluster.key")


def test_a_missing_key_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="duravip keygen"):
        read_keys(str(tmp_path / "none"))
