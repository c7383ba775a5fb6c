"""Everything that fuzzing has found, and what was worth beginning from, is run again; and a few mutations of it, always
the same. `python -m tests.fuzz` goes on from here for as long as one likes."""

import random
import time

import msgspec
import pytest

from duravip.cluster import messages as m
from duravip.cluster.inputs import PacketHeard
from duravip.wire import codec
from tests.fuzz import corpus, lab, mutation, targets
from tests.fuzz.__main__ import main

MUTATIONS = 150


@pytest.mark.parametrize("name", targets.TARGETS)
def test_whatever_the_bytes_are_nothing_is_raised(name: str) -> None:
    pool = targets.begin_with(name)
    assert corpus.kept(name)
    for data in pool:
        targets.judge(name, data)
    chance = random.Random(name)
    for _ in range(MUTATIONS):
        targets.judge(name, mutation.mutate(chance.choice(pool), chance, pool))


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


def test_an_input_that_takes_too_long_is_a_find(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    def compute(data: bytes) -> None:
        until = time.process_time() + float(data)
        while time.process_time() < until:
            pass

    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(targets, "TARGETS", {"arp": targets.Target(run=compute, seeds=lambda: [b"0.06"])})
    targets.judge("arp", b"0.06")
    with pytest.raises(targets.SlowError, match=r"4 bytes take .* s of processor time, more than"):
        targets.judge("arp", b"0.06", limit_s=0.05)
    monkeypatch.setattr(mutation, "mutate", lambda data, *_: b"0.26")
    monkeypatch.setattr(corpus, "kept", lambda name: [])
    monkeypatch.setattr("sys.argv", ["fuzz", "--engine", "mutate", "--minutes", "0.001"])
    assert main() == 1
    assert "arp: a find, in fuzz-arp-" in capsys.readouterr().out


def test_an_input_that_is_slow_once_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0.0, 9.0, 9.0, 9.1))
    monkeypatch.setattr(time, "process_time", lambda: next(times))
    monkeypatch.setattr(targets, "TARGETS", {"arp": targets.Target(run=lambda data: None, seeds=list)})
    targets.judge("arp", b"")


def test_every_kind_of_message_body_and_wish_is_aimed_at() -> None:
    heard = [message for body in targets.bodies() for message in codec.decode(body)]
    assert {type(message) for message in heard} == set(m.AnyMessage.__args__)
    assert {type(one.body) for one in heard if isinstance(one, m.Numbered)} == set(m.AnyBody.__args__)
    assert {type(one.body) for one in heard if isinstance(one, m.Wish)} == set(m.WishBody.__args__)


def test_what_is_aimed_hits() -> None:
    """Whatever the liar numbers as coordinator the others deliver; whatever it wishes, the coordinator numbers."""
    coordinating = [asleep for asleep in targets._labs() if min(lab.woken(asleep).nodes) == lab.LIAR]
    following = [asleep for asleep in targets._labs() if asleep not in coordinating]
    assert (len(coordinating), len(following)) == (2, 2)
    for said in targets.sayings():
        if not isinstance(said, m.Wish | m.Report | m.Numbered) or (
            isinstance(said, m.Numbered) and said.number < targets.NEXT
        ):
            continue
        for asleep in coordinating if isinstance(said, m.Numbered) else following:
            awake = lab.woken(asleep)
            name = "z" if isinstance(said, m.Numbered) else "a"
            before = awake.nodes[name].number
            awake.feed(name, PacketHeard(sender=lab.member(lab.LIAR), messages=(said,)))
            awake.run_until(awake.now + 0.3)
            assert before == targets.NEXT - 1 < awake.nodes[name].number, said
    for asleep in coordinating:
        awake = lab.woken(asleep)
        awake.feed("z", PacketHeard(sender=lab.member(lab.LIAR), messages=targets._next_view()))
        assert awake.nodes["z"].view.id.epoch == 2


def test_a_release_as_of_a_number_to_come_of_what_it_has_no_claim_on() -> None:
    for said in targets.sayings():
        if isinstance(said, m.Report):
            early = msgspec.structs.replace(said, as_of=targets.NEXT)
            targets.run_member(b"\0\x91" + codec.encode_message(early))


def test_the_cluster_that_hears_a_liar_is_at_rest_and_holds_addresses() -> None:
    for asleep in targets._labs():
        awake = lab.woken(asleep)
        assert all(node.mature and node.view_mature for node in awake.nodes.values())
        held = [address for node in awake.nodes.values() for address in node.held()]
        assert sorted(held) == sorted({vip.address for name in awake.nodes for vip in awake.tables[name].vips})
