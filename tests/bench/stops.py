"""How long the machine itself stops what runs on it: a virtual one does, and cannot tell."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass

LOOKING_S = 5.0
LONG_MS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """What processes missed that only looked at the clock, for `looked_s` in all: `long` times LONG_MS or more,
    `longest_ms` at most."""

    looked_s: float
    long: int
    longest_ms: float

    def __add__(self, other: Stops) -> Stops:
        return Stops(
            looked_s=self.looked_s + other.looked_s,
            long=self.long + other.long,
            longest_ms=max(self.longest_ms, other.longest_ms),
        )

    def __str__(self) -> str:
        return (
            f"the machine stops a process that does nothing for up to {self.longest_ms:.1f} ms: {self.long} times in "
            f"{self.looked_s:.0f} s for {LONG_MS} ms or longer"
        )


def watched_stops() -> Stops:
    """With a process on each core, for LOOKING_S; nothing else should want the cores meanwhile."""
    cores = sorted(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(len(cores)) as pool:
        stops_ms = [stop for stops in pool.map(_stops_on, cores, chunksize=1) for stop in stops]
    return Stops(
        looked_s=LOOKING_S * len(cores),
        long=sum(stop >= LONG_MS for stop in stops_ms),
        longest_ms=round(max(stops_ms), 1),
    )


def _stops_on(core: int) -> list[float]:
    """The longest times, in ms, between two looks at the clock."""
    os.sched_setaffinity(0, {core})
    os.nice(-20)
    stops_ms = [0.0]
    last = time.perf_counter()
    end = last + LOOKING_S
    while last < end:
        now = time.perf_counter()
        if now - last > LONG_MS / 2000:
            stops_ms.append((now - last) * 1000)
        last = now
    return stops_ms
