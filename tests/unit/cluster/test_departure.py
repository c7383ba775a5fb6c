from __future__ import annotations

import math

from duravip.cluster.departure import LEAVE_COPIES, LEAVE_LIMIT_S, LEAVE_PAUSE_S, LEAVE_SPACING_S, Departure


def test_nobody_leaves_unasked() -> None:
    departure = Departure()
    assert not departure.comes_due(100.0, holds=False, is_expected=False)
    assert departure.deadline(100.0) == math.inf


def test_leave_waits_for_the_kernel_and_for_the_group_and_then_a_moment() -> None:
    departure = Departure()
    departure.ask(0.0)
    assert not departure.comes_due(0.1, holds=True, is_expected=False)
    assert not departure.comes_due(0.1, holds=False, is_expected=True)
    assert not departure.comes_due(0.1, holds=False, is_expected=False)
    assert departure.deadline(0.1) == 0.1 + LEAVE_PAUSE_S
    assert departure.comes_due(0.1 + LEAVE_PAUSE_S, holds=False, is_expected=False)


def test_the_moment_begins_again_when_the_group_counts_on_the_node_after_all() -> None:
    departure = Departure()
    departure.ask(0.0)
    departure.comes_due(0.1, holds=False, is_expected=False)
    assert not departure.comes_due(0.1 + LEAVE_PAUSE_S, holds=False, is_expected=True)
    assert not departure.comes_due(0.2, holds=False, is_expected=False)
    assert departure.deadline(0.2) == 0.2 + LEAVE_PAUSE_S


def test_after_the_limit_the_group_is_not_waited_for_but_the_kernel_is() -> None:
    departure = Departure()
    departure.ask(0.0)
    departure.ask(1.0)
    assert departure.deadline(0.5) == LEAVE_LIMIT_S, "asking twice starts nothing anew"
    assert departure.is_forced(LEAVE_LIMIT_S)
    assert not departure.comes_due(LEAVE_LIMIT_S, holds=True, is_expected=True)
    assert not departure.comes_due(LEAVE_LIMIT_S, holds=False, is_expected=True)
    assert departure.comes_due(LEAVE_LIMIT_S + LEAVE_PAUSE_S, holds=False, is_expected=True)


def test_the_copies_follow_each_other_closely_and_then_it_is_over() -> None:
    departure = Departure()
    departure.ask(0.0)
    departure.comes_due(0.5, holds=False, is_expected=False)
    now, said = departure.deadline(0.5), 0
    assert not departure.has_begun
    while True:
        assert departure.comes_due(now, holds=False, is_expected=False)
        said += 1
        is_over = departure.say(now)
        assert departure.has_begun
        if is_over:
            break
        assert not departure.comes_due(now, holds=False, is_expected=False)
        now = departure.deadline(now)
    assert said == LEAVE_COPIES
    assert now <= 0.5 + LEAVE_PAUSE_S + (LEAVE_COPIES - 1) * LEAVE_SPACING_S + 1e-9
