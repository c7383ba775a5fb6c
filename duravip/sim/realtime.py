"""A simulated world at the pace of a real clock: what `duravip demo` shows where it may not touch real interfaces.

The world stays virtual and reproducible; only its pace is real. Nothing here waits but `play`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from duravip.events import Event
from duravip.model import Address, NodeName
from duravip.sim.clock import Clock
from duravip.sim.host import Host
from duravip.sim.observer import Observer
from duravip.sim.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What one node published. `at_s`: the world's seconds since its start."""

    at_s: float
    node: NodeName
    incarnation: str
    view: str
    event: Event


class Recorder(Observer):
    """Keeps what nodes publish until it is fetched. Give it to the world, then `play` both."""

    def __init__(self) -> None:
        self.happenings: deque[Happening] = deque()
        self._clock: Clock | None = None

    def watch(self, clock: Clock) -> None:
        """Call once, before anything happens."""
        self._clock = clock

    def published(self, host: Host, event: Event) -> None:
        process = host.process
        if self._clock is None or process is None:
            return
        view = process.node.view
        self.happenings.append(
            Happening(
                at_s=self._clock.now,
                node=host.name,
                incarnation=str(process.link.me.incarnation),
                view=str(view.id) if view is not None else "",
                event=event,
            )
        )


def play(
    world: World,
    recorder: Recorder,
    *,
    for_s: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Happening]:
    """Runs the world for `for_s` seconds, each as long as one of `monotonic`'s, and gives what is published as it
    happens. A world that cannot keep up is late, and loses nothing."""
    end = world.clock.now + for_s
    behind_s = monotonic() - world.clock.now
    while world.clock.now < end:
        upcoming = world.clock.next_at()
        upto = end if upcoming is None else min(end, upcoming)
        ahead_s = upto + behind_s - monotonic()
        if ahead_s > 0:
            sleep(ahead_s)
        world.clock.run_until(upto)
        while recorder.happenings:
            yield recorder.happenings.popleft()


def reachable_holders(world: World, address: Address, client: NodeName) -> tuple[NodeName, ...]:
    """Whom a client beside the host `client` reaches under `address`: by name, the hosts that have it and are
    connected with that host both ways. More than one: the client's neighbour cache decides."""
    return tuple(
        name
        for name, host in world.hosts.items()
        if address in host.kernel.present
        and (name == client or (world.network.connected(client, name) and world.network.connected(name, client)))
    )
