from __future__ import annotations

import math
import zlib

import msgspec
import pytest

from duravip.cluster.library import (
    BYTES_IN_MEMORY,
    MAX_UNUSED,
    WINDOW,
    Library,
)
from duravip.cluster.messages import CHUNK_BYTES, TableChunk, TableWanted
from duravip.model import (
    Address,
    NodeName,
    Origin,
    Table,
    Use,
    VipEntry,
    digest_of,
    make_table,
)

A, B = NodeName("a"), NodeName("b")


def table(count: int, salt: str = "") -> Table:
    return make_table(
        VipEntry(
            address=Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"),
            services=(Use("multivip"),),
            bindings=(Use(f"b{hash((number, 7)) * 2654435761 % 2**64:x}{salt}", Origin("f", number, 1)),),
        )
        for number in range(count)
    )


def transfer(sender: Library, receiver: Library, lose: set[int] = frozenset()) -> int:
    """Rounds of asking that it took; the pieces whose running number is in `lose` get lost."""
    now, rounds, sent = 0.0, 0, 0
    while not receiver.complete():
        rounds += 1
        assert rounds < 200
        for wanted in receiver.tick(now):
            for chunk in sender.on_wanted(wanted):
                sent += 1
                if sent not in lose:
                    receiver.on_chunk(chunk)
        while receiver.prepare_next():
            pass
        now += 1.0
    return rounds


def test_a_table_arrives_whole_over_a_lossy_link_and_goes_on_where_it_stopped() -> None:
    big = table(10_000)
    sender, receiver = packed(big), Library(table(1), retry_s=1.0)
    receiver.want([(sender.own, A)], [])
    assert not receiver.complete()
    transfer(sender, receiver, lose={2, 5, 30, 31})
    assert receiver.get(sender.own) == big


def packed(table: Table) -> Library:
    """One that has its own table ready for others."""
    library = Library(table, retry_s=1.0)
    while library.prepare_next():
        pass
    return library


def test_a_long_table_is_inflated_and_decoded_and_read_before_it_is_here() -> None:
    sender, receiver = packed(table(1_000)), Library(table(1), retry_s=1.0)
    receiver.want([(sender.own, A)], [])
    before = receiver.revision
    while receiver.revision == before:
        for wanted in receiver.tick(0.0):
            pieces = sender.on_wanted(wanted)
            assert [receiver.on_chunk(piece) for piece in pieces] == [False] * len(pieces)
    assert receiver.takes_long()
    assert not receiver.has(sender.own)
    assert not receiver.on_chunk(pieces[0]), "once more, too late"
    while not receiver.has(sender.own):
        assert not receiver.complete()
        assert receiver.deadline() == -math.inf
        assert receiver.prepare_next()
    assert receiver.complete()
    assert not receiver.prepare_next()


def test_a_long_table_is_packed_before_it_is_given_to_anybody() -> None:
    sender = Library(table(1_000), retry_s=1.0)
    asked = TableWanted(to=A, digest=sender.own, chunks=(0, 1))
    assert sender.on_wanted(asked) == []
    steps = 0
    while sender.prepare_next():
        steps += 1
    assert steps > 1
    assert (
        b"".join(piece.data for piece in sender.on_wanted(asked))
        == zlib.compress(table(1_000).encoded(), 1)[: 2 * CHUNK_BYTES]
    )


def test_a_long_table_that_nobody_wants_any_more_is_not_decoded() -> None:
    sender, receiver = packed(table(1_000)), Library(table(1), retry_s=1.0)
    receiver.want([(sender.own, A)], [])
    while not receiver.takes_long():
        for wanted in receiver.tick(0.0):
            for piece in sender.on_wanted(wanted):
                receiver.on_chunk(piece)
    receiver.want([], [])
    assert not receiver.prepare_next()
    assert not receiver.has(sender.own)
    assert not receiver.takes_long()


def test_a_long_table_that_is_none_is_asked_for_again() -> None:
    """What a liar has compressed under a digest that fits."""
    encoded = msgspec.msgpack.encode([0] * 40_000)
    packed, digest = zlib.compress(encoded), digest_of(encoded)
    receiver = Library(table(1), retry_s=1.0)
    receiver.want([(digest, A)], [])
    assert receiver.tick(0.0)
    receiver.on_chunk(TableChunk(digest=digest, index=0, count=1, data=packed))
    while receiver.prepare_next():
        pass
    assert not receiver.has(digest)
    assert not receiver.complete()
    assert receiver.tick(receiver.deadline())


def test_the_addresses_of_a_table_come_and_go_with_it() -> None:
    library, known = Library(table(1), retry_s=1.0), table(3)
    assert library.addresses(known.digest()) is None
    digest = library.add(known)
    assert library.addresses(digest) == {vip.address for vip in known.vips}
    for salt in range(MAX_UNUSED):
        library.add(table(1, str(salt)))
    library.want([], [])
    assert not library.has(digest)
    assert library.addresses(digest) is None


def test_no_more_than_a_window_is_asked_for_at_once() -> None:
    sender, receiver = packed(table(20_000)), Library(table(1), retry_s=1.0)
    receiver.want([(sender.own, A)], [])
    (first,) = receiver.tick(0.0)
    (piece,) = sender.on_wanted(first)
    receiver.on_chunk(piece)
    (second,) = receiver.tick(0.0)
    assert len(second.chunks) == WINDOW
    assert receiver.tick(0.5) == []


def test_what_is_not_what_its_digest_says_is_thrown_away() -> None:
    other = Library(table(3, "x"), retry_s=1.0)
    wanted_digest = table(3).digest()
    receiver = Library(table(1), retry_s=1.0)
    receiver.want([(wanted_digest, A)], [])
    (asked,) = receiver.tick(0.0)
    (piece,) = other.on_wanted(msgspec.structs.replace(asked, digest=other.own))
    assert not receiver.on_chunk(msgspec.structs.replace(piece, digest=wanted_digest))
    assert not receiver.has(wanted_digest)
    assert not receiver.complete()


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"x\x9c garbage"])
def test_garbage_that_claims_to_be_a_table_is_thrown_away(data: bytes) -> None:
    receiver = Library(table(1), retry_s=1.0)
    digest = table(2).digest()
    receiver.want([(digest, A)], [])
    assert not receiver.on_chunk(TableChunk(digest=digest, index=0, count=1, data=data))
    assert not receiver.complete()


def test_pieces_that_nobody_asked_for_are_ignored() -> None:
    receiver = Library(table(1), retry_s=1.0)
    assert not receiver.on_chunk(TableChunk(digest=table(2).digest(), index=0, count=1, data=b""))
    assert receiver.complete()


def test_more_vips_than_can_be_kept_are_not_taken_from_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.cluster.library.MAX_KEPT_BYTES", 20 * (BYTES_IN_MEMORY + 210))
    sender, receiver = Library(table(8, "x"), retry_s=1.0), Library(table(10), retry_s=1.0)
    receiver.want([(sender.own, A)], [])
    transfer(sender, receiver)
    assert receiver.has(sender.own)
    more = sender.add(table(8, "y"))
    receiver.want([(sender.own, A), (more, A)], [])
    for wanted in receiver.tick(10.0):
        for chunk in sender.on_wanted(wanted):
            receiver.on_chunk(chunk)
    assert not receiver.has(more)
    assert not receiver.complete()
    assert receiver.deadline() > 10.0, "it is not asked for again at once"
    receiver.want([(more, A)], [])
    transfer(sender, receiver)
    assert receiver.has(more), "what nobody names any more makes room"
    assert not receiver.has(sender.own)


def test_short_tables_need_no_preparation() -> None:
    library = Library(table(20), retry_s=1.0)
    assert not library.is_preparing()


def test_tables_that_come_take_turns() -> None:
    """Somebody makes up the longest; an honest one is not kept waiting for all of it."""
    made_up, honest = packed(table(20_000)), packed(table(1_000, "y"))
    receiver = Library(table(1), retry_s=1.0)
    receiver.want([(made_up.own, A), (honest.own, B)], [])
    while wishes := receiver.tick(0.0):
        for chunk in [chunk for wanted in wishes for sender in (made_up, honest) for chunk in sender.on_wanted(wanted)]:
            receiver.on_chunk(chunk)
    steps = 0
    while not receiver.has(honest.own):
        assert receiver.prepare_next()
        steps += 1
    assert not receiver.has(made_up.own)
    assert steps < 20


def test_a_long_table_that_was_added_again_is_packed_once() -> None:
    library = packed(table(1_000, "x"))
    library.add(table(1_000, "x"))
    assert not library.is_preparing()
