"""A view that this node hears and that will not have it: what its members' tables hold is not this node's to own.

Links need not be transitive, nor work both ways. A node that such a link keeps out of a view would otherwise own, in
a view of its own, what that view owns too. Of two cliques, the later gives way. Of two views that hear each other one
way, the one that hears does, unless the other hears some of its members: then the cliques decide. A view that has not
met this node yet is no shadow: its member must have been heard for SHADOW_TIMEOUTS failure time-outs, long enough for
a link that works both ways to be known as such.
"""

from __future__ import annotations

from duravip.cluster.addresses import AddressSet
from duravip.cluster.detector import Detector, Peer
from duravip.cluster.leadership import Leadership
from duravip.cluster.library import Library
from duravip.model import Address, Member, Table

SHADOW_TIMEOUTS = 2.0


def lists(peer: Peer, member: Member) -> bool:
    """Whether the peer's view, as its last heartbeat tells it, has this very life of the member."""
    entry = peer.listed.get(member.name)
    life = member.incarnation
    return entry is not None and entry.in_view and (entry.counter, entry.nonce) == (life.counter, life.nonce)


def shadowed(
    me: Member,
    own: Table,
    companions: frozenset[Member],
    detector: Detector,
    leadership: Leadership,
    library: Library,
    timeout_s: float,
    now: float,
) -> AddressSet:
    """The addresses of `own` that this node must leave to others. All of them, where a table is not known.
    `companions`: the other members of its view."""
    found: set[Address] = set()
    for peer in detector.peers.values():
        known = not peer.left and now - peer.last_heard <= timeout_s
        known = known and now - peer.heard_since >= SHADOW_TIMEOUTS * timeout_s
        if not known or peer.heartbeat.view is None or lists(peer, me):
            continue
        if peer.alive:
            gives_way = leadership.in_earlier_clique(peer.member)
        else:
            gives_way = companions.isdisjoint(peer.names)
        if gives_way:
            addresses = {vip.address for vip in own.vips}
            table = library.get(peer.heartbeat.table)
            found |= addresses if table is None else {vip.address for vip in table.vips} & addresses
    return AddressSet(found)
