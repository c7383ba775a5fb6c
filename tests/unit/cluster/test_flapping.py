from __future__ import annotations

import math

from duravip.cluster.flapping import SHUN_S, WINDOW_S, Flapping
from duravip.model import Address

X, Y = Address("10.0.0.1"), Address("10.0.0.2")


def after(*losses: float, down_limit_s: float = 4.0, flap_limit: int = 5) -> Flapping:
    flapping = Flapping(down_limit_s=down_limit_s, flap_limit=flap_limit)
    for at in losses:
        flapping.expire(at)
        flapping.lost(X, at)
    return flapping


def test_the_first_three_losses_within_60_s_are_put_back_at_once() -> None:
    flapping = after(0, 1, 2)
    assert X not in flapping.waiting()
    assert flapping.deadline() == math.inf


def test_later_losses_wait_for_if_down_limit() -> None:
    flapping = after(0, 1, 2, 3)
    assert X in flapping.waiting()
    assert Y not in flapping.waiting()
    assert flapping.deadline() == 7.0
    flapping.expire(6.9)
    assert X in flapping.waiting()
    flapping.expire(7.0)
    assert X not in flapping.waiting()


def test_after_if_flap_limit_losses_in_60_s_the_vip_is_ineligible_for_60_s_and_then_begins_anew() -> None:
    flapping = after(0, 1, 2, 3, 8)
    assert list(flapping.shunned()) == [X]
    assert X not in flapping.waiting()
    flapping.expire(8 + SHUN_S - 0.1)
    assert list(flapping.shunned()) == [X]
    flapping.expire(8 + SHUN_S)
    assert not flapping.shunned()
    flapping.lost(X, 70)
    assert X not in flapping.waiting()


def test_nothing_is_put_back_before_a_node_that_was_late_has_heard_the_others() -> None:
    flapping = Flapping(down_limit_s=4.0, flap_limit=5)
    flapping.lost(X, 0.0, resume_at=0.2)
    assert (list(flapping.waiting()), flapping.deadline()) == ([X], 0.2)
    for at in (1.0, 2.0, 3.0):
        flapping.expire(at)
        flapping.lost(X, at, resume_at=0.2)
    assert flapping.deadline() == 7.0


def test_losses_longer_ago_do_not_count() -> None:
    flapping = after(0, 1, 2, WINDOW_S)
    assert X not in flapping.waiting()
    assert X in after(0, 1, 2, WINDOW_S - 0.1).waiting()


def test_a_small_flap_limit_goes_before_the_wait_and_no_wait_is_no_wait() -> None:
    assert list(after(0, flap_limit=1).shunned()) == [X]
    assert X not in after(0, 1, 2, 3, down_limit_s=0.0).waiting()


def test_addresses_are_counted_one_by_one() -> None:
    flapping = after(0, 1, 2)
    flapping.lost(Y, 3)
    assert Y not in flapping.waiting()


def test_what_is_long_over_is_forgotten() -> None:
    flapping = after(0, 1, 2, 3)
    flapping.expire(3 + WINDOW_S)
    assert not flapping._losses
