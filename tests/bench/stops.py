"""How long the machine itself stops what runs on it: a virtual one does, and cannot tell.

Two ways to find out. Processes that only look at the clock miss what they were stopped for: that says how the machine
is, before and after something else is measured. And perf, which has each processor interrupted SAMPLES_PER_S times a
second to note what runs there: one that notes nothing stands still, and what took long meanwhile is not to blame for
it. (Both together: of four stops of 1.3 to 1.9 ms that such a process saw, each was missing in the samples as well.)
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOOKING_S = 5.0
LONG_MS = 2
SAMPLES_PER_S = 4000
LEAST_STOP_S = 1.5 / SAMPLES_PER_S  # samples come 0.25 ms apart, one in a thousand later than 0.45


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


class Samples:
    """`rows`: of each sample the processor, when it was taken (`time.monotonic`), and the thread that ran."""

    def __init__(self, rows: Iterable[tuple[str, float, int]]) -> None:
        self._taken: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        for processor, at_s, thread in rows:
            self._taken[processor].append((at_s, thread))

    def stopped_ms(self, thread: int, began_s: float, ended_s: float) -> float:
        """For how long, between the two, a processor stood still that had the thread."""
        stops_s = (
            min(after_s, ended_s) - max(before_s, began_s) - 1 / SAMPLES_PER_S
            for taken in self._taken.values()
            for (before_s, before), (after_s, after) in itertools.pairwise(taken)
            if after_s - before_s >= LEAST_STOP_S and thread in (before, after)
        )
        return round(1000 * sum(stop_s for stop_s in stops_s if stop_s > 0), 2)


class Sampler:
    """A context manager: in it samples are taken, but for a moment after each `taken`."""

    def __init__(self, file: Path) -> None:
        if shutil.which("perf") is None:
            sys.exit("what the machine stops is found out by perf, which is not installed")
        self._file = file

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def taken(self) -> Samples:
        """Since it was asked last."""
        self._stop()
        written = subprocess.run(
            ["perf", "script", "-i", self._file, "-F", "tid,cpu,time"], check=True, capture_output=True, text=True
        ).stdout
        rows = (line.split() for line in written.splitlines())
        samples = Samples((processor, float(at.rstrip(":")), int(thread)) for thread, processor, at in rows)
        self._start()
        return samples

    def _start(self) -> None:
        what = ("-q", "-a", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S), "-k", "CLOCK_MONOTONIC")
        self._process = subprocess.Popen(["perf", "record", *what, "-o", self._file])

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
