"""For how long a daemon's event loop does one thing and looks up for nothing else.

    python -m tests.bench.gaps [--vips 200,1000] [--runs 3] [--only crowd|virtual|locked] [--format text|json]

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
are what took long by itself, and what a virtual machine stopped, which cannot tell; so it says too what the machine
does to processes that only look at the clock, and all is done several times: a step that takes long by itself does so
each time.

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
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from tests.bench.stops import watched_stops
from tests.bench.turns import AFTERWARDS_S, FIRST, FIRST_VIP, LIMIT_MS, NODES, SECOND, Crowd

WATCHED = Path(__file__).with_name("watched_daemon.py")
START_AND_END = "duravip.runtime.daemon.Daemon.run"
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
    """See `watched_daemon.Steps`. One of START_AND_END is of a node that is no member yet, or no more."""

    ended_s: float
    name: str
    took_ms: float
    cpu_ms: float
    waits: int
    interruptions: int

    def __str__(self) -> str:
        happened = [word for word, count in (("waited", self.waits), ("interrupted", self.interruptions)) if count]
        return (
            f"{self.took_ms:.1f} ms ({self.cpu_ms:.1f} of work{''.join(', ' + each for each in happened)}) {self.name}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """`run`: from 1. `slow`: of each node, the steps of LIMIT_MS or more. `longest_ms`: of all, 0 for less than 2.
    `missed`: how many should not have been."""

    run: int
    name: str
    slow: dict[str, list[Step]]
    longest_ms: float
    missed: int


def main() -> None:
    options = argparse.ArgumentParser(description="How long steps of an event loop are.", prog="tests.bench.gaps")
    options.add_argument("--vips", default="200,1000")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--only", choices=("crowd", "virtual", "locked"))
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.add_argument("--keep-logs", metavar="FOLDER", type=Path, help="leave configurations and logs there")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    found: list[Situation] = []
    machine = watched_stops()
    for run in range(1, given.runs + 1):
        with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
            folder = given.keep_logs / str(run) if given.keep_logs else Path(made)
            for situation in measure(run, [int(vips) for vips in given.vips.split(",")], folder, given.only):
                found.append(situation)
                if given.format == "text":
                    print(f"{run} {situation.name:<24} longest {situation.longest_ms:4.1f} ms", flush=True)
                    for node, steps in situation.slow.items():
                        for step in steps:
                            print(f"    {node}: {step}", flush=True)
    machine += watched_stops()
    missed = Counter(situation.name for situation in found if situation.missed)
    if given.format == "json":
        runs = [asdict(situation) for situation in found]
        print(json.dumps({"machine": asdict(machine), "missed": missed, "situations": runs}))
    else:
        slow = sum(situation.missed for situation in found)
        print(f"{slow} steps of {LIMIT_MS} ms or longer in {given.runs} runs; {machine}")
        named = ", ".join(f"{name} ({runs})" for name, runs in missed.items())
        print(f"no step of {LIMIT_MS} ms or longer: {'MISSED, ' + named if missed else 'met'}")
    sys.exit(bool(missed))


def measure(run: int, crowds: list[int], folder: Path, only: str | None) -> Iterator[Situation]:
    if only in (None, "crowd"):
        for vips in crowds:
            yield from crowd(run, vips, folder / f"crowd{vips}")
    for name in ("virtual", "locked"):
        if only in (None, name):
            for mac in ("virtual", "real") if name == "locked" else ("virtual",):
                yield from to_and_fro(run, f"{name} {mac}", folder / f"{name}-{mac}", mac=mac, locked=name == "locked")


def crowd(run: int, vips: int, folder: Path) -> Iterator[Situation]:
    with watched(run, vips, folder) as loops:
        daemons, lan, settle = loops.daemons, loops.daemons.lan, Crowd(loops.daemons, run).settle
        settle(FIRST)
        yield loops.situation(f"boot {vips}")
        lan.silence(FIRST)
        settle(SECOND, heard=SECOND)
        yield loops.situation(f"takeover {vips}")
        lan.heal()
        settle(FIRST)
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


def to_and_fro(run: int, name: str, folder: Path, *, mac: str, locked: bool) -> Iterator[Situation]:
    with watched(run, FEW, folder, mac=mac) as loops, contextlib.ExitStack() as others:
        if locked:
            for node in NODES:
                others.enter_context(somebody(loops.daemons.lan, node, folder))
        settle = Crowd(loops.daemons, run).settle
        settle(FIRST)
        yield loops.situation(f"{name}: boot")
        for _ in range(ROUNDS):
            for target in (SECOND, None):
                for address in loops.daemons.vips:
                    loops.daemons.ask(FIRST, "move", address=address, node=target)
                settle(target or FIRST)
        yield loops.situation(f"{name}: moves")


@contextlib.contextmanager
def watched(run: int, vips: int, folder: Path, *, mac: str = "real") -> Iterator[Loops]:
    folder.mkdir(parents=True)
    addresses = [str(FIRST_VIP + number) for number in range(vips)]
    with (
        Lan(NODES, prefix="dvgaps", network="10.76.0.0/16") as lan,
        WatchedDaemons(lan, folder, addresses, mac=mac) as daemons,
    ):
        yield Loops(daemons, run)


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

    def __init__(self, daemons: WatchedDaemons, run: int) -> None:
        self.daemons = daemons
        self._run = run
        self._read = dict.fromkeys(NODES, 0)  # lines

    def situation(self, name: str) -> Situation:
        steps = {node: self._new(node) for node in NODES}
        slow = {node: [step for step in found if step.took_ms >= LIMIT_MS] for node, found in steps.items()}
        longest_ms = max((step.took_ms for found in steps.values() for step in found), default=0.0)
        missed = sum(step.name != START_AND_END for found in slow.values() for step in found)
        return Situation(run=self._run, name=name, slow=slow, longest_ms=longest_ms, missed=missed)

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
