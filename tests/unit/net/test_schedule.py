from __future__ import annotations

import itertools
import math

import pytest

from duravip.model import Address
from duravip.net.schedule import OFFSETS_S, Due, Schedule, lost_after_s

A, B, SIX = Address("10.0.0.1"), Address("10.0.0.2"), Address("fd00::1")


def times_sent(schedule: Schedule, until: float, *, limit: int = 10_000) -> list[tuple[float, Due]]:
    """Follows the schedule's own deadlines from one to the next."""
    sent: list[tuple[float, Due]] = []
    for _ in range(limit):
        deadline = schedule.next_deadline()
        if deadline is None or deadline > until:
            return sent
        sent += [(deadline, due) for due in schedule.due(deadline)]
    raise AssertionError("the schedule does not come to rest")


def test_nothing_is_due_and_no_deadline_stands_before_the_first_start() -> None:
    schedule = Schedule()
    assert schedule.due(5.0) == ()
    assert schedule.next_deadline() is None


def test_an_address_is_due_at_once_and_then_past_one_second() -> None:
    schedule = Schedule(refresh_s=0)
    schedule.start(A, "eth0", 100.0)
    sent = times_sent(schedule, 1_000.0)
    assert [at - 100.0 for at, _ in sent] == pytest.approx([0, 0.1, 0.3, 1.1, 2, 5])
    assert [due for _, due in sent] == [Due(address=A, interface="eth0", step=step) for step in range(len(OFFSETS_S))]


def test_without_refresh_the_schedule_ends() -> None:
    schedule = Schedule(refresh_s=0)
    schedule.start(A, "eth0", 0.0)
    times_sent(schedule, 5.0)
    assert schedule.next_deadline() is None
    assert A in schedule


def test_the_refresh_goes_on_at_its_period() -> None:
    schedule = Schedule(refresh_s=60)
    schedule.start(A, "eth0", 0.0)
    sent = [at for at, _ in times_sent(schedule, 305.0)][len(OFFSETS_S) :]
    assert len(sent) == 5
    assert 5 < sent[0] <= 65
    assert [after - before for before, after in itertools.pairwise(sent)] == pytest.approx([60] * 4)


def test_the_refresh_of_many_addresses_is_spread_over_the_period() -> None:
    schedule = Schedule(refresh_s=60, burst_packets=10_000)
    for number in range(600):
        schedule.start(Address(f"10.1.{number // 250}.{number % 250}"), "eth0", 0.0)
    times_sent(schedule, 5.0)
    per_second = [0] * 60
    for at, _ in times_sent(schedule, 64.999):
        per_second[int(at - 5)] += 1
    assert sum(per_second) == 600
    assert max(per_second) <= 40


def test_starting_again_begins_the_schedule_anew_on_the_new_interface() -> None:
    schedule = Schedule(refresh_s=0)
    schedule.start(A, "eth0", 0.0)
    times_sent(schedule, 0.35)
    schedule.start(A, "eth1", 0.5)
    sent = times_sent(schedule, 100.0)
    assert [at for at, _ in sent] == pytest.approx([0.5 + offset for offset in OFFSETS_S])
    assert {due.interface for _, due in sent} == {"eth1"}


def test_a_stopped_address_is_due_no_more() -> None:
    schedule = Schedule()
    schedule.start(A, "eth0", 0.0)
    schedule.start(B, "eth0", 0.0)
    schedule.due(0.0)
    schedule.stop(A)
    schedule.stop(Address("10.9.9.9"))
    assert {due.address for _, due in times_sent(schedule, 200.0)} == {B}
    assert A not in schedule


def test_the_pace_is_kept_and_an_ipv4_announcement_counts_as_two_packets() -> None:
    schedule = Schedule(refresh_s=0, packets_per_s=100, burst_packets=10)
    for number in range(20):
        schedule.start(Address(f"10.1.0.{number}"), "eth0", 0.0)
    assert len(schedule.due(0.0)) == 5
    assert schedule.due(0.0) == ()
    assert schedule.next_deadline() == pytest.approx(0.02)
    assert len(schedule.due(0.02)) == 1
    assert len(schedule.due(0.04)) == 1
    six = Schedule(refresh_s=0, packets_per_s=100, burst_packets=10)
    for number in range(20):
        six.start(Address(f"fd00::{number}"), "eth0", 0.0)
    assert len(six.due(0.0)) == 10


def test_an_announcement_to_many_hosts_waits_for_a_full_burst_and_pays_for_all() -> None:
    schedule = Schedule(refresh_s=0, packets_per_s=100, burst_packets=10, packets=lambda address, interface: 50)
    schedule.start(A, "eth0", 0.0)
    schedule.start(B, "eth0", 0.0)
    assert [due.address for due in schedule.due(0.0)] == [A]
    assert schedule.next_deadline() == pytest.approx(0.5)
    assert schedule.due(0.4) == ()
    assert [due.address for due in schedule.due(0.5)] == [B]


def test_a_new_address_goes_before_the_refreshes_that_wait() -> None:
    """Twenty addresses want four packets a second for their refresh alone; there are three."""
    schedule = Schedule(refresh_s=10, packets_per_s=3, burst_packets=2)
    for number in range(20):
        schedule.start(Address(f"10.1.0.{number}"), "eth0", 0.0)
    times_sent(schedule, 100.0)
    schedule.start(A, "eth0", 100.0)
    first, second, *_ = times_sent(schedule, 103.0)
    assert first[1] == Due(address=A, interface="eth0", step=0)
    assert second[1].address != A


def test_the_first_announcement_of_every_address_goes_before_any_repetition() -> None:
    schedule = Schedule(refresh_s=0, packets_per_s=20, burst_packets=2)
    for number in range(10):
        schedule.start(Address(f"10.1.0.{number}"), "eth0", 0.0)
    steps = [due.step for _, due in times_sent(schedule, 30.0)]
    assert steps[:10] == [0] * 10
    assert all(step > 0 for step in steps[10:])
    assert steps[-1] == len(OFFSETS_S) - 1


def test_more_than_one_wants_at_a_time_are_due_at_once_again() -> None:
    schedule = Schedule(refresh_s=0, packets_per_s=100, burst_packets=10)
    for number in range(5):
        schedule.start(Address(f"10.1.0.{number}"), "eth0", 0.0)
    assert [len(schedule.due(0.0, at_most=2)), schedule.next_deadline()] == [2, 0.0]
    assert [len(schedule.due(0.0, at_most=2)), schedule.next_deadline()] == [2, 0.0]
    assert [len(schedule.due(0.0, at_most=2)), schedule.next_deadline()] == [1, 0.1]


def test_repetitions_that_passed_during_a_stall_are_left_out() -> None:
    schedule = Schedule(refresh_s=0)
    schedule.start(A, "eth0", 0.0)
    schedule.due(0.0)
    assert [due.step for due in schedule.due(1.5)] == [1]
    assert [(at, due.step) for at, due in times_sent(schedule, 100.0)] == [(2.0, 4), (5.0, 5)]


def test_it_is_announced_once_more_when_a_frozen_owner_has_lost_it() -> None:
    assert lost_after_s(0) == math.inf
    assert lost_after_s(10) == pytest.approx(13.2)
    assert lost_after_s(1.5) == lost_after_s(2), "the kernel counts in whole seconds"
    for lifetime_s, expected in (
        (0, [0, 0.1, 0.3, 1.1, 2, 5]),
        (10, [0, 0.1, 0.3, 1.1, 2, 5, 13.2]),
        (1, [0, 0.1, 0.3, 1.1, 2, 4.02, 5]),
    ):
        schedule = Schedule(refresh_s=0)
        schedule.start(A, "eth0", 100.0, last_s=lost_after_s(lifetime_s))
        assert [at - 100.0 for at, _ in times_sent(schedule, 1_000.0)] == pytest.approx(expected)
        assert schedule.next_deadline() is None


def test_the_refresh_goes_on_before_and_after_that() -> None:
    plain, with_last = Schedule(refresh_s=10), Schedule(refresh_s=10)
    plain.start(A, "eth0", 0.0)
    with_last.start(A, "eth0", 0.0, last_s=105.0)
    refreshed = [at for at, _ in times_sent(plain, 200.0)]
    assert [at for at, _ in times_sent(with_last, 200.0)] == pytest.approx(sorted([*refreshed, 105.0]))


def test_starting_again_puts_it_off() -> None:
    schedule = Schedule(refresh_s=0)
    schedule.start(A, "eth0", 0.0, last_s=13.2)
    times_sent(schedule, 10.0)
    schedule.start(A, "eth0", 10.0, last_s=13.2)
    assert [at for at, _ in times_sent(schedule, 100.0)] == pytest.approx([*(10 + at for at in OFFSETS_S), 23.2])


def test_the_refresh_skips_periods_that_passed_during_a_stall() -> None:
    schedule = Schedule(refresh_s=10)
    schedule.start(A, "eth0", 0.0)
    schedule.due(0.0)
    schedule.due(1_000.0)
    deadline = schedule.next_deadline()
    assert deadline is not None
    assert 1_000 < deadline <= 1_010


def test_equal_calls_give_equal_answers() -> None:
    def run() -> list[tuple[float, Due]]:
        schedule = Schedule(packets_per_s=50, burst_packets=4)
        for number in (3, 1, 2):
            schedule.start(Address(f"10.1.0.{number}"), "eth0", 0.0)
        return times_sent(schedule, 100.0)

    assert run() == run()
