"""A member that holds the key, but lies: it says what members say, with anything in it changed, at any time.

"every field validated, so that a member that holds the key but lies cannot crash, hang or bloat another, nor own a VIP
outside its table" (issue 5). What it can do is be a nuisance while it is there: it may make views, and assign badly."""

from __future__ import annotations

import pickle
import random

import pytest

from duravip.cluster.messages import AnyMessage, Heartbeat
from duravip.cluster.node import Node
from duravip.model import NodeName, Settings
from duravip.sim.checker import Checker
from duravip.sim.host import Host
from duravip.sim.tables import blueprints, table_of
from duravip.sim.world import World
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
