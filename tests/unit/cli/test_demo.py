"""The demonstration that needs nothing: on the simulator's network. The one with daemons is in tests/netns."""

from __future__ import annotations

import datetime
import json

import click.testing
import pytest

from duravip.cli import demo
from duravip.cli.demo_in_memory import InMemory
from duravip.cli.demo_story import NODES, STAR, VICTIM, VIPS, Narrator
from duravip.errors import UsageError
from duravip.testing import netns


class Wall:
    """A real clock that nobody waits for."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def perform(*, as_json: bool) -> tuple[float, float]:
    """The outage in milliseconds, and how long it all took in seconds."""
    wall = Wall()
    began = wall.now
    narrator = Narrator(as_json=as_json, monotonic=wall.monotonic)
    noon = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
    outage_ms = InMemory(narrator, monotonic=wall.monotonic, sleep=wall.sleep, utc_now=lambda: noon).perform()
    return outage_ms, wall.now - began


def test_it_is_over_soon_and_the_outage_is_that_of_the_default_settings() -> None:
    outage_ms, took_s = perform(as_json=False)
    assert 100 < outage_ms <= 400
    assert took_s < 20


def test_people_see_the_election_the_crash_and_the_new_owner(capsys: pytest.CaptureFixture[str]) -> None:
    outage_ms, _ = perform(as_json=False)
    told = capsys.readouterr().out
    before, after = told.split("crashes")
    assert f"{STAR}  {VICTIM}  SAFE" in before
    assert f"nobody who runs had {STAR} for {outage_ms:.0f} ms" in after
    assert f"suspects {VICTIM}" in after
    assert f"{STAR}  {VICTIM}" not in after
    assert max(len(line) for line in told.splitlines()) <= 100


def test_json_is_the_events_of_all_nodes_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    perform(as_json=True)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["node"] for event in events} == set(NODES)
    assert all(list(event)[:6] == ["id", "incarnation", "seq", "time", "node", "view"] for event in events)
    lives = {(event["node"], event["incarnation"]) for event in events}
    assert len(lives) == len(NODES) + 1
    for life in lives:
        seqs = [event["seq"] for event in events if (event["node"], event["incarnation"]) == life]
        assert seqs == list(range(1, len(seqs) + 1))
    acquired = [event for event in events if event["id"] == "election.address_acquired"]
    assert {event["address"] for event in acquired} == set(VIPS)
    assert [event["node"] == VICTIM for event in acquired if event["address"] == STAR] == [True, False, True]


def test_what_a_node_says_while_it_is_cut_off_is_not_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator(as_json=False, monotonic=Wall().monotonic)
    told = {"id": "election.address_acquired", "node": VICTIM, "address": STAR, "view": ""}
    narrator.muted = frozenset({VICTIM})
    narrator.event(told)
    assert capsys.readouterr().out == ""
    narrator.muted = frozenset()
    narrator.event(told)
    assert f"{VICTIM}  has {STAR}" in capsys.readouterr().out


def test_to_keep_it_running_needs_namespaces_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "why_not", lambda: "network namespaces need root")
    done = click.testing.CliRunner().invoke(demo.command, ["--keep"])
    assert isinstance(done.exception, UsageError)
    assert "network namespaces need root" in str(done.exception)


def test_without_root_it_says_that_it_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns, "why_not", lambda: "network namespaces need root")
    performed: list[Narrator] = []
    monkeypatch.setattr(demo, "_in_memory", performed.append)
    done = click.testing.CliRunner().invoke(demo.command, ["--format", "json"])
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "In memory" in done.stderr
    assert "network namespaces need root" in done.stderr
    assert [narrator.as_json for narrator in performed] == [True]


def test_where_the_network_cannot_be_built_it_is_in_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_lan: object) -> None:
        raise netns.LanError("no bridges in this kernel")

    monkeypatch.setattr(netns, "why_not", lambda: "")
    monkeypatch.setattr(netns.Lan, "__enter__", refuse)
    performed: list[Narrator] = []
    monkeypatch.setattr(demo, "_in_memory", performed.append)
    done = click.testing.CliRunner().invoke(demo.command, [])
    assert done.exit_code == 0
    assert "no bridges in this kernel" in done.stderr
    assert len(performed) == 1
