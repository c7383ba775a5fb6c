"""How long one election and one balancing round take, for the pure functions, in CPU time; and for how long they keep
another thread waiting at most, as the event loop is one while a question is answered in a thread of its own.

python -m tests.bench.balance [--vips 10240] [--nodes 64] [--format text|json]

Clusters in which the addresses fall into 1, into 256, and each into a class of its own (addresses that different nodes
may own). Measured are: an election when nothing is held, one with everything held, one after a node has died, one when
nobody has one in sixteen and every other address is on the first node that may own it; and a balancing round (320
moves) when all is even, when a node has joined, and when every address is on the first node that may own it.

Exit status 1 when one of them takes more than 100 ms with up to 256 classes, or more than 5 s with more. The waiting is
by the clock, and counts what else the machine has to do.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from duravip.cluster.balance import balance
from duravip.cluster.election import Candidate, Circumstances, elect
from duravip.cluster.flags import survey
from duravip.model import Address, NodeName, VipEntry, make_table
from duravip.runtime.daemon import SWITCH_INTERVAL_S

LIMIT_MS, DEGENERATE_LIMIT_MS = 100.0, 5000.0
FEW_CLASSES = 256
MOVES = 320
NAP_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    classes: int
    what: str
    cpu_ms: float
    waits_ms: float
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="Elections and balancing.", prog="tests.bench.balance")
    options.add_argument("--vips", type=int, default=10_240)
    options.add_argument("--nodes", type=int, default=64)
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    results = []
    for classes in (1, FEW_CLASSES, given.vips):
        for result in measure(given.vips, given.nodes, classes):
            results.append(result)
            if given.format == "text":
                verdict = "met" if result.met else "MISSED"
                print(
                    f"{result.classes:6} classes  {result.what:<36} {result.cpu_ms:8.1f} ms  {verdict:<6}  "
                    f"others wait for {result.waits_ms:5.1f} ms",
                    flush=True,
                )
    if given.format == "json":
        print(json.dumps([asdict(result) for result in results]))
    sys.exit(not all(result.met for result in results))


def measure(vips: int, nodes: int, classes: int) -> list[Result]:
    chance = random.Random(classes)
    names = [NodeName(f"n{number:03}") for number in range(nodes)]
    kinds = (
        [names] if classes == 1 else [sorted(chance.sample(names, chance.randint(2, nodes))) for _ in range(classes)]
    )
    may = {
        Address(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"): kinds[n if classes == vips else chance.randrange(classes)]
        for n in range(vips)
    }
    members = {address: frozenset(kind) for address, kind in may.items()}
    landscape = survey({name: make_table(VipEntry(address=a) for a in may if name in members[a]) for name in names})
    everybody = tuple(Candidate(name=name) for name in names)
    without = tuple(Candidate(name=name, drained=name == names[-1]) for name in names)

    def held(owners: dict[Address, NodeName], candidates: tuple[Candidate, ...]) -> Circumstances:
        holders = {address: (owner,) for address, owner in owners.items()}
        return Circumstances(candidates=candidates, holders=holders, view_mature=True)

    def elected(given: Circumstances) -> dict[Address, NodeName]:
        return {address: made.owner for address, made in elect(landscape, given).items() if made.owner is not None}

    even = held(elected(held({}, everybody)), everybody)
    even_decisions = elect(landscape, even)
    joined = held(elected(held({}, without)), everybody)
    joined_decisions = elect(landscape, joined)
    piled = held({address: kind[0] for address, kind in may.items()}, everybody)
    piled_decisions = elect(landscape, piled)
    crooked = held({a: kind[0] for n, (a, kind) in enumerate(may.items()) if n % 16}, everybody)
    rest = tuple(one for one in everybody if one.name != names[-1])
    owners = {a: made.owner for a, made in even_decisions.items() if made.owner not in (None, names[-1])}
    dead = held({address: owner for address, owner in owners.items() if owner is not None}, rest)
    jobs: list[tuple[str, Callable[[], object]]] = [
        ("election, nothing held", lambda: elect(landscape, held({}, everybody))),
        ("election, all held", lambda: elect(landscape, even)),
        ("election, a node has died", lambda: elect(landscape, dead)),
        ("election, some free, others piled up", lambda: elect(landscape, crooked)),
        ("balancing, all even", lambda: balance(landscape, even, even_decisions, MOVES)),
        ("balancing, a node has joined", lambda: balance(landscape, joined, joined_decisions, MOVES)),
        ("balancing, all on the first nodes", lambda: balance(landscape, piled, piled_decisions, MOVES)),
    ]
    limit = LIMIT_MS if classes <= FEW_CLASSES else DEGENERATE_LIMIT_MS
    results = []
    for what, job in jobs:
        best = min(cpu_ms(job) for _ in range(3 if classes <= FEW_CLASSES else 1))
        waits_ms = round(kept_waiting_ms(job), 1)
        results.append(Result(classes=classes, what=what, cpu_ms=round(best, 1), waits_ms=waits_ms, met=best <= limit))
    return results


def cpu_ms(job: Callable[[], object]) -> float:
    """Of this thread: what others do on the machine does not count."""
    began = time.thread_time()
    job()
    return (time.thread_time() - began) * 1000


def kept_waiting_ms(job: Callable[[], object]) -> float:
    """How late another thread is, at most, that asks for a turn each millisecond."""
    worst_s = 0.0
    working = threading.Thread(target=job)
    working.start()
    while working.is_alive():
        began = time.monotonic()
        time.sleep(NAP_S)
        worst_s = max(worst_s, time.monotonic() - began - NAP_S)
    return worst_s * 1000


if __name__ == "__main__":
    main()
