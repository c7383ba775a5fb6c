"""A node of the previous wire version works in a rolling upgrade. There is one version yet, so this holds its form:
what is recorded in version_1.txt must be understood as long as version 1 is opened."""

import json
from enum import Enum
from pathlib import Path

import msgspec
import pytest

from duravip.cluster.addresses import AddressSet
from duravip.model import Incarnation, Member, NodeName
from duravip.wire.link import Link
from duravip.wire.received import Incomplete, Received
from duravip.wire.versions import MEMORY, VERSIONS, Speaking

KEY = bytes(range(32))
RECORDED = Path(__file__).with_name("version_1.txt")


def hearer(*keys: bytes) -> Link:
    return Link(me=Member(NodeName("a"), Incarnation(1, 7)), cluster_group="fuzz", keys=keys, mtu_bytes=1400)


def fields(value: object) -> object:
    """What a message says, by the names of its fields, as JSON has it."""
    match value:
        case msgspec.Struct():
            said = {name: fields(getattr(value, name)) for name in value.__struct_fields__}
            return {"": type(value).__name__, **said}
        case tuple() | AddressSet():
            return [fields(one) for one in value]
        case Enum():
            return value.name
        case bytes():
            return value.hex()
        case _:
            return value


def says_all_of(now: object, then: object) -> bool:
    """Fields may have been added since; none may be gone, or mean something else."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name in now and says_all_of(now[name], value) for name, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(says_all_of, now, then))
    return now == then


def test_what_version_1_has_said_is_understood_as_it_was_meant() -> None:
    assert 1 in VERSIONS
    ends = {"sealed": hearer(KEY), "plain": hearer()}
    heard: Received | None = None
    meant = 0
    for line in RECORDED.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind in ends:
            opened = ends[kind].open(bytes.fromhex(rest))
            assert isinstance(opened, Received | Incomplete), line
            heard = opened if isinstance(opened, Received) else None
        elif kind == "=":
            assert heard is not None
            (message,) = heard.messages
            assert says_all_of(fields(message), json.loads(rest)), line
            meant += 1
    assert meant > 40
    assert not any(count for end in ends.values() for count in end.counters.values())


@pytest.mark.parametrize("opens", [(1,), (1, 2), (2, 3)])
def test_a_node_begins_with_the_lowest_and_goes_up_when_nobody_needs_it_any_more(opens: tuple[int, ...]) -> None:
    speaking = Speaking(opens)
    assert speaking.version(said=0) == opens[0]
    assert speaking.version(said=MEMORY) == opens[-1]
    speaking.heard(opens[0], said=MEMORY)
    assert speaking.version(said=2 * MEMORY - 1) == opens[0]
    assert speaking.version(said=2 * MEMORY) == opens[-1]
