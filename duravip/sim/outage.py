"""How long VIPs were away, and how often they moved.

Rules of this file
- The client stands beside the host that is connected with the most others; ties: the first.
- A VIP is *served* while a host whose daemon runs, whose link is up, and which the client reaches, has it in its
  kernel. It *could be* served while there is such a host that has it in its table and is not drained, and no node calls
  it BROKEN. An outage is the time for which it could be and is not, from when it was held for the first time.
- A move is counted when another host than the last has it.
"""

from __future__ import annotations

from duravip.model import Address, Flag, NodeName
from duravip.sim.host import Host
from duravip.sim.outcome import Outage
from duravip.sim.world import World


class Outages:
    """Tell it what changes; it looks at the hosts."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._last: dict[Address, NodeName] = {}
        self._away_since: dict[Address, float] = {}
        self.ended: list[Outage] = []
        self.moves = 0

    def plumbed(self, host: Host, address: Address, present: bool) -> None:
        if present:
            last = self._last.get(address)
            self.moves += last is not None and last != host.name
            self._last[address] = host.name
        self._look((address,), self._in_sight())

    def changed(self) -> None:
        """A daemon, a machine or a link has changed."""
        self._look(tuple(self._last), self._in_sight())

    def _in_sight(self) -> list[Host]:
        """The hosts that a client reaches and whose daemon runs."""
        world = self._world
        up = [
            host
            for host in world.hosts.values()
            if host.process is not None and not host.process.frozen and host.link_up
        ]
        if world.network.is_whole():
            return up
        names = tuple(world.hosts)
        client = max(names, key=lambda name: sum(self._both_ways(name, other) for other in names))
        return [host for host in up if self._both_ways(client, host.name)]

    def _both_ways(self, one: NodeName, other: NodeName) -> bool:
        connected = self._world.network.connected
        return one == other or (connected(one, other) and connected(other, one))

    def _look(self, addresses: tuple[Address, ...], in_sight: list[Host]) -> None:
        now = self._world.clock.now
        for address in addresses:
            is_away = (
                address in self._last
                and not any(address in host.kernel.present for host in in_sight)
                and any(_could_serve(host, address) for host in in_sight)
                and not any(_is_broken(host, address) for host in in_sight)
            )
            since = self._away_since.get(address)
            if is_away and since is None:
                self._away_since[address] = now
            elif since is not None and not is_away:
                del self._away_since[address]
                self.ended.append((address, now - since))


def _could_serve(host: Host, address: Address) -> bool:
    process = host.process
    return (
        process is not None
        and not host.drained
        and not process.leaving
        and not host.blocked.everything
        and address not in host.blocked.addresses
        and any(vip.address == address for vip in process.table.vips)
    )


def _is_broken(host: Host, address: Address) -> bool:
    node = host.node
    return node is not None and Flag.BROKEN in node.landscape.flags.get(address, ())
