"""Everything that fuzzing has found, and what was worth beginning from, is run again; and a few mutations of it, always
the same. `python -m tests.fuzz` goes on from here for as long as one likes."""

import random

import pytest

from tests.fuzz import corpus, lab, mutation, targets
from tests.fuzz.__main__ import main

MUTATIONS = 150


@pytest.mark.parametrize("name", targets.TARGETS)
def test_whatever_the_bytes_are_nothing_is_raised(name: str) -> None:
    target, pool = targets.TARGETS[name], targets.begin_with(name)
    assert corpus.kept(name)
    for data in pool:
        target.run(data)
    chance = random.Random(name)
    for _ in range(MUTATIONS):
        target.run(mutation.mutate(chance.choice(pool), chance, pool))


def test_a_find_is_written_down_and_replayed(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(data: bytes) -> None:
        raise AssertionError("found")

    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(targets, "TARGETS", {"arp": targets.Target(run=explode, seeds=lambda: [b"seed"])})
    monkeypatch.setattr("sys.argv", ["fuzz", "--engine", "mutate", "--minutes", "0.001", "--seed", "7"])
    assert main() == 1
    (find,) = [word for word in capsys.readouterr().out.split() if word.startswith("fuzz-arp-")]
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", "arp", find])
    with pytest.raises(AssertionError, match="found"):
        main()


def test_the_cluster_that_hears_a_liar_is_at_rest_and_holds_addresses() -> None:
    for asleep in targets._labs():
        awake = lab.woken(asleep)
        assert all(node.mature and node.view_mature for node in awake.nodes.values())
        held = [address for node in awake.nodes.values() for address in node.held()]
        assert sorted(held) == sorted({vip.address for name in awake.nodes for vip in lab.TABLES[name].vips})
