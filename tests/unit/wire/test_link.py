import base64
import os
from itertools import pairwise
from typing import Any

import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.messages import AnyMessage, Leave, MemberStatus, Probe, Report, TableChunk
from duravip.model import Incarnation, Member, NodeName, TableDigest, ViewId, canonical_address
from duravip.wire.dropped import Dropped, DropReason
from duravip.wire.keyring import Keyring
from duravip.wire.link import Link
from duravip.wire.received import Incomplete, Received
from duravip.wire.seal import key_id
from duravip.wire.versions import MEMORY

KEY = bytes(range(32))
VIEW = ViewId(1, NodeName("a"), Incarnation(1, 1))
DIGEST = TableDigest("0" * 32)


def link(name: str, *, keys: tuple[bytes, ...] = (KEY,), mtu_bytes: int = 1400, **more: Any) -> Link:
    me = Member(NodeName(name), Incarnation(1, 7))
    return Link(me=me, cluster_group="g", keys=keys, mtu_bytes=mtu_bytes, **more)


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
    assert heard(b, [*a.last_words(), *a.last_words(), *a.pack([Probe(to=NodeName("b"))])]) == [Leave()]


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
        assert b.open(a._sealers[0].seal(frame)) == Dropped(DropReason.MALFORMED)


def test_an_mtu_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="MTU"):
        link("a", mtu_bytes=150)


def test_a_key_is_changed_in_three_steps_and_every_datagram_is_understood_between_any_two_of_them() -> None:
    old, new = KEY, bytes(32)
    steps = [Keyring(keys=keys) for keys in ((old,), (old, new), (new, old), (new,))]
    a, b = link("a"), link("b")
    for before, after in pairwise(steps):
        assert before.understands(after)
        for a_has, b_has in ((before, before), (after, before), (after, after)):
            a.rekey(a_has)
            b.rekey(b_has)
            for sender, receiver in ((a, b), (b, a)):
                for datagram in sender.pack([Leave()]):
                    assert receiver.open(datagram) == Received(sender.me, (Leave(),))
    assert not any(a.counters.values())
    assert not any(b.counters.values())


def test_after_a_change_of_keys_the_sequence_goes_on_and_what_was_heard_is_no_news() -> None:
    a, b = link("a"), link("b")
    (recorded,) = a.pack([Leave()])
    b.open(recorded)
    for end in (a, b):
        end.rekey(Keyring(keys=(bytes(32), KEY)))
    assert b.open(recorded) == Dropped(DropReason.DUPLICATE, sender=a.me)
    (fresh,) = a.pack([Leave()])
    assert b.open(fresh) == Received(a.me, (Leave(),))
    assert fresh[4:8] != recorded[4:8]  # the key's id
    assert int.from_bytes(fresh[32:40], "big") == int.from_bytes(recorded[32:40], "big") + 1


def test_what_a_removed_key_has_sealed_is_not_understood_any_more() -> None:
    a, b = link("a"), link("b", keys=(bytes(32), KEY))
    b.open(a.pack([Leave()])[0])
    b.rekey(Keyring(keys=(bytes(32),)))
    assert b.open(a.pack([Leave()])[0]) == Dropped(DropReason.UNKNOWN_KEY)


@pytest.mark.parametrize(
    ("step", "following"),
    [
        (Keyring(keys=(KEY,)), Keyring(keys=(bytes(32),))),
        (Keyring(keys=(KEY,)), Keyring(keys=(bytes(32), KEY))),  # sealed with what the others do not have yet
        (Keyring(keys=(KEY, bytes(32))), Keyring(keys=(bytes(32),))),  # the others still seal with what has gone
        (Keyring(), Keyring(keys=(KEY,))),
    ],
)
def test_a_step_that_others_cannot_have_followed_is_known_as_one(step: Keyring, following: Keyring) -> None:
    assert not step.understands(following)
    assert not following.understands(step)


def test_from_insecure_over_receive_only_to_enforce_neighbours_understand_each_other_both_ways() -> None:
    """insecure: plain only. receive-only: says both, opens both. enforce: sealed only."""
    modes = [Keyring(), Keyring(keys=(KEY,), plain=True), Keyring(keys=(KEY,))]
    for one, other in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)):
        a, b = link("a", keys=()), link("b", keys=())
        a.rekey(modes[one])
        b.rekey(modes[other])
        for sender, receiver in ((a, b), (b, a)):
            heard = [receiver.open(datagram) for datagram in sender.pack([Leave()])]
            assert heard.count(Received(sender.me, (Leave(),))) == 1, (one, other)
    a, b = link("a", keys=()), link("b")
    assert [a.open(datagram) for datagram in b.pack([Leave()])] == [Dropped(DropReason.UNKNOWN_KEY)]
    assert [b.open(datagram) for datagram in a.pack([Leave()])] == [Dropped(DropReason.INSECURE)]


def test_a_receive_only_node_says_its_last_words_in_both_forms() -> None:
    a = link("a", keys=(KEY,), plain=True)
    for hearer in (link("b"), link("b", keys=())):
        heard = [hearer.open(datagram) for datagram in a.last_words()]
        assert heard.count(Received(a.me, (Leave(),))) == 1


def test_it_is_known_with_which_key_each_sender_seals() -> None:
    a, b, c = link("a"), link("b", keys=(), plain=True), link("c", keys=(KEY, bytes(32)), plain=True)
    for sender in (a, b):
        for datagram in sender.pack([Leave()]):
            c.open(datagram)
    assert c.heard_with() == {"a": key_id(KEY), "b": 0}
    a.rekey(Keyring(keys=(bytes(32), KEY)))
    c.open(a.pack([Leave()])[0])
    assert c.heard_with() == {"a": key_id(bytes(32)), "b": 0}


def test_a_keyring_shows_no_key() -> None:
    assert repr(KEY)[2:-1] not in repr(Keyring(keys=(KEY,)))
    assert base64.b64encode(KEY).decode() not in str(Keyring(keys=(KEY,)).as_json())


# --- a rolling upgrade: what a node does that opens versions 1 and 2 -----------------------------------------------


def exchange(*ends: Link) -> None:
    for sender in ends:
        for datagram in sender.pack([Leave()]):
            for receiver in ends:
                if receiver is not sender:
                    assert receiver.open(datagram) == Received(sender.me, (Leave(),))


def test_among_nodes_of_the_previous_version_that_one_is_spoken_and_everything_understood() -> None:
    old, new = link("a", versions=(1,)), link("b", versions=(1, 2))
    for _ in range(2 * MEMORY):
        exchange(old, new)
    assert (old.version, new.version) == (1, 1)
    assert not any(old.counters.values())


def test_when_all_are_upgraded_the_new_version_is_spoken_and_a_node_of_the_old_one_brings_the_old_one_back() -> None:
    a, b = link("a", versions=(1, 2)), link("b", versions=(1, 2))
    for _ in range(MEMORY):
        assert a.version == 1
        exchange(a, b)
    assert (a.version, b.version) == (2, 2)
    late = link("c", versions=(1,))
    (said,) = a.pack([Leave()])
    assert late.open(said) == Dropped(DropReason.WRONG_VERSION)
    for datagram in late.pack([Leave()]):
        assert a.open(datagram) == b.open(datagram) == Received(late.me, (Leave(),))
    exchange(a, b, late)
    assert (a.version, b.version) == (1, 1)


def test_a_version_that_is_not_opened_is_counted() -> None:
    new, newer = link("b", versions=(1, 2)), link("a", versions=(3,))
    assert new.open(newer.pack([Leave()])[0]) == Dropped(DropReason.WRONG_VERSION)
    assert new.counters[DropReason.WRONG_VERSION] == 1
