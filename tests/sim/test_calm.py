"""In a calm cluster a node only beats. That saves work, and must change nothing else."""

import pytest

from duravip.cluster import node
from duravip.cluster.hearing import Change
from duravip.sim.run import run_schedule


@pytest.mark.parametrize("seed", [0, 3, 13])
def test_a_node_that_walks_less_while_all_is_calm_does_and_says_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
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
