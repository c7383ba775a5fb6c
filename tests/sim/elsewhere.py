"""Schedules that another Python runs, on all cores.

`DURAVIP_COMPILED`: the Python of an environment where duravip was installed compiled. CI has one: there thousands of
schedules are run by what is shipped, in half the time (`test_compiled` says that it does the same).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from duravip.sim.outcome import Outcome

COMPILED = os.environ.get("DURAVIP_COMPILED", "")
QUICKEST = Path(COMPILED or sys.executable)
SCRIPT = """
import sys
from functools import partial

import msgspec

from duravip.sim.parallel import spread
from duravip.sim.run import run_schedule

if __name__ == "__main__":
    job = partial(run_schedule, ownership=sys.argv[1])
    for outcome in spread(job, range(int(sys.argv[2])), int(sys.argv[3])):
        print(msgspec.json.encode(outcome).decode())
"""


def schedules(count: int, *, ownership: str, folder: Path, python: Path = QUICKEST) -> list[Outcome]:
    """Those of the first so many seeds. `folder`: for the script, which other processes must find."""
    script = folder / "schedules.py"
    script.write_text(SCRIPT)
    jobs = len(os.sched_getaffinity(0))
    command = [python, "-P", script, ownership, str(count), str(jobs)]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [msgspec.json.decode(line, type=Outcome) for line in ran.stdout.splitlines()]
