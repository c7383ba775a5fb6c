"""How long people wait for a command.

    python -m tests.bench.commands [--runs 20] [--vips 100] [--format text|json]

The commands that are typed most, from the start of their process to its end, asked of one real daemon on a host of its
own that owns all VIPs. Beside the clock's time the processor's: on a busy machine only that says something.

Exit status 1 when a median is longer than its target.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path

from duravip.testing.daemons import COMMAND, Daemons
from duravip.testing.netns import Lan, why_not

NODE = "node1"
FIRST_VIP = IPv4Address("10.77.0.51")
SETTLE_LIMIT_S = 60.0
TARGETS_MS = {"--version": 150, "show": 300, "show --format json": 300, "members": 300, "show --help": 300}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    command: str
    median_ms: float
    worst_ms: float
    processor_ms: float
    target_ms: int
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="How long commands take.", prog="tests.bench.commands")
    options.add_argument("--runs", type=int, default=20, help="of each command (20)")
    options.add_argument(
        "--vips", type=int, choices=range(1, 201), metavar="N", default=100, help="that `show` shows (100, at most 200)"
    )
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    results = measure(runs=given.runs, vips=given.vips)
    if given.format == "json":
        print(json.dumps([asdict(result) for result in results]))
    else:
        print(f"{'command':<20} {'median':>10} {'worst':>10} {'processor':>10} {'target':>10}")
        for one in results:
            print(
                f"{one.command:<20} {one.median_ms:>7.0f} ms {one.worst_ms:>7.0f} ms {one.processor_ms:>7.0f} ms "
                f"{one.target_ms:>7} ms{'' if one.met else '  missed'}"
            )
    sys.exit(0 if all(result.met for result in results) else 1)


def measure(*, runs: int, vips: int) -> list[Waited]:
    addresses = {str(FIRST_VIP + number): NODE for number in range(vips)}
    with (
        tempfile.TemporaryDirectory(prefix="dvbench") as folder,
        Lan((NODE,), prefix="dvcommands") as lan,
        Daemons(lan, Path(folder), (NODE,), addresses, settings={"view_mature_time": "1"}) as daemons,
    ):
        daemons.wait_settled(limit_s=SETTLE_LIMIT_S)
        control = str(daemons.control(NODE))
        return [timed(command, control, runs) for command in TARGETS_MS]


def timed(command: str, control: str, runs: int) -> Waited:
    """Once before, so that compiled modules and pages are there."""
    run(command, control)
    before = os.times()
    took_ms = [run(command, control) for _ in range(runs)]
    after = os.times()
    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    median_ms = statistics.median(took_ms)
    return Waited(
        command=command,
        median_ms=round(median_ms, 1),
        worst_ms=round(max(took_ms), 1),
        processor_ms=round(1000 * used_s / runs, 1),
        target_ms=TARGETS_MS[command],
        met=median_ms <= TARGETS_MS[command],
    )


def run(command: str, control: str) -> float:
    began = time.monotonic()
    environment = {**os.environ, "DURAVIP_CONTROL": control}
    subprocess.run([*COMMAND, *command.split()], check=True, stdout=subprocess.DEVNULL, env=environment)
    return 1000 * (time.monotonic() - began)


if __name__ == "__main__":
    main()
