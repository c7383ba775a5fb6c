"""The sealed link of every simulated host, which all have the same key.

Rules of this file: the same bytes come to several hosts, and are opened and decoded once for all of them. What comes
out does not change; whether it is new to a host is for its own link to say.
"""

from __future__ import annotations

from typing import Final

from duravip.cluster.messages import AnyMessage
from duravip.model import Member
from duravip.wire.dropped import Dropped
from duravip.wire.link import Link, Piece, read_frame
from duravip.wire.seal import Opened, Unsealer

CLUSTER_GROUP: Final = "simulated"
KEY = bytes(range(32))
MTU_BYTES: Final = 1400
REMEMBERED_DATAGRAMS: Final = 256  # more than are under way at a time


class _Openings:
    def __init__(self) -> None:
        self._unsealer = Unsealer(cluster_group=CLUSTER_GROUP, keys=(KEY,))
        self._opened: dict[bytes, Opened | Dropped] = {}
        self._read: dict[bytes, tuple[AnyMessage, ...] | Piece | Dropped] = {}

    def unseal(self, datagram: bytes) -> Opened | Dropped:
        found = self._opened.get(datagram)
        if found is None:
            found = self._opened[datagram] = self._unsealer.unseal(datagram)
            if len(self._opened) > REMEMBERED_DATAGRAMS:
                del self._opened[next(iter(self._opened))]
        return found

    def read_frame(self, frame: bytes) -> tuple[AnyMessage, ...] | Piece | Dropped:
        found = self._read.get(frame)
        if found is None:
            found = self._read[frame] = read_frame(frame)
            if len(self._read) > REMEMBERED_DATAGRAMS:
                del self._read[next(iter(self._read))]
        return found


_openings = _Openings()


def open_link(me: Member) -> Link:
    """The link of one life of a host."""
    return Link(
        me=me,
        cluster_group=CLUSTER_GROUP,
        keys=(KEY,),
        mtu_bytes=MTU_BYTES,
        unseal=_openings.unseal,
        read_frame=_openings.read_frame,
    )
