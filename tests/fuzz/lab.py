"""A small cluster without network or kernel, brought to rest and then kept as bytes, so that it can be woken again and
again to hear something that a member should not say."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from duravip.cluster.effects import Effect, ReleaseAddress, Send, TakeAddress
from duravip.cluster.inputs import AddressAdded, AddressRemoved, Input, PacketHeard, Ticked
from duravip.cluster.messages import AnyMessage
from duravip.cluster.node import Node
from duravip.cluster.parameters import Parameters
from duravip.model import Address, Incarnation, Member, NodeName, Settings, Table, Use, VipEntry, make_table

LIAR = NodeName("m")
SETTINGS = Settings(view_mature_time=1.0, view_balance_interval=2.0)
REST_AT_S = 12.0
COMMON = tuple(Address(f"192.0.2.{number}") for number in (1, 2, 3, 4))


def table(*addresses: Address, prefers: NodeName | None = None) -> Table:
    preference = Use(prefers) if prefers is not None else None
    return make_table(
        [
            VipEntry(address=one, interface="eth0", bindings=(Use(f"b-{one}"),), services=(Use("multivip"),))
            for one in addresses[:-1]
        ]
        + [VipEntry(address=addresses[-1], interface="eth0", services=(Use("esmtp:25"),), preference=preference)],
        SETTINGS,
    )


TABLES = {
    NodeName("a"): table(*COMMON),
    LIAR: table(*COMMON, Address("192.0.2.9"), prefers=LIAR),
    NodeName("z"): table(*COMMON, Address("2001:db8::1"), prefers=NodeName("z")),
}


def tables(names: Sequence[NodeName], ownership: str) -> dict[NodeName, Table]:
    """Of these nodes; under `strict` ownership they are all that have a voice."""
    settings = msgspec.structs.replace(SETTINGS, ownership=ownership)
    if ownership == "strict":
        settings = msgspec.structs.replace(settings, members=tuple(names), address_lifetime=18.0)
    return {name: msgspec.structs.replace(TABLES[name], settings=settings) for name in names}


def member(name: NodeName) -> Member:
    return Member(name, Incarnation(5, 77))


class Lab:
    """Nodes that hear each other at once, with kernels that answer at once."""

    def __init__(self, tables: Mapping[NodeName, Table]) -> None:
        self.now = 0.0
        self.tables = tables
        self.nodes: dict[NodeName, Node] = {}
        self.said: list[AnyMessage] = []  # by the liar, all of it: what a mutation may begin from
        self._waiting: deque[tuple[NodeName, Input]] = deque()
        for name, table in tables.items():
            parameters = Parameters(
                name=name, incarnation=member(name).incarnation, heartbeat_interval_s=1.0, failure_timeout_s=3.5
            )
            self.nodes[name] = Node(parameters, table, now=0.0)

    def run_until(self, at_s: float) -> None:
        while (due := min(node.next_deadline() for node in self.nodes.values())) <= at_s:
            self.now = max(self.now, due)
            for name, node in self.nodes.items():
                if node.next_deadline() <= self.now:
                    self.feed(name, Ticked())
        self.now = at_s

    def feed(self, name: NodeName, given: Input) -> None:
        self._waiting.append((name, given))
        while self._waiting:
            to, one = self._waiting.popleft()
            for effect in self.nodes[to].handle(one, now=self.now):
                self._carry_out(to, effect)

    def _carry_out(self, name: NodeName, effect: Effect) -> None:
        match effect:
            case Send():
                if name == LIAR:
                    self.said += effect.messages
                heard = PacketHeard(sender=member(name), messages=effect.messages)
                self._waiting += [(other, heard) for other in self.nodes if other != name]
            case TakeAddress():
                self._waiting.append((name, AddressAdded(address=effect.address)))
            case ReleaseAddress():
                self._waiting.append((name, AddressRemoved(address=effect.address)))
            case _:
                pass


def at_rest(*names: str, ownership: str = "available") -> tuple[bytes, list[AnyMessage]]:
    """A lab with these nodes that has come to rest, and every different thing that the liar has said on the way."""
    lab = Lab(tables([NodeName(name) for name in names], ownership))
    lab.run_until(REST_AT_S)
    said, lab.said = lab.said, []
    return pickle.dumps(lab), said


def woken(asleep: bytes) -> Lab:
    found: Lab = pickle.loads(asleep)
    return found
