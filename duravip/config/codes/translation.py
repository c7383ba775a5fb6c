"""DV7xx: what `duravip convert` leaves behind."""

from __future__ import annotations

from duravip.config.codes.code import info

CODES = (
    info(
        "DV701",
        "A stanza or an option is not carried over into the other language.",
        why="It is none of duravip's, so it has no effect here; but the file that it stands in may be another "
        "program's too.",
        mend="Keep the original for whoever reads the rest of it.",
    ),
    info(
        "DV702",
        "Comments are not carried over into the other language.",
        why="They belong to places in the text, and the translation has other places.",
        mend="Copy what is worth keeping.",
    ),
)
