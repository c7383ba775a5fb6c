"""View agreement at bad moments: between promise and Install, with several leaders, over links that are not transitive,
with messages of older views, with a member that lies.

Heartbeats every 0.1 s, failure_timeout 0.35 s, maturity after 2 s, fair network, well-behaved kernels.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec
import pytest

from duravip.cluster.inputs import PacketHeard, TableLoaded
from duravip.cluster.messages import AnyMessage, Heard, Heartbeat, Install, Promise, Propose, Refuse, TableChunk
from duravip.cluster.node import Node
from duravip.events import Expelled, NodeSuspected, ViewInstalled
from duravip.model import MAX_COUNT, Member, NodeName, Settings, ViewId, canonical_address, make_table
from duravip.sim.host import Host
from duravip.sim.network import Weather
from duravip.testing.situation import VIPS, Situation, entry


def node_of(host: Host) -> Node:
    assert isinstance(host.node, Node)
    return host.node


def members(situation: Situation, name: str) -> str:
    node = situation[name].node
    return "".join(node.view.names()) if node is not None and node.view is not None else ""


def said(situation: Situation, kind: type[AnyMessage], who: str, since: float) -> bool:
    return any(at >= since and isinstance(m, kind) and by == who for at, by, m in situation.diary.said)


def cut(situation: Situation, *links: str) -> None:
    """`ab`: nothing of a reaches b."""
    for source, target in links:
        situation.world.network.cut(NodeName(source), NodeName(target))


def heard(message: AnyMessage) -> tuple[Heard, ...]:
    return message.heard if isinstance(message, Heartbeat) else ()


def die(situation: Situation, names: Iterable[str]) -> None:
    for name in names:
        situation[name].crash()
        situation[name].kernel.present.clear()


def views_since(situation: Situation, since: float) -> Counter[str]:
    return Counter(who for who, _ in situation.seen(ViewInstalled, since))


def up_to_a_promise(names: str) -> tuple[Situation, float]:
    """The last of `names` has died, a has proposed the view without it, and b has just promised."""
    situation = Situation(*names).booted()
    began = situation.now
    die(situation, names[-1])
    situation.until(lambda: said(situation, Promise, "b", began), 1.0)
    return situation, began


# --- between promise and Install -------------------------------------------------------------------------------------


def test_a_coordinator_that_dies_between_promise_and_install_is_followed_by_one_view_of_the_rest() -> None:
    situation, began = up_to_a_promise("abcd")
    die(situation, "a")
    assert not said(situation, Install, "a", began)
    situation.until(lambda: members(situation, "b") == members(situation, "c") == "bc", 0.6)
    assert views_since(situation, began) == {"b": 1, "c": 1}
    assert situation.until(situation.all_held_once, 0.1) < 0.1
    situation.run(3.0)
    situation.mend()


def test_an_install_that_reaches_only_some_is_repeated_for_the_others() -> None:
    situation, began = up_to_a_promise("abcd")
    cut(situation, "ac")
    situation.until(lambda: members(situation, "b") == "abc", 0.2)
    situation.run(0.05)
    assert members(situation, "c") == "abcd"
    situation.world.network.heal()
    situation.until(lambda: members(situation, "c") == "abc", 0.03)
    assert views_since(situation, began) == {"a": 1, "b": 1, "c": 1}
    situation.mend()


def test_when_the_coordinator_dies_after_an_install_that_reached_only_some_the_next_collects_all_claims_anew() -> None:
    situation, _ = up_to_a_promise("abcde")
    cut(situation, "ac", "ad")
    situation.until(lambda: members(situation, "b") == "abcd", 0.2)
    situation.run(0.005)
    die(situation, "a")
    situation.world.network.heal()
    situation.until(lambda: members(situation, "b") == members(situation, "c") == members(situation, "d") == "bcd", 0.7)
    situation.until(situation.all_held_once, 0.1)
    situation.mend()


# --- several leaders, several deaths ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_of_three_parts_with_a_coordinator_each_one_view_is_made_at_once(seed: int) -> None:
    situation = Situation(*"abcdef", seed=seed).booted()
    situation.world.network.split([["a", "d"], ["b", "e"], ["c", "f"]])
    situation.run(2.0)
    assert [members(situation, name) for name in "abc"] == ["ad", "be", "cf"]
    healed = situation.now
    situation.world.network.heal()
    situation.until(lambda: all(members(situation, name) == "abcdef" for name in "abcdef"), 0.3)
    situation.until(situation.all_held_once, 0.05)
    assert views_since(situation, healed) == dict.fromkeys("abcdef", 1)
    situation.mend()


def test_two_leaders_that_propose_at_the_same_moment_do_not_outbid_each_other() -> None:
    situation = Situation(*"abcdef").booted()
    situation.world.network.split([["a", "b", "c"], ["d", "e", "f"]])
    situation.run(2.0)
    die(situation, "cf")
    situation.run(0.2)
    healed = situation.now
    situation.world.network.heal()  # just when both leaders are about to propose a view without their dead
    situation.until(lambda: all(members(situation, name) == "abde" for name in "abde"), 0.6)
    assert max(views_since(situation, healed).values()) <= 2
    proposals = sum(at >= healed and isinstance(m, Propose) for at, _, m in situation.diary.said)
    assert proposals <= 4
    situation.mend()


@pytest.mark.parametrize("seed", range(5))
def test_l6_five_nodes_that_die_together_are_one_new_view_whatever_the_phases_of_their_heartbeats(seed: int) -> None:
    situation = Situation(*"abcdefgh", seed=seed).booted()
    situation.run(0.0137 * seed)
    before = situation.now
    die(situation, "adegh")
    situation.run(1.5)
    assert views_since(situation, before) == {"b": 1, "c": 1, "f": 1}
    assert members(situation, "f") == "bcf"


# --- links that are not transitive -----------------------------------------------------------------------------------


def test_rule_7_who_is_linked_with_the_smallest_name_only_in_part_stays_outside_and_holds_nothing_of_the_view() -> None:
    """`The view is a clique around the smallest mutually heard name.`"""
    situation = Situation(*"abcde").booted()
    cut(situation, "bd", "db", "ec")  # b and d do not hear each other, c does not hear e
    situation.run(3.0)
    assert [members(situation, name) for name in "abc"] == ["abc"] * 3
    assert situation.all_held_once()
    assert situation["d"].kernel.present == situation["e"].kernel.present == set()
    calm = situation.now
    situation.run(5.0)
    assert situation.seen(ViewInstalled, calm) == []
    situation.mend()


def test_a_newcomer_that_not_everybody_hears_takes_nobodys_place_before_it_is_in_the_view() -> None:
    situation = Situation("a", "b", "c")
    situation.start("b", "c")
    situation.run(4.0)
    cut(situation, "ac", "ca")
    began = situation.now
    situation.start("a")
    situation.until(lambda: members(situation, "a") == "ab", 3.0)
    views = [event.members for who, event in situation.seen(ViewInstalled, began) if who == "b"]  # type: ignore[attr-defined]
    assert views == [("a", "b")], "c was in b's view until a was"
    situation.run(1.0)
    assert situation.all_held_once()
    assert situation["c"].kernel.present == set()
    situation.mend()


def test_a_newcomer_that_comes_to_lead_leaves_nobody_out_whom_it_has_had_no_time_to_hear() -> None:
    situation = Situation("a", "b", "c")
    situation.start("b", "c")
    situation.run(4.0)
    leadership = node_of(situation["b"])._parts.leadership
    leadership._is_ready = lambda now: not leadership._is_settling(now)  # type: ignore[method-assign]
    cut(situation, "ca")
    began = situation.now
    situation.start("a")
    situation.until(lambda: members(situation, "a") == "abc", 0.5)
    assert "c" not in {
        str(one.name) for _, who, m in situation.diary.said if who == "a" for one in heard(m) if one.alive
    }
    situation.world.network.heal()
    situation.run(1.0)
    assert views_since(situation, began) == {"a": 1, "b": 1, "c": 1}
    situation.mend()


def test_a_node_that_slept_makes_no_view_of_its_last_ones_members_while_they_are_in_another() -> None:
    situation = Situation("a", "b", "c")
    situation.start("a", "c")
    situation.run(4.0)
    node_of(situation["a"])._parts.agreement.promised += 1  # to somebody whose view never came: it needs another one
    situation["a"].suspend()
    situation.start("b")
    situation.until(lambda: members(situation, "c") == "bc", 3.0)
    situation.run(3.0)
    awake = situation.now
    situation["a"].resume()
    situation.until(lambda: members(situation, "a") == "abc", 0.5)
    assert views_since(situation, awake) == {"a": 1, "b": 1, "c": 1}
    situation.mend()


def sleep(situation: Situation, name: str, for_s: float) -> None:
    """The whole machine."""
    situation[name].suspend()
    situation.run(for_s)
    situation[name].resume()


def stop(situation: Situation, name: str, for_s: float) -> None:
    """The process alone: its socket keeps what the others say at first, when they still take it for alive."""
    situation[name].freeze()
    situation.run(0.15)
    cut(situation, "ba", "ca")
    situation.run(for_s - 0.15)
    situation.world.network.heal()
    situation[name].thaw()


@pytest.mark.parametrize("away", [sleep, stop])
@pytest.mark.parametrize("seed", range(8))
def test_a_leader_that_was_away_proposes_when_the_others_know_that_it_is_back(
    seed: int, away: Callable[[Situation, str, float], None]
) -> None:
    """Whoever still takes it for dead would promise, and make a view without it the next moment."""
    situation = Situation(*"abc", seed=seed).booted()
    situation.run(0.0137 * seed)
    away(situation, "a", 1.0 + 0.0053 * seed)
    awake = situation.now
    situation.run(3.0)
    assert [members(situation, name) for name in "abc"] == ["abc"] * 3
    assert views_since(situation, awake) == {"a": 1, "b": 1, "c": 1}
    assert not any(said(situation, Refuse, name, awake) for name in "abc")
    situation.mend()


@pytest.mark.parametrize("seed", range(4))
def test_a_leader_that_is_late_again_and_again_leaves_out_whoever_dies_meanwhile(seed: int) -> None:
    """It is awake for 0.15 s between stops of 0.3 s: less than the two intervals for which one lateness excuses it."""
    situation = Situation(*"abc", seed=seed).booted()
    situation.run(0.0137 * seed)
    died = situation.now
    die(situation, "c")
    while situation.now < died + 3.0:
        situation["a"].freeze()
        situation.run(0.3)
        situation["a"].thaw()
        situation.run(0.15)
    assert members(situation, "a") == members(situation, "b") == "ab"
    assert situation.all_held_once()
    situation.mend()


@pytest.mark.parametrize("stop_s", [0.16, 0.2, 0.3, 0.34])
@pytest.mark.parametrize("seed", range(2))
def test_a_leader_that_is_late_after_each_of_its_proposals_still_takes_a_newcomer_in(seed: int, stop_s: float) -> None:
    """What was promised meanwhile waits in its socket. Perhaps it is late because there is so much to propose."""
    situation = Situation(*"abc", seed=seed)
    situation.start("a", "b")
    situation.run(5.0)
    situation.start("c")
    began = situation.now
    heard: set[ViewId] = set()
    while situation.now < began + 3.0:
        situation.run(0.0005)
        new = {m.view for _, by, m in situation.diary.said if by == "a" and isinstance(m, Propose)} - heard
        if new:
            heard |= new
            situation["a"].freeze()
            situation.run(stop_s)
            situation["a"].thaw()
    assert [members(situation, name) for name in "abc"] == ["abc"] * 3
    situation.mend()


@pytest.mark.parametrize("later_s", [0.01, 0.02, 0.03, 0.04, 0.045])
def test_one_that_dies_silently_beside_another_is_not_taken_again_for_what_others_said_before(later_s: float) -> None:
    """e has beaten last, out of turn, when it dies: it is left out for its silence, before it is suspected."""
    situation = Situation(*"abcde").booted()
    began = situation.now
    situation.until(lambda: said(situation, Heartbeat, "d", began) and said(situation, Heartbeat, "e", began), 0.2)
    die(situation, "d")
    situation.run(later_s)
    died = situation.now
    process = situation["e"].process
    assert process is not None
    process.feed(TableLoaded(table=situation["e"].table))
    situation.until(lambda: said(situation, Heartbeat, "e", died), 0.05)
    situation.run(0.001)
    die(situation, "e")
    situation.run(1.0)
    proposed = [m for at, _, m in situation.diary.said if at > died and isinstance(m, Propose)]
    assert proposed
    assert all(member.name in "abc" for message in proposed for member in message.members)
    assert views_since(situation, died) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("at_s", [0.30 + 0.01 * step for step in range(16)])
def test_a_leader_that_was_away_tears_no_view_apart_that_others_have_made_meanwhile(at_s: float) -> None:
    """It misses b, and so waits as long as it ever does; at the end of that e comes, who has to wait for a moment."""
    situation = Situation(*"abcde")
    situation.start(*"abc")
    situation.run(4.0)
    situation["a"].suspend()
    situation.run(1.0)
    die(situation, "b")
    situation.start("d")
    situation.run(4.0)
    assert members(situation, "c") == members(situation, "d") == "cd"
    began = situation.now
    situation["a"].resume()
    situation.run(at_s)
    situation.start("e")
    situation.run(2.0)
    views = [event.members for who, event in situation.seen(ViewInstalled, began) if who == "c"]
    assert views
    assert all("d" in view for view in views)
    situation.mend()


@pytest.mark.parametrize("away", [Host.suspend, Host.freeze])
@pytest.mark.parametrize(("who", "limit_s"), [("a", 0.03), ("b", 0.15)])
@pytest.mark.parametrize("seed", range(1, 4))
def test_whoever_comes_back_is_soon_in_a_view(
    seed: int, who: str, limit_s: float, away: Callable[[Host], None]
) -> None:
    """It says at once that it is back, and once more what it has heard of those who take it for dead. A leader takes in
    anybody else after half an interval."""
    situation = Situation(*"abc", seed=seed).booted()
    situation.run(0.0137 * seed)
    away(situation[who])
    situation.run(1.0)
    situation[who].resume()
    situation[who].thaw()
    assert members(situation, "c") == "abc".replace(who, "")
    assert situation.until(lambda: members(situation, "c") == "abc", 1.0) < limit_s


def test_l6_a_link_that_comes_and_goes_is_a_penalty_that_is_shown_and_decays() -> None:
    """`A node that hears but is not heard (or the reverse) stays outside the view and does not flap it: penalties, with
    decay.`"""
    situation = Situation("a", "b", "c").booted()
    began = situation.now
    for _ in range(10):
        cut(situation, "ca")
        situation.run(0.6)
        situation.world.network.heal()
        situation.run(0.6)
    assert views_since(situation, began)["b"] == 7, "three times out and in again, and out"

    def penalty() -> float:
        return next(info.penalty for info in node_of(situation["a"]).member_infos() if info.name == "c")

    assert members(situation, "b") == "ab"
    high = penalty()
    assert high > 2.0
    assert [member.name for member in node_of(situation["a"]).left_out()] == ["c"]
    assert node_of(situation["b"]).left_out() == (), "a coordinates"
    assert situation.all_held_once()
    situation.until(lambda: members(situation, "b") == "abc", 12.0)
    assert 0 < penalty() < high
    situation.run(60.0)
    assert penalty() == 0.0
    situation.mend()


# --- messages of older views, and lost ones --------------------------------------------------------------------------


def test_messages_of_older_views_that_come_late_change_nothing() -> None:
    situation = Situation("a", "b", "c", "d").booted()
    receivers = situation.world.network._receivers
    receive, late = receivers[NodeName("c")], list[bytes]()
    receivers[NodeName("c")] = late.append
    die(situation, "d")
    situation.run(0.8)  # a and b have made a view without d, and another without c
    receivers[NodeName("c")] = receive
    situation.until(lambda: all(members(situation, name) == "abc" for name in "abc"), 0.5)
    situation.run(8.0)
    quiet, number = situation.now, node_of(situation["c"]).number
    held = {vip: situation.holders(vip) for vip in VIPS}
    for datagram in late:
        receive(datagram)
    situation.run(2.0)
    assert len(late) > 20
    assert situation.seen(ViewInstalled, quiet) == situation.seen(NodeSuspected, quiet) == []
    assert not any(at >= quiet and isinstance(m, Promise) for at, _, m in situation.diary.said)
    assert node_of(situation["c"]).number == number
    assert held == {vip: situation.holders(vip) for vip in VIPS}
    situation.mend()


def test_under_thirty_percent_loss_only_safety_is_promised_and_it_holds() -> None:
    situation = Situation("a", "b", "c", "d").booted()
    situation.world.network.weather = Weather(loss=0.3, straggle=0.1)
    situation.run(30.0)
    assert situation.diary.violations == []
    situation.world.network.weather = Weather()
    situation.mend(20.0)


def test_a_rejoin_before_anyone_noticed_the_death_is_one_view_and_no_suspicion() -> None:
    situation = Situation("a", "b", "c").booted()
    began = situation.now
    situation["b"].crash()
    situation["b"].start()
    situation.run(1.5)
    causes = {event.cause for _, event in situation.seen(NodeSuspected, began)}  # type: ignore[attr-defined]
    assert causes == {"restarted"}
    assert views_since(situation, began)["a"] == 2, "without the old life, then with the new one"
    situation.run(5.0)
    situation.mend()


# --- whoever holds the key may still lie -----------------------------------------------------------------------------


def tell(situation: Situation, at: str, sender: Member, message: AnyMessage) -> None:
    process = situation[at].process
    assert process is not None
    process.feed(PacketHeard(sender=sender, messages=(message,)))


@pytest.mark.parametrize("promised", [MAX_COUNT, MAX_COUNT // 2, 2**40])
def test_a_member_that_says_it_promised_an_epoch_beyond_all_others_blocks_no_view(promised: int) -> None:
    situation = Situation("a", "b", "c", "d").booted()
    process = situation["d"].process
    assert process is not None
    pack = process.link.pack

    def lie(messages: Sequence[AnyMessage]) -> list[bytes]:
        return pack(
            [msgspec.structs.replace(m, promised=promised) if isinstance(m, Heartbeat) else m for m in messages]
        )

    process.link.pack = lie  # type: ignore[method-assign, assignment]
    calm = situation.now
    situation.run(2.0)
    assert situation.seen(ViewInstalled, calm) == []
    die(situation, "c")
    assert situation.until(lambda: members(situation, "a") == "abd", 0.5) < 0.5
    for name in "abd":
        view = node_of(situation[name]).view
        assert view is not None
        assert view.id.epoch < 100


def test_a_view_that_a_liar_proposes_beyond_all_epochs_is_promised_by_nobody() -> None:
    situation = Situation("a", "b", "c").booted()
    liar = node_of(situation["a"]).me
    began = situation.now
    everybody = tuple(node_of(situation[name]).me for name in "abc")
    for name in "bc":
        proposed = Propose(view=ViewId(MAX_COUNT, liar.name, liar.incarnation), members=everybody)
        tell(situation, name, liar, proposed)
    situation.run(0.1)
    assert not said(situation, Promise, "b", began)
    die(situation, "c")
    assert situation.until(lambda: members(situation, "a") == members(situation, "b") == "ab", 0.5) < 0.5


def test_one_that_refuses_every_proposal_is_left_out() -> None:
    situation = Situation("a", "b", "c", "d").booted()
    agreement = node_of(situation["c"])._parts.agreement
    agreement.on_propose = lambda sender, asked, leader, state: Refuse(  # type: ignore[method-assign]
        to=sender.name, view=asked.view, promised=asked.view.epoch
    )
    die(situation, "d")
    assert situation.until(lambda: members(situation, "a") == members(situation, "b") == "ab", 2.0) < 1.0
    assert situation.until(situation.all_held_once, 0.2) < 0.2
    assert situation.seen(Expelled)


# --- a merge, and a table --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [("a", "b"), ("a", "bc"), ("ab", "cde"), ("ad", "be", "c")])
@pytest.mark.parametrize("seed", range(4))
def test_a_merge_has_one_owner_again_within_two_heartbeats_whatever_the_phases(
    parts: tuple[str, ...], seed: int
) -> None:
    situation = Situation(*"".join(parts), seed=seed).booted()
    situation.world.network.split([[NodeName(name) for name in part] for part in parts])
    situation.run(0.6 + 0.317 * seed)
    assert all(len(situation.holders(vip)) == len(parts) for vip in VIPS)
    situation.world.network.heal()
    assert situation.until(situation.all_held_once, 1.0) <= 0.2
    situation.mend()


def test_a_table_of_10240_vips_travels_in_chunks_goes_on_after_a_death_and_delays_no_heartbeat() -> None:
    addresses = [canonical_address(f"10.1.{number // 256}.{number % 256}") for number in range(10_240)]
    names = [hashlib.sha256(address.encode()).hexdigest()[:24] for address in addresses]  # hard to compress
    entries = [entry(address, binding=name) for address, name in zip(addresses, names, strict=True)]
    large = make_table(entries, Settings(view_mature_time=600.0))
    situation = Situation("a", "b", "c", tables={"a": large, "b": large})
    situation.start("a", "b")
    situation.run(1.5)
    situation.world.network.weather = Weather(loss=0.1)
    situation.start("c")
    situation.until(lambda: situation["c"].node is not None, 1.0)
    digest = large.digest()

    def chunks(who: str) -> int:
        return sum(by == who and isinstance(m, TableChunk) for _, by, m in situation.diary.said)

    def received() -> int:
        pull = node_of(situation["c"])._parts.library._pulls.get(digest)
        return len(pull.pieces) if pull is not None else -1

    situation.until(lambda: received() > 60, 3.0)
    source = max("ab", key=chunks)
    other = "b" if source == "a" else "a"
    assert chunks(other) == 0
    had = received()
    die(situation, source)
    situation.until(lambda: node_of(situation["c"])._parts.library.has(digest), 5.0)
    count = len(node_of(situation[other])._parts.library._pieces(digest))
    assert count > 100
    assert chunks(other) < count - had + 100, "it did not begin anew"
    situation.world.network.weather = Weather()
    situation.until(lambda: members(situation, "c") == "".join(sorted((other, "c"))), 3.0)
    for name in "abc":
        beats = [at for at, by, m in situation.diary.said if by == name and isinstance(m, Heartbeat)]
        assert max(late - early for early, late in pairwise(beats)) < 0.13


@pytest.mark.parametrize("gap_s", [0.05, 0.2, 0.4, 0.9])
@pytest.mark.parametrize("seed", range(2))
def test_l6_nodes_that_have_known_of_a_missing_link_for_different_times_make_no_view_after_view(
    gap_s: float, seed: int
) -> None:
    """`c` has long known that it does not hear `a`; `d`, which `a` does not hear, takes `c` to belong with `a`."""
    a, c, d = (NodeName(name) for name in "acd")
    situation = Situation(*"abcd", seed=seed).booted()
    situation.world.network.cut(a, c)
    situation.run(gap_s)
    situation.world.network.cut(d, a)
    since = situation.now
    situation.run(4.0)
    views = Counter(who for at, who, event in situation.diary.events if at > since and isinstance(event, ViewInstalled))
    assert max(views.values()) <= 6
    assert [node_of(situation[name]).landscape.entries.keys() for name in "cd"] == [{c, d}, {c, d}]
    situation.mend()
