"""What may be seen between two steps of an event loop's tasks, whichever task it is that gives way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio


class _Steps(trio.abc.Instrument):
    def __init__(self, look: Callable[[], object]) -> None:
        self.look = look
        self.seen: set[object] = set()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.seen.add(self.look())


@contextmanager
def seen_between_steps(look: Callable[[], object]) -> Iterator[set[object]]:
    """Gathers what `look` gives each time that a task gives way."""
    steps = _Steps(look)
    trio.lowlevel.add_instrument(steps)
    try:
        yield steps.seen
    finally:
        trio.lowlevel.remove_instrument(steps)
