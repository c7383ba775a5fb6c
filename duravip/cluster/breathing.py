"""Where what takes long lets other threads have the interpreter.

Rules of this file: only what is worked out in a thread of its own gives way, so that the event loop has its turns
meanwhile (`deliberation`). What is worked out within a turn does not: others would take the interpreter from the loop,
half a millisecond each time.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

from duravip.cluster.pausing import pause


class _Lungs:
    def __init__(self) -> None:
        self.busy = 0


_lungs: Final = _Lungs()


def breathe() -> None:
    """To be called every few dozen microseconds; costs a hundredth of one, and a tenth `BesideTurns`."""
    if _lungs.busy:
        pause()


class BesideTurns:
    """As long as somebody works in a thread, whatever breathes gives way."""

    def __enter__(self) -> None:
        _lungs.busy += 1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _lungs.busy -= 1
