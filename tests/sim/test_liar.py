"""A member that holds the key, but lies: it says what members say, with anything in it changed, at any time.

"every field validated, so that a member that holds the key but lies cannot crash, hang or bloat another, nor own a VIP
outside its table" (issue 5). What it can do is be a nuisance while it is there: it may make views, and assign badly."""

from __future__ import annotations

import pickle
import random

import msgspec
import pytest

from duravip.cluster.messages import MAX_MISSING, MAX_PINS, AnyMessage, Charter, Heartbeat, Missing, Pin, Roll
from duravip.cluster.node import Node
from duravip.model import MAX_COUNT, Address, NodeName, Settings, make_table
from duravip.sim.checker import Checker
from duravip.sim.host import Host
from duravip.sim.tables import blueprints, table_of
from duravip.sim.world import World
from duravip.testing.situation import VIPS, Situation, entry
from duravip.wire import codec
from duravip.wire.dropped import Dropped
from tests.fuzz import mutation

HONEST = (NodeName("a"), NodeName("n"), NodeName("z"))
LIES_S, END_S = 40.0, 80.0
FORBIDDEN = ("raised", "hot", "S2", "S3")  # S1 among honest nodes needs an honest coordinator
MAX_BYTES = 2_000_000  # of one machine, frozen: some 20 kB when nobody lies


class Watcher(Checker):
    """A checker that keeps what the liar says when it does not lie."""

    def __init__(self, liar: NodeName) -> None:
        super().__init__()
        self.liar = liar
        self.said: dict[object, bytes] = {}

    def sent(self, host: Host, message: AnyMessage) -> None:
        if host.name == self.liar:
            kind = type(message), type(getattr(message, "body", None))
            self.said[kind] = b"\0" + codec.body_of([codec.encode_message(message)])[1:]
        super().sent(host, message)


def tell_lies(world: World, watcher: Watcher, chance: random.Random) -> None:
    """Now and then, until LIES_S."""
    host = world.hosts[watcher.liar]
    if world.clock.now > LIES_S:
        host.crash()
        return
    pool = list(watcher.said.values())
    for _ in range(chance.choice((1, 1, 5, 20))):
        lie = codec.decode(mutation.mutate(chance.choice(pool), chance, pool)) if pool else ()
        if host.process is not None and not isinstance(lie, Dropped):
            for datagram in host.process.link.pack(lie):
                world.network.send(host.name, datagram)
    world.clock.after(chance.expovariate(5.0), lambda: tell_lies(world, watcher, chance))


@pytest.mark.parametrize("liar", ["0", "m"], ids=["that coordinates", "that follows"])
@pytest.mark.parametrize("seed", range(3))
def test_a_liar_crashes_nobody_bloats_nobody_and_when_it_has_gone_all_is_well(liar: str, seed: int) -> None:
    chance = random.Random(f"{liar} {seed}")
    names = (NodeName(liar), *HONEST)
    plan = blueprints(chance, names)
    settings = Settings(view_mature_time=2.0, view_balance_interval=2.0)
    watcher = Watcher(NodeName(liar))
    world = World(f"liar {liar} {seed}", observer=watcher)
    watcher.watch(world)
    for name in names:
        world.add_host(name, table_of(name, plan, settings)).start()
    world.clock.at(6.0, lambda: tell_lies(world, watcher, chance))
    world.clock.run_until(LIES_S)
    wrong = [one for one in watcher.violations if one.rule in FORBIDDEN and f" {liar} " not in f" {one.text} "]
    assert not wrong
    for name in HONEST:
        node = world.hosts[name].node
        assert isinstance(node, Node)
        assert len(pickle.dumps(node)) < MAX_BYTES
        assert node.held() <= world.hosts[name].process.addresses  # type: ignore[union-attr]
    assert Heartbeat in {kind for kind, _ in watcher.said}
    world.clock.run_until(END_S)
    watcher.violations.clear()
    watcher.judge_rest(quiet_since_s=END_S)
    assert [one for one in watcher.violations if one.rule in ("L1", "L2", "raised")] == []


def ghost(number: int) -> Address:
    return Address(f"198.{number >> 16}.{number >> 8 & 255}.{number & 255}")


PROMISES: dict[str, dict[str, object]] = {
    "pins": {"pins": tuple(Pin(address=ghost(n), node=NodeName("d"), epoch=0, number=n) for n in range(MAX_PINS))},
    "missing": {"missing": tuple(Missing(name=NodeName(f"ghost{n}"), for_s=0.0) for n in range(MAX_MISSING))},
    "a generation": {"charter": Charter(generation=MAX_COUNT)},
    "lists of members": {"charter": Charter(generation=MAX_COUNT, rolls=(Roll(members=(NodeName("d"),)),))},
}


@pytest.mark.parametrize("ownership", ["available", "strict"])
@pytest.mark.parametrize("lie", PROMISES)
def test_what_a_liar_promises_is_forgotten_when_it_has_gone(lie: str, ownership: str) -> None:
    """Each of these once made the next promise of an honest member one that nobody could read, or stopped its view."""
    names = tuple(map(NodeName, "abcd"))
    settings = Settings(view_mature_time=2.0, view_balance_interval=1.0)
    if ownership == "strict":
        settings = msgspec.structs.replace(settings, ownership=ownership, members=names, address_lifetime=4.0)
    situation = Situation(*names, tables=dict.fromkeys(names, make_table(map(entry, VIPS), settings)))
    situation.start()
    situation.run(12.0)
    process = situation["d"].process
    assert process is not None
    declaration = process.node._parts.declaration
    honest = declaration.state
    declaration.state = lambda agreed, **said: msgspec.structs.replace(  # type: ignore[method-assign]
        honest(agreed, **said), **PROMISES[lie]
    )
    for _ in range(2):
        situation["c"].crash()
        situation["c"].kernel.present.clear()
        situation.run(3.0)
        situation["c"].start()
        situation.run(6.0)
    situation["d"].crash()
    situation["d"].kernel.present.clear()
    situation.run(30.0)
    for name in names[:3]:
        assert members(situation, name) == names[:3]
    situation["d"].start()
    situation.run(40.0)
    assert members(situation, names[0]) == names
    assert situation.all_held_once()
    assert [one for one in situation.diary.violations if "raised" in str(one)] == []


def members(situation: Situation, name: NodeName) -> tuple[NodeName, ...]:
    process = situation[name].process
    view = process.node.view if process is not None else None
    return view.names() if view is not None else ()
