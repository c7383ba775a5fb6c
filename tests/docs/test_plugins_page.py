"""docs/how-to/plugins.md: its code runs, with plugins of ours in the place of the author's."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from duravip.plugin.manager import Found, load_plugins

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "plugins.md").read_text()
NOTIFIER, BACKEND, NODE_NAME = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_a_notifier_is_checked_as_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "contrib" / "duravip-example")
    example = importlib.import_module("duravip_example.jsonlines")
    monkeypatch.setitem(sys.modules, "my_plugin", SimpleNamespace(open_notifier=example.open_notifier))  # type: ignore[arg-type]
    shown: dict[str, object] = {}
    exec(NOTIFIER, shown)
    test = shown["test_it"]
    assert callable(test)
    test(tmp_path)


@pytest.mark.netns
def test_a_backend_is_checked_as_the_page_shows(tmp_path: Path) -> None:
    (tmp_path / "my_plugin.py").write_text(
        "from duravip_plugins.backend_netlink import duravip_backends\n[kind] = duravip_backends()\n"
        "open_backend = kind.open\n"
    )
    script = tmp_path / "test_my_backend.py"
    script.write_text(BACKEND)
    assert "sudo unshare -n python test_my_backend.py" in PAGE
    done = subprocess.run(
        ["unshare", "-n", sys.executable, script.name],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_node_is_named_as_the_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = ModuleType("my_plugin")
    exec(NODE_NAME, vars(plugin))
    plugins = load_plugins(found=[Found(name="my", distribution="my", version="1", module="", load=lambda: plugin)])
    vars(plugin)["open"] = lambda path: (ROOT / "LICENSE").open() if path == "/etc/machine-name" else None
    assert "Apache License" in str(plugins.nodename())
