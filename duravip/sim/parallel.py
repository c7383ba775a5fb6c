"""Many runs on several cores: what comes back comes in the order of what was asked."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Asked = TypeVar("Asked")
Got = TypeVar("Got")


def spread(
    job: Callable[[Asked], Got], items: Iterable[Asked], jobs: int, *, initializer: Callable[[], object] | None = None
) -> Iterator[Got]:
    """`job` of each item, by `jobs` processes, or in this one for 1. `job` must be importable (or a `partial` of what
    is); `initializer` is called once in each process."""
    if jobs == 1:
        yield from map(job, items)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=initializer) as pool:
        yield from pool.imap(job, items, chunksize=2)
