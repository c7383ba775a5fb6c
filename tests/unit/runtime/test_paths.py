from __future__ import annotations

import random

from duravip.events import Event, PathLost, PathRestored
from duravip.model import NodeName
from duravip.runtime.paths import Paths

PEER, OTHER = NodeName("node2"), NodeName("node3")
MULTI, UNI = "multicast", "unicast"
TIMEOUT_S, BEAT_S = 1.0, 0.25
LOST, RESTORED = PathLost(name=PEER, path=UNI), PathRestored(name=PEER, path=UNI)


class Listener:
    def __init__(self) -> None:
        self.paths = Paths((UNI, MULTI), timeout_s=TIMEOUT_S)
        self.now = 100.0
        self.events: list[Event] = []

    def beats(self, count: int, *on: str, peer: NodeName = PEER) -> list[Event]:
        """So many heartbeats of the peer, each heard on these paths; the events of that."""
        before = len(self.events)
        for _ in range(count):
            self.now += BEAT_S
            for path in on:
                self.events += self.paths.arrived(peer, path, now=self.now)
                self.now += 0.001
        return self.events[before:]


def test_a_path_is_lost_once_after_the_timeout_while_another_goes_on() -> None:
    listener = Listener()
    assert listener.beats(8, MULTI, UNI) == []
    assert listener.beats(3, MULTI) == []
    assert listener.beats(40, MULTI) == [LOST]


def test_a_lost_path_is_restored_once_when_it_was_heard_for_a_timeout() -> None:
    listener = Listener()
    listener.beats(8, MULTI, UNI)
    listener.beats(8, MULTI)
    assert listener.beats(4, MULTI, UNI) == []
    assert listener.beats(40, MULTI, UNI) == [RESTORED]


def test_a_path_that_is_heard_now_and_then_does_not_flap() -> None:
    listener = Listener()
    listener.beats(8, MULTI, UNI)
    for _ in range(50):
        listener.beats(5, MULTI)
        listener.beats(1, MULTI, UNI)
    assert listener.events == [LOST]


def test_half_of_the_datagrams_lost_by_chance_on_each_path_is_no_loss_of_a_path() -> None:
    listener, chance = Listener(), random.Random(3)
    paths = Paths((MULTI, UNI), timeout_s=10 * BEAT_S)
    listener.paths = paths
    for _ in range(200):
        listener.beats(1, *(path for path in (MULTI, UNI) if chance.random() < 0.5))
    assert listener.events == []


def test_a_node_that_falls_silent_altogether_loses_no_path() -> None:
    listener = Listener()
    listener.beats(8, MULTI, UNI)
    listener.now += 60
    assert listener.beats(8, UNI, MULTI) == []


def test_a_pause_of_everything_is_not_held_against_the_path_that_is_read_last() -> None:
    listener = Listener()
    listener.beats(8, UNI, MULTI)
    listener.now += 5 * TIMEOUT_S
    for _ in range(20):  # what had queued up on one socket, at once
        assert listener.paths.arrived(PEER, MULTI, now=listener.now) == ()
    assert listener.paths.arrived(PEER, UNI, now=listener.now) == ()


def test_a_path_on_which_a_node_was_never_heard_is_lost_too() -> None:
    listener = Listener()
    assert listener.beats(40, MULTI) == [LOST]
    assert listener.beats(40, MULTI, UNI) == [RESTORED]


def test_nodes_are_judged_one_by_one() -> None:
    listener = Listener()
    for _ in range(20):
        listener.beats(1, MULTI, UNI, peer=OTHER)
        listener.beats(1, MULTI)
    assert listener.events == [LOST]


def test_with_one_transport_there_is_nothing_to_lose() -> None:
    listener = Listener()
    listener.paths = Paths((MULTI,), timeout_s=TIMEOUT_S)
    listener.beats(5, MULTI)
    listener.now += 60
    assert listener.beats(5, MULTI) == []


def test_it_says_on_which_paths_a_node_was_heard_of_late() -> None:
    listener = Listener()
    listener.beats(1, MULTI, UNI)
    assert listener.paths.heard(PEER, within_s=TIMEOUT_S, now=listener.now) == (MULTI, UNI)
    listener.beats(8, UNI)
    assert listener.paths.heard(PEER, within_s=TIMEOUT_S, now=listener.now) == (UNI,)
    assert listener.paths.heard(OTHER, within_s=TIMEOUT_S, now=listener.now) == ()
    assert listener.paths.names == (MULTI, UNI)
