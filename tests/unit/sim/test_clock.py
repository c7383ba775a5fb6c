from duravip.sim.clock import Clock


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
