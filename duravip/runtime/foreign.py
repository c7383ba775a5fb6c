"""What a plugin raised, in words: which exception, what it says, and where in the plugin it came about."""

from __future__ import annotations

import traceback
from pathlib import Path

import duravip

_OURS = Path(duravip.__file__).parent


def in_words(error: BaseException) -> str:
    """`KeyError: 'path' (folder.py, line 28)`; the place is the innermost that is not duravip's own, if any is."""
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    places = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    foreign = [f" ({path.name}, line {line})" for path, line in places if _OURS not in path.parents]
    return words + "".join(foreign[-1:])
