"""Answers as commands print them with `--format json`, made by the code that makes the real ones.

What differs from run to run (times, incarnations, numbers) is replaced by fixed values, so that the page changes only
when the shape does.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import from_code
import msgspec
import trio
from trio.testing import MockClock

from duravip import events
from duravip.cli import check, plan
from duravip.cli.rehearse import Report
from duravip.model import Address, NodeName, Settings, Table
from duravip.plugin.manager import PluginRecord
from duravip.runtime.releasing import Released
from duravip.runtime.status import Status
from duravip.sim.observer import Observer
from duravip.sim.rehearsal import Finding, Rehearsal
from duravip.sim.world import World

FOUNDING = from_code.ROOT / "tests" / "corpus" / "founding"

_FIXED: Mapping[str, Any] = {
    "stable_s": 12.5,
    "since_s": 12.5,
    "number": 3,
    "incarnation": "1.0123456789abcdef",
    "id": "1@node1#1",
}


def samples() -> dict[str, tuple[str, str]]:
    """Command -> what to know, and the JSON text."""
    checked = _checked()
    shown, members, explained = trio.run(
        _live, [node.table for node in checked.nodes], clock=MockClock(autojump_threshold=0)
    )
    return {
        "duravip check node1.conf node2.conf": (
            "`flags` is empty when SAFE, else alphabetical. Lines and columns count from 1.",
            _text(checked.as_json()),
        ),
        "duravip plan node1.conf node2.conf": (
            "`owner` is null when nobody may own it; `moves` is counted from the owners that `--current` gives, else, "
            "with `--down`, from the plan in which all nodes are up.",
            _text(plan.plan(checked.nodes)),
        ),
        "duravip rehearse node1.conf node2.conf": (
            "`property` is one of S1 to S4, L1 to L6, or `raised` or `hot` for a bug that is none of these. `at_s` is "
            "in virtual seconds. `schedule`: the faults that suffice, or null after the first few violations. `seeds`: "
            "how many were run. `outage_ms_by_vip`: of the VIPs that were ever away, the longest in all first.",
            _text(_rehearsed()),
        ),
        "duravip show": ("What the node that is asked knows and has agreed to.", _text(_fixed(shown))),
        "duravip explain 192.168.0.51": (
            "`candidates` are the members of the view, `if_down` says who would own the address as soon as that one "
            "had gone, `history` is what this daemon has seen since it began, the oldest first.",
            _text(explained),
        ),
        "duravip members": (
            "Everybody in the view (`online`), and whoever else is heard. `paths`: the transports on which the node "
            "was heard within the failure timeout.",
            _text(_fixed(members)),
        ),
        "duravip events": ("One object a line; [events](events.md) has every id and its fields.", json.dumps(_event())),
        "duravip release --all": (
            "What was taken off, and the macvlans that were removed (`mac = virtual`).",
            _text(_released()),
        ),
        "duravip plugins": ("`error` is empty exactly when `loaded`.", _text([asdict(_plugin())])),
    }


def _rehearsed() -> dict[str, Any]:
    rehearsal = Rehearsal(
        seeds=100, moves=311, outages_s={Address("192.0.2.1"): [2.1, 5.25], Address("192.0.2.2"): [0.004]}
    )
    rehearsal.findings.append(Finding(seed=17, property="S1", at_s=12.25, detail="192.0.2.1 on node1 and node2"))
    return Report(rehearsal, (("11.500 node1 is killed", "12.000 node1 starts"),), took_s=4.0).as_json()


def _released() -> dict[str, Any]:
    return Released(addresses=[Address("192.168.0.51")], interfaces=["dv-525b78bf5466"]).as_json()


def _text(value: object) -> str:
    return json.dumps(value, indent=2)


def _fixed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _FIXED[key] if key in _FIXED else _fixed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fixed(inner) for inner in value]
    return value


def _checked() -> check.Checked:
    modules = from_code.plugin_modules().values()
    parsers = [one for module in modules for one in getattr(module, "duravip_config_parsers", tuple)()]
    with contextlib.chdir(FOUNDING):
        return check.check(["node1.conf", "node2.conf"], parsers=parsers, plugin_options=from_code.plugin_options())


async def _live(tables: list[Table]) -> tuple[Any, Any, Any]:
    """`show`, `members` and `explain` of node1 in a simulated cluster that has settled."""
    world = World("docs", observer=Observer())
    settings = Settings(view_mature_time=1.0)
    for name, table in zip(("node1", "node2", "node3"), [*tables, tables[-1]], strict=True):
        world.add_host(NodeName(name), msgspec.structs.replace(table, settings=settings)).start()
    world.clock.run_until(30.0)
    node: Any = world.hosts[NodeName("node1")].node
    status = Status(node=NodeName("node1"), machine=node, paths_of=lambda _: ("multicast",), now=trio.current_time())
    shown = await status.show()
    assert shown is not None
    address, reason = node.landscape.universe[0], "node2 failed; node1 is the only eligible member"
    owner, previous = NodeName("node1"), NodeName("node2")
    change = events.OwnerElected(address=address, owner=owner, previous=previous, reason=reason)
    status.history.observe(_stamped(change))
    return json.loads(bytes(shown)), status.members(), await status.explain(address)


def _event() -> dict[str, Any]:
    happened = events.AddressMoved(
        address=Address("192.168.0.51"),
        source=NodeName("node2"),
        target=NodeName("node1"),
        reason="node1 is the only eligible member",
    )
    return _stamped(happened).to_json_object()


def _stamped(event: events.Event) -> events.Stamped:
    at = datetime.datetime(2026, 1, 31, 12, 0, 0, tzinfo=datetime.UTC)
    life = str(_FIXED["incarnation"])
    return events.Stamped(event=event, node=NodeName("node1"), incarnation=life, seq=17, time=at, view="2@node1#1")


def _plugin() -> PluginRecord:
    return PluginRecord(
        name="multicast",
        kind="transport",
        distribution="duravip",
        version="0.1.0",
        file="/opt/duravip/lib/python3.11/site-packages/duravip_plugins/transport_multicast.py",
        loaded=True,
        error="",
    )
