"""In a calm cluster a node only beats. That saves work, and must change nothing else.

Long tables are left out: a step of these is made in every second walk, and when the last walk was one for a step may be
long ago in a calm cluster, so that the next one comes a turn later.
"""

import pytest

from duravip.cluster import node
from duravip.cluster.hearing import Change
from duravip.cluster.parameters import LONG_BYTES
from duravip.sim.run import run_schedule
from duravip.sim.world import World


@pytest.mark.parametrize("seed", [0, 3, 13])
def test_a_node_that_walks_less_while_all_is_calm_does_and_says_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_host = World.add_host
    monkeypatch.setattr(
        World, "add_host", lambda *given, **named: add_host(*given, **(named | {"long_bytes": LONG_BYTES}))
    )
    walks = 0
    step = node.Node._step

    def counted(self: node.Node, now: float, change: Change, *, is_tick: bool) -> bool:
        nonlocal walks
        walks += 1
        return step(self, now, change, is_tick=is_tick)

    monkeypatch.setattr(node.Node, "_step", counted)
    usual = run_schedule(seed)
    fewer, walks = walks, 0
    monkeypatch.setattr(node, "WALK_BEATS", 0)
    always = run_schedule(seed)
    assert usual == always
    assert fewer < walks
