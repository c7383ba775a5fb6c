"""Who can form a view together: cliques of nodes that all hear each other, found greedily by name.

Protocol messages travel over the same links as heartbeats, so a view may only hold nodes that hear each other both
ways. Every node computes the same partition from the same links; while the links that they know of differ for a
moment, so may their answers, and the view agreement refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from duravip.model import Member


def partition(members: Iterable[Member], linked: Callable[[Member, Member], bool]) -> tuple[tuple[Member, ...], ...]:
    """Cliques in order of their smallest member; each sorted. The smallest member left opens a clique, then every
    other, in order, enters it if it is linked with all that are in it. `linked` must be symmetric."""
    left = sorted(set(members))
    cliques = []
    while left:
        clique: list[Member] = []
        for member in left:
            if all(linked(member, other) for other in clique):
                clique.append(member)
        cliques.append(tuple(clique))
        left = [member for member in left if member not in clique]
    return tuple(cliques)
