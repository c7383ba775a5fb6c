"""`python -m tests.fuzz --minutes 60`: fuzzes everything that reads what others have written, one target after another.

With atheris (`pip install -e '.[fuzz]'`) the mutations are guided by coverage; without it, or with `--engine mutate`,
they are only well-aimed. A find is written to a file, `--replay TARGET FILE` runs it again; the exit status is 1 then.
`--keep N` adds the N smallest inputs of each target that reached something new to the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType

from tests.fuzz import corpus, mutation, targets

TIMEOUT_S = 10  # for one input, by the clock: ends what hangs; what is only slow has targets.LIMIT_S


class TooSlowError(BaseException):
    """An input took longer than TIMEOUT_S."""


def run_aimed(name: str, seconds: float, seed: int) -> int:
    """Returns how many inputs were finds; each kind of failure is written down once."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    signal.signal(signal.SIGALRM, ring)
    pool, chance = targets.begin_with(name), random.Random(seed)
    ends_at, count, seen = time.monotonic() + seconds, 0, set()
    while time.monotonic() < ends_at:
        data = mutation.mutate(chance.choice(pool), chance, pool)
        count += 1
        signal.alarm(TIMEOUT_S)
        try:
            targets.judge(name, data)
        except (Exception, TooSlowError) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = type(error), where.filename, where.lineno
            if kind not in seen:
                seen.add(kind)
                file = Path(f"fuzz-{name}-{hashlib.sha256(data).hexdigest()[:12]}")
                file.write_bytes(data)
                traceback.print_exception(error)
                print(f"{name}: a find, in {file}", flush=True)
        finally:
            signal.alarm(0)
    print(f"{name}: {count} inputs in {seconds:.0f} s, {len(seen)} finds (seed {seed})", flush=True)
    return len(seen)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="in all, shared by the targets")
    parser.add_argument(
        "--target", action="append", choices=sorted(targets.TARGETS), help="only this one; may be repeated"
    )
    parser.add_argument("--engine", choices=("atheris", "mutate"), help="default: atheris where it is installed")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of --engine mutate")
    parser.add_argument("--keep", type=int, default=0, metavar="N")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"))
    options = parser.parse_args()
    if options.replay:
        targets.judge(options.replay[0], Path(options.replay[1]).read_bytes())
        return 0
    names = options.target or list(targets.TARGETS)
    seconds = options.minutes * 60 / len(names)
    engine = options.engine or ("atheris" if importlib.util.find_spec("atheris") else "mutate")
    finds = 0
    for name in names:
        print(f"=== {name}: {seconds:.0f} s, {engine}", flush=True)
        if engine == "mutate":
            finds += run_aimed(name, seconds, options.seed)
            continue
        with tempfile.TemporaryDirectory() as found:
            child = (sys.executable, "-m", "tests.fuzz.guided", name, str(max(1, round(seconds))), found)
            finds += subprocess.run(child, check=False).returncode != 0
            new = sorted(
                (one.read_bytes() for one in Path(found).iterdir() if not one.name.startswith("seed-")), key=len
            )
            print(f"{name}: {len(new)} inputs reached something new", flush=True)
            if options.keep:
                corpus.keep(name, new[: options.keep], "reached something new")
    print(f"{finds} finds")
    return 1 if finds else 0


if __name__ == "__main__":
    sys.exit(main())
