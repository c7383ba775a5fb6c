"""Tables as they are compared, made once for many comparisons.

Rules of this file: what a table says does not depend on where it is written, nor on who has it.
"""

from __future__ import annotations

from typing import Final

from duravip.cluster.stepwise import STEP_ENTRIES, Steps
from duravip.model import Address, Table, TableDigest, VipEntry

Meaning = tuple[object, ...]


class Reading:
    """A table as it is compared: its entries, and what each says, wherever that is written."""

    def __init__(self) -> None:
        self.entries: dict[Address, VipEntry] = {}
        self.meanings: dict[Address, Meaning] = {}


_readings: dict[TableDigest, Reading] = {}
"""The last ones, the oldest first. Views and rounds of changes come more often than tables."""
_MAX_ENTRIES_READ: Final = 40_960  # in all of them; one is kept however long it is


def reading(table: Table, digest: TableDigest) -> Steps[Reading]:
    """For a survey, now or soon."""
    found = _readings.pop(digest, None)
    if found is None:
        found, left = Reading(), STEP_ENTRIES
        for entry in table.vips:
            found.entries[entry.address] = entry
            found.meanings[entry.address] = _meaning(entry)
            left -= _weight(entry)
            if left <= 0:
                yield
                left = STEP_ENTRIES
        size = len(found.entries) + sum(len(other.entries) for other in _readings.values())
        while _readings and size > _MAX_ENTRIES_READ:
            size -= len(_readings.pop(next(iter(_readings))).entries)
    _readings[digest] = found
    return found


def _weight(entry: VipEntry) -> int:
    """Beside others in a step."""
    return 1 + entry.uses() // 16


def _meaning(entry: VipEntry) -> Meaning:
    """All of an entry that is compared. Tuples of nothing but words are no work for the garbage collector."""
    return (
        tuple([use.value for use in entry.services]),
        tuple([use.value for use in entry.bindings]),
        entry.preference and tuple([use.value for use in entry.preferences()]),
        entry.follow and entry.follow.value,
        entry.weight,
        entry.anti_affinity,
        entry.together,
    )
