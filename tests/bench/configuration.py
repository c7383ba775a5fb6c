"""How long configurations take to check and to plan with, and how that grows.

    python -m tests.bench.configuration [--runs 5] [--sizes 10240,20000,50000,100000] [--format text|json]

`duravip check` of one file, `duravip plan` of sixteen, as whole processes: the clock's time, median of the runs; the
processor's, least of the runs (whatever else runs only adds to it: caches are shared); and the resident size. Files in
Momentum syntax (and TOML, for `check`), each Binding with an address of its own. Targets are for 10,240 Bindings.
Growth: the processor's time per Binding of the largest file, over that of the smallest, without what an empty file
takes; 1 is linear.

Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path

from duravip.testing.daemons import COMMAND

FIRST = IPv4Address("10.0.0.1")
TARGET_SIZE = 10_240
PLANNED_FILES = 16
CHECK_S, CHECK_MB, PLAN_S = 0.8, 120, 3.0
LINEAR = 1.3  # at most so many times the time per Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    command: str
    bindings: int
    clock_s: float
    processor_s: float
    resident_mb: float


def momentum(bindings: int, node: str) -> str:
    head = f'cluster {{ nodename = {node} key_file = k Topology "10.0.0.0/8" {{ interface = eth0 }} }}\n'
    return head + "".join(
        f'Binding "b{number}" {{\n  Bind_Address = {FIRST + number}\n  Enable_Duravip = true\n}}\n'
        for number in range(bindings)
    )


def toml(bindings: int) -> str:
    head = '[cluster]\nkey_file = "k"\n[[topology]]\nnetwork = "10.0.0.0/8"\ninterface = "eth0"\n'
    return head + "".join(
        f'[[binding]]\nname = "b{number}"\nbind_address = "{FIRST + number}"\nenable_duravip = true\n'
        for number in range(bindings)
    )


def run(arguments: Sequence[str]) -> tuple[float, float, float]:
    """Clock and processor seconds, and megabytes, of one process and its children."""
    began = time.monotonic()
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(arguments[:2])}: exit status {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measure(name: str, bindings: int, arguments: Sequence[str], runs: int) -> Measured:
    samples = [run(arguments) for _ in range(runs)]
    clock, _, resident = (statistics.median(column) for column in zip(*samples, strict=True))
    return Measured(
        command=name,
        bindings=bindings,
        clock_s=round(clock, 3),
        processor_s=round(min(sample[1] for sample in samples), 3),
        resident_mb=round(resident, 1),
    )


def growth(found: Sequence[Measured], command: str) -> float | None:
    """Of processor time, from the smallest to the largest file that is not empty."""
    own = sorted((one for one in found if one.command == command), key=lambda one: one.bindings)
    if len(own) < 3:
        return None
    empty, small, large = own[0], own[1], own[-1]
    return ((large.processor_s - empty.processor_s) / large.bindings) / (
        (small.processor_s - empty.processor_s) / small.bindings
    )


def all_measured(sizes: Sequence[int], runs: int) -> list[Measured]:
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="dvbench") as folder:
        one, other = Path(folder) / "one.conf", Path(folder) / "other.toml"
        for size in (0, *sizes):
            one.write_text(momentum(size, "node1"))
            found.append(measure("check", size, ("check", str(one)), runs))
            other.write_text(toml(size))
            found.append(measure("check toml", size, ("check", str(other)), runs))
            many = [Path(folder) / f"{number}.conf" for number in range(PLANNED_FILES)]
            for number, path in enumerate(many):
                path.write_text(momentum(size, f"node{number}"))
            found.append(measure("plan 16", size, ("plan", *map(str, many)), max(1, runs // 2)))
    return found


def missed(found: Sequence[Measured]) -> list[str]:
    problems = []
    for one in found:
        if one.bindings == TARGET_SIZE and one.command.startswith("check") and one.clock_s > CHECK_S:
            problems.append(f"{one.command}: {one.clock_s} s, at most {CHECK_S} s")
        if one.bindings == TARGET_SIZE and one.command.startswith("check") and one.resident_mb > CHECK_MB:
            problems.append(f"{one.command}: {one.resident_mb} MB, at most {CHECK_MB} MB")
        if one.bindings == TARGET_SIZE and one.command == "plan 16" and one.clock_s > PLAN_S:
            problems.append(f"{one.command}: {one.clock_s} s, at most {PLAN_S} s")
    for command in dict.fromkeys(one.command for one in found):
        grown = growth(found, command)
        if grown is not None and grown > LINEAR:
            problems.append(f"{command}: a Binding of the largest file takes {grown:.2f} times as long")
    return problems


def main() -> None:
    options = argparse.ArgumentParser(description="Configurations of many Bindings.", prog="tests.bench.configuration")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--sizes", default="10240,20000,50000,100000", help="numbers of Bindings")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = all_measured([int(size) for size in given.sizes.split(",")], given.runs)
    problems = missed(found)
    if given.format == "json":
        print(json.dumps({"measured": [asdict(one) for one in found], "missed": problems}))
    else:
        print(f"{'command':<12} {'Bindings':>9} {'clock':>9} {'processor':>10} {'resident':>10}")
        for one in found:
            print(
                f"{one.command:<12} {one.bindings:>9,} {one.clock_s:>7.2f} s {one.processor_s:>8.2f} s "
                f"{one.resident_mb:>7.0f} MB"
            )
        for command in dict.fromkeys(one.command for one in found):
            if (grown := growth(found, command)) is not None:
                print(f"{command}: time per Binding, largest over smallest file: {grown:.2f}")
        print("\n".join(f"missed: {problem}" for problem in problems) or "all targets met")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
