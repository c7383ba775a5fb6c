"""What a cluster's size costs: bytes and processor time of a node in a second, a boot, the loss of members; simulated.

    python -m tests.bench.cluster_size [--nodes 3,8,32,128] [--seconds 2] [--interval 0.1] [--format text|json]

The real machines, codec and seal under a virtual clock, with the simulator's network in fair weather and as many VIPs
as nodes. Bytes are those of UDP payloads, over one transport. Processor time is this process's, divided by the nodes:
the simulator's own part is in it, kernel and sockets are not.

    boot    virtual seconds from the start of all until every node has the view of all
    lost    ten nodes die (one of three, two of eight): virtual seconds until every other has the view without them
    views   how many each survivor has installed for that: 1 is the target

Exit status 1 when a boot or a loss made more views than one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from duravip.events import Event, ViewInstalled
from duravip.model import NodeName, Settings, canonical_address, make_table
from duravip.sim.host import Host
from duravip.sim.observer import Observer
from duravip.sim.world import World
from duravip.testing.situation import entry

LOST = 10
LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Rates are for one node and second of virtual time at rest."""

    nodes: int
    heartbeat_bytes: float
    sent_bytes: float
    received_bytes: float
    datagrams: float
    cpu_ms: float
    boot_s: float
    boot_views: int
    lost: int
    lost_s: float
    lost_views: int


class Counting(Observer):
    """How many views each node has installed since the last look."""

    def __init__(self) -> None:
        self.views: Counter[NodeName] = Counter()

    def published(self, host: Host, event: Event) -> None:
        if isinstance(event, ViewInstalled):
            self.views[host.name] += 1


class Crowd:
    """`count` nodes with one table."""

    def __init__(self, count: int, *, interval_s: float, seed: int = 1) -> None:
        self.seen = Counting()
        self.world = World(seed, observer=self.seen)
        addresses = [canonical_address(f"10.9.{number // 250}.{number % 250 + 1}") for number in range(count)]
        table = make_table([entry(address) for address in addresses], Settings(view_mature_time=2.0))
        for number in range(count):
            name = NodeName(f"n{number + 1:03}")
            self.world.add_host(name, table, heartbeat_interval_s=interval_s, failure_timeout_s=3.5 * interval_s)

    def boot(self) -> float:
        """Starts all; how long until they are one view."""
        for host in self.world.hosts.values():
            host.start()
        return self.until_one_view(tuple(self.world.hosts))

    def lose(self, count: int) -> float:
        """Kills so many, the coordinator among them; how long until the others are one view."""
        names = tuple(self.world.hosts)
        dead = names[:: max(1, len(names) // count)][:count]
        self.seen.views.clear()
        for name in dead:
            self.world.hosts[name].crash()
        return self.until_one_view(tuple(name for name in names if name not in dead))

    def until_one_view(self, names: Sequence[NodeName]) -> float:
        began = self.world.clock.now
        while not self._is_one_view(names):
            if self.world.clock.now - began > LIMIT_S:
                raise RuntimeError(f"no view of {len(names)} nodes after {LIMIT_S:g} s")
            self.run(0.01)
        return self.world.clock.now - began

    def run(self, seconds: float) -> None:
        self.world.clock.run_until(self.world.clock.now + seconds)

    def _is_one_view(self, names: Sequence[NodeName]) -> bool:
        views = set()
        for name in names:
            node = self.world.hosts[name].node
            if node is None or node.view is None or node.view.names() != tuple(sorted(names)):
                return False
            views.add(node.view.id)
        return len(views) == 1


def measure(count: int, *, interval_s: float, seconds: float) -> Size:
    crowd = Crowd(count, interval_s=interval_s)
    sent: Counter[str] = Counter()
    network = crowd.world.network
    send = network.send

    def counted(source: NodeName, datagram: bytes) -> None:
        sent["datagrams"] += 1
        sent["bytes"] += len(datagram)
        send(source, datagram)

    network.send = counted  # type: ignore[method-assign]
    boot_s = crowd.boot()
    boot_views = max(crowd.seen.views.values())
    crowd.run(4.0)  # mature, everything held
    sent.clear()
    began = time.process_time()
    crowd.run(seconds)
    cpu_s = time.process_time() - began
    each = count * seconds
    rest_bytes, datagrams = sent["bytes"], sent["datagrams"]
    lost = max(1, min(LOST, count // 3))
    lost_s = crowd.lose(lost)
    crowd.run(2.0)
    return Size(
        nodes=count,
        heartbeat_bytes=round(rest_bytes * interval_s / each),
        sent_bytes=round(rest_bytes / each),
        received_bytes=round(rest_bytes / each * (count - 1)),
        datagrams=round(datagrams / each, 1),
        cpu_ms=round(1000 * cpu_s / each, 2),
        boot_s=round(boot_s, 2),
        boot_views=boot_views,
        lost=lost,
        lost_s=round(lost_s, 3),
        lost_views=max(crowd.seen.views.values()),
    )


def main() -> None:
    options = argparse.ArgumentParser(description="What a cluster's size costs.", prog="tests.bench.cluster_size")
    options.add_argument("--nodes", default="3,8,32,128", help="sizes (3,8,32,128)")
    options.add_argument("--seconds", type=float, default=2.0, help="of virtual time at rest that are measured (2)")
    options.add_argument("--interval", type=float, default=0.1, help="heartbeat_interval (0.1)")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    sizes = []
    for count in map(int, given.nodes.split(",")):
        size = measure(count, interval_s=given.interval, seconds=given.seconds)
        sizes.append(size)
        if given.format == "text":
            print(
                f"{size.nodes:4} nodes: {size.sent_bytes:7} B/s sent, {size.received_bytes:8} B/s received, "
                f"{size.datagrams:5} datagrams/s, {size.cpu_ms:7.2f} ms/s of a core; boot {size.boot_s:.2f} s, "
                f"{size.boot_views} views; {size.lost} lost: {1000 * size.lost_s:.0f} ms, {size.lost_views} views",
                flush=True,
            )
    if given.format == "json":
        print(json.dumps([asdict(size) for size in sizes]))
    sys.exit(any(size.lost_views > 1 or size.boot_views > 1 for size in sizes))


if __name__ == "__main__":
    main()
