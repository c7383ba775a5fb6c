"""Many files are read by several processes; nobody can tell the difference."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from duravip.cli import reading
from duravip.cli.reading import read_all
from duravip.config.load import load_file
from duravip.config.node_config import NodeConfig
from duravip_plugins.config_momentum import MomentumParser

MISTAKE = "oops\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Worth two processes, wherever this runs."""
    monkeypatch.setattr(reading, "WORTH_BYTES", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    paths = []
    for number in range(7):
        path = tmp_path / f"{number}.conf"
        path.write_text(
            f"cluster {{ nodename = n{number} }}\n{MISTAKE * (number % 2)}"
            f"Binding b {{ Bind_Address = 192.0.2.{number} Enable_Duravip = true }}\n"
        )
        paths.append(str(path))
    return paths


def read(path: str) -> NodeConfig:
    return load_file(path, parsers=[MomentumParser()], plugin_options={}, environ={}, host_name="h")


def test_the_configurations_are_the_same_and_in_the_order_of_the_files(files: list[str]) -> None:
    assert read_all(files, lambda number: read(files[number])) == [read(path) for path in files]


def test_what_a_child_cannot_read_is_read_here(files: list[str]) -> None:
    here = os.getpid()

    def failing(number: int) -> NodeConfig:
        if os.getpid() != here:
            os._exit(3)
        return read(files[number])

    assert read_all(files, failing) == [read(path) for path in files]


def test_few_bytes_are_read_without_children(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WORTH_BYTES", 10**9)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a child"))
    assert len(read_all(files, lambda number: read(files[number]))) == 7


def test_a_file_that_is_missing_has_no_size(files: list[str]) -> None:
    paths = [*files, "/nonexistent"]
    found = read_all(paths, lambda number: read(paths[number]))
    assert [one.code for one in found[-1].diagnostics] == ["DV201"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("", "the name of a FILE is empty; write FILE or NAME=FILE"),
        ("x=", "x=: the file's name after `=` is empty; write NAME=FILE"),
    ],
)
@pytest.mark.parametrize("command", ["check", "plan"])
def test_an_empty_file_name_is_wrong_usage(
    duravip: Callable[..., tuple[int, str, str]], command: str, file: str, said: str
) -> None:
    assert duravip(command, file) == (2, "", f"duravip: {said}\n")
