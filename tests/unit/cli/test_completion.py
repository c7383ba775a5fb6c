"""Shell completion, as docs/how-to/completion.md says: the script is run by a real bash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from duravip.cli.main import COMMANDS

BIN = Path(sys.executable).parent


def complete(*words: str, cwd: Path) -> list[str]:
    """What bash offers for the last of the words, typed after `duravip`."""
    typed = " ".join(f"'{word}'" for word in ("duravip", *words))
    script = (
        'eval "$(_DURAVIP_COMPLETE=bash_source duravip)"; compopt() { :; }; '
        f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}; "
        '_duravip_completion duravip; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True, env=environment, cwd=cwd
    )
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("sh",), ["show"]),
        (("",), sorted(COMMANDS)),
        (("show", "--f"), ["--format"]),
        (("show", "--format", ""), ["text", "json"]),
        (("announce", ""), ["arp", "view"]),
    ],
)
def test_bash_completes_commands_options_and_choices(
    words: tuple[str, ...], offered: list[str], tmp_path: Path
) -> None:
    assert complete(*words, cwd=tmp_path) == offered


@pytest.mark.parametrize("words", [("run", "-c"), ("check",), ("plan",), ("keygen",), ("show", "--control")])
def test_a_file_is_left_to_the_shell(words: tuple[str, ...], tmp_path: Path) -> None:
    """Click answers `file`: the script asks bash for files."""
    environment = {
        **os.environ,
        "COMP_WORDS": " ".join(["duravip", *words, "no"]),
        "COMP_CWORD": str(len(words) + 1),
        "_DURAVIP_COMPLETE": "bash_complete",
    }
    done = subprocess.run([BIN / "duravip"], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    assert done.stdout.strip() == "file,no"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    environment = {**os.environ, "_DURAVIP_COMPLETE": f"{shell}_source"}
    done = subprocess.run([BIN / "duravip"], capture_output=True, text=True, check=True, env=environment)
    assert f"_DURAVIP_COMPLETE={shell}_complete" in done.stdout
