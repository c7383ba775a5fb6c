"""docs/how-to/transports.md: the transport that it shows is right by the tests that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "transports.md").read_text()
TRANSPORT, TEST, TEST_ON_A_NETWORK = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = ROOT / "contrib" / "duravip-example"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an author of plugins has after copying from the page."""
    (tmp_path / "my_plugin.py").write_text(TRANSPORT)
    (tmp_path / "test_my_plugin.py").write_text(TEST)
    (tmp_path / "test_my_transport.py").write_text(TEST_ON_A_NETWORK)
    return tmp_path


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(folder), str(EXAMPLES)))
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=False,
    )


def test_the_transport_passes_the_test_beside_it(folder: Path) -> None:
    done = ran(folder, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_plugin.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.netns
def test_the_script_makes_a_network_for_the_tutorials_transport(folder: Path) -> None:
    words = re.search(r"^sudo (unshare -n) python (\S+)$", PAGE, re.MULTILINE)
    assert words is not None
    done = ran(folder, *words[1].split(), sys.executable, words[2])
    assert done.returncode == 0, done.stderr
