"""What rolling work costs the clients of each of 200 addresses: a drain of the node that has them all, and a restart of
one node after the other.

    python -m tests.bench.rolling [--vips 200] [--runs 4] [--format text|json]

Three real daemons on hosts of their own with default settings, save that views mature after one second, and a client
that asks a quarter of the addresses for an echo, in each run another, all of them in one round, a round every
2 ms: to ask all would take a whole core. Everything is done twice: once for the time without an answer; and once, with
the client too, while the kernels are looked at for an address on two hosts, which takes most of a core as well.

    drain     `duravip drain` of the node that all addresses prefer, then `undrain`: they come back
    rolling   each node in turn: drained, stopped, started, undrained

Exit status 1 when an address gave no answer for more than TARGET_MS, or was on two hosts.

A machine that is so busy that a daemon does not run for a failure time-out divides the view, and then an address may
well be on two hosts (`ownership = available`). Views that lack a node which nobody has stopped are reported beside it,
so that the one can be told from the other: two hosts without a divided view would be a bug.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Self

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan
from duravip.testing.watch import Watch
from tests.bench.repeated import given_in_namespaces

NODES = ("node1", "node2", "node3")
FIRST_VIP = IPv4Address("10.77.4.0")
ROUND_S = 0.002
SHARES = 4
TARGET_MS = 20.0
SETTLE_LIMIT_S = 60.0
QUIET_S = 1.5  # longer than a Linux client clings to a neighbour that it has just learnt
_ASKING = Path(__file__).with_name("asking.py")


class Asking:
    """A context manager: the client asks from entering to leaving; known then: `gaps_ms`, the longest time without an
    answer of each address, less what the client itself stood still in it; and the longest of that, `stood_still_ms`."""

    def __init__(self, lan: Lan, addresses: list[str]) -> None:
        self._lan, self._addresses = lan, addresses
        self.gaps_ms: dict[str, float] = {}
        self.stood_still_ms = 0.0

    def __enter__(self) -> Self:
        self._process = self._lan.popen(
            "client",
            *(sys.executable, "-I", "-S", str(_ASKING), str(ROUND_S), *self._addresses),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        time.sleep(1.0)  # the client learns who has what
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        output, _ = self._process.communicate(timeout=60)
        times = {name: list(map(float, at)) for name, *at in map(str.split, output.decode().splitlines())}
        still = [(since, till) for since, till in itertools.pairwise(times.pop("rounds")) if till - since > 2 * ROUND_S]
        self.stood_still_ms = max((1000 * (till - since) for since, till in still), default=0.0)
        for address, answers in times.items():
            late = answers[20:]  # after the first questions, which waited for neighbours
            gaps = [after - before - lost_s(still, before, after) for before, after in itertools.pairwise(late)]
            self.gaps_ms[address] = 1000 * max(gaps, default=float("inf"))


def lost_s(still: list[tuple[float, float]], before: float, after: float) -> float:
    """What rounds that did not come in time account for, of the time between two answers."""
    overlaps = (min(till, after) - max(since, before) - ROUND_S for since, till in still)
    return sum(overlap for overlap in overlaps if overlap > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one kind of work: the longest gap of each address in each run, as percentiles over all. `quiet_ms`: the
    longest while nothing happened; `stood_still_ms`: for how long the client asked nobody, at most. `divided`: views
    that lack a node which runs."""

    work: str
    vips: int
    runs: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    quiet_ms: float
    stood_still_ms: float
    twice: list[str]
    divided: list[str]
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="What rolling work costs clients.", prog="tests.bench.rolling")
    options.add_argument("--vips", type=int, default=200)
    given = given_in_namespaces(options, runs=4)
    with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
        folder = given.keep_logs or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        text = given.format == "text"
        results = measure(given.vips, given.runs, folder, say=print if text else lambda _line: None)
    if not text:
        print(json.dumps([asdict(result) for result in results]))
    sys.exit(not all(result.met for result in results))


def measure(vips: int, runs: int, folder: Path, *, say: Callable[[str], None]) -> list[Result]:
    addresses = [str(FIRST_VIP + number) for number in range(vips)]
    results: list[Result] = []
    with (
        Lan((*NODES, "client"), prefix="dvroll", network="10.77.0.0/16") as lan,
        Daemons(lan, folder, NODES, dict.fromkeys(addresses, NODES[0]), settings={"view_mature_time": "1"}) as daemons,
    ):
        daemons.wait_settled(limit_s=SETTLE_LIMIT_S)
        for work, carry_out in (("drain", drain), ("rolling", roll)):
            gaps: list[float] = []
            quiet = still = 0.0
            twice: list[str] = []
            divided: list[str] = []
            for run in range(runs):
                asked = addresses[run % SHARES :: SHARES]
                daemons.wait_settled(limit_s=SETTLE_LIMIT_S)
                with Asking(lan, asked) as idle:
                    time.sleep(1.0)
                quiet = max(quiet, *idle.gaps_ms.values())
                began = datetime.now(UTC)
                with Asking(lan, asked) as asking:
                    carry_out(daemons)
                daemons.wait_settled(limit_s=SETTLE_LIMIT_S)
                with Watch(lan, NODES) as watch, Asking(lan, asked):
                    carry_out(daemons)
                twice += watch.violations
                divided += views_without(daemons, began, stopped=1 if carry_out is roll else 0)
                gaps += asking.gaps_ms.values()
                still = max(still, asking.stood_still_ms)
            gaps.sort()
            one = Result(
                work=work,
                vips=vips,
                runs=runs,
                p50_ms=round(gaps[len(gaps) // 2], 2),
                p99_ms=round(gaps[len(gaps) * 99 // 100], 2),
                max_ms=round(gaps[-1], 2),
                quiet_ms=round(quiet, 2),
                stood_still_ms=round(still, 2),
                twice=twice,
                divided=divided,
                met=gaps[-1] <= TARGET_MS and not twice,
            )
            results.append(one)
            say(
                f"{work:<8} {vips} addresses, {runs} runs: median {one.p50_ms:.1f} ms, p99 {one.p99_ms:.1f} ms, worst "
                f"{one.max_ms:.1f} ms (nothing happening: {one.quiet_ms:.1f} ms; the client stood still: "
                f"{one.stood_still_ms:.1f} ms); on two hosts: {len(twice)}; divided views: {len(divided)}; target "
                f"{TARGET_MS:g} ms: {'met' if one.met else 'MISSED'}"
            )
            for line in (*twice, *divided):
                say(f"         {line}")
    return results


def views_without(daemons: Daemons, began: datetime, *, stopped: int) -> list[str]:
    """Those installed since `began` that lack more nodes than are `stopped` at one time."""
    found = []
    for node in NODES:
        for event in daemons.ask(node, "events", filters=("membership.view_installed",)):
            if datetime.fromisoformat(event["time"]) >= began and len(event["members"]) < len(NODES) - stopped:
                found.append(f"{event['time']} {node} is in a view of {' '.join(event['members'])}")
    return found


def drain(daemons: Daemons, node: str = NODES[0]) -> None:
    """And back."""
    time.sleep(QUIET_S)
    daemons.ask(node, "drain")
    daemons.wait_until(f"{node} has nothing", lambda: has(daemons, node) == 0)
    time.sleep(QUIET_S)
    daemons.ask(node, "undrain")
    daemons.wait_settled(limit_s=SETTLE_LIMIT_S)


def roll(daemons: Daemons) -> None:
    for node in NODES:
        time.sleep(QUIET_S)
        other = next(name for name in NODES if name != node)
        daemons.ask(node, "drain")
        daemons.wait_until(f"{node} has nothing", lambda node=node: has(daemons, node) == 0)  # type: ignore[misc]
        daemons.signal(node, signal.SIGTERM)
        daemons.wait_ended(node)
        daemons.start(node)
        daemons.wait_ready()
        daemons.wait_until(f"{node} is back", lambda node=node, other=other: is_mature(daemons, other, node))  # type: ignore[misc]
        time.sleep(QUIET_S)
        daemons.ask(node, "undrain")
        daemons.wait_settled(limit_s=SETTLE_LIMIT_S)


def has(daemons: Daemons, node: str) -> int:
    [own] = (one for one in daemons.ask(node, "members") if one["name"] == node)
    return int(own["addresses"]) if own["drained"] else -1


def is_mature(daemons: Daemons, asked: str, node: str) -> bool:
    return any(one["name"] == node and one["online"] and one["mature"] for one in daemons.ask(asked, "members"))


if __name__ == "__main__":
    main()
