"""`on_isolation = hold-if-gateway`: a node that is alone holds while its default gateway answers it."""

from __future__ import annotations

from duravip.cluster.gateways import SILENT_S
from duravip.testing.situation import VIPS, Situation

TIMEOUT_S = 0.35


def isolated(*, gateway: bool) -> Situation:
    """a is cut off from b and c; its gateway answers it, or not."""
    situation = Situation(*"abc", on_isolation="hold-if-gateway").booted()
    situation["a"].set_gateway(gateway)
    situation.world.network.split([["a"], ["b", "c"]])
    return situation


def held_by_a(situation: Situation) -> list[str]:
    return [vip for vip in VIPS if "a" in situation.holders(vip)]


def test_alone_with_its_gateway_it_takes_everything_over() -> None:
    situation = isolated(gateway=True)
    situation.run(3.0)
    assert held_by_a(situation) == VIPS
    situation.run(5.0)
    assert held_by_a(situation) == VIPS
    situation.mend()


def test_alone_without_its_gateway_it_takes_nothing_keeps_what_it_has_for_a_second_and_then_lets_go() -> None:
    situation = isolated(gateway=False)
    before = held_by_a(situation)
    assert before
    situation.run(SILENT_S)
    assert held_by_a(situation) == before
    situation.run(TIMEOUT_S + 0.5)
    assert held_by_a(situation) == []
    situation.run(5.0)
    assert held_by_a(situation) == []
    situation.mend()


def test_when_the_gateway_answers_again_it_owns_and_when_it_falls_silent_it_lets_go() -> None:
    situation = isolated(gateway=False)
    situation.run(4.0)
    situation["a"].set_gateway(True)
    situation.until(lambda: held_by_a(situation) == VIPS, 1.0)
    situation["a"].set_gateway(False)
    situation.until(lambda: held_by_a(situation) == [], SILENT_S + 0.5)
    situation.mend()


def test_the_last_node_that_is_left_goes_on_serving() -> None:
    situation = Situation(*"abc", on_isolation="hold-if-gateway").booted()
    for name in "bc":
        situation[name].crash()
    situation.run(3.0)
    assert held_by_a(situation) == VIPS


def test_a_node_that_starts_alone_takes_nothing_before_its_gateway_has_answered() -> None:
    situation = Situation("a", on_isolation="hold-if-gateway")
    situation["a"].set_gateway(False)
    situation.start()
    situation.run(10.0)
    assert held_by_a(situation) == []
    situation["a"].set_gateway(True)
    situation.run(2.0)
    assert held_by_a(situation) == VIPS
    assert situation.diary.violations == []


def test_in_company_nobody_is_asked() -> None:
    situation = Situation(*"abc", on_isolation="hold-if-gateway").booted()
    for name in "abc":
        situation[name].set_gateway(False)
    situation.run(5.0)
    assert situation.all_held_once()
