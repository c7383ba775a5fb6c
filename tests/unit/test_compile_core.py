"""What a build does where the core cannot be compiled."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hatchling.bridge.app import Application

ROOT = Path(__file__).parents[2]


class Told(Application):
    """`warnings` are what the one who builds is told."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def display_warning(self, message: str = "", **_: Any) -> None:
        self.warnings.append(message)


def hook(told: Told, compiler: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    """The hook, for a project of one module, on a machine with that C compiler."""
    spec = importlib.util.spec_from_file_location("compile_core", ROOT / "contrib" / "compile_core.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("CC", compiler)
    (folder / "core.py").write_text("def double(of: int) -> int:\n    return 2 * of\n")
    settings = {"compiled": ["core.py"], "interpreted": []}
    return module.CompileCore(str(folder), settings, None, None, "", "wheel", told)


def built(hook: Any, version: str = "standard") -> dict[str, Any]:
    data: dict[str, Any] = {"force_include": {}, "pure_python": True}
    hook.initialize(version, data)
    hook.finalize(version, data, "")
    return data


def test_with_a_compiler_the_wheel_has_a_library_for_each_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = Told()
    data = built(hook(told, "gcc", monkeypatch, tmp_path))
    assert any(place.startswith("core.") and place.endswith(".so") for place in data["force_include"].values())
    assert not data["pure_python"]
    assert told.warnings == []


def test_without_a_compiler_the_core_stays_interpreted_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DURAVIP_COMPILE", raising=False)
    told = Told()
    data = built(hook(told, "no-such-compiler", monkeypatch, tmp_path))
    assert data == {"force_include": {}, "pure_python": True}
    (warning,) = told.warnings
    assert "The core stays interpreted" in warning


def test_without_a_compiler_a_build_that_must_compile_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DURAVIP_COMPILE", "1")
    with pytest.raises(subprocess.CalledProcessError):
        built(hook(Told(), "no-such-compiler", monkeypatch, tmp_path))


@pytest.mark.parametrize(("wish", "version"), [("0", "standard"), ("", "editable")])
def test_a_build_that_need_not_compile_does_not(
    wish: str, version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DURAVIP_COMPILE", wish)
    told = Told()
    assert built(hook(told, "no-such-compiler", monkeypatch, tmp_path), version)["pure_python"]
    assert told.warnings == []
