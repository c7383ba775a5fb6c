"""Two detectors, or one and hand-made heartbeats; the beat is every 1 s, the cap 3.5 s."""

from __future__ import annotations

import msgspec
import pytest

from duravip.cluster.detector import Detector
from duravip.cluster.messages import Heard, Heartbeat
from duravip.cluster.parameters import Parameters
from duravip.model import Incarnation, Member, NodeName, TableDigest

TABLE = TableDigest("0" * 32)
A, B, C = (Member(NodeName(name), Incarnation(1, 7)) for name in "abc")


def detector(me: Member) -> Detector:
    parameters = Parameters(name=me.name, incarnation=me.incarnation, heartbeat_interval_s=1.0, failure_timeout_s=3.5)
    return Detector(me, parameters)


def beat(speaker: Detector, now: float) -> Heartbeat:
    return Heartbeat(
        beat=speaker.next_beat(now),
        view=None,
        promised=0,
        number=0,
        state=b"",
        table=TABLE,
        complete=True,
        version="",
        heard=speaker.heard(frozenset()),
    )


def talk(one: Detector, other: Detector, until: int, start: int = 0) -> None:
    """Both say a heartbeat every second, and hear it."""
    for second in range(start, until):
        other.on_heartbeat(one.me, beat(one, float(second)), float(second))
        one.on_heartbeat(other.me, beat(other, float(second)), float(second))


def test_a_peer_is_alive_once_it_names_this_very_life_and_not_before() -> None:
    a, b = detector(A), detector(B)
    first = beat(b, 0.0)
    a.on_heartbeat(B, first, 0.0)
    assert not a.is_alive(B)
    b.on_heartbeat(A, beat(a, 0.1), 0.1)
    a.on_heartbeat(B, beat(b, 0.2), 0.2)
    assert a.is_alive(B)
    earlier_life = detector(Member(A.name, Incarnation(0, 1)))
    earlier_life.on_heartbeat(B, beat(b, 0.3), 0.3)
    assert not earlier_life.is_alive(B)


def test_a_member_in_the_life_that_is_known_is_that_very_object_and_in_no_other_life() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 3)
    copies = [Member(NodeName(member.name), Incarnation(1, 7)) for member in (A, B, C)]
    assert a.known(copies[0]) is a.me
    assert a.known(copies[1]) is a.peers[B.name].member
    assert a.known(copies[2]) is copies[2]
    for member in (A, B):
        for incarnation in (Incarnation(0, 7), Incarnation(1, 8)):
            other = Member(member.name, incarnation)
            assert a.known(other) is other
    said = beat(b, 3.0)
    entry = Heard(name=C.name, counter=1, nonce=7, beat=1, alive=True, in_view=True)
    earlier = msgspec.structs.replace(entry, name=B.name, counter=0)
    a.on_heartbeat(B, msgspec.structs.replace(said, heard=(*said.heard, entry, earlier)), 3.0)
    assert a.peers[B.name].companions == {C, Member(B.name, Incarnation(0, 7))}


def test_silence_is_suspicious_after_two_and_a_half_intervals_on_a_steady_link() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 20)
    assert a.check(19.0 + 2.4) == []
    assert [peer.member for peer in a.check(19.0 + 2.5)] == [B]
    assert not a.is_alive(B)


def test_the_time_out_grows_with_uneven_arrivals_and_stops_at_the_cap() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 5)
    now = 4.0
    for gap in (1.0, 2.4, 0.6, 2.3, 0.7, 2.4) * 3:
        now += gap
        b.on_heartbeat(A, beat(a, now - 0.01), now - 0.01)
        a.on_heartbeat(B, beat(b, now), now)
    assert a.timeout_s(a.peers[B.name]) == 3.5


def test_a_silent_peer_is_asked_before_it_is_accused() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 10)
    assert a.to_probe(9.0 + 1.4) == []
    assert [peer.member for peer in a.to_probe(9.0 + 1.5)] == [B]
    assert a.to_probe(9.0 + 1.6) == []
    assert [peer.member for peer in a.to_probe(9.0 + 1.75)] == [B]


def test_a_heartbeat_that_was_held_back_revives_nobody() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 10)
    held_back = beat(b, 9.5)
    a.check(13.0)
    assert not a.is_alive(B)
    for second in range(10, 20):
        a.next_beat(float(second))
    a.on_heartbeat(B, held_back, 20.0)
    assert not a.is_alive(B)


def test_a_peer_that_does_not_hear_us_is_not_alive_though_we_hear_it() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 10)
    for second in range(10, 18):
        a.next_beat(float(second))
        a.on_heartbeat(B, beat(b, float(second)), float(second))
    assert not a.is_alive(B)
    assert a.peers[B.name].cause == "does not hear us"


def test_a_leave_counts_for_the_life_that_said_it_only() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 5)
    assert not a.on_leave(Member(B.name, Incarnation(0, 9)))
    assert a.is_alive(B)
    assert a.on_leave(B)
    assert not a.is_alive(B)
    a.on_heartbeat(B, beat(b, 5.0), 5.0)
    assert not a.is_alive(B), "a late heartbeat of one that has left"


def test_a_new_life_replaces_the_old_one_and_the_old_ones_words_are_ignored() -> None:
    a, old = detector(A), detector(B)
    talk(a, old, 5)
    new = detector(Member(B.name, Incarnation(2, 1)))
    a.on_heartbeat(new.me, beat(new, 5.0), 5.0)
    assert not a.is_alive(B)
    a.on_heartbeat(B, beat(old, 5.1), 5.1)
    assert a.peers[B.name].member == new.me


def test_a_new_life_is_alive_at_once_beside_those_whose_view_has_the_old_one() -> None:
    b, old = detector(B), detector(A)
    talk(b, old, 5)
    new = detector(Member(A.name, Incarnation(2, 1)))
    b.on_heartbeat(new.me, beat(new, 5.0), 5.0)
    both = b.heard(frozenset({A, B}))
    assert [(entry.counter, entry.in_view) for entry in both] == [(2, False), (1, True)]
    new.on_heartbeat(B, msgspec.structs.replace(beat(b, 5.1), heard=both), 5.1)
    assert new.is_alive(B)


def with_c_in_view(heartbeat: Heartbeat) -> Heartbeat:
    entry = Heard(
        name=C.name, counter=C.incarnation.counter, nonce=C.incarnation.nonce, beat=0, alive=True, in_view=True
    )
    return msgspec.structs.replace(heartbeat, heard=(*heartbeat.heard, entry))


def tell_of_c(a: Detector, b: Detector, now: float) -> None:
    """Both say a heartbeat; B's has C in its view."""
    b.on_heartbeat(A, beat(a, now), now)
    a.on_heartbeat(B, with_c_in_view(beat(b, now)), now)


def vertices(seer: Detector, now: float) -> set[Member]:
    return {member for clique in seer.cliques(now) for member in clique}


def test_a_node_that_only_another_one_hears_counts_after_two_time_outs_and_an_interval() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 5)
    for second in range(5, 15):
        tell_of_c(a, b, float(second))
        assert (C in vertices(a, float(second))) == (second >= 5 + 2 * 3.5 + 1)


def test_the_last_words_of_one_that_was_stopped_and_dies_bring_the_dead_into_no_clique() -> None:
    """For a time-out it takes the dead for alive, and for another one it is itself taken for alive."""
    a, b = detector(A), detector(B)
    talk(a, b, 5)
    for second in range(5, 9):
        tell_of_c(a, b, float(second))
        assert C not in vertices(a, float(second))
    now = 8.0
    while a.is_alive(B):
        assert C not in vertices(a, now), now
        now += 0.1
        a.check(now)
    assert now > 10


def test_a_late_loop_accuses_nobody_for_an_interval() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 10)
    a.excuse(2.0, 12.0)
    assert a.check(12.9) == []
    assert [peer.member for peer in a.check(13.0)] == [B]


def test_after_a_stop_everybodys_silence_starts_anew() -> None:
    a, b = detector(A), detector(B)
    talk(a, b, 10)
    a.forgive(100.0)
    assert a.check(103.4) == []
    assert [peer.member for peer in a.check(103.5)] == [B]


def test_a_link_missing_between_two_others_counts_only_when_it_lasts() -> None:
    a, b, c = detector(A), detector(B), detector(C)
    for second in range(10):
        now = float(second)
        said = {d.me: beat(d, now) for d in (a, b, c)}
        for speaker, heartbeat in said.items():
            for listener in (a, b, c):
                if listener.me != speaker:
                    listener.on_heartbeat(speaker, heartbeat, now)
        assert a.cliques(now)
    assert a.cliques(9.0) == ((A, B, C),)
    for second in range(10, 20):  # b and c do not hear each other any more
        now = float(second)
        for d in (b, c):
            d.check(now)
        said = {d.me: beat(d, now) for d in (a, b, c)}
        for speaker, listener in ((a, b), (a, c), (b, a), (c, a)):
            listener.on_heartbeat(speaker.me, said[speaker.me], now)
        if second == 13:
            assert a.cliques(now) == ((A, B, C),), "b or c may be dying; a will see for itself"
        a.cliques(now)
    assert a.cliques(19.0) == ((A, B), (C,))


@pytest.mark.parametrize("beats", [1, 3])
def test_an_echo_of_a_beat_that_was_never_said_counts_for_nothing(beats: int) -> None:
    a, b = detector(A), detector(B)
    for _ in range(beats):
        b.on_heartbeat(A, beat(a, 0.0), 0.0)
    forgetful = detector(A)  # same life by name, but it has said nothing yet
    forgetful.on_heartbeat(B, beat(b, 1.0), 1.0)
    assert not forgetful.is_alive(B)
