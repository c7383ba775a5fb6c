"""Who can form a view together: cliques of nodes that all hear each other, found greedily by name.

Protocol messages travel over the same links as heartbeats, so a view may only hold nodes that hear each other both
ways. Every node computes the same partition from the same links; while the links that they know of differ for a
moment, so may their answers, and the view agreement refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from duravip.model import Member


def partition(members: Iterable[Member], apart: Mapping[Member, Set[Member]]) -> tuple[tuple[Member, ...], ...]:
    """Cliques in order of their smallest member; each sorted. The smallest member left opens a clique, then every
    other, in order, enters it unless it is `apart` from one that is in it. `apart` must be symmetric; who is apart
    from nobody may be missing there."""
    left = sorted(set(members))
    cliques = []
    while left:
        clique: list[Member] = []
        passed_over: list[Member] = []
        barred: set[Member] = set()
        for member in left:
            if member in barred:
                passed_over.append(member)
            else:
                clique.append(member)
                barred |= apart.get(member, frozenset())
        cliques.append(tuple(clique))
        left = passed_over
    return tuple(cliques)
