"""`python -m duravip.sim --seeds 0-999`: runs schedules, prints the violations, exits 1 if there were any."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

from duravip.sim.bugs import BUGS
from duravip.sim.parallel import spread
from duravip.sim.run import run_schedule


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m duravip.sim", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=range(100), metavar="A-B", help="the schedules to run")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant a deliberate bug")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--verbose", action="store_true", help="a line for every seed")
    options = parser.parse_args()

    began = time.perf_counter()
    job = partial(run_schedule, bug=options.bug, trace=options.trace)
    failed = 0
    for outcome in spread(job, options.seeds, options.jobs):
        failed += bool(outcome.violations)
        if outcome.violations or options.verbose or options.trace:
            print(*outcome.trace, outcome, sep="\n", flush=True)
    print(f"{failed} of {len(options.seeds)} schedules with violations, {time.perf_counter() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
