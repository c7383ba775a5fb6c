"""`check` on files, `plan`, the simulator and live daemons give the same flags, with the same evidence, for the same
tables: every case of tests/flag_cases.toml goes through all four.

The daemons are real ones on a network and kernels in memory; they are asked over their control sockets.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli
import trio
import trio.testing

from duravip.cli.check import Checked, check
from duravip.cli.plan import plan
from duravip.model import NodeName, Settings, Table, VipEntry
from duravip.sim.observer import Observer
from duravip.sim.world import World
from duravip_plugins.config_momentum import MomentumParser

CASES = tomli.loads((Path(__file__).parents[2] / "flag_cases.toml").read_text())["case"]
TOPOLOGIES = "\n".join(
    f'Topology "{network}" {{ interface = eth0 }}' for network in ("192.0.2.0/24", "192.168.0.0/24", "2001:db8::/64")
)
SETTLING_S = 15.0  # of heartbeats once a second: whole seconds of three nodes cost little
Memory = Any  # of conftest.py
Flags = dict[str, list[str]]
Evidence = dict[str, list[dict[str, Any]]]


def checked(case: dict[str, Any], folder: Path) -> Checked:
    for node, text in case["nodes"].items():
        (folder / f"{node}.conf").write_text(f"{text}\n{TOPOLOGIES}\n")
    files = [str(folder / f"{node}.conf") for node in case["nodes"]]
    found = check(files, parsers=[MomentumParser()], plugin_options={})
    assert [one.message for one in found.diagnostics if one.severity.value == "error"] == []
    return found


def flags_and_evidence(vips: list[dict[str, Any]]) -> tuple[Flags, Evidence]:
    return {vip["address"]: vip["flags"] for vip in vips}, {vip["address"]: vip["evidence"] for vip in vips}


def simulated(tables: dict[NodeName, Table]) -> dict[NodeName, tuple[Flags, Evidence]]:
    """What every simulated node says when the cluster has settled."""
    world = World("identical flags", observer=Observer())
    hosts = [world.add_host(node, table) for node, table in tables.items()]
    for host in hosts:
        host.start()
    world.clock.run_until(SETTLING_S)
    said = {}
    for name, host in world.hosts.items():
        node: Any = host.node
        landscape = node.landscape
        raised = {address: landscape.flags.get(address, {}) for address in landscape.universe}
        said[name] = (
            {address: [flag.value for flag in flags] for address, flags in raised.items()},
            {
                address: [msgspec.to_builtins(one) for evidence in flags.values() for one in evidence]
                for address, flags in raised.items()
            },
        )
    return said


async def asked(path: str, command: str = "show") -> dict[str, Any]:
    """What a daemon answers."""
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(b'{"command": "%s"}\n' % command.encode())
        answer = b""
        while not answer.endswith(b"\n"):
            answer += await stream.receive_some()
    shown: dict[str, Any] = json.loads(answer)["result"]
    return shown


async def live(memory: Memory, tables: dict[NodeName, Table]) -> dict[NodeName, tuple[Flags, Evidence]]:
    for node, table in tables.items():
        memory.config(node, table, heartbeat_interval=1.0, failure_timeout=3.5)
    async with memory.running(*tables):
        await trio.sleep(SETTLING_S)
        shown = {node: await asked(memory.configs[node].local.control) for node in tables}
    assert all(len(answer["view"]["members"]) == len(tables) for answer in shown.values())
    return {node: flags_and_evidence(answer["vips"]) for node, answer in shown.items()}


@pytest.mark.parametrize("case", CASES, ids=[case["name"].replace(" ", "-") for case in CASES])
async def test_check_plan_simulator_and_daemon_give_identical_flags(
    case: dict[str, Any], memory: Memory, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """ "`check` on files, `plan`, the simulator and the live daemon must give the same flags from the same tables" """
    found = checked(case, tmp_path)
    tables = {node.name: node.table for node in found.nodes}

    by_check = flags_and_evidence(found.as_json()["vips"])
    by_plan = {vip["address"]: vip["flags"] for vip in plan(found.nodes)["vips"]}
    by_simulator = simulated(tables)
    by_daemon = await live(memory, tables)

    assert by_check[0] == case["flags"]
    assert by_plan == case["flags"]
    assert by_simulator == dict.fromkeys(tables, by_check)
    assert by_daemon == dict.fromkeys(tables, by_check)


async def test_a_daemon_tells_what_every_member_has_in_force(
    memory: Memory, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What `check --against-cluster` goes by."""
    tables = {node.name: node.table for node in checked(CASES[-1], tmp_path).nodes}
    for node, table in tables.items():
        memory.config(node, table, heartbeat_interval=1.0, failure_timeout=3.5)
    async with memory.running(*tables):
        await trio.sleep(SETTLING_S)
        answer = await asked(memory.configs[NodeName("node1")].local.control, "tables")
    told = msgspec.convert(answer["tables"], dict[str, tuple[VipEntry, ...]])
    assert (answer["node"], answer["coordinator"]) == ("node1", "node1")
    assert msgspec.convert(answer["settings"], dict[str, Settings]) == {
        n: table.settings for n, table in tables.items()
    }
    assert told == {node: table.vips for node, table in tables.items()}


def test_the_cases_have_every_flag_alone_and_several_at_once() -> None:
    raised = {tuple(flags) for case in CASES for flags in case["flags"].values()}

    assert {(), ("BROKEN",), ("CONFLICT",), ("UNSAFE",), ("BROKEN", "CONFLICT", "UNSAFE")} <= raised
