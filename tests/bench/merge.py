"""How long parts that meet again have two owners, at every phase of their heartbeats; in the simulator.

    python -m tests.bench.merge [--seeds 30]

Heartbeats every 100 ms, six VIPs that every part holds when the links heal. Exit status 1 when a merge took longer than
two heartbeats.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys

from duravip.testing.situation import Situation

LAYOUTS = (("a", "b"), ("a", "bc"), ("ab", "c"), ("a", "b", "c"), ("ab", "cde"), ("ae", "bcd"), ("ab", "cd", "ef"))
CUTS_S = (0.5, 2.0)
TARGET_S = 0.2


def merge_s(parts: tuple[str, ...], seed: int, cut_s: float) -> float:
    """From the moment the links heal until every VIP is on one host."""
    chance = random.Random(seed)
    situation = Situation(*"".join(parts), seed=seed).booted()
    situation.run(chance.random())
    situation.world.network.split([[situation[name].name for name in part] for part in parts])
    situation.run(cut_s + 0.3 * chance.random())
    situation.world.network.heal()
    return situation.until(situation.all_held_once, 5.0)


def main() -> None:
    options = argparse.ArgumentParser(description="How long a merge has two owners.", prog="tests.bench.merge")
    options.add_argument("--seeds", type=int, default=30, help="for each layout and length of the cut (30)")
    given = options.parse_args()
    worst_s = 0.0
    for parts in LAYOUTS:
        for cut_s in CUTS_S:
            times = sorted(merge_s(parts, seed, cut_s) for seed in range(given.seeds))
            worst_s = max(worst_s, times[-1])
            late = sum(time_s > TARGET_S for time_s in times)
            print(
                f"{'|'.join(parts):<9} cut for {cut_s:g} s   median {1000 * statistics.median(times):4.0f} ms"
                f"   longest {1000 * times[-1]:4.0f} ms   late {late}",
                flush=True,
            )
    verdict = "met" if worst_s <= TARGET_S else "MISSED"
    print(f"longest {1000 * worst_s:.0f} ms, target {1000 * TARGET_S:.0f} ms: {verdict}")
    sys.exit(worst_s > TARGET_S)


if __name__ == "__main__":
    main()
