from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import duravip.testing

KITS = [f"duravip.testing.{kind}_kit" for kind in ("parser", "transport", "backend", "notifier")]
HEAVY = ["duravip.cluster", "duravip.plugin", "duravip.runtime", "msgspec", "pytest", "trio"]


@pytest.mark.parametrize("kit", KITS)
def test_each_kit_is_found_under_its_name(kit: str) -> None:
    check = f"check_{kit.rpartition('.')[2].removesuffix('_kit')}"
    assert getattr(duravip.testing, check) is getattr(importlib.import_module(kit), check)


def test_every_name_is_there() -> None:
    assert all(hasattr(duravip.testing, name) for name in duravip.testing.__all__)
    with pytest.raises(ImportError, match="check_spelling"):
        from duravip.testing import check_spelling  # noqa: F401


def test_nothing_heavy_comes_with_the_package_and_no_kit_needs_pytest() -> None:
    asked = f"import sys, duravip.testing; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    assert not _printed(asked)
    asked = f"import sys; from duravip.testing import *; print(*sorted({{'pytest', *{KITS}}} & set(sys.modules)))"
    assert _printed(asked) == sorted(KITS)


def _printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()
