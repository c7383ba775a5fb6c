"""The heartbeat is every 1 s."""

from __future__ import annotations

from duravip.cluster.pulse import LINGER_INTERVALS, Pulse


def beats(pulse: Pulse, now: float) -> bool:
    return pulse.comes_due(now)


def test_a_node_that_hears_no_pace_beats_every_interval() -> None:
    pulse = Pulse(1.0, now=0.0)
    assert beats(pulse, 0.0)
    assert not beats(pulse, 0.999)
    assert beats(pulse, 1.0)
    assert pulse.next_at == 2.0


def test_a_node_that_follows_beats_at_the_moment_when_the_first_member_does() -> None:
    pulse = Pulse(1.0, now=0.0)
    assert beats(pulse, 0.0)
    for heard_at in (0.6, 1.6, 2.6):
        assert pulse.follow(heard_at)
        assert beats(pulse, heard_at)
        assert not beats(pulse, heard_at + 0.999)


def test_a_node_that_has_just_beaten_waits_for_the_next_beat_of_the_first_member() -> None:
    pulse = Pulse(1.0, now=0.0)
    assert beats(pulse, 0.0)
    assert not pulse.follow(0.2)
    assert pulse.next_at == 1.0 + LINGER_INTERVALS
    assert pulse.follow(1.2)
    assert beats(pulse, 1.2)


def test_wherever_it_begins_a_node_beats_with_the_first_member_within_three_of_its_beats() -> None:
    for hundredths in range(100):
        pulse, now = Pulse(1.0, now=0.0), 0.0
        assert beats(pulse, 0.0)
        alone = 0
        for beat in range(6):
            heard_at = hundredths / 100 + beat
            while pulse.next_at < heard_at:
                now = pulse.next_at
                assert beats(pulse, now)
                alone += 1
            if pulse.follow(heard_at):
                assert beats(pulse, heard_at)
                now = heard_at
        assert now == hundredths / 100 + 5, hundredths
        assert alone <= 3, hundredths


def test_a_node_whose_first_member_falls_silent_beats_by_itself_a_little_later_and_then_every_interval() -> None:
    pulse = Pulse(1.0, now=0.0)
    assert beats(pulse, 0.0)
    assert pulse.follow(0.9)
    assert beats(pulse, 0.9)
    assert pulse.next_at == 0.9 + 1.0 + LINGER_INTERVALS
    assert beats(pulse, pulse.next_at)
    assert pulse.next_at == 0.9 + 2.0 + LINGER_INTERVALS


def test_news_do_not_wait_for_the_first_member() -> None:
    pulse = Pulse(1.0, now=0.0)
    assert beats(pulse, 0.0)
    pulse.soon(0.05)
    brought_forward = pulse.next_at
    assert brought_forward < 0.2
    assert not pulse.follow(0.06)
    assert pulse.next_at == brought_forward
