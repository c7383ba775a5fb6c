"""Who on a segment should be told who has an address, when not everybody is (`arp_all_hosts = false`).

Rules of this file: pure; `now` is monotonic seconds and comes from the caller. What others say is advice: it is
bounded, it grows old, and the worst that it can do is a frame to a host that does not want it.

Theory of operation. This host's kernel knows the neighbours that it talks to, and its gateways. The other members
know theirs and tell them now and then: a client that only ever spoke to the present owner of an address is unknown
to the next one otherwise. A neighbour that another member told of is on the segment of that interface whose connected
network has its address. As long as nobody is known on a segment, everybody there is told.

Source: the shared ARP cache of Wackamole.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from duravip.model import Address, NodeName

MAX_OWN = 512  # neighbours; the gateways first, then those confirmed last
MAX_TOLD = 1024  # neighbours, of all members together; the oldest give way
TOLD_AGE_S = 120.0  # what was not told again for so long is forgotten

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, order=True)
class Neighbour:
    """`hardware_address` is six bytes."""

    address: Address
    hardware_address: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The kernel's tables at one moment. `neighbours`: (interface, neighbour), the gateways first, then those confirmed
    last. `networks`: (interface, what is connected to it)."""

    neighbours: tuple[tuple[str, Neighbour], ...] = ()
    networks: tuple[tuple[str, Network], ...] = ()


def usable(neighbour: Neighbour) -> bool:
    """Whether it can be one host's: an IP address, and a hardware address that is neither a group's nor nobody's."""
    try:
        ip = ipaddress.ip_address(neighbour.address)
    except ValueError:
        return False
    hardware = neighbour.hardware_address
    fits = len(hardware) == 6 and not hardware[0] & 1 and any(hardware)
    return fits and not (ip.is_multicast or ip.is_unspecified or ip.is_loopback)


class Neighbourhood:
    def __init__(self) -> None:
        self._seen = Seen()
        self._told: dict[tuple[NodeName, Neighbour], float] = {}  # the oldest first
        self._audiences: dict[tuple[str, int], tuple[bytes, ...]] = {}

    def __repr__(self) -> str:
        return f"<Neighbourhood own={len(self._seen.neighbours)} told={len(self._told)}>"

    def saw(self, seen: Seen) -> bool:
        """What the kernel's tables say now. True: neighbours are known that were not before."""
        before = {neighbour for _, neighbour in self._seen.neighbours}
        own = tuple(row for row in seen.neighbours if usable(row[1]))[:MAX_OWN]
        self._seen = Seen(neighbours=own, networks=seen.networks)
        self._audiences.clear()
        return any(neighbour not in before for _, neighbour in own)

    def heard(self, member: NodeName, neighbours: Iterable[Neighbour], *, now: float) -> None:
        """What another member knows."""
        for neighbour in neighbours:
            if usable(neighbour):
                self._told.pop((member, neighbour), None)
                self._told[member, neighbour] = now
        while len(self._told) > MAX_TOLD:
            del self._told[next(iter(self._told))]
        self._audiences.clear()

    def forget_old(self, *, now: float) -> None:
        old = [key for key, at in self._told.items() if now - at > TOLD_AGE_S]
        for key in old:
            del self._told[key]
        if old:
            self._audiences.clear()

    def own(self) -> tuple[Neighbour, ...]:
        """What this host knows by itself: all that it may tell others. Each once, in order."""
        return tuple(sorted({neighbour for _, neighbour in self._seen.neighbours}))

    def told(self) -> tuple[Neighbour, ...]:
        """What others have told, each once, in order."""
        return tuple(sorted({neighbour for _, neighbour in self._told}))

    def audience(self, address: Address, interface: str) -> Sequence[bytes] | None:
        """The hardware addresses, each once, of those who should hear who has `address` on `interface`; None:
        everybody."""
        version = 6 if ":" in address else 4
        found = self._audiences.get((interface, version))
        if found is None:
            found = self._audiences[interface, version] = self._find(interface, version)
        return found or None

    def _find(self, interface: str, version: int) -> tuple[bytes, ...]:
        networks = [network for where, network in self._seen.networks if where == interface]
        own = [neighbour for where, neighbour in self._seen.neighbours if where == interface]
        told = [
            neighbour
            for _, neighbour in self._told
            if any(ipaddress.ip_address(neighbour.address) in network for network in networks)
        ]
        both = (one for one in (*own, *told) if (":" in one.address) == (version == 6))
        return tuple(dict.fromkeys(one.hardware_address for one in both))
