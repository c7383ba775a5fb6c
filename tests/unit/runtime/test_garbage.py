"""The collector, as far as one can watch it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from duravip.runtime.garbage import FEW_OBJECTS, LOOK_EVERY_S, THRESHOLDS, look_through, tidy


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_little_is_looked_through_and_nothing_is_frozen() -> None:
    frozen, gone = gc.get_freeze_count(), weakref.ref(Knot())
    look_through()
    assert gone() is None
    assert gc.get_freeze_count() <= frozen


def test_much_is_left_alone_from_then_on() -> None:
    kept = [[number] for number in range(FEW_OBJECTS + 100)]
    frozen, gone = gc.get_freeze_count(), weakref.ref(Knot())
    look_through()
    assert gc.get_freeze_count() >= frozen + len(kept)
    gc.collect()
    assert gone() is not None, "it is frozen"
    del kept
    assert gc.get_freeze_count() < frozen + FEW_OBJECTS, "what nobody refers to goes all the same"


async def test_what_is_there_at_the_start_is_frozen_and_what_comes_is_looked_through_each_minute(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with trio.move_on_after(LOOK_EVERY_S + 1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tidy)
            await trio.sleep(1)
            assert gc.get_threshold() == THRESHOLDS
            knot = Knot()
            gone = weakref.ref(knot)
            gc.collect(1)  # it is old by now
            del knot
            gc.collect(1)
            assert gone() is not None
            await trio.sleep(LOOK_EVERY_S)
    assert gone() is None
