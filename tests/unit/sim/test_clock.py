from functools import partial

import pytest

from duravip.sim.clock import Clock, MachineClock


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
