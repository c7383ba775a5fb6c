"""A view that this node hears and that will not have it: what its members' tables hold is not this node's to own.

Links need not be transitive, nor work both ways, and a view takes a moment to grow. A node that is kept out of a view
would otherwise own, in a view of its own, what that view owns too. Who gives way:

- of two cliques, the later;
- of two views that hear each other one way, the one that hears, unless the other hears some of its members: then the
  cliques decide;
- of two views in one clique, the one without the clique's leader. They are about to become one, so this node only takes
  nothing new; if that lasts for SHADOW_TIMEOUTS failure time-outs, it lets go too.

A view that has not met this node yet is no shadow: its member must have been heard for SHADOW_TIMEOUTS failure
time-outs, long enough for a link that works both ways to be known as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from duravip.cluster.addresses import AddressSet
from duravip.cluster.detector import Detector, Peer
from duravip.cluster.leadership import Leadership
from duravip.cluster.library import Library
from duravip.model import Address, Member, NodeName, TableDigest

SHADOW_TIMEOUTS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Addresses of this node's own table: `given_up` it must leave to others, `avoided` it must not take."""

    given_up: AddressSet
    avoided: AddressSet


NO_SHADOW: Final = Shadow(given_up=AddressSet(), avoided=AddressSet())
NOTHING_CAST: Final = (None, NO_SHADOW)
Cast = tuple[object, Shadow]
"""What a shadow follows from, and the shadow."""


def cast(
    me: Member,
    own: TableDigest,
    companions: frozenset[Member],
    detector: Detector,
    leadership: Leadership,
    library: Library,
    timeout_s: float,
    now: float,
    before: Cast,
) -> Cast:
    """What the views that are heard leave to this node. `own`: its table. `companions`: the other members of its own
    view. Of a view with an unknown table, everything. With what it follows from; as `before` while that is the same."""
    foreign = detector.foreign()
    if not foreign:
        return NOTHING_CAST
    given_up: set[TableDigest] = set()
    avoided: set[TableDigest] = set()
    for peer in foreign:
        if now - peer.last_heard > timeout_s:
            peer.foreign_since = None
            continue
        if peer.foreign_since is None:
            peer.foreign_since = now
        lasting = SHADOW_TIMEOUTS * timeout_s
        if not peer.alive:
            gives_way = companions.isdisjoint(peer.names) and now - peer.heard_since >= lasting
        elif leadership.in_earlier_clique(peer.member):
            gives_way = now - peer.heard_since >= lasting
        elif _leads(peer, leadership.leader) and leadership.leader not in {me.name, *(m.name for m in companions)}:
            gives_way = now - peer.foreign_since >= lasting
            avoided.add(peer.heartbeat.table)
        else:
            continue
        if gives_way:
            given_up.add(peer.heartbeat.table)
    if not given_up and not avoided:
        return NOTHING_CAST
    basis = (own, given_up, avoided, library.revision)
    if basis == before[0]:
        return before
    return basis, Shadow(given_up=_shared(own, given_up, library), avoided=_shared(own, avoided, library))


def _leads(peer: Peer, leader: NodeName) -> bool:
    """Whether the peer's view has the leader of this node's clique."""
    return peer.member.name == leader or any(entry.name == leader and entry.in_view for entry in peer.heartbeat.heard)


def _shared(own: TableDigest, others: Iterable[TableDigest], library: Library) -> AddressSet:
    """What is in this node's own table and in one of the others."""
    mine = library.addresses(own)
    assert mine is not None, "a node's own table is never forgotten"
    found: set[Address] = set()
    for other in others:
        theirs = library.addresses(other)
        found |= mine if theirs is None else mine & theirs
    return AddressSet(found)
