"""Every scenario file gives the trace that it says. `pytest tests/sim/test_scenarios.py --rewrite` writes the present
traces into the files: commit only what you can explain."""

from __future__ import annotations

from pathlib import Path

import pytest

from duravip.sim.scenario import Scenario, ScenarioError, parse, play

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


def test_there_are_at_least_twelve() -> None:
    assert len(SCENARIOS) >= 12


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_ends_as_its_file_says(path: Path, request: pytest.FixtureRequest) -> None:
    told = parse(path.read_text())
    played = play(told)
    assert not [line for line in played.trace if "VIOLATION" in line]
    if request.config.getoption("--rewrite"):
        path.write_text(played.text())
    else:
        assert played.trace == told.trace, f"if you can explain the difference: pytest {path.parent.parent} --rewrite"


def traced(*commands: str) -> tuple[str, ...]:
    return play(Scenario(("# why",), commands, ())).trace


def test_what_a_scenario_gives_it_gives_again() -> None:
    commands = ("nodes a b", "vips 2", "start", "loss 5", "run 4", "crash a", "run 2", "show owners")
    assert traced(*commands) == traced(*commands)
    assert traced(*commands) != traced("seed 2", *commands)


def test_a_broken_promise_is_in_the_trace() -> None:
    assert any("VIOLATION L2" in line for line in traced("nodes a b", "vips 1", "start", "run 0.2", "judge"))


@pytest.mark.parametrize(
    ("commands", "complaint"),
    [
        (["nodes a", "fly a"], "line 4: fly a: there is no command fly"),
        (["nodes a", "start b"], "line 4: start b: there is no node b"),
        (["nodes a", "start", "vips 2"], "line 5: vips 2: nodes and VIPs are declared before anything happens"),
        (["nodes a colour=red"], "line 3: nodes a colour=red: there is no option colour"),
        (["nodes a", "run x"], "line 4: cannot understand: run x"),
        (["nodes a b", "cut a"], "line 4: cut a: a cut has two sides"),
        (["nodes a b", "vips 1", "run until held"], "line 5: run until held: it did not come within 60 s"),
        (["start"], "line 3: start: no nodes are declared"),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_line(commands: list[str], complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        traced(*commands)
    assert str(caught.value).startswith(complaint)


def test_a_scenario_says_why_it_is_there() -> None:
    with pytest.raises(ScenarioError, match="begins with a comment that says why"):
        parse("nodes a\n----\n")
