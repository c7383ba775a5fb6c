"""What a view that is heard, and will not have this node, leaves to it."""

from __future__ import annotations

import math
from typing import Any, cast

from duravip.cluster.detector import Peer
from duravip.cluster.library import Library
from duravip.cluster.messages import Heartbeat
from duravip.cluster.shadow import NOTHING_CAST, Cast
from duravip.cluster.shadow import cast as cast_shadow
from duravip.model import Incarnation, Member, NodeName, Table, Use, VipEntry, canonical_address, make_table

ME, OTHER = (Member(NodeName(name), Incarnation(1, 7)) for name in "ab")
X, Y, Z = (canonical_address(f"192.0.2.{number}") for number in (1, 2, 3))
NOW, TIMEOUT_S = 100.0, 3.5


def table(*addresses: str) -> Table:
    return make_table(VipEntry(address=canonical_address(one), services=(Use("multivip"),)) for one in addresses)


class One:
    """A detector that hears one way a view of somebody else, which has this table."""

    def __init__(self, theirs: Table) -> None:
        heartbeat = Heartbeat(
            beat=1,
            view=None,
            promised=0,
            number=0,
            state=b"",
            table=theirs.digest(),
            complete=True,
            version="",
            heard=(),
        )
        self.peer = Peer(member=OTHER, heartbeat=heartbeat, last_heard=NOW, mean_s=1.0, deviation_s=0.1)
        self.peer.heard_since = -math.inf

    def foreign(self) -> tuple[Peer, ...]:
        return (self.peer,)


def shadow(own: Table, theirs: Table, library: Library, before: Cast) -> Cast:
    detector, nobody = cast(Any, One(theirs)), cast(Any, None)
    return cast_shadow(ME, own.digest(), frozenset(), detector, nobody, library, TIMEOUT_S, NOW, before)


def test_of_a_table_that_is_not_here_everything_is_theirs_and_once_it_has_come_what_both_have() -> None:
    own, theirs = table(X, Y), table(Y, Z)
    library = Library(own, retry_s=1.0)
    unknown = shadow(own, theirs, library, NOTHING_CAST)
    assert list(unknown[1].given_up) == [X, Y]
    assert shadow(own, theirs, library, unknown)[1] is unknown[1]
    library.add(theirs)
    known = shadow(own, theirs, library, unknown)
    assert list(known[1].given_up) == [Y]
    assert shadow(own, theirs, library, known)[1] is known[1]


def test_another_table_of_ones_own_has_another_shadow() -> None:
    own, later, theirs = table(X, Y), table(Z), table(Y, Z)
    library = Library(own, retry_s=1.0)
    library.add(theirs)
    library.add(later)
    before = shadow(own, theirs, library, NOTHING_CAST)
    assert list(before[1].given_up) == [Y]
    assert list(shadow(later, theirs, library, before)[1].given_up) == [Z]
