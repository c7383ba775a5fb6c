from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from duravip.config.diagnostics import Diagnostic, Severity
from duravip.errors import BackendError, DuravipError, leaves
from duravip.model import Address, NodeName, Origin
from duravip.plugin.api import Plumbed
from duravip.runtime.daemon import run_daemon
from duravip.runtime.life import Life

VIP = Address("192.0.2.50")
Memory = Any  # of conftest.py


async def refusal(memory: Memory, name: str = "node1") -> DuravipError:
    """What a start ends with; nothing may have been changed or said by then."""
    before = dict(memory.backends[NodeName(name)].on)
    with pytest.raises((DuravipError, BaseExceptionGroup)) as caught:
        await memory.daemon(name).run()
    assert memory.backends[NodeName(name)].on == before
    assert memory.network.sent == []
    assert not (memory.folder / "run" / f"{name}.sock").exists()
    (found,) = leaves(caught.value)
    assert isinstance(found, DuravipError)
    return found


async def settle(lives: dict[str, Life], view: int, *, seconds: float = 30) -> None:
    """Until all share a mature view of so many members."""
    with trio.fail_after(seconds):
        while not all(  # noqa: ASYNC110 (the clock is virtual)
            life._node.view is not None and len(life._node.view.members) == view and life._node.view_mature
            for life in lives.values()
        ):
            await trio.sleep(0.1)
    await trio.sleep(0.5)


async def test_three_daemons_own_every_vip_exactly_once(memory: Memory, autojump_clock: trio.testing.MockClock) -> None:
    async with memory.running("node1", "node2", "node3") as lives:
        await settle(lives, 3)
        assert memory.holders() == {
            address: [memory.holders()[address][0]] for address in ("192.0.2.50", "192.0.2.51", "192.0.2.52")
        }
        for name, backend in memory.backends.items():
            announced = [address for what, address, _ in memory.announcers[name].asked if what == "announce"]
            assert set(backend.ours()) <= set(announced)


async def test_the_addresses_of_a_node_that_is_cut_off_are_owned_by_the_others_soon(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1", "node2", "node3") as lives:
        await settle(lives, 3)
        (lost,) = memory.backends["node1"].ours()
        memory.network.cut(NodeName("node1"))
        began = trio.current_time()
        while len(memory.holders()[lost]) < 2:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert trio.current_time() - began < 0.5
        memory.network.heal()
        await settle(lives, 3)
        assert all(len(holders) == 1 for holders in memory.holders().values())


async def test_a_node_that_leaves_hands_over_before_it_ends(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        lives = {name: await nursery.start(memory.daemon(name).run) for name in ("node1", "node2")}
        await settle(lives, 2)
        began = trio.current_time()
        await lives["node1"].leave()
        await trio.sleep(0.1)
        assert trio.current_time() - began < 0.5
        assert memory.holders() == {Address(f"192.0.2.{number}"): [NodeName("node2")] for number in (50, 51, 52)}
        await lives["node2"].leave()
    assert memory.holders() == {}
    assert list((memory.folder / "run").iterdir()) == []


async def test_a_daemon_that_is_stopped_at_once_leaves_no_address_behind(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1") as lives:
        await settle(lives, 1)
        assert len(memory.holders()) == 3
    assert memory.holders() == {}


async def test_a_failure_that_ends_a_daemon_leaves_no_address_behind(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012
        async with memory.running("node1") as lives:
            await settle(lives, 1)
            assert len(memory.holders()) == 3
            lives["node1"]._nursery.start_soon(fail)
            await trio.sleep_forever()
    assert [str(leaf) for leaf in leaves(caught.value)] == ["the roof fell in"]
    assert memory.holders() == {}


@pytest.mark.parametrize("ends", ["asked to leave", "at once"])
async def test_a_daemon_that_cannot_take_its_addresses_off_says_so_and_has_failed(
    memory: Memory, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, ends: str
) -> None:
    daemon, statuses = memory.daemon("node1"), []
    daemon._host = replace(daemon._host, end_anyway=lambda status, hanging: statuses.append(status))
    with pytest.raises((BackendError, BaseExceptionGroup)) as caught:  # noqa: PT012
        async with trio.open_nursery() as nursery:
            life = await nursery.start(daemon.run)
            await settle({"node1": life}, 1)
            memory.backends[NodeName("node1")].refuse = {VIP: "device or resource busy"}
            if ends == "asked to leave":
                await life.leave()
            else:
                nursery.cancel_scope.cancel()
    [error] = leaves(caught.value)
    assert "may still be on its interfaces" in str(error)
    assert statuses == [1]
    assert f"{VIP} was left on eth0 and cannot be taken off: device or resource busy" in caplog.text
    assert memory.holders() == {VIP: ["node1"]}


async def test_a_signal_ends_it_in_order_and_what_was_there_at_the_start_is_not_collected_again_and_again(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    daemon, frozen = memory.daemon("node1"), trio.Event()
    monkeypatch.setattr("gc.freeze", frozen.set)
    monkeypatch.setattr("gc.set_threshold", lambda *thresholds: None)
    monkeypatch.setattr("duravip.runtime.daemon.come_first", lambda: None)
    monkeypatch.setattr("duravip.runtime.daemon.SWITCH_INTERVAL_S", sys.getswitchinterval())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_daemon, daemon)
        with trio.fail_after(30):
            await frozen.wait()
        assert daemon._life is not None
        os.kill(os.getpid(), signal.SIGTERM)
    assert daemon._life.left


async def fail() -> None:
    raise BackendError("the roof fell in")


async def test_the_slate_is_clean_before_the_first_datagram(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    """An earlier run left a DuraVIP of the table and one that is in no table any more but bears our mark; the
    address of somebody else stays."""
    memory.config("node1")
    backend = memory.backends["node1"]
    for address, prefix, ours in (
        ("192.0.2.1", 24, False),
        ("192.0.2.50", 32, False),
        ("192.0.2.99", 32, True),
        ("192.0.2.7", 24, False),
    ):
        backend.on[Address(address)] = Plumbed(address=Address(address), interface="eth0", prefix=prefix, ours=ours)
    sent_before: list[int] = []
    remove = backend.remove

    async def watched(placements: Any) -> Any:
        sent_before.append(len(memory.network.sent))
        return await remove(placements)

    backend.remove = watched
    async with memory.running("node1"):
        assert sorted(backend.on) == ["192.0.2.1", "192.0.2.7"]
        assert sent_before == [0]
        assert backend.calls == [("remove", ("192.0.2.50", "192.0.2.99"))]


async def test_an_address_that_cannot_be_cleaned_away_ends_the_start(memory: Memory) -> None:
    memory.config("node1")
    backend = memory.backends["node1"]
    backend.on[VIP] = Plumbed(address=VIP, interface="eth0", prefix=32, ours=True)
    backend.refuse = {VIP: "permission denied"}
    assert str(await refusal(memory)) == "192.0.2.50 was left on eth0 and cannot be taken off: permission denied"


async def test_without_a_key_the_daemon_refuses_to_start(memory: Memory) -> None:
    memory.config("node1", key_file=None)
    error = await refusal(memory)
    assert str(error).startswith("no cluster key: make one with `duravip keygen FILE`")
    assert error.exit_code == 2


async def test_insecure_starts_without_a_key(memory: Memory, autojump_clock: trio.testing.MockClock) -> None:
    memory.config("node1", key_file=None, insecure=True)
    async with memory.running("node1") as lives:
        assert lives["node1"].info()["sealed"] is False


@pytest.mark.parametrize("own", [True, False], ids=["refused", "started"])
async def test_what_the_configuration_is_warned_of_is_logged_by_a_start_and_does_not_hide_the_sentence_of_a_refusal(
    memory: Memory, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture, own: bool
) -> None:
    caplog.set_level("INFO", "duravip")
    warned = Diagnostic(
        severity=Severity.WARNING, code="DV439", message="no transport there", origin=Origin("n.conf", 3, 5), hint="add"
    )
    memory.configs[NodeName("node1")] = replace(memory.config("node1"), diagnostics=(warned,))
    if own:
        memory.backends["node1"].on[VIP] = Plumbed(address=VIP, interface="eth0", prefix=24, ours=False)
        assert "this machine's own address" in str(await refusal(memory))
    else:
        async with memory.running("node1"):
            pass
    line = ("duravip", logging.WARNING, "n.conf:3:5: warning DV439: no transport there (add)")
    assert [one for one in caplog.record_tuples if "DV439" in one[2]] == ([] if own else [line])


async def test_a_vip_that_is_the_machines_own_address_is_refused(memory: Memory) -> None:
    memory.config("node1")
    memory.backends["node1"].on[VIP] = Plumbed(address=VIP, interface="eth0", prefix=24, ours=False)
    assert "192.0.2.50 is this machine's own address (on eth0)" in str(await refusal(memory))


async def test_a_vip_that_is_the_nodeaddr_is_refused(memory: Memory) -> None:
    memory.config("node1", nodeaddr="192.0.2.51")
    assert "192.0.2.51 is this machine's own address" in str(await refusal(memory))


async def test_a_vip_that_a_transport_sends_from_is_refused(memory: Memory, table: Callable[..., Any]) -> None:
    source = memory.network.transport(NodeName("node1")).source_address()
    memory.config("node1", table(VIP, Address(source)))
    error = await refusal(memory)
    assert f"{source} is this node's own address (the transport memory sends from it)" in str(error)


async def test_a_reload_may_not_take_the_addresses_that_the_running_daemon_uses(
    memory: Memory, table: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    """Not even those that the new file does not speak of any more."""
    memory.config("node1", nodeaddr="198.51.100.1")
    async with memory.running("node1") as lives:
        source = memory.network.transport(NodeName("node1")).source_address()
        for own, what in ((source, "the transport memory sends from it"), ("198.51.100.1", "it is the nodeaddr")):
            before = lives["node1"].table
            memory.config("node1", table(VIP, Address(own)))
            refused = (await lives["node1"].reload()).refusal
            assert f"{own} is this node's own address ({what})" in refused
            assert lives["node1"].table == before


async def test_a_topology_on_an_interface_that_does_not_exist_is_refused_with_its_place(
    memory: Memory, table: Callable[..., Any]
) -> None:
    config = memory.config("node1", table(VIP, interface="eth7"))
    vip = config.table.vips[0]
    moved = type(vip)(
        address=vip.address, interface=vip.interface, origin=Origin("node1.conf", 12, 3), services=vip.services
    )
    memory.configs["node1"] = replace(config, table=type(config.table)(vips=(moved,)))
    assert str(await refusal(memory)).startswith(
        "node1.conf:12:3: there is no interface eth7 for 192.0.2.50 on this machine"
    )


async def test_a_vip_without_topology_needs_an_interface_in_its_network(
    memory: Memory, table: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    memory.config("node1", table(VIP, interface=None))
    assert "no Topology names the interface for 192.0.2.50" in str(await refusal(memory))
    own = Address("192.0.2.1")
    memory.backends["node1"].on[own] = Plumbed(address=own, interface="eth0", prefix=24, ours=False)
    async with memory.running("node1") as lives:
        await settle(lives, 1)
        assert memory.holders() == {VIP: ["node1"]}


async def test_strict_ownership_needs_a_backend_whose_addresses_end_by_themselves(
    memory: Memory, table: Callable[..., Any], autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.config("node1", table(VIP, ownership="strict", members=("node1",)))
    monkeypatch.setattr(memory.backends["node1"], "has_lifetimes", False)
    assert "cannot have the kernel drop an address by itself" in str(await refusal(memory))


async def test_a_second_daemon_for_one_node_is_refused(memory: Memory, autojump_clock: trio.testing.MockClock) -> None:
    async with memory.running("node1"):
        with pytest.RaisesGroup(
            pytest.RaisesExc(DuravipError, match=r"another daemon \(pid \d+\) is running with state_dir")
        ):
            await memory.daemon("node1").run()
        other = str(memory.folder / "elsewhere")
        memory.configs["node1"] = replace(
            memory.configs["node1"], local=replace(memory.configs["node1"].local, state_dir=other)
        )
        with pytest.RaisesGroup(pytest.RaisesExc(DuravipError, match="another daemon answers on the control socket")):
            await memory.daemon("node1").run()
        assert (memory.folder / "run" / "node1.sock").exists()


async def test_a_reload_brings_the_new_table_into_force(
    memory: Memory, table: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1", "node2") as lives:
        await settle(lives, 2)
        fresh = table(VIP, Address("192.0.2.60"))
        for name in ("node1", "node2"):
            memory.config(name, fresh)
            assert (await lives[name].reload()).refusal == ""
        await trio.sleep(10)
        assert sorted(memory.holders()) == ["192.0.2.50", "192.0.2.60"]
        assert all(len(holders) == 1 for holders in memory.holders().values())


async def test_all_nodes_switch_together_or_none_does(
    memory: Memory, table: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    names = (NodeName("node1"), NodeName("node2"))
    async with memory.running(*names) as lives:
        await settle(lives, 2)
        for name in names:
            memory.config(name, table(VIP, Address("192.0.2.60")))
        found = await lives["node2"]._reloading.reload_together()
        assert (found.refusal, found.members, found.difference.added) == ("", names, ("192.0.2.60",))
        await trio.sleep(10)
        assert sorted(memory.holders()) == ["192.0.2.50", "192.0.2.60"]
        assert [lives[name].info()["config"]["in_force"] for name in names] == [True, True]

        for name in names:
            memory.config(name, table(VIP))
        wrong = Diagnostic(
            severity=Severity.ERROR, code="DV104", message="`x` has no value", origin=Origin("b.conf", 3, 4)
        )
        memory.configs["node2"] = replace(memory.configs["node2"], diagnostics=(wrong,))
        found = await lives["node1"]._reloading.reload_together()
        assert found.refusal == "node2: b.conf:3:4: error DV104: `x` has no value"
        await trio.sleep(1)
        for name in names:
            last = lives[name]._bus.recent()[-1].to_json_object()
            assert (last["id"], last["text"]) == ("config.rejected", f"asked through node1, for all: {found.refusal}")
        assert sorted(memory.holders()) == ["192.0.2.50", "192.0.2.60"]

        found = await lives["node2"]._reloading.reload_together()
        assert found.refusal == "b.conf:3:4: error DV104: `x` has no value", "its own file: nobody else is asked"


async def test_a_group_that_does_not_agree_is_waited_for_so_long_and_meanwhile_nothing_else_is_reloaded(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1") as lives, trio.open_nursery() as nursery:
        life = lives["node1"]
        assert (await life._reloading.reload_together()).refusal == "this node is in no view yet"
        await settle(lives, 1)
        life._reloading._feed = lambda given: None  # a group that never answers
        nursery.start_soon(life._reloading.reload_together)
        await trio.sleep(1)
        assert "is under way" in (await life.reload()).refusal
        found = await life._reloading.reload_together()
        assert found.refusal == "no agreement within 30 s; `duravip members` shows who is there"
        assert life._status.config()["stale"]


async def test_a_reload_of_a_broken_file_keeps_the_old_table_and_says_so(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    async with memory.running("node1") as lives:
        life = lives["node1"]
        wrong = Diagnostic(
            severity=Severity.ERROR, code="DV104", message="`x` has no value", origin=Origin("a.conf", 3, 4)
        )
        memory.configs["node1"] = replace(memory.configs["node1"], diagnostics=(wrong,))
        text = "a.conf:3:4: error DV104: `x` has no value"
        assert (await life.reload()).refusal == text
        last = life._bus.recent()[-1].to_json_object()
        assert (last["id"], last["text"]) == ("config.rejected", text)
        assert life.table == memory.configs["node1"].table


def test_the_incarnation_grows_with_every_start(memory: Memory) -> None:
    seen = []

    async def once() -> None:
        async with memory.running("node1") as lives:
            seen.append(lives["node1"].info()["incarnation"])

    for _ in range(2):
        trio.run(once)
    first, second = (int(text.split(".")[0]) for text in seen)
    assert second == first + 1


def test_the_service_manager_is_told(tmp_path: Path) -> None:
    import socket

    from duravip.runtime.ready import notify

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        assert notify("READY=1", path=str(tmp_path / "notify"))
        assert listening.recv(100) == b"READY=1"
    assert not notify("READY=1", path=str(tmp_path / "nobody"))
    assert not notify("READY=1", path="")
