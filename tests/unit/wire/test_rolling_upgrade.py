"""Nodes of wire version 1 understand what today's software says while it speaks version 1, as in a rolling upgrade:
"a mixed cluster speaks what all of it opens". What version 1 has said is heard in test_versions.py."""

from __future__ import annotations

import ipaddress
from enum import Enum

import msgspec
import pytest

from duravip.cluster.addresses import AddressSet
from duravip.model import Incarnation, Member, NodeName
from duravip.sim.network import Network
from duravip.sim.openings import CLUSTER_GROUP, KEY
from duravip.sim.run import run_schedule
from duravip.wire.link import Link
from duravip.wire.received import Received
from duravip.wire.versions import VERSIONS
from tests.unit.wire import frozen_version_1 as frozen


def is_meant(then: object, now: object) -> bool:
    """Whether version 1 understands by `then` what today's software means by `now`; that may say more."""
    match now:
        case msgspec.Struct():
            assert isinstance(then, msgspec.Struct)
            return type(then).__name__ == type(now).__name__ and all(
                is_meant(getattr(then, name), getattr(now, name)) for name in then.__struct_fields__
            )
        case AddressSet():
            assert isinstance(then, bytes)
            numbers = [(ip.version, int(ip)) for ip in map(ipaddress.ip_address, now)]
            return frozen.addresses(then) == sorted(numbers)
        case tuple():
            assert isinstance(then, tuple)
            return len(then) == len(now) and all(map(is_meant, then, now))
        case Enum():
            return then == now.value
    return then == now


@pytest.mark.parametrize(("seed", "ownership"), [(1, "available"), (3, "strict")])
def test_a_node_of_version_1_hears_all_that_todays_software_says(
    seed: int, ownership: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert VERSIONS[0] == 1, "if version 1 is not opened any more, this test and its decoder have done their work"
    said: list[bytes] = []
    send = Network.send

    def recorded(self: Network, source: NodeName, datagram: bytes) -> None:
        said.append(datagram)
        send(self, source, datagram)

    monkeypatch.setattr(Network, "send", recorded)
    run_schedule(seed, ownership=ownership)
    then = frozen.Listener(group=CLUSTER_GROUP, key=KEY)
    me = Member(NodeName("listener"), Incarnation(1, 1))
    now = Link(me=me, cluster_group=CLUSTER_GROUP, keys=(KEY,), mtu_bytes=1400)
    kinds: set[str] = set()
    for datagram in said:
        (name, counter, nonce), understood = then.hear(datagram)
        opened = now.open(datagram)
        if not isinstance(opened, Received):
            assert not understood  # a piece of something
            continue
        assert opened.sender == Member(NodeName(name), Incarnation(counter, nonce))
        assert is_meant(tuple(understood), opened.messages)
        kinds |= {type(getattr(message, "body", message)).__name__ for message in understood}
    assert len(said) > 500
    assert {"Heartbeat", "Propose", "Promise", "Install", "Report", "Reported", "Assigned", "TableChunk"} <= kinds


def test_a_node_of_version_1_would_not_take_more_than_it_knows_for_agreed() -> None:
    class Matured(frozen.Said, frozen=True):
        names: tuple[str, ...]
        why: str

    class Numbered(frozen.Said, frozen=True):
        view: frozen.ViewId
        number: int
        body: Matured

    class Numbered2(frozen.Said, frozen=True, tag="Numbered"):
        view: frozen.ViewId
        number: int
        body: frozen.Matured
        more: int = 0

    view = frozen.ViewId(1, "a", frozen.Incarnation(1, 1))
    listener = frozen.Listener(group="g", key=None)
    known = frozen.Numbered(view, 1, frozen.Matured(("a",)))
    assert listener.understood(msgspec.msgpack.encode([known])) == [known]
    for unknown in (Numbered(view, 1, Matured(("a",), "old")), Numbered2(view, 1, frozen.Matured(("a",)))):
        with pytest.raises(frozen.NotUnderstoodError, match="more is agreed"):
            listener.understood(msgspec.msgpack.encode([unknown]))
