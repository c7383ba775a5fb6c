"""Reading a file's text: bounded, never half of it, never waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from duravip.config import source
from duravip.config.source import UnreadableError, read_text


def refused(path: Path) -> tuple[str, int, int]:
    with pytest.raises(UnreadableError) as raised:
        read_text(path)
    origin = raised.value.diagnostic.origin
    return raised.value.diagnostic.code, origin.line, origin.column


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.conf"
    path.write_text("old")
    read, changes = os.read, iter(["newer", "newest"])

    def reading(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if not data and (text := next(changes, None)):
            path.write_text(text)
        return data

    monkeypatch.setattr(os, "read", reading)
    assert read_text(path) == "newest"


def test_a_file_that_never_stops_changing_is_an_error(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.conf"
    path.write_text("")
    read = os.read

    def reading(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if not data:
            with path.open("a") as more:
                more.write("x")
        return data

    monkeypatch.setattr(os, "read", reading)
    assert refused(path)[0] == "DV209"


def test_a_file_that_cannot_be_read_to_its_end_is_an_error(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.conf"
    path.write_text("x")

    def reading(descriptor: int, size: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", reading)
    assert refused(path)[0] == "DV201"


def test_a_line_may_be_so_long_and_not_longer(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(source, "MAX_LINE", 10)
    path = tmp_path / "x.conf"
    path.write_text("0123456789\n0123456789\n")
    assert read_text(path).count("\n") == 2
    path.write_text("a\n0123456789X\n")
    assert refused(path) == ("DV203", 2, 1)


def test_what_is_no_file_is_not_even_opened(monkeypatch) -> None:
    """To open /dev/watchdog starts it."""
    monkeypatch.delattr(os, "open")
    assert refused(Path(os.devnull))[0] == "DV202"
