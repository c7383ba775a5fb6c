"""For how long a daemon's event loop does one thing and looks up for nothing else.

    python -m tests.bench.gaps [--vips 200,1000] [--runs 3] [--only crowd|virtual|locked] [--stops]
                               [--format text|json]

Two real daemons on hosts of their own, started by way of `watched_daemon`, which times each step of their loops: by
the clock, so that what waits for a lock in the kernel counts. All VIPs are the first node's. `turns` counts what
follows from one input; here is all the rest of the loop as well: kernel orders, announcing, commands, the log.

    crowd    with so many VIPs: `boot`, `takeover` (the first is cut off), `rejoin` (it gets its VIPs back), `reload`,
             `stop` (of the first)
    virtual  20 VIPs with `mac = virtual`: `boot`, and `moves` to the second and back
    locked   the same, of real and virtual ones, while on both hosts others make interfaces and delete them, for which
             the kernel's lock is held for milliseconds each time

For each step of LIMIT_MS or more: where it was, how much of it the processor worked for it, and what else happened to
it: it `waited` for a lock (or the interpreter), it was `interrupted` by another process, or neither. Of the last kind
are what took long by itself, and what a virtual machine stopped, which cannot tell: with --stops it says for how long
it did (`tests/bench/stops.py`), and all is done several times anyway (`tests/bench/repeated.py`).

Steps of the start, before the first datagram, and of the end, after the last, are told but no misses: nobody waits for
a node that is no member.

Exit status 1 when any other step took LIMIT_MS or longer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan
from tests.bench.repeated import LIMIT_MS, Situation, run_repeatedly
from tests.bench.stops import Sampler
from tests.bench.turns import AFTERWARDS_S, FIRST, FIRST_VIP, NODES, SECOND, Crowd

WATCHED = Path(__file__).with_name("watched_daemon.py")
START_AND_END = ("<init>", "duravip.runtime.daemon.Daemon.run")  # of trio, and of the daemon
FEW = 20
ROUNDS = 3  # of moves to and fro
SOMEBODYS_LINKS = "\n".join(
    (
        "link add somebody0 type veth peer name somebody1",
        "link set somebody0 up",
        "link set somebody1 up",
        "link add link somebody0 name somebody2 type macvlan",
        "link set somebody2 up",
        "link set somebody2 down",
        "link del somebody2",
        "link del somebody0",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """See `watched_daemon.Steps`. One of START_AND_END is of a node that is no member yet, or no more. `stopped_ms`:
    for how long the machine stood still meanwhile, which is in `cpu_ms` too; 0 if nobody looked."""

    ended_s: float
    name: str
    took_ms: float
    cpu_ms: float
    waits: int
    interruptions: int
    stopped_ms: float = 0.0

    def __str__(self) -> str:
        happened = [f"{self.cpu_ms:.1f} of work"]
        if self.stopped_ms:
            happened.append(f"{self.stopped_ms:.1f} of which the machine stood still")
        happened += [word for word, count in (("waited", self.waits), ("interrupted", self.interruptions)) if count]
        return f"{self.took_ms:.1f} ms ({', '.join(happened)}) {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped(Situation):
    """`slow`: of each node, the steps of LIMIT_MS or more. `longest_ms`: of all, 0 for less than 2."""

    slow: dict[str, list[Step]]
    longest_ms: float

    def lines(self) -> list[str]:
        steps = (f"    {node}: {step}" for node, found in self.slow.items() for step in found)
        return [f"{self.run} {self.name:<24} longest {self.longest_ms:4.1f} ms", *steps]


def main() -> None:
    options = argparse.ArgumentParser(description="How long steps of an event loop are.", prog="tests.bench.gaps")
    options.add_argument("--vips", default="200,1000")
    options.add_argument("--only", choices=("crowd", "virtual", "locked"))
    options.add_argument("--stops", action="store_true", help="tell what the machine stopped (needs perf)")
    run_repeatedly(options, measure, what="step")


def measure(run: int, given: argparse.Namespace, folder: Path) -> Iterator[Stepped]:
    with Sampler(folder / "samples") if given.stops else contextlib.nullcontext() as sampler:
        if given.only in (None, "crowd"):
            for vips in map(int, given.vips.split(",")):
                with watched(run, vips, folder / f"crowd{vips}", sampler) as loops:
                    yield from crowd(loops, vips)
        for name in ("virtual", "locked"):
            if given.only in (None, name):
                for mac in ("virtual", "real") if name == "locked" else ("virtual",):
                    with watched(run, FEW, folder / f"{name}-{mac}", sampler, mac=mac) as loops:
                        yield from to_and_fro(loops, f"{name} {mac}", locked=name == "locked")


def crowd(loops: Loops, vips: int) -> Iterator[Stepped]:
    daemons, lan = loops.daemons, loops.daemons.lan
    loops.settle(FIRST)
    yield loops.situation(f"boot {vips}")
    lan.silence(FIRST)
    loops.settle(SECOND, heard=SECOND)
    yield loops.situation(f"takeover {vips}")
    lan.heal()
    loops.settle(FIRST)
    yield loops.situation(f"rejoin {vips}")
    del daemons.vips[list(daemons.vips)[-1]]
    for node in NODES:
        daemons.config(node).write_text("# so all are on other lines\n" + daemons.configuration(node))
        daemons.ask(node, "reload")
        time.sleep(AFTERWARDS_S)
    yield loops.situation(f"reload {vips}")
    daemons.signal(FIRST)
    daemons.wait_ended(FIRST)
    time.sleep(AFTERWARDS_S)
    yield loops.situation(f"stop {vips}")


def to_and_fro(loops: Loops, name: str, *, locked: bool) -> Iterator[Stepped]:
    daemons = loops.daemons
    with contextlib.ExitStack() as others:
        if locked:
            for node in NODES:
                others.enter_context(somebody(daemons.lan, node, daemons.folder))
        loops.settle(FIRST)
        yield loops.situation(f"{name}: boot")
        for _ in range(ROUNDS):
            for target in (SECOND, None):
                for address in daemons.vips:
                    daemons.ask(FIRST, "move", address=address, node=target)
                loops.settle(target or FIRST)
        yield loops.situation(f"{name}: moves")


@contextlib.contextmanager
def watched(run: int, vips: int, folder: Path, sampler: Sampler | None, *, mac: str = "real") -> Iterator[Loops]:
    folder.mkdir(parents=True)
    addresses = [str(FIRST_VIP + number) for number in range(vips)]
    with (
        Lan(NODES, prefix="dvgaps", network="10.76.0.0/16") as lan,
        WatchedDaemons(lan, folder, addresses, mac=mac) as daemons,
    ):
        yield Loops(daemons, run, sampler)


class WatchedDaemons(Daemons):
    def __init__(self, lan: Lan, folder: Path, addresses: list[str], *, mac: str) -> None:
        super().__init__(lan, folder, NODES, dict.fromkeys(addresses, FIRST), settings={"view_mature_time": "1"})
        self._mac = mac

    def steps(self, node: str) -> Path:
        return self.folder / f"{node}.steps"

    def command(self, node: str) -> tuple[str, ...]:
        return (sys.executable, "-P", str(WATCHED), str(self.steps(node)))

    def configuration(self, node: str) -> str:
        return super().configuration(node).replace("{ interface", f"{{ mac = {self._mac} interface", 1)


class Loops:
    """Each `situation` is of the time since the one before."""

    def __init__(self, daemons: WatchedDaemons, run: int, sampler: Sampler | None) -> None:
        self.daemons = daemons
        self.settle = Crowd(daemons, run).settle
        self._run = run
        self._sampler = sampler
        self._threads = {node: daemons.pid(node) for node in NODES}
        self._read = dict.fromkeys(NODES, 0)  # lines

    def situation(self, name: str) -> Stepped:
        samples = self._sampler.taken() if self._sampler is not None else None
        steps = {node: self._new(node) for node in NODES}
        slow: dict[str, list[Step]] = {}
        for node, found in steps.items():
            slow[node] = [step for step in found if step.took_ms >= LIMIT_MS]
            if samples is not None:
                stopped_ms = partial(samples.stopped_ms, self._threads[node])
                slow[node] = [
                    replace(step, stopped_ms=stopped_ms(step.ended_s - step.took_ms / 1000, step.ended_s))
                    for step in slow[node]
                ]
        longest_ms = max((step.took_ms for found in steps.values() for step in found), default=0.0)
        missed = sum(step.name not in START_AND_END for found in slow.values() for step in found)
        return Stepped(run=self._run, name=name, slow=slow, longest_ms=longest_ms, missed=missed)

    def _new(self, node: str) -> list[Step]:
        lines = self.daemons.steps(node).read_text().splitlines()[self._read[node] :]
        self._read[node] += len(lines)
        return [Step(**json.loads(line)) for line in lines]


@contextlib.contextmanager
def somebody(lan: Lan, node: str, folder: Path) -> Iterator[None]:
    """Makes links on that host and deletes them, as fast as the kernel lets it."""
    lines = folder / "somebodys.links"
    lines.write_text((SOMEBODYS_LINKS + "\n") * 20)
    again = f"while :; do ip -force -batch {lines}; done"
    process = lan.popen(node, "sh", "-c", again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
