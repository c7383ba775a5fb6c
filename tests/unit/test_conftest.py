"""On CI a skipped test is a failed one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

TESTS = """
import pytest

def test_that_runs(): pass

def test_that_skips_itself(): pytest.skip("no root here")

@pytest.mark.skipif(True, reason="no tool here")
def test_that_is_skipped(): pass

@pytest.mark.xfail(reason="known")
def test_that_is_known_to_fail(): assert False
"""

NEEDS = """
import pytest
@pytest.mark.needs("python3", "nft")
def test_with_a_tool(): pass
"""

MODULE = "import pytest; pytest.skip('not on this machine', allow_module_level=True)"


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", "1 failed, 1 passed, 1 xfailed, 1 error"), ("", "1 passed, 2 skipped, 1 xfailed")]
)
def test_a_skipped_test_fails_on_ci(ci: str, outcome: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(TESTS)

    assert outcome in _run_pytest(tmp_path, ci).stdout


def test_a_test_whose_command_is_missing_is_skipped_and_the_package_named(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text().replace('"nft": "', '"python3": "-", "nft-not-here": "'))
    (tmp_path / "test_it.py").write_text(NEEDS.replace("nft", "nft-not-here"))

    assert "needs the command `nft-not-here` (package nftables)" in _run_pytest(tmp_path, "", "-rs").stdout


@pytest.mark.parametrize(("ci", "status"), [("true", 2), ("", 5)])
def test_a_skipped_file_fails_on_ci(ci: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(MODULE)

    assert _run_pytest(tmp_path, ci).returncode == status


def _run_pytest(folder: Path, ci: str, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(folder),
            str(folder),
            *options,
        ],
        env={**environment, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
