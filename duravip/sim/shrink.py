"""Fewer causes for the same effect.

Source: Zeller and Hildebrandt, Simplifying and isolating failure-inducing input (2002): complements only.
"""

from __future__ import annotations

from collections.abc import Callable


def smallest(whole: frozenset[int], breaks: Callable[[frozenset[int]], bool]) -> frozenset[int]:
    """A part of `whole` that still breaks, none of whose members can be left out. `whole` must break; `breaks` must
    give the same answer for the same part."""
    kept = sorted(whole)
    size = max(1, len(kept) // 2)
    while kept:
        pieces = [kept[at : at + size] for at in range(0, len(kept), size)]
        for piece in pieces:
            rest = [number for number in kept if number not in piece]
            if breaks(frozenset(rest)):
                kept = rest
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
            continue
        size = max(1, min(size, len(kept)))
    return frozenset(kept)
