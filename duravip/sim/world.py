"""The simulated world: hosts on a network, under one virtual clock.

Rules of this file: the cluster's machines run unchanged, and their messages pass through codec and seal. Only the
network, the kernel and the process around them are imitations, and bad ones: they lose, delay, repeat, overtake, fail
and freeze. Everything follows from the seed.
"""

from __future__ import annotations

from duravip.cluster.node import Node
from duravip.cluster.parameters import LONG_BYTES, LONG_VIPS, MANY_VIPS, Parameters
from duravip.model import NodeName, Table
from duravip.sim.clock import Clock
from duravip.sim.host import CLOCK_DRIFT, Host, MakeNode
from duravip.sim.kernel import Temper
from duravip.sim.network import Network, Weather
from duravip.sim.observer import Observer
from duravip.sim.remembering import remembering


def make_node(parameters: Parameters, table: Table, now: float) -> Node:
    """The real machine."""
    return Node(parameters, table, now=now)


class World:
    """`hosts` in the order they were added. Add all before anything happens."""

    def __init__(self, seed: int | str, *, observer: Observer, make_node: MakeNode = make_node) -> None:
        self.clock = Clock(seed)
        self.network = Network(self.clock)
        self.observer = observer
        self.hosts: dict[NodeName, Host] = {}
        self._make_node = make_node
        self._functions = remembering(self.clock.random("answers"))

    def add_host(
        self,
        name: NodeName,
        table: Table,
        *,
        heartbeat_interval_s: float = 1.0,
        failure_timeout_s: float = 3.5,
        weight: float = 1.0,
        on_isolation: str = "hold",
        on_duplicate: str = "defend",
        probe_before_taking: bool = False,
        if_flap_limit: int = 1000,
        many_vips: int = MANY_VIPS,
        long_vips: int = LONG_VIPS,
        long_bytes: int = LONG_BYTES,
        clock_drift: float = CLOCK_DRIFT,
    ) -> Host:
        """A machine whose daemon is not started yet."""
        host = Host(
            name,
            table,
            clock=self.clock,
            network=self.network,
            observer=self.observer,
            make_node=self._make_node,
            functions=self._functions,
            heartbeat_interval_s=heartbeat_interval_s,
            failure_timeout_s=failure_timeout_s,
            weight=weight,
            on_isolation=on_isolation,
            on_duplicate=on_duplicate,
            probe_before_taking=probe_before_taking,
            if_flap_limit=if_flap_limit,
            many_vips=many_vips,
            long_vips=long_vips,
            long_bytes=long_bytes,
            clock_drift=clock_drift,
        )
        self.hosts[name] = host
        return host

    def end(self) -> None:
        """Lets go of its processes and of all that is planned. Hosts, kernels and clock refer to each other: what they
        held would be there until the collector finds it."""
        self.clock.stop()
        for host in self.hosts.values():
            host.process = None

    def set_conditions(self, weather: Weather, temper: Temper) -> None:
        """How bad network and kernels are from now on."""
        self.network.weather = weather
        for host in self.hosts.values():
            host.kernel.temper = temper
