from functools import partial
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.sim.clock import NOTES_AT_ONCE, Clock, MachineClock


def test_what_is_planned_happens_in_order_and_at_its_time() -> None:
    clock = Clock(1)
    seen: list[tuple[str, float]] = []
    clock.at(2.0, lambda: seen.append(("b", clock.now)))
    clock.at(1.0, lambda: seen.append(("a", clock.now)))
    clock.at(2.0, lambda: seen.append(("c", clock.now)))
    clock.at(5.0, lambda: seen.append(("never", clock.now)))
    clock.run_until(3.0)
    assert seen == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert clock.now == 3.0
    assert clock.next_at() == 5.0


def test_what_is_planned_in_the_past_happens_now() -> None:
    clock = Clock(1)
    clock.run_until(4.0)
    seen: list[float] = []
    clock.at(1.0, lambda: seen.append(clock.now))
    clock.run_until(4.0)
    assert seen == [4.0]


@given(st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3)), max_size=30))
def test_the_order_is_that_of_the_times_then_of_planning(plans: list[tuple[int, list[int]]]) -> None:
    """Beside a slow version. What happens plans more, for the same time and for times that have passed, too."""
    clock, seen, numbers = Clock(1), list[tuple[float, int]](), count()

    def plan(at: float, more: list[int]) -> None:
        clock.at(at, partial(happen, next(numbers), more))

    def happen(number: int, more: list[int]) -> None:
        seen.append((clock.now, number))
        for at in more:
            plan(at, [])

    for at, more in plans:
        plan(at, more)
    clock.run_until(10.0)

    expected, slow_numbers = list[tuple[float, int]](), count()
    slow = [(float(at), next(slow_numbers), more) for at, more in plans]
    while slow:
        now, number, more = first = min(slow)
        slow.remove(first)
        expected.append((now, number))
        slow += [(max(now, at), next(slow_numbers), []) for at in more]
    assert seen == expected


def test_what_happens_can_stop_the_rest_and_plan_more() -> None:
    clock, seen = Clock(1), list[str]()

    def stop() -> None:
        clock.stop()
        clock.at(1.0, lambda: seen.append("planned since"))

    clock.at(1.0, stop)
    clock.at(1.0, lambda: seen.append("at the same time"))
    clock.at(2.0, lambda: seen.append("later"))
    clock.run_until(3.0)
    assert seen == ["planned since"]


def test_chance_follows_from_the_seed_and_the_purpose() -> None:
    assert Clock(1).random("a").random() == Clock(1).random("a").random()
    assert Clock(1).random("a").random() != Clock(1).random("b").random()
    assert Clock(1).random("a").random() != Clock(2).random("a").random()


def test_the_digest_depends_on_what_and_when() -> None:
    digests = set()
    for at, what in ((1.0, b"x"), (2.0, b"x"), (1.0, b"y")):
        clock = Clock(1)
        clock.run_until(at)
        clock.note(what)
        digests.add(clock.digest())
    assert len(digests) == 3


def test_each_part_of_the_digest_has_its_own_time() -> None:
    digests = set()
    for first, second in ((1.0, 1.0), (1.0, 2.0), (2.0, 2.0)):
        clock = Clock(1)
        for at in (first, second):
            clock.run_until(at)
            clock.note(b"x")
        digests.add(clock.digest())
    assert len(digests) == 3


def test_the_digest_is_the_same_however_often_it_is_asked_for() -> None:
    often, once = Clock(1), Clock(1)
    for at in range(2 * NOTES_AT_ONCE):
        for clock in (often, once):
            clock.run_until(float(at // 3))
            clock.note(b"%d" % at)
        digest = often.digest()
    assert digest == once.digest()


def test_a_suspended_machines_clock_and_timers_stand_still() -> None:
    clock = Clock(1)
    machine = MachineClock(clock, offset=100.0, rate=1.01)
    rung: list[tuple[str, float]] = []
    clock.run_until(1.0)

    def note(name: str) -> None:
        rung.append((name, clock.now))

    for name, delay_s in (("soon", 0.5), ("later", 3.0), ("far", 20.0)):
        machine.after(delay_s, partial(note, name))
    clock.run_until(2.0)
    machine.suspend()
    shown = machine.now()
    clock.run_until(7.0)
    assert machine.now() == shown
    assert machine.resume() == 5.0
    assert machine.now() == shown
    clock.run_until(30.0)
    assert rung == [("soon", 1.5), ("later", 9.0), ("far", 26.0)]
    assert machine.now() == pytest.approx(100.0 + 25.0 * 1.01)
    assert machine.when(machine.now() + 1.01) == pytest.approx(31.0)
