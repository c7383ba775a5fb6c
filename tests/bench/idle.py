"""What a daemon needs while nothing happens: its share of a core, and its resident memory.

    python -m tests.bench.idle [--profiles lan,fast] [--vips 10] [--seconds 20] [--format text|json]

Three real daemons on hosts of their own, for each profile of times a cluster of its own, one after the other. The share
is what the kernel's scheduler has given to all threads of the daemon (`/proc/PID/task/TID/schedstat`), in nanoseconds;
the guard process is not counted.

Exit status 1 when one of the nodes misses a target.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from tests.bench.outage import rss_mb

NODES = ("node1", "node2", "node3")
TARGETS_PERCENT = {"lan": 1.0, "fast": 6.0}
RSS_TARGET_MB = 64.0
CALM_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Of the three nodes, in their order. `turns_per_s` of the event loop's machine."""

    profile: str
    cpu_percent: list[float]
    rss_mb: list[float]
    turns_per_s: list[float]
    most_percent: float
    target_percent: float
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="What idle daemons need.", prog="tests.bench.idle")
    options.add_argument("--profiles", default=",".join(TARGETS_PERCENT))
    options.add_argument("--vips", type=int, default=10)
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    text = given.format == "text"
    say: Callable[[str], None] = print if text else lambda _line: None
    measured = [measure(profile, given.vips, given.seconds, say=say) for profile in given.profiles.split(",")]
    if not text:
        print(json.dumps([asdict(one) for one in measured]))
    sys.exit(not all(one.met for one in measured))


def measure(profile: str, vips: int, seconds: float, *, say: Callable[[str], None]) -> Idle:
    addresses = {f"10.77.0.{100 + number}": NODES[number % len(NODES)] for number in range(vips)}
    settings = {"view_mature_time": "1", "profile": f'"{profile}"'}
    with (
        tempfile.TemporaryDirectory(prefix="dvbench-") as made,
        Lan(NODES, prefix="dvidle") as lan,
        Daemons(lan, Path(made), NODES, addresses, settings=settings) as daemons,
    ):
        daemons.wait_settled()
        time.sleep(CALM_S)
        before = {node: (cpu_s(daemons.pid(node)), turns(daemons, node)) for node in NODES}
        began = time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        shares, rates, memories = [], [], []
        for node in NODES:
            shares.append(round(100 * (cpu_s(daemons.pid(node)) - before[node][0]) / took_s, 2))
            rates.append(round((turns(daemons, node) - before[node][1]) / took_s, 1))
            memories.append(round(rss_mb(daemons.pid(node)), 1))
            say(f"{profile:<5} {node}  {shares[-1]:5.2f} % of a core  {rates[-1]:6.1f} turns/s  {memories[-1]:5.1f} MB")
    target = TARGETS_PERCENT.get(profile, 100.0)
    met = max(shares) <= target and max(memories) <= RSS_TARGET_MB
    verdict = "met" if met else "MISSED"
    say(f"{profile:<5} most   {max(shares):5.2f} %, target {target:g} % and {RSS_TARGET_MB:g} MB: {verdict}")
    return Idle(
        profile=profile,
        cpu_percent=shares,
        rss_mb=memories,
        turns_per_s=rates,
        most_percent=max(shares),
        target_percent=target,
        met=met,
    )


def cpu_s(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def turns(daemons: Daemons, node: str) -> int:
    counters: dict[str, int] = daemons.ask(node, "info")["counters"]
    return counters["turns"]


if __name__ == "__main__":
    main()
