"""A network that loses, delays, repeats, overtakes and cuts.

Datagrams are bytes and go to every other host. Cuts are one-way: a link that works both ways is two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from duravip.model import NodeName
from duravip.sim.clock import Clock

Receive = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Chances are per datagram and receiver, 0 to 1; delays are seconds. Every datagram takes `delay_s` and an
    exponential addition of that mean; a `straggle` chance adds up to `straggle_s`; a `ghost` is a second copy that
    comes up to `ghost_s` later, as from a recorder."""

    loss: float = 0.0
    delay_s: float = 0.000_2
    duplicate: float = 0.0
    straggle: float = 0.0
    straggle_s: float = 0.3
    ghost: float = 0.0
    ghost_s: float = 20.0


TOLERABLE_STRAGGLE: Final = 0.02
TOLERABLE_LOSS: Final = 0.01  # "under 1 % loss the `lan` profile makes no false view"

FAIR = Weather()
ROUGH = Weather(loss=0.01, duplicate=0.01, straggle=0.02, ghost=0.002)


class Network:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._random = clock.random("network")
        self._receivers: dict[NodeName, Receive] = {}
        self._cut: set[tuple[NodeName, NodeName]] = set()
        self._weather = FAIR
        self._fair_since: float | None = 0.0
        self.tolerable_delay_s = 0.02  # a fiftieth of the heartbeat interval: what no detector should mind
        self.datagrams = 0
        self.lost = 0

    def attach(self, name: NodeName, receive: Receive) -> None:
        self._receivers[name] = receive

    def names(self) -> tuple[NodeName, ...]:
        return tuple(self._receivers)

    # --- conditions -----------------------------------------------------------------------------------------

    @property
    def weather(self) -> Weather:
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        self._judge()

    def fair_for_s(self) -> float:
        """For how long every link has been whole and the weather such that no healthy node need be suspected."""
        return self._clock.now - self._fair_since if self._fair_since is not None else 0.0

    def _judge(self) -> None:
        weather = self._weather
        fair = (
            not self._cut
            and weather.loss <= TOLERABLE_LOSS
            and weather.delay_s <= self.tolerable_delay_s
            and (weather.straggle <= TOLERABLE_STRAGGLE or weather.straggle_s <= self.tolerable_delay_s)
        )
        if not fair:
            self._fair_since = None
        elif self._fair_since is None:
            self._fair_since = self._clock.now

    # --- cuts -----------------------------------------------------------------------------------------------

    def cut(self, source: NodeName, target: NodeName) -> None:
        """From now on nothing of `source` reaches `target`; what is under way still does."""
        self._cut.add((source, target))
        self._judge()

    def cut_all(self, links: Iterable[tuple[NodeName, NodeName]]) -> None:
        """As `cut`, for pairs of source and target."""
        for source, target in links:
            self.cut(source, target)

    def split(self, parts: Iterable[Collection[NodeName]]) -> None:
        """Cuts every link between two parts; links within one part are not touched."""
        groups = [frozenset(part) for part in parts]
        for group in groups:
            for source in sorted(group):
                for target in self._receivers:
                    if target not in group:
                        self.cut(source, target)
                        self.cut(target, source)

    def heal(self) -> None:
        self._cut.clear()
        self._judge()

    def is_whole(self) -> bool:
        """Whether no link is cut."""
        return not self._cut

    def connected(self, source: NodeName, target: NodeName) -> bool:
        return (source, target) not in self._cut

    # --- datagrams ------------------------------------------------------------------------------------------

    def send(self, source: NodeName, datagram: bytes) -> None:
        """To all other hosts, each for itself lucky or not."""
        weather, chance, clock = self._weather, self._random.random, self._clock
        for target, receive in self._receivers.items():
            if target == source or (self._cut and (source, target) in self._cut):
                continue
            self.datagrams += 1
            if weather.loss and chance() < weather.loss:
                self.lost += 1
                continue
            action = partial(receive, datagram)
            delay_s = weather.delay_s * (1 - math.log(1 - chance()))  # as `expovariate`, without a call of Python
            if weather.straggle and chance() < weather.straggle:
                delay_s += weather.straggle_s * chance()
            clock.after(delay_s, action)
            if weather.duplicate and chance() < weather.duplicate:
                clock.after(delay_s * 3 * chance(), action)
            if weather.ghost and chance() < weather.ghost:
                clock.after(weather.ghost_s * chance(), action)
