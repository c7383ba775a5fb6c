"""The authors' tutorial shows the example distribution, letter by letter; that one is installed and run by
tests/netns/test_example.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "write-a-plugin.md"
EXAMPLE = ROOT / "contrib" / "duravip-example"

_BLOCK = re.compile(r"^<!-- source: (?P<path>\S+) -->\n```[a-z]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = {found["path"]: found["text"] for found in _BLOCK.finditer(PAGE.read_text())}


def test_all_code_of_the_example_is_shown() -> None:
    code = [EXAMPLE / "pyproject.toml", EXAMPLE / "node1.ini", *EXAMPLE.glob("duravip_example/*.py")]

    assert {str(path.relative_to(ROOT)) for path in code} <= set(BLOCKS)


@pytest.mark.parametrize("path", BLOCKS)
def test_a_block_is_the_file_that_it_names(path: str) -> None:
    assert BLOCKS[path] == (ROOT / path).read_text()


def test_every_block_of_code_names_its_file() -> None:
    languages = re.findall(r"(?:^<!-- source: \S+ -->\n)?^```([a-z]+)$", PAGE.read_text(), re.MULTILINE)

    assert len([one for one in languages if one != "sh"]) == len(BLOCKS)
