"""The machine around a node, with a puppet in the node's place."""

import itertools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from duravip.cluster.effects import Effect, Left, Send, TakeAddress
from duravip.cluster.flags import Landscape, survey
from duravip.cluster.holdings import HoldState
from duravip.cluster.inputs import AddressAdded, Input, LeaveRequested, PacketHeard, Ticked
from duravip.cluster.messages import Leave, Probe
from duravip.cluster.parameters import Parameters
from duravip.model import Address, Decision, NodeName, Table, TableDigest, View, make_table
from duravip.sim.host import Host
from duravip.sim.observer import Observer
from duravip.sim.process import SOCKET_DATAGRAMS
from duravip.sim.world import World

A, B = NodeName("a"), NodeName("b")
X = Address("192.0.2.1")


class Puppet:
    """Remembers its inputs and the times it saw; does what it is told."""

    number = 0
    mature = True
    view: View | None = None

    def __init__(self, parameters: Parameters, table: Table, now: float) -> None:
        self.parameters = parameters
        self.deadline = now
        self.inputs: list[Input] = []
        self.times: list[float] = []
        self.react: Callable[[Input], tuple[Effect, ...]] = lambda given: ()

    def handle(self, given: Input, /, *, now: float) -> tuple[Effect, ...]:
        self.inputs.append(given)
        self.times.append(now)
        self.deadline = now + 1.0
        return self.react(given)

    def next_deadline(self) -> float:
        return self.deadline

    @property
    def landscape(self) -> Landscape:
        return survey({})

    @property
    def in_force(self) -> Mapping[NodeName, TableDigest | None]:
        return {}

    @property
    def claims_at_install(self) -> Mapping[Address, frozenset[NodeName]]:
        return {}

    @property
    def claims(self) -> Mapping[Address, Collection[NodeName]]:
        return {}

    def owners(self) -> Mapping[Address, Decision]:
        return {}

    def held(self) -> frozenset[Address]:
        return frozenset()

    def holding_state(self, address: Address) -> HoldState | None:
        return None


class Ends(Observer):
    def __init__(self) -> None:
        self.ends: list[str] = []

    def ended(self, host: Host, why: str) -> None:
        self.ends.append(why)

    def failed(self, host: Host, error: Exception) -> None:
        self.ends.append(repr(error))


def make_world() -> tuple[World, Host, Host]:
    world = World("test", observer=Ends(), make_node=Puppet)
    hosts = [world.add_host(name, make_table([])) for name in (A, B)]
    for host in hosts:
        host.start()
    world.clock.run_until(0.5)
    return world, hosts[0], hosts[1]


def puppet(host: Host) -> Puppet:
    assert isinstance(host.node, Puppet)
    return host.node


def say(host: Host, *messages: Any) -> None:
    """Makes the puppet say something, in answer to a drain."""
    puppet(host).react = lambda given: (Send(messages=messages),)
    host.drain(True)
    puppet(host).react = lambda given: ()


def test_timers_ring_when_the_node_asked_for_it_and_a_little_late() -> None:
    world, a, _ = make_world()
    world.clock.run_until(10.5)
    times = puppet(a).times
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(gaps) in (9, 10)
    assert all(1.0 <= gap < 1.01 for gap in gaps)
    assert set(map(type, puppet(a).inputs)) == {Ticked}


def test_every_host_has_its_own_clock() -> None:
    _, a, b = make_world()
    assert abs(a.local_now() - b.local_now()) > 1


def test_messages_pass_through_codec_and_seal() -> None:
    world, a, b = make_world()
    say(a, Probe(to=B))
    world.clock.run_until(0.6)
    heard = [given for given in puppet(b).inputs if isinstance(given, PacketHeard)]
    assert [given.messages for given in heard] == [(Probe(to=B),)]
    assert heard[0].sender.name == A
    assert heard[0].sender.incarnation == puppet(a).parameters.incarnation


def test_a_frozen_process_handles_nothing_and_catches_up_later() -> None:
    world, a, b = make_world()
    before = len(puppet(b).inputs)
    b.freeze()
    for _ in range(SOCKET_DATAGRAMS + 10):
        say(a, Leave())
    world.clock.run_until(9.0)
    assert len(puppet(b).inputs) == before
    b.thaw()
    heard = [given for given in puppet(b).inputs if isinstance(given, PacketHeard)]
    assert len(heard) == SOCKET_DATAGRAMS
    assert isinstance(puppet(b).inputs[before], Ticked)  # the deadline that has passed goes first
    world.clock.run_until(11.5)
    assert isinstance(puppet(b).inputs[-1], Ticked)


def test_a_kernel_answer_waits_for_a_frozen_process() -> None:
    world, a, _ = make_world()
    puppet(a).react = lambda given: (TakeAddress(address=X, interface=None, prefix=32),)
    a.drain(True)
    puppet(a).react = lambda given: ()
    while not a.kernel.present:
        world.clock.run_until(world.clock.next_at() or 0.0)
    a.freeze()
    world.clock.run_until(5.0)
    assert AddressAdded(address=X) not in puppet(a).inputs
    a.thaw()
    assert AddressAdded(address=X) in puppet(a).inputs


def test_addresses_outlive_a_crash_and_end_with_the_next_start() -> None:
    world, a, _ = make_world()
    puppet(a).react = lambda given: (TakeAddress(address=X, interface=None, prefix=32),)
    a.drain(True)
    world.clock.run_until(0.9)
    a.crash()
    world.clock.run_until(3.0)
    assert a.node is None
    assert a.kernel.present == {X}
    a.start()
    world.clock.run_until(4.0)
    assert a.kernel.present == set()
    assert puppet(a).parameters.incarnation.counter == 2


def test_a_lost_disk_gives_a_higher_incarnation_all_the_same() -> None:
    world, a, _ = make_world()
    a.crash()
    a.start(disk_lost=True)
    world.clock.run_until(1.0)
    assert puppet(a).parameters.incarnation.counter > 1_000_000


def test_drained_survives_a_restart() -> None:
    world, a, _ = make_world()
    a.drain(True)
    a.crash()
    a.start()
    world.clock.run_until(1.0)
    assert puppet(a).parameters.drained


def test_a_leaver_is_gone_when_its_node_says_so() -> None:
    _, a, _ = make_world()
    puppet(a).react = lambda given: (Left(),) if isinstance(given, LeaveRequested) else ()
    a.leave()
    assert a.node is None
    assert isinstance(a.observer, Ends)
    assert a.observer.ends == ["left"]


def test_a_node_that_raises_is_a_finding_and_a_dead_process() -> None:
    _, a, _ = make_world()

    def explode(given: Input) -> tuple[Effect, ...]:
        raise KeyError("oops")

    puppet(a).react = explode
    a.drain(True)
    assert a.node is None
    assert isinstance(a.observer, Ends)
    assert a.observer.ends == ["raised", "KeyError('oops')"]


def test_a_node_without_deadline_is_left_alone() -> None:
    world, a, _ = make_world()
    puppet(a).next_deadline = lambda: math.inf  # type: ignore[method-assign]
    world.clock.run_until(1.6)
    count = len(puppet(a).inputs)
    world.clock.run_until(9.0)
    assert len(puppet(a).inputs) == count
