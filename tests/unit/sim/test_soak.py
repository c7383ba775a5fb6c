"""A soak counts what was run, on which core, and goes on from there."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from duravip.sim.outcome import Outcome, Violation
from duravip.sim.soak import FIRST_SEED, Soak, core_digest, load, save

CORE, COMMIT = "0123456789ab", "f" * 40


def outcome(seed: int, *violations: Violation) -> Outcome:
    return Outcome(
        seed=seed,
        violations=violations,
        digest="",
        nodes=3,
        views=1,
        inputs=1,
        orders=1,
        datagrams=1,
        moves=0,
        outages=(),
        virtual_s=60.0,
        troubles=0,
        faults=(),
    )


def test_what_was_run_is_counted_and_the_next_seeds_follow(tmp_path: Path) -> None:
    soak = load(tmp_path / "soak.json")
    sitting = soak.sitting(CORE, COMMIT)
    assert list(islice(sitting.seeds(), 2)) == [FIRST_SEED, FIRST_SEED + 1]
    sitting.add(outcome(FIRST_SEED))
    sitting.add(outcome(FIRST_SEED + 1, Violation(at_s=1.5, rule="S1", text="two")))
    save(soak, tmp_path / "soak.json")
    again = load(tmp_path / "soak.json")
    assert next(again.sitting(CORE, COMMIT).seeds()) == FIRST_SEED + 2
    assert list(again.lines()) == [
        f"core {CORE} ({COMMIT[:12]}): 2 schedules, 0 virtual hours, 1 violations",
        f"  seed {FIRST_SEED + 1}: S1 after 1.500 s: two",
    ]


def test_another_commit_of_the_same_core_goes_on_and_another_core_begins_anew() -> None:
    soak = Soak()
    soak.sitting(CORE, COMMIT).add(outcome(FIRST_SEED))
    assert next(soak.sitting(CORE, "e" * 40).seeds()) == FIRST_SEED + 1
    assert next(soak.sitting("another", COMMIT).seeds()) == FIRST_SEED


def test_a_core_is_named_by_its_sources(tmp_path: Path) -> None:
    for name in ("cluster", "wire", "sim"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text("x = 1\n")
    for name in ("model.py", "events.py"):
        (tmp_path / name).write_text("")
    before = core_digest(tmp_path)
    assert core_digest(tmp_path) == before
    (tmp_path / "cli.py").write_text("not the core")
    assert core_digest(tmp_path) == before
    (tmp_path / "wire" / "x.py").write_text("x = 2\n")
    assert core_digest(tmp_path) != before


@pytest.mark.long
def test_a_soak_that_has_ended_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "soak.json"
    for schedules in (3, 5):
        command = [sys.executable, "-m", "duravip.sim", "--soak", str(state), "--jobs", "2", "--until", str(schedules)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        (sitting,) = json.loads(state.read_text())["sittings"]
        assert (sitting["schedules"], sitting["violations"]) == (schedules, [])
        assert f"{schedules} schedules, 0 virtual hours, 0 violations" in done.stdout
