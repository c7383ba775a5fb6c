"""What a misspelt word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

_SHORT_WORD = 4  # up to this length two letters make another word: `mac` and `max` are one letter apart


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """The nearest of `known` within two letters of `word` (one letter for short words), whatever the case;
    None when there is none or the word itself is among them. A letter more, less, other, or two swapped count
    one each."""
    folded = word.lower()
    nearest, nearest_distance = None, 3
    for candidate in known:
        if candidate == word:
            return None
        limit = 1 if len(candidate) <= _SHORT_WORD else 2
        distance = _distance(folded, candidate.lower(), limit)
        if distance <= limit and distance < nearest_distance:
            nearest, nearest_distance = candidate, distance
    return nearest


def _distance(one: str, other: str, limit: int) -> int:
    """Edits between the two words, or anything above `limit` when there are more."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        two_before, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != wanted))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == wanted:
                best = min(best, two_before[j - 2] + 1)
            row.append(best)
        if min(row) > limit:
            return limit + 1
    return row[-1]
