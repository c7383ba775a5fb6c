"""The compiled core does in every schedule exactly what its sources do: the digests cover all that is sent and ordered.

`DURAVIP_COMPILED`: the Python of an environment where duravip was installed compiled; without it, a wheel is built.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from duravip.cluster import is_compiled
from duravip.sim.run import run_schedule

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SEEDS = 24
DIGESTS = """
import sys
from duravip.cluster import is_compiled
from duravip.sim.run import run_schedule

assert is_compiled()
for seed in range(int(sys.argv[2])):
    print(run_schedule(seed, ownership=sys.argv[1]).digest)
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment whose core is compiled."""
    given = os.environ.get("DURAVIP_COMPILED")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("compiled")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", ROOT], check=True, env={**os.environ, "DURAVIP_COMPILE": "1"})
    return python


@pytest.mark.parametrize("ownership", ["available", "strict"])
def test_the_compiled_core_does_what_its_sources_do(ownership: str, compiled: Path) -> None:
    assert not is_compiled()
    ran = subprocess.run(
        [compiled, "-P", "-c", DIGESTS, ownership, str(SEEDS)], check=True, capture_output=True, text=True
    )
    assert ran.stdout.split() == [run_schedule(seed, ownership=ownership).digest for seed in range(SEEDS)]


def test_a_deliberate_bug_is_refused_by_a_compiled_core(compiled: Path) -> None:
    ran = subprocess.run(
        [compiled, "-P", "-m", "duravip.sim", "--bug", "old-leave", "--seeds", "0"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "pip install -e ." in ran.stderr
