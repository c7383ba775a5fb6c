"""What the control socket says about a node: the machine's state as JSON-ready values.

Rules of this file: it only asks. Answers about many addresses are built in slices, and the event loop runs between
them: ten thousand must not hold up a heartbeat. What a slice is built from is immutable.

Source: the JSON shapes of contract.md section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
import trio

from duravip.cluster.explanation import Grounds, explain
from duravip.cluster.flags import Landscape
from duravip.cluster.holdings import HoldState
from duravip.events import ConfigRejected, ConfigReloaded, Event, OwnerElected
from duravip.model import Address, Decision, NodeName, Table, View, address_order
from duravip.runtime.history import History
from duravip.stint import Stint

SLICE_ADDRESSES = 16


class Peer(Protocol):
    """What is asked of `cluster.node.MemberInfo`."""

    @property
    def name(self) -> NodeName: ...
    @property
    def incarnation(self) -> object: ...
    @property
    def online(self) -> bool: ...
    @property
    def mature(self) -> bool: ...
    @property
    def eligible(self) -> bool: ...
    @property
    def drained(self) -> bool: ...
    @property
    def penalty(self) -> float: ...
    @property
    def addresses(self) -> int: ...
    @property
    def version(self) -> str: ...


class Machine(Protocol):
    """What is asked of `cluster.node.Node`. `stable_since` is trio's clock."""

    @property
    def view(self) -> View | None: ...
    @property
    def view_mature(self) -> bool: ...
    @property
    def stable_since(self) -> float: ...
    @property
    def number(self) -> int: ...
    @property
    def landscape(self) -> Landscape: ...
    def owners(self) -> Mapping[Address, Decision]: ...
    def pins(self) -> Mapping[Address, NodeName]: ...
    def held(self) -> frozenset[Address]: ...
    def holding_state(self, address: Address) -> HoldState | None: ...
    def member_infos(self) -> Sequence[Peer]: ...
    def grounds(self) -> Grounds | None: ...
    def describer(self) -> Callable[[Address], str]: ...


class Status:
    """`paths_of` names the transports on which a node is heard now. Times are trio's clock."""

    def __init__(
        self, *, node: NodeName, machine: Machine, paths_of: Callable[[NodeName], tuple[str, ...]], now: float
    ) -> None:
        self.node = node
        self._machine = machine
        self._paths_of = paths_of
        self._began = now
        self._owned_since: dict[Address, float] = {}
        self._rejected = ""
        self.history = History()

    @property
    def view_mature(self) -> bool:
        return self._machine.view is not None and self._machine.view_mature

    def view_text(self) -> str:
        view = self._machine.view
        return str(view.id) if view else ""

    def observe(self, event: Event, *, now: float) -> None:
        """Every event passes here once: it dates the present owners, and says how the last reload ended."""
        match event:
            case OwnerElected():
                self._owned_since[event.address] = now
            case ConfigRejected():
                self._rejected = event.text
            case ConfigReloaded():
                self._rejected = ""
            case _:
                pass

    def config(self) -> dict[str, Any]:
        """`stale`: the last reload was refused, because of `error`, and an older configuration is in force."""
        return {"stale": bool(self._rejected), "error": self._rejected or None}

    def is_in_force(self, table: Table) -> bool:
        """Whether the view goes by this table for this node, and nothing is here that it does not have."""
        wanted = {vip.address: vip for vip in table.vips}
        return self._machine.landscape.entries.get(self.node, {}) == wanted and self._machine.held() <= wanted.keys()

    async def show(self, address: Address | None = None) -> msgspec.Raw | None:
        """The answer to `show`, as JSON text; None when `address` is no VIP of the present view."""
        now = trio.current_time()
        landscape = self._machine.landscape
        universe = landscape.universe
        if address is not None:
            if address not in universe:
                return None
            universe = (address,)
        head = {"node": self.node, "view": self._view(now), "config": self.config()}
        owners, pins = dict(self._machine.owners()), self._machine.pins()
        here = {held: self._machine.holding_state(held) for held in self._machine.held()}
        describe = self._machine.describer()
        slices: list[bytes] = []
        ordered: Sequence[Address] = universe
        if len(universe) > 1:
            ordered = await trio.to_thread.run_sync(partial(sorted, universe, key=address_order))
        stint = Stint()
        for start in range(0, len(ordered), SLICE_ADDRESSES):
            part = [
                self._vip(landscape, one, owners.get(one), here.get(one), one in pins, describe(one), now)
                for one in ordered[start : start + SLICE_ADDRESSES]
            ]
            slices.append(msgspec.json.encode(part)[1:-1])
            stint = await _in_turn(stint)
        vips = msgspec.Raw(b"[" + b",".join(slices) + b"]")
        return msgspec.Raw(msgspec.json.encode({**head, "vips": vips}))

    async def explain(self, address: Address) -> dict[str, Any] | None:
        """The answer to `explain`; None when `address` is no VIP of the present view. Worked out in a thread."""
        grounds = self._machine.grounds()
        if grounds is None:
            return None
        found = await trio.to_thread.run_sync(explain, address, grounds)
        if found is None:
            return None
        return {
            "address": address,
            "owner": found.owner,
            "reason": found.reason,
            "candidates": [{"node": one.node, "eligible": one.eligible, "why": one.why} for one in found.candidates],
            "if_down": dict(found.if_down),
            "history": self.history.of(address),
        }

    async def tables(self) -> msgspec.Raw:
        """The answer to `tables`, as JSON text: of every member of the view what it has in force, its VIPs as
        `model.VipEntry` has them; and whose settings count."""
        grounds = self._machine.grounds()
        tables = grounds.tables if grounds is not None else {}
        members: list[bytes] = []
        stint = Stint()
        for name in sorted(tables):
            vips = tables[name].vips
            slices = []
            for start in range(0, len(vips), SLICE_ADDRESSES):
                slices.append(msgspec.json.encode(vips[start : start + SLICE_ADDRESSES])[1:-1])
                stint = await _in_turn(stint)
            members.append(msgspec.json.encode(name) + b":[" + b",".join(slices) + b"]")
        view = self._machine.view
        head = {
            "node": self.node,
            "coordinator": view.id.coordinator if view else "",
            "settings": {name: tables[name].settings for name in sorted(tables)},
            "tables": msgspec.Raw(b"{" + b",".join(members) + b"}"),
        }
        return msgspec.Raw(msgspec.json.encode(head))

    def members(self) -> list[dict[str, Any]]:
        """The answer to `members`, sorted by name."""
        return [
            {
                "name": peer.name,
                "incarnation": str(peer.incarnation),
                "online": peer.online,
                "mature": peer.mature,
                "eligible": peer.eligible,
                "drained": peer.drained,
                "penalty": peer.penalty,
                "addresses": peer.addresses,
                "paths": list(self._paths_of(peer.name)),
                "version": peer.version,
            }
            for peer in sorted(self._machine.member_infos(), key=lambda peer: peer.name)
        ]

    def _view(self, now: float) -> dict[str, Any]:
        view = self._machine.view
        return {
            "id": str(view.id) if view else "",
            "members": list(view.names()) if view else [],
            "coordinator": view.id.coordinator if view else "",
            "stable_s": round(max(0.0, now - self._machine.stable_since), 3),
            "mature": self.view_mature,
            "number": self._machine.number,
        }

    def _vip(
        self,
        landscape: Landscape,
        address: Address,
        decision: Decision | None,
        holding: HoldState | None,
        pinned: bool,
        reason: str,
        now: float,
    ) -> dict[str, Any]:
        members = landscape.members[address]
        entries = {name: landscape.entries[name][address] for name in members}
        flags = landscape.flags.get(address, {})
        return {
            "address": address,
            "owner": decision.owner if decision else None,
            "held_here": holding is not None,
            "holding": holding.value if holding is not None else None,
            "flags": sorted(flag.value for flag in flags),
            "reason": reason,
            "since_s": round(now - self._owned_since.get(address, self._began), 3),
            "virtual_members": list(members),
            "bindings": sorted({name for entry in entries.values() for name in entry.binding_names()}),
            "services": {name: list(entry.service_names()) for name, entry in entries.items()},
            "pinned": pinned,
            "evidence": [msgspec.to_builtins(one) for flag in sorted(flags, key=str) for one in flags[flag]],
        }


async def _in_turn(stint: Stint) -> Stint:
    """The one to go on with: others have had their turn if it was over."""
    if not stint.is_over():
        return stint
    await trio.lowlevel.checkpoint()
    return Stint()
