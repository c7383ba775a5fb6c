"""Whether a node is suspected that is well: three daemons to whom nothing happens, for minutes.

    python -m tests.bench.quiet [--profiles lan,fast] [--minutes M] [--format text|json]

    lan     ten minutes, with a process on every core that does nothing but compute
    fast    two minutes, without

Counts what the daemons log from the moment the cluster has settled: suspicions, stalls, and views that were installed.
Exit status 1 when anybody was suspected, or a view was installed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from tests.bench.outage import NODES, VIPS

MINUTES = {"lan": 10.0, "fast": 2.0, "wan": 10.0}
HOGS = {"lan": True, "fast": False, "wan": True}
LOOK_EVERY_S = 10.0
COUNTED = ("membership.node_suspected", "membership.stalled", "membership.view_installed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """`hogs`: processes that only compute. The rest is counted over all nodes."""

    profile: str
    seconds: float
    hogs: int
    suspicions: int
    stalls: int
    views: int
    lines: list[str]

    @property
    def met(self) -> bool:
        return not self.suspicions and not self.views


def main() -> None:
    options = argparse.ArgumentParser(description="False alarms of a cluster that is well.", prog="tests.bench.quiet")
    options.add_argument("--profiles", default="lan,fast", help="which, one after the other (lan,fast)")
    options.add_argument("--minutes", type=float, help="for each, in place of its own (lan 10, fast 2, wan 10)")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    say = print if given.format == "text" else lambda _line: None
    found = []
    for profile in given.profiles.split(","):
        with tempfile.TemporaryDirectory(prefix="dvquiet-") as folder:
            minutes = given.minutes if given.minutes is not None else MINUTES[profile]
            quiet = watch(profile, 60 * minutes, Path(folder), say=say)
        found.append(quiet)
        verdict = "met" if quiet.met else "MISSED"
        counts = f"{quiet.suspicions} suspicions, {quiet.stalls} stalls, {quiet.views} views"
        say(f"{profile:<5} {quiet.seconds:.0f} s, {quiet.hogs} hogs: {counts}: {verdict}")
    if given.format == "json":
        print(json.dumps([asdict(quiet) for quiet in found]))
    sys.exit(not all(quiet.met for quiet in found))


def watch(profile: str, seconds: float, folder: Path, *, say: Callable[[str], None]) -> Quiet:
    settings = {"view_mature_time": "1", "profile": json.dumps(profile)}
    with Lan(NODES, prefix="dvquiet") as lan, Daemons(lan, folder, NODES, VIPS, settings=settings) as daemons:
        daemons.wait_settled()
        time.sleep(1.0)
        read = {node: daemons.log(node).stat().st_size for node in NODES}
        lines: list[str] = []
        with hogs(len(os.sched_getaffinity(0)) if HOGS[profile] else 0) as count:
            ends = time.monotonic() + seconds
            while (left := ends - time.monotonic()) > 0:
                time.sleep(min(LOOK_EVERY_S, left))
                for node in NODES:
                    for line in news(daemons.log(node), read, node):
                        lines.append(f"{node}: {line}")
                        say(lines[-1])
    return Quiet(
        profile=profile,
        seconds=seconds,
        hogs=count,
        suspicions=sum("node_suspected" in line for line in lines),
        stalls=sum("stalled" in line for line in lines),
        views=sum("view_installed" in line for line in lines),
        lines=lines,
    )


def news(log: Path, read: dict[str, int], node: str) -> list[str]:
    """The counted lines that the node has logged since the last time."""
    with log.open("rb") as file:
        file.seek(read[node])
        text, ended, _ = file.read().rpartition(b"\n")
    read[node] += len(text) + len(ended)
    return [line for line in text.decode().splitlines() if any(event in line for event in COUNTED)]


@contextmanager
def hogs(count: int) -> Iterator[int]:
    """So many processes that compute and do nothing else."""
    with ExitStack() as running:
        for _ in range(count):
            hog = running.enter_context(subprocess.Popen((sys.executable, "-c", "while True: pass")))
            running.callback(hog.kill)
        yield count


if __name__ == "__main__":
    main()
