"""Who follows whom, to the ends of the chains, and the same the other way round.

Rules of this file: pure; each chain is walked once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from duravip.model import Address

Named = TypeVar("Named", bound=str)


def resolve(direct: Mapping[Address, Address]) -> dict[Address, Address]:
    """Each follower's end of chain. Those on a loop follow nothing, and a chain that leads into a loop ends
    there."""
    ends: dict[Address, Address] = {}
    looping: set[Address] = set()
    for start in direct:
        path: dict[Address, int] = {}  # each with its place
        at = start
        while at in direct and at not in ends and at not in looping and at not in path:
            path[at] = len(path)
            at = direct[at]
        end = ends.get(at, at)
        if at in path:
            looping.update(address for address, place in path.items() if place >= path[at])
        ends.update((address, end) for address in path if address not in looping)
    return {address: ends[address] for address in sorted(ends)}


def reverse(pointing: Mapping[Address, Named]) -> dict[Named, tuple[Address, ...]]:
    found: dict[Named, list[Address]] = {}
    for address in sorted(pointing):
        found.setdefault(pointing[address], []).append(address)
    return {end: tuple(addresses) for end, addresses in sorted(found.items())}
