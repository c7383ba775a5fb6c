"""docs/explanation/detection.md: every constant of the detector and of what follows from it has a row with its value;
so have the profiles."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from duravip.config import schema

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "detection.md").read_text()
ROWS = dict(re.findall(r"^\| `([A-Z_]+)`, ([\d.]+(?: ms| s)?)", PAGE, re.MULTILINE))
WHOLE = ("detector", "pulse", "leadership", "penalties")
SINGLE = {"library": {"TABLE_WAIT_S"}, "agreement": {"RESEND_INTERVALS"}, "shadow": {"SHADOW_TIMEOUTS"}}


def constants() -> dict[str, float]:
    found: dict[str, float] = {}
    for name in (*WHOLE, *SINGLE):
        module = importlib.import_module(f"duravip.cluster.{name}")
        source = Path(str(module.__file__)).with_suffix(".py").read_text()
        own = set(re.findall(r"^([A-Z][A-Z_]*)(?:: Final)? = ", source, re.MULTILINE))
        found.update({one: getattr(module, one) for one in SINGLE.get(name, own)})
    return found


def test_every_constant_has_a_row_with_its_value_and_there_is_no_other_row() -> None:
    units = {"": 1.0, "s": 1.0, "ms": 1000.0}
    said = {
        name: float(number) / units[unit] for name, text in ROWS.items() for number, _, unit in [text.partition(" ")]
    }

    assert said == pytest.approx(constants())


def test_the_profiles_are_as_the_code_has_them() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `failure_timeout`"))
    ratios = {name: timeout / interval for name, (interval, timeout) in schema.PROFILES.items()}

    assert list(ratios) == ["lan", "fast", "wan"]
    assert "{lan:.3g}, {fast:.3g} and {wan:.3g} of its intervals".format(**ratios) in row
    option = next(one for one in schema.SCOPES["cluster"] if one.name == "failure_timeout")
    assert "{lan:.3g} heartbeat intervals under lan, {fast:.3g} under fast and {wan:.3g} under wan".format(
        **ratios
    ) in (option.doc)
