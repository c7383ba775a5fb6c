"""The same situations several times: what `turns` and `gaps` have in common.

A virtual machine may be stopped in the middle of anything, and cannot tell. So what it does to a process that only
looks at the clock, before and after all that, is printed too; and all of it is done several times: what takes long by
itself takes long each time, what was stopped does not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from duravip.testing.netns import why_not
from tests.bench.stops import watched_stops

LIMIT_MS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """`run`: from 1. `missed`: how many took LIMIT_MS or longer and should not have."""

    run: int
    name: str
    missed: int

    def lines(self) -> list[str]:
        """For people."""
        raise NotImplementedError


def given_in_namespaces(options: argparse.ArgumentParser, *, runs: int) -> argparse.Namespace:
    """What was given of these and of what all have. Exits where there can be no network namespaces."""
    options.add_argument("--runs", type=int, default=runs)
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.add_argument("--keep-logs", metavar="FOLDER", type=Path, help="leave configurations and logs there")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    return given


def run_repeatedly(
    options: argparse.ArgumentParser,
    measure: Callable[[int, argparse.Namespace, Path], Iterator[Situation]],
    *,
    what: str,
) -> NoReturn:
    """`measure` is given the number of the run, the options, and a folder of its own. `what` is measured, in the
    singular. Ends with status 1 when any was missed."""
    given = given_in_namespaces(options, runs=3)
    found: list[Situation] = []
    machine = watched_stops()
    for run in range(1, given.runs + 1):
        with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
            folder = given.keep_logs / str(run) if given.keep_logs else Path(made)
            folder.mkdir(parents=True, exist_ok=True)
            for situation in measure(run, given, folder):
                found.append(situation)
                if given.format == "text":
                    print("\n".join(situation.lines()), flush=True)
    machine += watched_stops()
    missed = Counter(situation.name for situation in found if situation.missed)
    if given.format == "json":
        situations = [asdict(situation) for situation in found]
        print(json.dumps({"machine": asdict(machine), "missed": missed, "situations": situations}))
    else:
        count = sum(situation.missed for situation in found)
        print(f"{count} {what}s of {LIMIT_MS} ms or longer in {given.runs} runs; {machine}")
        named = ", ".join(f"{name} ({runs})" for name, runs in missed.items())
        print(f"no {what} of {LIMIT_MS} ms or longer: {'MISSED, ' + named if missed else 'met'}")
    sys.exit(bool(missed))
