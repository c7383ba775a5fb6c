"""Inputs worth keeping, in the repository: `corpus/TARGET.hex`, one a line, what they have found in a comment above.
All of them are run again by every run of the tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def kept(target: str) -> list[bytes]:
    """In the order of the file."""
    file = FOLDER / f"{target}.hex"
    lines = file.read_text().splitlines() if file.exists() else []
    return [bytes.fromhex(line) for line in lines if line and not line.startswith("#")]


def keep(target: str, inputs: Iterable[bytes], comment: str) -> int:
    """Adds those that are not there yet; returns how many."""
    new = [one for one in dict.fromkeys(inputs) if one not in set(kept(target))]
    if new:
        FOLDER.mkdir(exist_ok=True)
        with (FOLDER / f"{target}.hex").open("a") as file:
            file.write(f"# {comment}\n" + "".join(f"{one.hex()}\n" for one in new))
    return len(new)
