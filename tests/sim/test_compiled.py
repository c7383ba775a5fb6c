"""The compiled core does in every schedule exactly what its sources do: the digests cover all that is sent and ordered.

Without a compiled environment (`elsewhere`) a wheel is built.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from duravip.cluster import is_compiled
from duravip.sim.run import run_schedule
from tests.sim.elsewhere import COMPILED, schedules

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SEEDS = 24


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment whose core is compiled."""
    if COMPILED:
        return Path(COMPILED)
    folder = tmp_path_factory.mktemp("compiled")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", ROOT], check=True, env={**os.environ, "DURAVIP_COMPILE": "1"})
    return python


@pytest.mark.parametrize("ownership", ["available", "strict"])
def test_the_compiled_core_does_what_its_sources_do(ownership: str, compiled: Path, tmp_path: Path) -> None:
    """Also when the schedules and what they came to go from process to process."""
    assert not is_compiled()
    subprocess.run([compiled, "-P", "-c", "import duravip.cluster as core; assert core.is_compiled()"], check=True)
    outcomes = schedules(SEEDS, ownership=ownership, folder=tmp_path, python=compiled)
    assert outcomes == [run_schedule(seed, ownership=ownership) for seed in range(SEEDS)]


def test_a_deliberate_bug_is_refused_by_a_compiled_core(compiled: Path) -> None:
    ran = subprocess.run(
        [compiled, "-P", "-m", "duravip.sim", "--bug", "old-leave", "--seeds", "0"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "pip install -e ." in ran.stderr
