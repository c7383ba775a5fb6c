"""Long work, a step at a time: a generator that gives way now and then, and returns what comes of it.

Rules of this file: whoever has the time does all of it with `at_once`; so both ways are one code.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

STEP_ENTRIES: Final = 1_024  # of a table, read in one step: some 2 ms

Result = TypeVar("Result")
Steps = Generator[None, None, Result]


def at_once(steps: Steps[Result]) -> Result:
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Result = done.value
            return result
