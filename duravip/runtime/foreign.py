"""What a plugin raised, in words: which exception, what it says, and where in the plugin it came about.

Rules of this file: whoever calls into a plugin and may not let it end the daemon as a bug of duravip's, says it with
this.
"""

from __future__ import annotations

import traceback
from pathlib import Path

import duravip
from duravip.errors import DuravipError, PluginError

_OURS = Path(duravip.__file__).parent


def in_words(error: BaseException) -> str:
    """`KeyError: 'path' (folder.py, line 28)`; the place is the innermost that is not duravip's own, if any is.
    A `DuravipError` is a sentence already."""
    if isinstance(error, DuravipError):
        return str(error)
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    places = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    foreign = [f" ({path.name}, line {line})" for path, line in places if _OURS not in path.parents]
    return words + "".join(foreign[-1:])


def transport_failure(path: str, doing: str, error: Exception) -> PluginError:
    """Of a transport that raises what is no passing failure: the daemon ends by its name."""
    return PluginError(f"the transport {path} failed while {doing}: {in_words(error)}", plugin=path)
