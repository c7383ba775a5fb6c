"""Which of this node's paths (transports) lead to a peer, judged by what arrives on each.

Pure: it has no clock of its own and no timer, it is told of every arrival. A path is lost when a peer has been heard
on other paths for a whole `timeout_s` and never on this one; so a peer that has fallen silent altogether loses no
path: membership tells of that. Silence is added up between arrivals, and one pause counts for at most half the
timeout, so that neither this node's own stall nor the peer's counts as the loss of a path. A lost path is restored
when the peer has been heard on it for a timeout without a pause as long, so that a bad one does not flap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duravip.events import Event, PathLost, PathRestored
from duravip.model import NodeName


@dataclass(slots=True)
class _Heard:
    """`at`: when last, None if never. `silent_s`: how long others were heard since. `steady_s`: for how long a lost
    path has been heard again."""

    at: float | None = None
    silent_s: float = 0.0
    steady_s: float = 0.0
    lost: bool = False


class Paths:
    """`names`: the transports that are open. Times are seconds of one clock."""

    def __init__(self, names: Sequence[str], *, timeout_s: float) -> None:
        self.names = tuple(sorted(names))
        self._timeout_s = timeout_s
        self._peers: dict[NodeName, dict[str, _Heard]] = {}
        self._last: dict[NodeName, float] = {}

    def arrived(self, peer: NodeName, path: str, *, now: float) -> tuple[Event, ...]:
        """A datagram of the peer, authentic, perhaps heard on another path already. What that changes."""
        heard = self._peers.setdefault(peer, {name: _Heard() for name in self.names})
        pause_s = min(now - self._last.get(peer, now), self._timeout_s / 2)
        self._last[peer] = now
        events: list[Event] = []
        for name in self.names:
            one = heard[name]
            if name != path and not one.lost:
                one.silent_s += pause_s
                if one.silent_s >= self._timeout_s:
                    one.lost, one.steady_s = True, 0.0
                    events.append(PathLost(name=peer, path=name))
        this = heard[path]
        if this.lost:
            since_s = self._timeout_s if this.at is None else now - this.at
            this.steady_s = this.steady_s + since_s if since_s < self._timeout_s else 0.0
            if this.steady_s >= self._timeout_s:
                this.lost = False
                events.append(PathRestored(name=peer, path=path))
        this.at, this.silent_s = now, 0.0
        return tuple(events)

    def heard(self, peer: NodeName, *, within_s: float, now: float) -> tuple[str, ...]:
        """The paths on which the peer was heard in the last `within_s` seconds, sorted."""
        found = self._peers.get(peer, {})
        return tuple(name for name, one in found.items() if one.at is not None and one.at >= now - within_s)
