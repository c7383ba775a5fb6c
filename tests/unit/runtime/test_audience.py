"""Looking and telling on a virtual clock, with a kernel that says what it is told to."""

from __future__ import annotations

import ipaddress

import pytest
import trio
import trio.testing

from duravip.cluster.messages import MAX_NEIGHBOURS, Neighbours, NeighbourSeen
from duravip.model import Address, Incarnation, Member, NodeName
from duravip.net.kernel_neighbours import KernelNeighbours
from duravip.net.neighbourhood import Neighbour, Neighbourhood, Seen
from duravip.runtime.audience import LOOK_EVERY_S, TELL_EVERY_S, Audience
from tests.unit.runtime.conftest import Memory

PEER = Member(NodeName("node2"), Incarnation(1, 7))
STRANGER = Member(NodeName("node3"), Incarnation(1, 7))
CLIENT = NeighbourSeen(bytes((10, 77, 0, 4)), bytes.fromhex("020000000004"))
NETWORKS = (("eth0", ipaddress.ip_network("10.77.0.0/16")),)


class ScriptedKernel(KernelNeighbours):
    def __init__(self) -> None:
        self.count = 1
        self.silent = False

    def __exit__(self, *exception: object) -> None:
        return None

    async def look(self) -> Seen:
        await trio.lowlevel.checkpoint()
        if self.silent:
            raise OSError(11, "busy")
        hosts = (Neighbour(Address(f"10.77.1.{n}"), bytes((2, 0, 0, 0, 1, n))) for n in range(self.count))
        return Seen(neighbours=tuple(("eth0", host) for host in hosts), networks=NETWORKS)


class Rig:
    def __init__(self) -> None:
        self.kernel = ScriptedKernel()
        self.neighbourhood = Neighbourhood()
        self.said: list[tuple[float, Neighbours]] = []
        self.members = [PEER]
        self.audience = Audience(
            self.neighbourhood, say=self.say, members=lambda: self.members, kernel=lambda: self.kernel
        )

    def say(self, message: Neighbours) -> None:
        self.said.append((trio.current_time(), message))


async def test_what_the_kernel_knows_is_told_at_once_then_rarely_and_news_at_the_next_look(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rig, began = Rig(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.audience.run)
        await trio.sleep(2 * TELL_EVERY_S + LOOK_EVERY_S / 2)
        assert [round(at - began, 1) for at, _ in rig.said] == [0, TELL_EVERY_S, 2 * TELL_EVERY_S]
        rig.kernel.count = 2
        await trio.sleep(LOOK_EVERY_S)
        assert len(rig.said) == 4
        assert len(rig.said[-1][1].neighbours) == 2
        rig.members = [PEER, STRANGER]
        await trio.sleep(LOOK_EVERY_S)
        assert len(rig.said) == 5
        nursery.cancel_scope.cancel()


async def test_many_neighbours_are_told_in_messages_of_one_datagram(autojump_clock: trio.testing.MockClock) -> None:
    rig = Rig()
    rig.kernel.count = 2 * MAX_NEIGHBOURS + 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.audience.run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [len(message.neighbours) for _, message in rig.said] == [MAX_NEIGHBOURS, MAX_NEIGHBOURS, 1]


async def test_a_kernel_that_does_not_answer_leaves_what_is_known(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.audience.run)
        await trio.sleep(1)
        rig.kernel.silent = True
        await trio.sleep(LOOK_EVERY_S)
        assert len(rig.neighbourhood.own()) == 1
        nursery.cancel_scope.cancel()
    assert "does not tell its neighbours" in caplog.text


async def test_what_a_member_says_is_in_the_audience_and_nonsense_or_a_strangers_word_is_not() -> None:
    rig = Rig()
    rig.neighbourhood.saw(Seen(networks=NETWORKS))
    nonsense = NeighbourSeen(b"12345", CLIENT.hardware_address)
    rig.audience.hear(STRANGER, Neighbours(neighbours=(CLIENT,)))
    assert rig.neighbourhood.told() == ()
    rig.audience.hear(PEER, Neighbours(neighbours=(CLIENT, nonsense)))
    assert rig.neighbourhood.audience(Address("10.77.0.51"), "eth0") == (CLIENT.hardware_address,)
    assert rig.audience.as_json() == {"own_neighbours": 0, "others_neighbours": 1}


async def test_daemons_share_what_they_know_and_listen_to_members_only(
    memory: Memory, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows: dict[str, int] = {"node1": 3, "node2": 0}
    made: list[ScriptedKernel] = []

    def kernel() -> ScriptedKernel:
        made.append(ScriptedKernel())
        made[-1].count = list(knows.values())[len(made) - 1]
        return made[-1]

    monkeypatch.setitem(Audience.__init__.__kwdefaults__, "kernel", kernel)
    for name in knows:
        memory.config(name, arp_all_hosts=False)
    async with memory.running(*knows) as lives:
        await trio.sleep(2 * TELL_EVERY_S)
        shown = {name: life.info()["announced_to"] for name, life in lives.items()}
    assert shown == {
        "node1": {"own_neighbours": 3, "others_neighbours": 0},
        "node2": {"own_neighbours": 0, "others_neighbours": 3},
    }
