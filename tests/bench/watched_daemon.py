"""`duravip`, with every step of its event loop timed; what takes long goes into a file, a line of JSON each.

    python -P watched_daemon.py FILE run -c CONFIGURATION

A step is what the loop does without looking up: a task until it waits, a datagram or a deadline that is dealt with
while trio waits (`duravip.runtime.interlude`), or trio's own work between two of them, where the loop may have to wait
for the interpreter as well.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial

import trio

from duravip.cli.main import main
from duravip.runtime.interlude import Interlude

LEAST_MS = 2.0


class Steps(trio.abc.Instrument):
    """Writes down each step that takes LEAST_MS or longer: `ended_s` as `time.monotonic` has it, how long it took, how
    much of the processor's time that was, how often it waited (for a lock, the kernel's or the interpreter's), and how
    often another process was let in."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self._usage = resource.getrusage(resource.RUSAGE_THREAD)
        self._cpu_s = time.thread_time()
        self._began_s = time.monotonic()

    def end(self, name: str) -> None:
        ended_s = time.monotonic()
        took_ms = (ended_s - self._began_s) * 1000
        if took_ms >= LEAST_MS:
            usage = resource.getrusage(resource.RUSAGE_THREAD)
            line = {
                "ended_s": round(ended_s, 6),
                "name": name,
                "took_ms": round(took_ms, 2),
                "cpu_ms": round((time.thread_time() - self._cpu_s) * 1000, 2),
                "waits": usage.ru_nvcsw - self._usage.ru_nvcsw,
                "interruptions": usage.ru_nivcsw - self._usage.ru_nivcsw,
            }
            os.write(self._file, json.dumps(line).encode() + b"\n")
        self._begin()

    def timed(self, name: str, call: Callable[[], None]) -> Callable[[], None]:
        def step() -> None:
            self._begin()
            call()
            self.end(name)

        return step

    def before_run(self) -> None:
        self._begin()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.end("trio")

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.end(task.name.removeprefix("<bound method ").partition(" of <")[0])

    def before_io_wait(self, timeout: float) -> None:
        self.end("trio")

    def after_io_wait(self, timeout: float) -> None:
        self._begin()


def watch(steps: Steps) -> None:
    """From now on, of every event loop of this process."""
    begin = Interlude.__init__

    def timed(interlude: Interlude, readers: dict[int, Callable[[], None]], **rest: Callable[[], None]) -> None:
        named = {descriptor: steps.timed("datagrams", read) for descriptor, read in readers.items()}
        begin(interlude, named, **{**rest, "tick": steps.timed("deadline", rest["tick"])})  # type: ignore[arg-type]

    Interlude.__init__ = timed  # type: ignore[method-assign, assignment]
    trio.run = partial(trio.run, instruments=[steps])


if __name__ == "__main__":
    watch(Steps(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)))
    main()
