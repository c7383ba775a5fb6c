"""Recorded traffic revives nobody, across restarts that nobody has agreed on (rule 6): "a peer is alive only if a
datagram of its names MY present incarnation"."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from duravip.model import NodeName, Settings
from duravip.sim.checker import Checker
from duravip.sim.tables import blueprints, table_of
from duravip.sim.world import World

NAMES = (NodeName("a"), NodeName("b"), NodeName("c"))
SETTINGS = Settings(view_mature_time=2.0, view_balance_interval=2.0)


@pytest.mark.parametrize("order", ["as it was said", "in any order"])
def test_a_node_that_hears_the_whole_past_of_the_others_is_alone_until_they_live(order: str) -> None:
    chance = random.Random(order)
    checker = Checker()
    world = World(f"replay {order}", observer=checker)
    checker.watch(world)
    plan = blueprints(chance, NAMES)
    for name in NAMES:
        world.add_host(name, table_of(name, plan, SETTINGS)).start()
    recorded: list[tuple[NodeName, bytes]] = []
    send = world.network.send

    def record(source: NodeName, datagram: bytes) -> None:
        recorded.append((source, datagram))
        send(source, datagram)

    world.network.send = record  # type: ignore[method-assign]
    world.clock.run_until(15.0)
    world.hosts[NAMES[2]].leave()  # its LEAVE is in the record too
    world.clock.run_until(20.0)
    world.network.send = send  # type: ignore[method-assign]
    for name in NAMES:
        world.hosts[name].crash()
    world.hosts[NAMES[0]].start()
    world.clock.run_until(22.0)
    if order == "in any order":
        chance.shuffle(recorded)
    said = iter(recorded)
    for at in range(100):
        for source, datagram in islice(said, 1 + len(recorded) // 100):
            world.network.send(source, datagram)
        world.clock.run_until(22.0 + at / 5)
        node = world.hosts[NAMES[0]].node
        assert node is not None
        assert node.view is None or node.view.names() == NAMES[:1]
    assert next(said, None) is None
    world.hosts[NAMES[1]].start()
    world.hosts[NAMES[2]].start()
    world.clock.run_until(75.0)
    checker.judge_rest(quiet_since_s=75.0)
    assert checker.violations == []
