"""What a misspelt word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_SHORT_WORD = 4  # up to this length two letters make another word: `mac` and `max` are one letter apart


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The nearest of `known` within two letters of `word` (one letter for short words), whatever the case;
    None when there is none or the word itself is among them. A letter more, less, other, or two swapped count
    one each."""
    folded, letters = _folded(word)
    nearest, nearest_distance = None, 3
    for candidate in known:
        if candidate == word:
            return None
        limit = 1 if len(candidate) <= _SHORT_WORD else 2
        other, other_letters = _folded(candidate)
        if abs(len(other) - len(folded)) > limit or (letters ^ other_letters).bit_count() > 2 * limit:
            continue
        distance = _distance(folded, other, limit)
        if distance <= limit and distance < nearest_distance:
            nearest, nearest_distance = candidate, distance
    return nearest


@lru_cache(maxsize=1024)
def _folded(word: str) -> tuple[str, int]:
    """In small letters, and with a bit for each of them, more or less: one edit changes two at most."""
    folded, bits = word.lower(), 0
    for char in folded:
        bits |= 1 << (ord(char) & 63)
    return folded, bits


def _distance(one: str, other: str, limit: int) -> int:
    """Edits between the two words, or anything above `limit` when there are more. Only what lies near the diagonal can
    be within the limit."""
    far = limit + 1
    before: list[int] = []
    row = [min(j, far) for j in range(len(other) + 1)]
    for i, char in enumerate(one, 1):
        two_before, before, row = before, row, [far] * (len(other) + 1)
        row[0] = min(i, far)
        for j in range(max(1, i - limit), min(len(other), i + limit) + 1):
            wanted = other[j - 1]
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != wanted))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == wanted:
                best = min(best, two_before[j - 2] + 1)
            row[j] = best
        if min(row) > limit:
            return far
    return row[-1]
