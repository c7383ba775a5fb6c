"""docs/how-to/keys.md, walked by running daemons: no address moves and no member is missed, in whatever order the nodes
take their steps."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from click.testing import CliRunner

from duravip.cli.keygen import command as keygen
from duravip.model import NodeName
from duravip.runtime.life import Life
from duravip.wire.dropped import DropReason
from duravip.wire.key_file import read_keys

Memory = Any  # of conftest.py
NODES = ("node1", "node2", "node3")
UNREAD = (DropReason.UNKNOWN_KEY, DropReason.INSECURE, DropReason.FORGED, DropReason.MALFORMED)


async def settle(lives: dict[str, Life]) -> None:
    with trio.fail_after(30):
        while not all(life._node.view_mature and len(life._node.view.members) == 3 for life in lives.values()):  # noqa: ASYNC110
            await trio.sleep(0.1)
    await trio.sleep(1)


@asynccontextmanager
async def untouched(memory: Memory, lives: dict[str, Life]) -> AsyncIterator[None]:
    """All the while every address is where it was, and the view is the same."""
    await settle(lives)
    held, views = memory.holders(), [life._node.view for life in lives.values()]
    assert len(held) == 3

    async def watch() -> None:
        while True:
            assert memory.holders() == held
            assert [life._node.view for life in lives.values()] == views
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield
        await trio.sleep(2)
        nursery.cancel_scope.cancel()


def own_keys(memory: Memory, **local: Any) -> None:
    """Each node has a key file of its own."""
    for name in NODES:
        memory.config(name, key_file=str(memory.folder / f"{name}.key"), **local)


def copy(memory: Memory, source: Path, name: str) -> None:
    file = memory.folder / f"{name}.key"
    file.write_bytes(source.read_bytes())
    file.chmod(0o600)


def unread(lives: dict[str, Life]) -> Counter[str]:
    """What members have said and another has not understood."""
    counts: Counter[str] = Counter()
    for life in lives.values():
        counts.update({reason.name: life._around.link.counters[reason] for reason in UNREAD})
    return +counts


@pytest.mark.parametrize("order", list(permutations(NODES))[::2], ids=str)
async def test_a_key_is_changed_without_an_interruption_and_without_a_lost_datagram(
    memory: Memory, autojump_clock: trio.testing.MockClock, order: tuple[str, ...]
) -> None:
    own_keys(memory)
    shared = memory.folder / "key"
    (old,) = read_keys(str(shared))
    for name in NODES:
        copy(memory, shared, name)
    async with memory.running(*NODES) as lives, untouched(memory, lives):
        for step in ("--add", "--switch", "--remove"):
            assert CliRunner().invoke(keygen, [step, str(shared)]).exit_code == 0
            for name in order:
                copy(memory, shared, name)
                found = await lives[name].reload()
                assert not found.refusal
                assert found.keys is not None
                await trio.sleep(0.7)
        (new,) = read_keys(str(shared))
        assert new != old
        sealed = {life.info()["seal"]["seals_with"] for life in lives.values()}
        assert len(sealed) == 1
        for name, life in lives.items():
            assert set(life.info()["seal"]["heard"].values()) == sealed, name
        assert unread(lives) == {}


async def test_a_first_key_is_rolled_out_and_taken_back_without_an_interruption(
    memory: Memory, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    own_keys(memory)
    keyed = dict(memory.configs)
    insecure = {
        name: replace(one, local=replace(one.local, key_file=None, insecure=True)) for name, one in keyed.items()
    }
    receiving = {name: replace(one, local=replace(one.local, seal="receive-only")) for name, one in keyed.items()}
    memory.configs.update(insecure)
    for name in NODES:
        copy(memory, memory.folder / "key", name)
    async with memory.running(*NODES) as lives, untouched(memory, lives):
        assert {life.info()["seal"]["mode"] for life in lives.values()} == {"insecure"}
        for configs, mode in (
            (receiving, "receive-only"),
            (keyed, "enforce"),
            (receiving, "receive-only"),
            (insecure, "insecure"),
        ):
            caplog.clear()
            for name in NODES:
                memory.configs[NodeName(name)] = configs[NodeName(name)]
                assert not (await lives[name].reload()).refusal
                await trio.sleep(0.7)
            assert {life.info()["seal"]["mode"] for life in lives.values()} == {mode}
            loud = [
                r.message
                for r in caplog.records
                if r.levelno == logging.WARNING and "can join the cluster" in r.message
            ]
            assert len(loud) == (0 if mode == "enforce" else 3)


@pytest.mark.parametrize("what", ["another key", "switched before it was added", "removed before it was switched"])
async def test_a_step_that_the_others_cannot_have_followed_is_refused_and_the_keys_stay(
    memory: Memory, autojump_clock: trio.testing.MockClock, what: str
) -> None:
    shared = memory.folder / "key"
    if what == "removed before it was switched":
        assert CliRunner().invoke(keygen, ["--add", str(shared)]).exit_code == 0
    async with memory.running(*NODES) as lives, untouched(memory, lives):
        before = lives["node1"].info()["seal"]
        lines = shared.read_text().split()
        other = CliRunner().invoke(keygen, []).stdout.strip()
        text = {
            "another key": [other],
            "switched before it was added": [other, *lines],
            "removed before it was switched": lines[1:],
        }[what]
        shared.write_text("\n".join(text))
        found = await lives["node1"].reload()
        assert "would not understand each other" in found.refusal
        assert "in steps" in found.refusal
        assert lives["node1"].info()["seal"] == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.chmod(0o640), "chmod 600"),
        (lambda file: file.unlink(), "cannot read the cluster key"),
        (lambda file: file.write_text("abc\n"), "not a cluster key"),
    ],
    ids=["mode", "gone", "garbage"],
)
async def test_a_key_file_that_cannot_be_used_refuses_the_reload_in_one_sentence(
    memory: Memory, autojump_clock: trio.testing.MockClock, spoil: Callable[[Path], object], said: str
) -> None:
    async with memory.running(*NODES) as lives, untouched(memory, lives):
        spoil(memory.folder / "key")
        found = await lives["node2"].reload()
        assert said in found.refusal
        assert "\n" not in found.refusal


async def test_all_nodes_take_a_step_at_one_moment_when_they_are_asked_to(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running(*NODES) as lives, untouched(memory, lives):
        assert CliRunner().invoke(keygen, ["--add", str(memory.folder / "key")]).exit_code == 0
        found = await lives["node1"]._reloading.reload_together()
        assert (found.refusal, found.members) == ("", NODES)
        await trio.sleep(1)
        assert {len(life.info()["seal"]["opens"]) for life in lives.values()} == {2}
