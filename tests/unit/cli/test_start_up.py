"""What commands that only read configurations do not load: every one of these costs its start some of its time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("trio", "httpx", "ssl", "asyncio", "cryptography", "rich", "pyroute2", "duravip.runtime", "duravip.wire")
PROGRAM = """
import sys
from duravip.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=open("modules", "w"))
"""


@pytest.mark.parametrize("command", ["check", "plan"])
def test_the_plugins_that_ship_are_asked_for_what_they_offer_without_loading_what_they_do_it_with(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "node.conf").write_text("cluster { insecure = true } multicast { } unicast { peers = a } syslog { }")
    done = subprocess.run([sys.executable, "-c", PROGRAM, command, "node.conf"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    loaded = (tmp_path / "modules").read_text().split()
    assert "duravip_plugins.transport_multicast" in loaded
    assert [name for name in loaded if name.startswith(tuple(f"{heavy}." for heavy in HEAVY)) or name in HEAVY] == []
