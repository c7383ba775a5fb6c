"""Operators' wishes on daemons in one process, on trio's virtual clock; and who would be left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import trio
import trio.testing

from duravip.config.diagnostics import Diagnostic, Severity
from duravip.model import Address, NodeName, Use, VipEntry
from duravip.runtime.life import Life

N1, N2, N3 = (NodeName(f"node{number}") for number in (1, 2, 3))
VIP, OTHER = Address("192.0.2.50"), Address("192.0.2.51")
Memory = Any  # of conftest.py

SETTLING_S = 10.0


async def mature(*lives: Life) -> None:
    with trio.fail_after(30):
        while not all(life._status.view_mature for life in lives):  # noqa: ASYNC110 (the clock is virtual)
            await trio.sleep(0.1)
    await trio.sleep(SETTLING_S)


def entry(address: Address, binding: str = "b") -> VipEntry:
    return VipEntry(address=address, bindings=(Use(binding),))


async def test_a_move_pins_the_address_and_auto_ends_the_pin(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1", "node2") as lives:
        await mature(*lives.values())
        (source,) = memory.holders()[VIP]
        target = N2 if source == N1 else N1
        assert lives["node1"]._acting.move(VIP, target) == ""
        await trio.sleep(1)
        assert memory.holders()[VIP] == [target]
        assert [life._node.pins() for life in lives.values()] == [{VIP: target}] * 2
        assert lives["node2"]._acting.move(VIP, None) == ""
        await trio.sleep(1)
        assert lives["node1"]._node.pins() == {}


async def test_a_move_that_cannot_be_is_refused_with_the_reason(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1") as lives:
        acting = lives["node1"]._acting
        assert acting.move(VIP, N1) == "this node is in no view yet"
        assert acting.announce(everywhere=True) == "this node is in no view yet"
        await mature(*lives.values())
        before = memory.holders()
        assert "node9 is no member" in acting.move(VIP, NodeName("node9"))
        assert "nobody's table" in acting.move(Address("192.0.2.99"), N1)
        await trio.sleep(1)
        assert memory.holders() == before


async def test_announce_repeats_what_is_held_here_or_everywhere(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1", "node2") as lives:
        await mature(*lives.values())

        def asked_anew() -> dict[str, list[str]]:
            return {
                name: sorted(address for what, address, _ in announcer.asked if what == "repeat")
                for name, announcer in memory.announcers.items()
            }

        def forget() -> None:
            for announcer in memory.announcers.values():
                announcer.asked.clear()

        held = {name: sorted(memory.backends[name].ours()) for name in (N1, N2)}
        forget()
        assert lives["node1"]._acting.announce(everywhere=False) == ""
        await trio.sleep(1)
        assert asked_anew() == {N1: held[N1], N2: []}
        forget()
        assert lives["node1"]._acting.announce(everywhere=True) == ""
        await trio.sleep(1)
        assert asked_anew() == held


async def test_a_drain_gives_everything_away_and_outlives_the_daemon(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1") as first:
        async with memory.running("node2") as second:
            await mature(*first.values(), *second.values())
            assert memory.backends[N2].ours()
            assert await second["node2"]._acting.drain(None, force=False) == ""
            await trio.sleep(1)
            assert not memory.backends[N2].ours()
        await trio.sleep(SETTLING_S)
        async with memory.running("node2") as second:
            await mature(*first.values(), *second.values())
            assert not memory.backends[N2].ours()
            assert await second["node2"]._acting.undrain(N2) == ""
            await trio.sleep(2 * SETTLING_S)
            assert memory.backends[N2].ours()


async def test_the_last_eligible_node_is_drained_by_force_only(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1") as lives:
        await mature(*lives.values())
        acting = lives["node1"]._acting
        refusal = await acting.drain(N1, force=False)
        assert refusal.startswith("nobody else could own 192.0.2.50, 192.0.2.51, 192.0.2.52 now: node1 is the last")
        await trio.sleep(1)
        assert len(memory.holders()) == 3
        assert await acting.drain(N1, force=True) == ""
        await trio.sleep(1)
        assert memory.holders() == {}
        assert await acting.drain(N1, force=False) == "", "it is drained already"


async def test_any_node_of_the_view_can_be_drained_and_undrained_from_any_other(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1", "node2") as lives:
        await mature(*lives.values())
        acting = lives["node1"]._acting
        assert memory.backends[N2].ours()
        assert await acting.drain(N2, force=False) == ""
        await trio.sleep(1)
        assert not memory.backends[N2].ours()
        kept = memory.folder / "state" / "node2" / "drained"
        assert kept.exists()
        refusal = await lives["node2"]._acting.drain(N1, force=False)
        assert "node1 is the last eligible node" in refusal
        assert await acting.undrain(N2) == ""
        await trio.sleep(2 * SETTLING_S)
        assert memory.backends[N2].ours()
        assert not kept.exists()
        for refusal in (await acting.drain(N3, force=True), await acting.undrain(N3)):
            assert refusal == "node3 is no member of the view; its members are node1, node2"


async def test_a_drain_that_cannot_be_kept_is_not_done(memory: Memory, autojump_clock: trio.testing.MockClock) -> None:
    async with memory.running("node1") as lives:
        await mature(*lives.values())
        acting = lives["node1"]._acting

        def full(drained: bool) -> None:
            raise OSError(28, "No space left on device")

        acting._keep_drained = full
        assert "No space left on device" in await acting.drain(None, force=True)
        await trio.sleep(1)
        assert len(memory.holders()) == 3


async def test_a_dry_run_says_what_would_change_and_changes_nothing(
    memory: Memory, table: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1") as lives:
        life = lives["node1"]
        await mature(life)
        old = life.table
        memory.config("node1", table(VIP, Address("192.0.2.60")))
        found = await life._reloading.reload(dry_run=True)
        assert found.refusal == ""
        assert (found.difference.added, found.difference.removed) == (("192.0.2.60",), (OTHER, "192.0.2.52"))
        wrong = Diagnostic(severity=Severity.ERROR, code="DV104", message="wrong")
        memory.configs["node1"] = replace(memory.configs["node1"], diagnostics=(wrong,))
        assert "DV104" in (await life._reloading.reload(dry_run=True)).refusal
        await trio.sleep(1)
        assert life.table is old
        assert not life.info()["config"]["stale"]
        assert not [one for one in life._bus.recent() if one.event.id.startswith("config.")]


async def test_info_says_when_the_new_table_is_in_force(
    memory: Memory, table: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1", "node2") as lives:
        life = lives["node1"]
        await mature(*lives.values())
        assert life.info()["config"]["in_force"]
        memory.config("node1", table(VIP, interface="eth0"))
        await life.reload()
        assert not life.info()["config"]["in_force"], "the others have not heard of it yet"
        await trio.sleep(SETTLING_S)
        assert life.info()["config"]["in_force"]
