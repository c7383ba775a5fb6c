"""Measurements, of the duravip that is installed: `python -m` would put the sources in the working folder before it."""

import sys
from pathlib import Path

if sys.path[0] == str(Path(__file__).parents[2]):
    sys.path.append(sys.path.pop(0))
