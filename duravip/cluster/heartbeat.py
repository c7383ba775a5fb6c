"""What a heartbeat says.

Rules of this file: pure. What is news follows from the heartbeat alone, so it may be remembered.
"""

from __future__ import annotations

from duravip.cluster.messages import Heard, Heartbeat
from duravip.model import Incarnation, Member


def heard_member(entry: Heard) -> Member:
    """Whom the entry is about."""
    return Member(entry.name, Incarnation(entry.counter, entry.nonce))


def news_of(sender: Member, heartbeat: Heartbeat) -> object:
    """All that it says but the beats and how far it is in the view's messages; equal when another one says the same.
    The sender is for those that remember what it said."""
    of_peers = [(one.name, one.counter, one.nonce, one.alive, one.in_view) for one in heartbeat.heard]
    return (
        heartbeat.view,
        heartbeat.promised,
        heartbeat.table,
        heartbeat.complete,
        heartbeat.version,
        heartbeat.hardware,
        of_peers,
    )
