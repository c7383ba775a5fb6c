"""The simulator's command line, for those who work on duravip. Operators have `duravip rehearse`.

    python -m duravip.sim --seeds 0-999              schedules of random clusters; prints the violations
    python -m duravip.sim --seeds 17 --trace         everything that happens in one
    python -m duravip.sim --seeds 17 --shrink        the few faults that suffice for its violation
    python -m duravip.sim --soak FILE --until 100000 so many in all on the present core, going on where FILE left off
    python -m duravip.sim --soak FILE --until 0      what FILE says

Clusters own as `--ownership` says; give each kind a soak FILE of its own.

Exit status 1 when a property was violated. A soak is ended by SIGINT or SIGTERM at any time, and goes on from there.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import islice
from pathlib import Path

import duravip
from duravip.cluster import is_compiled
from duravip.sim.bugs import BUGS, NEEDS_SOURCES
from duravip.sim.parallel import spread
from duravip.sim.run import run_schedule, shrink
from duravip.sim.soak import core_digest, load, save
from duravip.sim.strict_bugs import STRICT_BUGS

SAVE_EVERY_S = 10.0
TELL_EVERY_S = 60.0
_DEAF = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)  # a worker leaves interrupts to its parent


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m duravip.sim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=_seeds, default=range(100), metavar="A-B", help="the schedules to run")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--bug", choices=sorted({**BUGS, **STRICT_BUGS}), help="plant a deliberate bug")
    parser.add_argument("--ownership", choices=("available", "strict"), default="available", help="of the clusters")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--shrink", action="store_true", help="say which faults suffice for the first violation")
    parser.add_argument("--verbose", action="store_true", help="a line for every seed")
    parser.add_argument("--soak", type=Path, metavar="FILE", help="count in this file, and go on from there")
    parser.add_argument("--until", type=int, default=100_000, metavar="N", help="schedules in all for --soak")
    options = parser.parse_args()
    if options.bug and is_compiled():
        parser.error(f"--bug: {NEEDS_SOURCES}")
    if options.soak:
        return _soak(options.soak, options.until, options.jobs, ownership=options.ownership)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    job = partial(run_schedule, bug=options.bug, trace=options.trace, ownership=options.ownership)
    failed = 0
    for outcome in spread(job, options.seeds, options.jobs):
        failed += bool(outcome.violations)
        if outcome.violations or options.verbose or options.trace:
            print(*outcome.trace, outcome, sep="\n", flush=True)
        if outcome.violations and options.shrink:
            least = shrink(outcome.seed, outcome.violations[0].rule, ownership=options.ownership, bug=options.bug)
            print("  this suffices:", *least.faults, sep="\n    ", flush=True)
    print(f"{failed} of {len(options.seeds)} schedules with violations, {time.perf_counter() - began:.1f} s")
    return 1 if failed else 0


def _soak(path: Path, until: int, jobs: int, *, ownership: str) -> int:
    package = Path(duravip.__file__).parent
    soak, core = load(path), core_digest(package)
    done = sum(sitting.schedules for sitting in soak.sittings if sitting.core == core)
    if done < until:
        sitting = soak.sitting(core, _commit(package))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        saved = told = began = time.monotonic()
        before = sitting.schedules
        try:
            job = partial(run_schedule, ownership=ownership)
            for outcome in spread(job, islice(sitting.seeds(), until - done), jobs, initializer=_DEAF):
                sitting.add(outcome)
                if outcome.violations:
                    print(outcome, flush=True)
                now = time.monotonic()
                if now - saved > SAVE_EVERY_S:
                    save(soak, path)
                    saved = now
                if now - told > TELL_EVERY_S:
                    told = now
                    speed = (sitting.schedules - before) / (now - began)
                    found = len(sitting.violations)
                    print(f"{sitting.schedules} schedules, {found} violations, {speed:.1f} a second", flush=True)
        except KeyboardInterrupt:
            print("stopped", flush=True)
        finally:
            save(soak, path)
    print(*soak.lines(), sep="\n")
    return 1 if any(sitting.violations for sitting in soak.sittings if sitting.core == core) else 0


def _commit(package: Path) -> str:
    """What git says of the source tree; "" without git, `+` at the end where files were edited."""
    git = ["git", "-C", str(package)]
    asked = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    edited = subprocess.run(  # noqa: S603
        [*git, "status", "--porcelain", "--untracked-files=no", "."], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() + ("+" if edited.stdout.strip() else "")


if __name__ == "__main__":
    sys.exit(main())
