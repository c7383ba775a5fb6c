from functools import lru_cache

import pytest

from duravip.model import Incarnation, Member, NodeName
from duravip.wire import seal
from duravip.wire.dropped import Dropped, DropReason
from duravip.wire.seal import Opened, Opener, Sealer, Unsealer

KEY, OTHER_KEY = bytes(32), bytes(range(32))
A = Member(NodeName("a"), Incarnation(1, 11))
A_AGAIN = Member(NodeName("a"), Incarnation(2, 12))
B = Member(NodeName("b"), Incarnation(1, 21))


def sealer(me: Member = A, *, group: str = "g", key: bytes | None = KEY) -> Sealer:
    return Sealer(me=me, cluster_group=group, key=key)


def opener(me: Member = B, *, group: str = "g", keys: tuple[bytes, ...] = (KEY,)) -> Opener:
    return Opener(me=me, unseal=Unsealer(cluster_group=group, keys=keys).unseal)


def said(result: Opened | Dropped) -> tuple[Member, bytes]:
    assert isinstance(result, Opened)
    return result.sender, result.frame


def reason(result: Opened | Dropped) -> DropReason:
    assert isinstance(result, Dropped)
    return result.reason


def test_a_member_opens_what_another_sealed() -> None:
    assert said(opener().open(sealer().seal(b"hello"))) == (A, b"hello")


def test_the_frame_cannot_be_read_without_the_key() -> None:
    assert b"hello" not in sealer().seal(b"hello")


def test_the_overhead_is_what_the_seal_adds() -> None:
    assert len(sealer().seal(b"hello")) == 5 + seal.overhead_bytes(A.name, secure=True)
    assert len(sealer(key=None).seal(b"hello")) == 5 + seal.overhead_bytes(A.name, secure=False)


def test_a_second_copy_is_a_duplicate() -> None:
    b, datagram = opener(), sealer().seal(b"x")
    b.open(datagram)
    assert reason(b.open(datagram)) is DropReason.DUPLICATE


def test_datagrams_may_overtake_each_other_within_the_window() -> None:
    a, b = sealer(), opener()
    datagrams = [a.seal(bytes((n % 256,))) for n in range(seal.WINDOW)]
    for datagram in reversed(datagrams):
        assert isinstance(b.open(datagram), Opened)
    assert {reason(b.open(datagram)) for datagram in datagrams} == {DropReason.DUPLICATE}


def test_what_is_older_than_the_window_is_a_replay() -> None:
    a, b = sealer(), opener()
    first = a.seal(b"first")
    for _ in range(seal.WINDOW):
        b.open(a.seal(b""))
    assert reason(b.open(first)) is DropReason.REPLAY


def test_a_gap_larger_than_the_window_forgets_only_what_is_too_old() -> None:
    a, b = sealer(), opener()
    b.open(a.seal(b"first"))
    skipped = [a.seal(b"") for _ in range(3 * seal.WINDOW)]
    assert isinstance(b.open(skipped[-1]), Opened)
    assert isinstance(b.open(skipped[-2]), Opened)
    assert reason(b.open(skipped[0])) is DropReason.REPLAY


def test_a_forged_datagram_moves_no_window() -> None:
    a, b = sealer(), opener()
    b.open(a.seal(b"first"))
    honest = a.seal(b"second")
    far_ahead = bytearray(honest)
    far_ahead[32:40] = (1 << 60).to_bytes(8, "big")
    assert reason(b.open(bytes(far_ahead))) is DropReason.FORGED
    assert said(b.open(honest)) == (A, b"second")


def test_strangers_cannot_push_out_what_is_known_of_a_member() -> None:
    b, datagram = opener(), sealer().seal(b"x")
    b.open(datagram)
    for n in range(seal.MAX_SENDERS + 1):
        forged = bytearray(sealer(Member(NodeName(f"n{n}"), Incarnation(1, n)), key=OTHER_KEY).seal(b"x"))
        forged[4:8] = datagram[4:8]  # claims the right key
        assert reason(b.open(bytes(forged))) is DropReason.FORGED
    assert reason(b.open(datagram)) is DropReason.DUPLICATE


def test_each_incarnation_has_its_own_window() -> None:
    b, old, new = opener(), sealer(), sealer(A_AGAIN)
    assert said(b.open(new.seal(b"new"))) == (A_AGAIN, b"new")
    assert said(b.open(old.seal(b"old"))) == (A, b"old")


def test_an_incarnation_that_is_long_past_cannot_come_back() -> None:
    b, datagram = opener(), sealer(A).seal(b"x")
    b.open(datagram)
    for counter in range(2, 2 + seal.MAX_LIVES):
        b.open(sealer(Member(A.name, Incarnation(counter, 1))).seal(b"y"))
    assert reason(b.open(datagram)) is DropReason.REPLAY


def test_nodes_that_share_what_opens_envelopes_each_know_themselves_and_what_they_have_heard() -> None:
    unseal = lru_cache(Unsealer(cluster_group="g", keys=(KEY,)).unseal)
    a, a_again, b = (Opener(me=me, unseal=unseal) for me in (A, A_AGAIN, B))
    datagram = sealer(A).seal(b"x")
    assert said(b.open(datagram)) == said(a_again.open(datagram)) == (A, b"x")
    assert reason(a.open(datagram)) is DropReason.OWN
    assert reason(b.open(datagram)) is reason(a_again.open(datagram)) is DropReason.DUPLICATE


def test_two_incarnations_never_share_a_key_stream() -> None:
    first, second = sealer(A).seal(bytes(64)), sealer(A_AGAIN).seal(bytes(64))
    assert first[-80:-16] != second[-80:-16]


def test_our_own_datagram_is_told_apart_and_an_earlier_life_of_ours_is_not_ours() -> None:
    assert reason(opener(A).open(sealer(A).seal(b"x"))) is DropReason.OWN
    assert said(opener(A_AGAIN).open(sealer(A).seal(b"x"))) == (A, b"x")


def test_a_datagram_of_another_cluster_group_is_foreign() -> None:
    assert reason(opener(group="other").open(sealer().seal(b"x"))) is DropReason.FOREIGN_CLUSTER


def test_any_of_several_keys_opens_and_the_first_seals() -> None:
    b = opener(keys=(OTHER_KEY, KEY))
    assert said(b.open(sealer(key=KEY).seal(b"x"))) == (A, b"x")
    assert said(b.open(sealer(A_AGAIN, key=OTHER_KEY).seal(b"x"))) == (A_AGAIN, b"x")


def test_a_key_that_is_not_ours_is_unknown() -> None:
    assert reason(opener(keys=(OTHER_KEY,)).open(sealer().seal(b"x"))) is DropReason.UNKNOWN_KEY


def test_a_node_with_a_key_drops_plain_datagrams_and_one_without_drops_sealed_ones() -> None:
    assert reason(opener().open(sealer(key=None).seal(b"x"))) is DropReason.INSECURE
    assert reason(opener(keys=()).open(sealer().seal(b"x"))) is DropReason.UNKNOWN_KEY
    assert said(opener(keys=()).open(sealer(key=None).seal(b"x"))) == (A, b"x")


def test_a_plain_second_copy_is_a_duplicate_too() -> None:
    b, datagram = opener(keys=()), sealer(key=None).seal(b"x")
    b.open(datagram)
    assert reason(b.open(datagram)) is DropReason.DUPLICATE


def changed(at: int, to: int) -> bytes:
    datagram = bytearray(sealer().seal(b"x"))
    datagram[at] = to
    return bytes(datagram)


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"", DropReason.TOO_SHORT),
        (sealer().seal(b"x")[:40], DropReason.TOO_SHORT),
        (changed(40, 255), DropReason.TOO_SHORT),  # the name would end after the datagram
        (bytes(65_508), DropReason.TOO_LARGE),
        (changed(0, 0), DropReason.BAD_MAGIC),
        (changed(2, 9), DropReason.WRONG_VERSION),
        (changed(3, 7), DropReason.FORGED),  # flags that nobody knows, and nobody sealed
        (changed(16, 1), DropReason.MALFORMED),  # an incarnation beyond all bounds
        (changed(41, ord("c")), DropReason.FORGED),  # another name
        (changed(41, 0xFF), DropReason.MALFORMED),  # no UTF-8
        (sealer().seal(b"x")[:-1], DropReason.FORGED),
    ],
)
def test_a_datagram_that_cannot_be_is_dropped_with_its_reason(datagram: bytes, expected: DropReason) -> None:
    assert reason(opener().open(datagram)) is expected


def test_a_name_that_does_not_fit_is_refused_at_once() -> None:
    for name in ("", "ü" * 128):
        with pytest.raises(ValueError, match="node name"):
            sealer(Member(NodeName(name), Incarnation(1, 1)))


def test_the_last_sequence_is_the_guards_and_nothing_counts_after_it() -> None:
    a, b = sealer(), opener()
    before, last, after = a.seal(b"1"), a.seal_last(b"bye"), a.seal(b"2")
    assert last == a.seal_last(b"bye")
    assert said(b.open(before)) == (A, b"1")
    assert said(b.open(last)) == (A, b"bye")
    assert reason(b.open(last)) is DropReason.DUPLICATE
    assert reason(b.open(after)) is DropReason.REPLAY
