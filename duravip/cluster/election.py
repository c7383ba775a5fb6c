"""Who owns each VIP, and why: one pure function of agreed inputs, the same on every member.

Rules of this file: no clock, no randomness, no I/O; candidates are sorted by name, ties have a named total
order.

Theory of operation. For each VIP the first of these that applies decides: BROKEN (nobody), a view without the
majority that `strict` ownership asks for (nobody), following (below), a pin, an undisputed preference, the
present holder, the winner among several holders (a merge), and otherwise the least loaded eligible member. VIPs that
need an owner of the last kind are placed together, after all others, and evened out among themselves with the
machinery of balancing, so that no balancing follows at once. Followers come last: they go where the end of their
chain went, or to nobody.

What a node that is drained or leaves still holds is handed over a few at a time, and stays with it until then.

A node is eligible for a VIP when its table in force contains it, it is mature, not drained, and declares
nothing that blocks the VIP there.

Source: domain.md sections 4 and 5, protocol.md section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, assert_never

from duravip.cluster.breathing import breathe
from duravip.cluster.electorate import FAIL_BACK_MANUAL, FAIL_BACK_WHEN_MATURE, Candidate, Circumstances, Electorate
from duravip.cluster.flags import Landscape, in_words
from duravip.cluster.placement import join, place
from duravip.model import Address, Decision, Flag, NodeName, Reason

__all__ = ["Candidate", "Circumstances", "elect", "follow", "reason_text", "why_not_move", "wording", "words"]

HANDOVERS_AT_ONCE: Final = 16
"""Held VIPs that change hands together, from nodes that are drained or leave and to nodes that are preferred; or a 32nd
of all, if that is more. The next few wait until these have been let go. So each is away for as long as a few take."""


def elect(landscape: Landscape, given: Circumstances) -> dict[Address, Decision]:
    """The owner of every VIP of the universe, in its order."""
    electorate = Electorate(landscape, given)
    decided: dict[Address, Decision] = {}
    unheld: list[Address] = []
    may_fail_back = electorate.may_fail_back()
    handovers = max(HANDOVERS_AT_ONCE, len(landscape.universe) // 32) if not given.moving else 0
    flags, follows, pins, held, no_majority = (
        landscape.flags,
        landscape.follows,
        given.pins,
        given.holders,
        given.no_majority,
    )
    say, holder = _Decisions(), Reason.HOLDER
    for address in landscape.universe:
        breathe()
        if address in flags and Flag.BROKEN in flags[address]:
            decided[address] = say(None, Reason.BROKEN)
            continue
        if no_majority:
            decided[address] = say(None, Reason.NO_MAJORITY)
            continue
        if address in follows:
            continue
        eligible, preferred = electorate.choice(address)
        if not eligible:
            decided[address] = say(None, Reason.NOBODY_ELIGIBLE)
            continue
        pin = pins.get(address)
        if pin is not None and pin in eligible:
            decided[address] = say(pin, Reason.PINNED)
            continue
        held_by = held.get(address, ())
        holders = [node for node in held_by if node in eligible]
        if held_by and not holders and electorate.yields(address, held_by[0]):
            if not handovers:
                decided[address] = say(held_by[0], holder)
                continue
            handovers -= 1
        if preferred is not None:
            if not holders or preferred in holders:
                decided[address] = say(preferred, Reason.PREFERRED)
                continue
            if may_fail_back and handovers:
                handovers -= 1
                decided[address] = say(preferred, Reason.PREFERRED)
                continue
        if len(holders) == 1:
            decided[address] = say(holders[0], holder)
        elif holders:
            decided[address] = say(electorate.merge_winner(holders), Reason.MERGE)
        else:
            unheld.append(address)
    if unheld:
        owned = {address: made.owner for address, made in decided.items() if made.owner is not None}
        for address, owner in join(electorate, unheld, owned).items():
            decided[address] = say(owner, Reason.TOGETHER)
            owned[address] = owner
        for address, owner in place(electorate, [a for a in unheld if a not in decided], owned).items():
            decided[address] = say(owner, Reason.LEAST_LOADED)
    if not unheld and not follows:
        return decided  # in the order already
    for address in follows:
        if address not in decided:
            decided[address] = follow(electorate, address, decided)
    return {address: decided[address] for address in landscape.universe}


def why_not_move(landscape: Landscape, given: Circumstances, address: Address, node: NodeName) -> str:
    """Why an operator cannot have `address` moved to `node` now; "" when it can."""
    if address not in landscape.members:
        return f"{address} is in nobody's table"
    if Flag.BROKEN in landscape.flags.get(address, {}):
        return f"{address} is BROKEN: nobody may have it until the Binding names agree"
    if address in landscape.follows:
        return f"{address} follows {landscape.follows[address]}: move that"
    if given.no_majority:
        return given.no_majority
    electorate = Electorate(landscape, given)
    if node not in electorate.names:
        return f"{node} is no member of the view; its members are {', '.join(electorate.names)}"
    if node not in electorate.eligible(address):
        return electorate.why_not(node, address)
    return ""


def follow(electorate: Electorate, address: Address, decided: Mapping[Address, Decision]) -> Decision:
    """The decision for a follower, once the end of its chain is decided."""
    end = decided.get(electorate.landscape.follows[address])
    if end is None or end.owner is None:
        return Decision(None, Reason.FOLLOWED_UNOWNED)
    if end.owner not in electorate.eligible(address) and not electorate.yields(address, end.owner):
        return Decision(None, Reason.CANNOT_FOLLOW)
    return Decision(end.owner, Reason.FOLLOWS)


class _Decisions:
    """Makes each distinct decision once."""

    def __init__(self) -> None:
        self._made: dict[tuple[NodeName | None, Reason], Decision] = {}
        self._last: tuple[NodeName | None, Reason, Decision] = (None, Reason.BROKEN, Decision(None, Reason.BROKEN))

    def __call__(self, owner: NodeName | None, reason: Reason) -> Decision:
        last_owner, last_reason, last = self._last
        if owner == last_owner and reason is last_reason:
            return last
        key = owner, reason
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Decision(owner, reason)
        self._last = owner, reason, found
        return found


# --- reasons in words ---------------------------------------------------------------------------------------------

_NAMED: Final = 4  # nodes, or sentences, that a reason names before it only counts the rest
MEND_BROKEN: Final = "Give it the same Binding names everywhere, then `duravip reload --cluster`"

_SHORT: Mapping[Reason, str] = {
    Reason.BROKEN: "Binding names do not match",
    Reason.FOLLOWS: "follows another address",
    Reason.FOLLOWED_UNOWNED: "nobody owns what it follows",
    Reason.CANNOT_FOLLOW: "the owner of what it follows cannot have it",
    Reason.PINNED: "pinned",
    Reason.PREFERRED: "preferred",
    Reason.HOLDER: "holds it already",
    Reason.MERGE: "won the merge",
    Reason.LEAST_LOADED: "least loaded",
    Reason.BALANCED: "evens out the loads",
    Reason.NOBODY_ELIGIBLE: "no eligible member",
    Reason.TOGETHER: "kept together with its group",
    Reason.NO_MAJORITY: "no majority of the members",
}


_COMMON = {
    Reason.PINNED,
    Reason.PREFERRED,
    Reason.HOLDER,
    Reason.MERGE,
    Reason.LEAST_LOADED,
    Reason.BALANCED,
    Reason.NOBODY_ELIGIBLE,
}
"""What is said of a VIP that has been given for one of these names no address."""


def reason_text(decision: Decision) -> str:
    """The reason in a few words, from the decision alone."""
    return _SHORT[decision.reason]


def words(address: Address, decision: Decision, landscape: Landscape, given: Circumstances) -> str:
    """The reason in words, for people. A decision that is older than the tables it is asked about is no
    error."""
    return wording(Electorate(landscape, given))(address, decision)


def wording(electorate: Electorate) -> Callable[[Address, Decision], str]:
    """`words` for many addresses: what they have in common is worked out once."""
    landscape = electorate.landscape
    alike: dict[tuple[object, ...], str] = {}

    def say(address: Address, decision: Decision) -> str:
        if decision.reason not in _COMMON or not electorate.is_unremarkable(address):
            return _words(electorate, address, decision)
        preferences, members = landscape.preferences.get(address), landscape.members.get(address)
        key = decision.owner, decision.reason, preferences, members, landscape.apart.get(address)
        found = alike.get(key)
        if found is None:
            found = alike[key] = _words(electorate, address, decision)
        return found

    return say


def _words(electorate: Electorate, address: Address, decision: Decision) -> str:
    landscape = electorate.landscape
    owner = decision.owner
    followed = landscape.follows.get(address, "another address")
    match decision.reason:  # the frequent first
        case Reason.HOLDER:
            if owner is not None and electorate.yields(address, owner):
                return f"{owner} holds it until it is its turn to be handed over"
            return f"{owner} holds it already{_not_honoured(electorate, address, owner)}"
        case Reason.MERGE:
            return f"{owner} keeps it: of several holders, more share its past, or its name is smaller"
        case Reason.LEAST_LOADED:
            only = electorate.eligible(address) == (owner,)
            why = "the only eligible member" if only else "the least loaded eligible member"
            apart = landscape.apart.get(address)
            group = f", as far from the rest of `{apart}` as there is room" if apart and not only else ""
            return f"{owner} is {why}{group}{_not_honoured(electorate, address, owner)}"
        case Reason.BALANCED:
            return f"{owner} was given it to even out the loads{_not_honoured(electorate, address, owner)}"
        case Reason.NOBODY_ELIGIBLE:
            return _nobody(electorate, address)
        case Reason.BROKEN:
            evidence = landscape.flags.get(address, {}).get(Flag.BROKEN, ())
            return f"BROKEN: {_few(in_words(evidence), '; ') or reason_text(decision)}. {MEND_BROKEN}"
        case Reason.FOLLOWS:
            return f"follows {followed}, which {owner} owns"
        case Reason.FOLLOWED_UNOWNED:
            return f"follows {followed}, which nobody owns"
        case Reason.CANNOT_FOLLOW:
            able = electorate.eligible(address)
            why = f"whose owner cannot have it, only {_few(able)}" if able else _nobody(electorate, address)
            return f"follows {followed}, {why}"
        case Reason.PINNED:
            return f"pinned to {owner}"
        case Reason.PREFERRED:
            return f"{owner} is preferred{_not_honoured(electorate, address, owner)}"
        case Reason.TOGETHER:
            return f"{owner} is where `{landscape.together.get(address, 'its group')}` is kept together"
        case Reason.NO_MAJORITY:
            return electorate.given.no_majority or reason_text(decision)
    assert_never(decision.reason)


def _nobody(electorate: Electorate, address: Address) -> str:
    members = electorate.landscape.members.get(address, ())
    reasons = _few([electorate.why_not(node, address) for node in members])
    return f"no eligible member: {reasons or 'no online table has it'}"


def _few(texts: Sequence[str], separator: str = ", ") -> str:
    """As many as one reads at a glance, and how many more there are."""
    more = len(texts) - _NAMED
    return separator.join(texts[:_NAMED]) + (f"{separator}and {more} more" if more > 0 else "")


def _not_honoured(electorate: Electorate, address: Address, owner: NodeName | None) -> str:
    """Why those that are preferred to the owner are not, as a clause; empty when there are none."""
    ranking = electorate.landscape.preferences.get(address, ())
    before = ranking[: ranking.index(owner)] if owner in ranking else ranking
    preferred = next((node for node in before if node in electorate.eligible(address)), None)
    if preferred is None:
        if not before:
            return ""
        passed = _few([electorate.why_not(node, address) for node in before])
        one, many = ("comes first", "come first") if owner in ranking else ("is preferred", "are preferred")
        return f"; {passed}, which {one if len(before) == 1 else many}"
    fail_back = electorate.given.fail_back
    if fail_back == FAIL_BACK_MANUAL:
        return f"; {preferred} is preferred, and `duravip move {address} auto` gives it back (fail_back is manual)"
    if fail_back != FAIL_BACK_WHEN_MATURE:
        return f"; {preferred} is preferred, but fail_back is {fail_back}"
    if not electorate.given.view_mature:
        return f"; {preferred} is preferred and gets it when the view is mature"
    return f"; {preferred} is preferred and gets it when other moves are done"
