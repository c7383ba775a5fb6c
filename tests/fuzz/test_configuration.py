"""The corpus, damaged: the same texts at each run. `python -m tests.fuzz.configuration` looks further."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.configuration import CORPUS, FOUND, damaged, judge

DAMAGES = 3  # of each file


@pytest.mark.parametrize("suffix", [".conf", ".toml"])
def test_any_bytes_give_a_table_or_diagnostics(tmp_path: Path, suffix: str) -> None:
    texts = [path.read_bytes() for path in CORPUS if path.suffix == suffix]
    chance = random.Random(7)
    for text in texts:
        for _ in range(DAMAGES):
            judge(tmp_path / f"text{suffix}", damaged(chance, text, texts))


def test_a_text_of_one_language_is_no_harm_to_the_other(tmp_path: Path) -> None:
    for path in CORPUS:
        judge(tmp_path / ("text.toml" if path.suffix == ".conf" else "text.conf"), path.read_bytes())


def test_what_was_found_once_does_not_come_back(tmp_path: Path) -> None:
    for path in FOUND.glob("*.*") if FOUND.exists() else ():
        judge(tmp_path / f"text{path.suffix}", path.read_bytes())
