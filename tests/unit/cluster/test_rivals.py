"""Claims by strangers and by members, one rule after the other, on a clock of the test's own."""

from __future__ import annotations

import dataclasses
import itertools

from duravip.cluster.addresses import AddressSet
from duravip.cluster.effects import AnnounceAddress, DefendAddress, Effect, ProbeAddress, Publish
from duravip.cluster.parameters import Parameters
from duravip.cluster.rivals import (
    ASK_S,
    ASKING_S,
    ASKS,
    DEFEND_INTERVAL_S,
    MAX_DISPUTES,
    MAX_NAMES,
    MAX_RIVALS,
    SILENT_S,
    SUSPENSE_S,
    Rivals,
)
from duravip.events import DuplicateAddress
from duravip.model import Address, Claim, Incarnation, NodeName

ME, PEER = NodeName("a"), NodeName("b")
VIP, OTHER = Address("192.0.2.1"), Address("2001:db8::1")
STRANGER, SECOND, OWN, PEERS = (bytes((2, 0, 0, 0, 0, number)) for number in (9, 8, 1, 2))
PARAMETERS = Parameters(name=ME, incarnation=Incarnation(1, 1), probe_before_taking=True)


class Stage:
    """A node that holds VIP and hears its peer; what follows is in `said`, with its time."""

    def __init__(self, *, timeout_s: float = 0.35, mode: str = "defend") -> None:
        self.rivals = Rivals(dataclasses.replace(PARAMETERS, failure_timeout_s=timeout_s, on_duplicate=mode))
        self.now = 100.0
        self.held = {VIP}
        self.friends = {ME, PEER}
        self.said: list[tuple[float, Effect]] = []
        self.rivals.learn(ME, (OWN,))
        self.rivals.learn(PEER, (PEERS,))

    def hear(self, hardware_address: bytes, *addresses: Address) -> None:
        claims = [Claim(address=one, hardware_address=hardware_address) for one in addresses or (VIP,)]
        self.rivals.heard(claims, holds=self.held.__contains__, friends=self.friends, now=self.now)
        self.act()

    def act(self) -> None:
        orders = self.rivals.act(holds=self.held.__contains__, friends=self.friends, now=self.now)
        self.said += [(self.now, order) for order in orders]

    def run(self, seconds: float, *, hearing: bytes | None = None) -> None:
        """Acts at each deadline; `hearing` is claimed anew every half second."""
        until, again = self.now + seconds, self.now
        while (following := min(self.rivals.deadline(), again if hearing else until, until)) < until:
            assert following > self.now or hearing, "a deadline that is dealt with moves on"
            self.now = following
            if hearing and following == again:
                again += 0.5
                self.hear(hearing)
            else:
                self.act()
        self.now = until
        self.act()

    def of(self, kind: type[Effect]) -> list[Effect]:
        return [order for _, order in self.said if isinstance(order, kind)]

    def told(self) -> list[tuple[str, str, Address]]:
        events = [order.event for _, order in self.said if isinstance(order, Publish)]
        return [(e.change, e.hardware_address, e.address) for e in events if isinstance(e, DuplicateAddress)]


def test_a_stranger_is_told_of_once_when_it_has_been_in_suspense() -> None:
    stage = Stage()
    stage.hear(STRANGER)
    stage.run(SUSPENSE_S - 0.01)
    assert stage.said == []
    stage.run(0.02, hearing=STRANGER)
    assert stage.told() == [("raised", "02:00:00:00:00:09", VIP)]
    [evidence] = stage.rivals.evidence()[VIP]
    assert (evidence.node, evidence.value) == (ME, "02:00:00:00:00:09")
    assert "a stranger" in evidence.text
    stage.run(5.0, hearing=STRANGER)
    assert len(stage.told()) == 1


def test_a_long_failure_time_out_is_waited_for() -> None:
    stage = Stage(timeout_s=5.0)
    stage.hear(STRANGER)
    stage.run(4.9)
    assert stage.told() == []
    stage.run(0.2)
    assert len(stage.told()) == 1


def test_it_is_defended_at_most_once_in_the_interval_and_only_against_what_was_heard_since() -> None:
    """ "... if ... no other conflicting ARP packets within the last DEFEND_INTERVAL seconds" (RFC 5227 section 2.4)"""
    stage = Stage()
    stage.run(35.0, hearing=STRANGER)
    times = [at for at, order in stage.said if isinstance(order, DefendAddress)]
    assert len(times) == 4
    assert all(after - before >= DEFEND_INTERVAL_S for before, after in itertools.pairwise(times))
    assert times[0] <= 100.0 + SUSPENSE_S + 0.1

    once = Stage()
    once.hear(STRANGER)
    once.run(SILENT_S - 0.1)
    assert len(once.of(DefendAddress)) == 1


def test_a_rival_that_is_silent_though_asked_has_gone_and_the_address_is_announced_again() -> None:
    stage = Stage()
    stage.hear(STRANGER)
    stage.run(SILENT_S + 0.01)
    asked = [at for at, order in stage.said if order == ProbeAddress(address=VIP, hardware_address=STRANGER)]
    assert [round(after - before, 6) for before, after in itertools.pairwise(asked)] == [ASK_S] * 4
    assert [change for change, _, _ in stage.told()] == ["raised", "cleared"]
    assert stage.said[-1][1] == AnnounceAddress(address=VIP)
    assert stage.rivals.is_quiet()
    assert stage.rivals.evidence() == {}


def test_one_that_answers_stays() -> None:
    stage = Stage()
    stage.run(3 * SILENT_S, hearing=STRANGER)
    assert [change for change, _, _ in stage.told()] == ["raised"]


def test_members_and_this_node_are_left_to_the_view() -> None:
    stage = Stage()
    for hardware_address in (PEERS, OWN):
        stage.hear(hardware_address)
    assert stage.rivals.is_quiet()
    assert stage.said == []


def test_a_merge_tells_of_nothing_if_the_other_part_tells_its_hardware_address_in_time() -> None:
    """Its frames come before its first heartbeat."""
    stage = Stage()
    stage.hear(STRANGER)
    stage.run(SUSPENSE_S - 0.1)
    stage.rivals.learn(NodeName("c"), (STRANGER,))
    stage.friends.add(NodeName("c"))
    stage.run(5.0)
    assert stage.said == []
    assert stage.rivals.is_quiet()


def test_one_that_turns_out_to_be_a_member_is_cleared_at_once() -> None:
    stage = Stage()
    stage.hear(STRANGER)
    stage.run(2.0)
    stage.rivals.learn(PEER, (PEERS, STRANGER))
    stage.act()
    assert [change for change, _, _ in stage.told()] == ["raised", "cleared"]


def test_a_node_of_the_group_that_is_not_heard_is_named_and_never_yielded_to() -> None:
    """Frozen, or cut off from the heartbeats only: both would yield, and nobody would have the address."""
    stage = Stage(mode="yield")
    stage.friends = {ME}
    stage.hear(PEERS)
    stage.run(2.0)
    [event] = [order.event for order in stage.of(Publish) if isinstance(order, Publish)]
    assert isinstance(event, DuplicateAddress)
    assert event.claimant == PEER
    assert "b, which is not heard" in event.evidence[0].text
    assert stage.rivals.claimed() == AddressSet()
    assert len(stage.of(DefendAddress)) == 1


def test_what_this_node_does_not_hold_is_not_its_concern() -> None:
    stage = Stage()
    stage.hear(STRANGER, OTHER)
    assert stage.rivals.is_quiet()
    stage.hear(STRANGER)
    stage.run(2.0)
    stage.held.clear()
    stage.act()
    assert [change for change, _, _ in stage.told()] == ["raised", "cleared"]
    assert stage.of(AnnounceAddress) == []
    assert stage.rivals.is_quiet()


def test_yielding_leaves_the_address_until_the_stranger_has_gone() -> None:
    stage = Stage(mode="yield")
    stage.hear(STRANGER)
    assert stage.rivals.claimed() == AddressSet()
    stage.run(SUSPENSE_S)
    assert stage.rivals.claimed() == AddressSet([VIP])
    stage.held.clear()
    stage.run(2 * SILENT_S, hearing=STRANGER)
    assert stage.rivals.claimed() == AddressSet([VIP])
    assert stage.of(DefendAddress) == []
    stage.run(SILENT_S + 0.1)
    assert stage.rivals.claimed() == AddressSet()
    assert [change for change, _, _ in stage.told()] == ["raised", "cleared"]
    assert stage.of(AnnounceAddress) == [], "it is not here"


def test_several_rivals_are_one_duplicate_that_changes() -> None:
    stage = Stage()
    stage.hear(STRANGER)
    stage.run(2.0)
    stage.hear(SECOND)
    stage.run(2.0)
    assert [change for change, _, _ in stage.told()] == ["raised", "changed"]
    assert [one.value[-2:] for one in stage.rivals.evidence()[VIP]] == ["09", "08"]


def test_everybody_is_asked_before_taking_and_silence_is_consent() -> None:
    stage = Stage()
    stage.held.clear()
    stage.rivals.ask_first(VIP)
    stage.act()
    assert stage.rivals.unanswered() == AddressSet([VIP])
    stage.run(ASKING_S - 0.01)
    assert stage.rivals.unanswered() == AddressSet([VIP])
    stage.run(0.02)
    assert stage.rivals.unanswered() == AddressSet()
    assert stage.of(ProbeAddress) == [ProbeAddress(address=VIP, hardware_address=None)] * ASKS
    assert stage.rivals.is_quiet()


def test_however_many_are_asked_for_they_are_asked_for_side_by_side() -> None:
    many = [Address(f"10.0.{number // 250}.{number % 250}") for number in range(1_000)]
    stage = Stage()
    stage.held.clear()
    for address in many:
        stage.rivals.ask_first(address)
    stage.act()
    assert len(stage.of(ProbeAddress)) == len(many)
    stage.run(ASKING_S)
    assert ASKING_S <= 0.3
    assert stage.rivals.unanswered() == AddressSet()
    assert len(stage.of(ProbeAddress)) == ASKS * len(many)


def test_an_address_that_a_stranger_has_is_not_taken_even_if_it_would_be_defended() -> None:
    stage = Stage(mode="defend")
    stage.held.clear()
    stage.rivals.ask_first(VIP)
    stage.act()
    stage.hear(STRANGER)
    stage.run(SUSPENSE_S - 0.01)
    assert stage.rivals.unanswered() == AddressSet([VIP]), "it waits until that is judged"
    stage.run(0.02)
    assert stage.rivals.claimed() == AddressSet([VIP])
    assert [change for change, _, _ in stage.told()] == ["raised"]
    stage.run(SILENT_S)
    assert stage.rivals.claimed() == AddressSet()
    assert stage.rivals.is_quiet()


def test_a_flood_is_followed_within_bounds() -> None:
    stage = Stage()
    stage.held = {Address(f"10.0.{number // 256}.{number % 256}") for number in range(2 * MAX_DISPUTES)}
    for number in range(2 * MAX_RIVALS):
        stage.hear(bytes((2, 1, 0, 0, 0, number)), *sorted(stage.held))
    stage.run(SUSPENSE_S + 0.1)
    assert len(stage.rivals.evidence()) == MAX_DISPUTES
    assert {len(evidence) for evidence in stage.rivals.evidence().values()} == {MAX_RIVALS}


def test_names_are_remembered_within_bounds_and_the_last_to_tell_a_hardware_address_has_it() -> None:
    stage = Stage()
    others = [NodeName(f"n{number}") for number in range(2 * MAX_NAMES)]
    for number, name in enumerate(others):
        stage.rivals.learn(name, (bytes((2, 2, 0, 0, number // 256, number % 256)),))
    stage.friends |= set(others)
    stage.hear(bytes((2, 2, 0, 0, 0, 0)))
    assert not stage.rivals.is_quiet(), "forgotten long ago"
    stage.hear(OWN)
    stage.run(2.0)
    assert all("02:00:00:00:00:01" not in told for _, told, _ in stage.told()), "its own it never forgets"

    new = Stage()
    new.rivals.learn(NodeName("renamed"), (PEERS,))
    new.friends = {ME, NodeName("renamed")}
    new.rivals.learn(PEER, ())
    new.hear(PEERS)
    assert new.rivals.is_quiet()


def test_nobody_is_asked_unless_the_configuration_says_so() -> None:
    rivals = Rivals(dataclasses.replace(PARAMETERS, probe_before_taking=False))
    rivals.ask_first(VIP)
    assert rivals.is_quiet()
