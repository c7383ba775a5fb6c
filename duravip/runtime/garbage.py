"""When the interpreter looks for garbage that refers to itself. All other garbage goes by itself, at once.

Rules of this file: what lives as long as the process, or as long as its addresses, is not looked at again and again,
least of all in the middle of a takeover: a thousand addresses are some ten thousand objects, and 5 ms.

Theory of operation
    The collector's young generations stay as they are: what a turn leaves behind is found soon. The old one is looked
    through here, once in LOOK_EVERY_S and only while there is little in it; when it has grown, what is in it is taken
    for what it probably is, something that stays, and is frozen: never looked at again, though freed like anything else
    when nobody refers to it any more.

Source: the Python Library Reference, "gc".
"""

from __future__ import annotations

import gc

import trio

LOOK_EVERY_S = 60.0
FEW_OBJECTS = 5_000  # looked through in some 2 ms
NEVER = 1 << 30
THRESHOLDS = (700, 3, NEVER)  # as `gc.set_threshold`: how often each generation is looked through unasked


async def tidy() -> None:
    """Until cancelled. Call it when the process has all that it lives with."""
    gc.set_threshold(*THRESHOLDS)
    gc.freeze()
    while True:
        await trio.sleep(LOOK_EVERY_S)
        look_through()


def look_through() -> None:
    """Frees the old garbage if there is little to be looked at, else freezes what is there."""
    if len(gc.get_objects()) <= FEW_OBJECTS:
        gc.collect()
    else:
        gc.freeze()
