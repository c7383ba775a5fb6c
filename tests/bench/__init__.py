"""Measurements, of the duravip that is installed: `python -m` would put the sources in the working folder before it.

A measurement that is ended by SIGTERM cleans up behind itself, as one that is interrupted does.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType


def _end(number: int, _frame: FrameType | None) -> None:
    if os.getpid() == _MEASURING:
        sys.exit(f"ended by {signal.Signals(number).name}")
    os._exit(128 + number)  # a child that was forked: what is to be cleaned up is not its own


if sys.path[0] == str(Path(__file__).parents[2]):
    sys.path.append(sys.path.pop(0))
    _MEASURING = os.getpid()
    signal.signal(signal.SIGTERM, _end)
