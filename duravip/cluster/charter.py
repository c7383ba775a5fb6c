"""Under `strict` ownership: whose majority decides, and how that is changed.

Rules of this file
- Pure functions of what members promise; every member of a view comes to the same answer.
- Two views that are both carried by their charters have a member name in common: that is all that strict ownership
  asks of a charter, and every rule here serves it.

Theory of operation
    A *roll* is what one configuration says: the members, the tie-breaker, the lifetime of addresses. A *charter* is
    the rolls that count, with a generation; none: ownership is `available`. Generation 0 is what a configuration says,
    as long as its node has been in no carried view since it started; then the view's charter is its own.

    Of the charters promised for a view those of the highest generation count, and all of their rolls (the MAX_ROLLS
    that most members name, should a liar name more). A roll is satisfied by a majority of its members, counting those
    alone that stand by it: by charter (whoever has been in a carried view goes over to the new view's), or at
    generation 0 by configuration. A change goes by two numbered steps: a charter with the old rolls and the new one,
    when those whose tables name the new one are a majority of it, and the old ones are satisfied by members whose
    tables name it; then, when such members have delivered that, a majority of each roll, and no address has the old
    lifetime any more, the new one alone. So whoever of these forgets it says nothing for the old rolls. A view of
    generation 0 that nothing carries has no charter to be changed: once its members' tables would make one, the next
    view begins.

Source: protocol rule 12; Ongaro and Ousterhout, "In search of an understandable consensus algorithm" (2014), section 6.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from duravip.cluster.messages import MAX_MEMBERS, MAX_MISSING, MAX_ROLLS, Charter, MemberState, Roll
from duravip.model import NodeName, Settings

STRICT: Final = "strict"
MANDATE_SHARE: Final = 0.5  # of the lifetime: how long a node may hold after the beat that a majority echoed
EXPIRY_S: Final = 2.5  # how late Linux is with the end of a lifetime, at most; measured
MOST_MISSING: Final = MAX_MISSING - MAX_MEMBERS  # the view's members may be missing from the next one as well
ALARM_S: Final = 0.05  # how late the alarm may be
CALL_S: Final = 0.45  # how long an order may be with the kernel
GENERATION_LEAP: Final = 2**24  # no charter was changed so often: one that is so far above all others is a liar's
CLOCK_RATIO: Final = 1.041  # of two clocks that are both within 2 % of true time


def roll_of(settings: Settings) -> Roll | None:
    """What a configuration says; None when it does not ask for strict ownership."""
    if settings.ownership != STRICT:
        return None
    return Roll(
        members=settings.members,
        tie_breaker=settings.tie_breaker or "",
        lifetime_s=max(1, math.ceil(settings.address_lifetime)),
    )


def charter_of(settings: Settings) -> Charter:
    """What a node goes by that has been in no carried view."""
    roll = roll_of(settings)
    return Charter(rolls=() if roll is None else (roll,))


def is_majority(roll: Roll, names: Collection[NodeName]) -> bool:
    """Whether these are more than half of the roll, or half of it with the tie-breaker."""
    present = sum(name in names for name in roll.members)
    return 2 * present > len(roll.members) or (
        2 * present == len(roll.members) > 0 and roll.tie_breaker in roll.members and roll.tie_breaker in names
    )


def majority_since(roll: Roll, times: Mapping[NodeName, float]) -> float:
    """The latest time that a majority of the roll has reached; minus infinity when none has."""
    reached: set[NodeName] = set()
    for name, at in sorted(times.items(), key=lambda item: (-item[1], item[0])):
        reached.add(name)
        if is_majority(roll, reached):
            return at
    return -math.inf


def charter_at_install(states: Iterable[MemberState]) -> Charter:
    """The charter that a view begins with. At generation 0 the configurations may differ: then one that is satisfied,
    the smallest of several, else all of them."""
    states = tuple(states)
    generation = _newest(state.charter.generation for state in states)
    said = Counter(roll for state in states if state.charter.generation == generation for roll in state.charter.rolls)
    rolls = sorted(said, key=lambda roll: (-said[roll], roll))[:MAX_ROLLS]
    satisfied = sorted(roll for roll in rolls if is_majority(roll, backers(roll, states)))
    if generation == 0 and satisfied:
        return Charter(generation=1, rolls=tuple(satisfied[:1]))
    return Charter(generation=generation, rolls=tuple(sorted(rolls)))


def _newest(generations: Iterable[int]) -> int:
    """The highest that can have come about: none is GENERATION_LEAP above all others, and above 0."""
    newest = 0
    for generation in sorted(generations):
        if generation > newest + GENERATION_LEAP:
            break
        newest = generation
    return newest


def backers(roll: Roll, states: Iterable[MemberState]) -> frozenset[NodeName]:
    """The members whose voices count for a roll of the view's charter: those that go by it, and those that remember an
    earlier carried view, for they go by it from this view on. Who has forgotten everything goes by its configuration
    alone, and says nothing for another roll: it may have forgotten whom that roll's majority must wait for."""
    return frozenset(
        state.member.name for state in states if roll in state.charter.rolls or state.charter.generation > 0
    )


def barred_words(name: NodeName, own: Roll | None, rolls: Collection[Roll]) -> str:
    """Why a node whose configuration says `own` may own nothing under a charter of these; "" when it may."""
    if not rolls:
        return ""
    if own is None or all(own.members != roll.members for roll in rolls):
        return "with another list of members in its configuration"
    return "" if any(name in roll.members for roll in rolls) else "not among the members of its configuration"


def founding(settings: Mapping[NodeName, Settings]) -> tuple[str, dict[NodeName, str]]:
    """What would be if exactly these nodes started now, with these configurations: why there is no majority, "" if
    there is one; and why each that is barred is."""
    own = {name: roll_of(said) for name, said in settings.items()}
    voices = {roll: frozenset(name for name in own if own[name] == roll) for roll in own.values() if roll is not None}
    satisfied = sorted(roll for roll, names in voices.items() if is_majority(roll, names))
    rolls = satisfied[:1] or sorted(voices)
    barred = {name: barred_words(name, said, rolls) for name, said in own.items()}
    return "" if satisfied or not voices else no_majority_words(voices), barred


def missing_at_install(states: Iterable[MemberState], charter: Charter) -> dict[NodeName, float]:
    """Who may have something and is not here: for how long each has been missing, as far as every member knows. One
    that a member does not know of may have been with it in a view that it has forgotten, if a roll names it. At most
    MOST_MISSING, however many a liar names; those that rolls name first."""
    states = tuple(states)
    present = {state.member.name for state in states}
    named = {name for roll in charter.rolls for name in roll.members}
    longest_s = wait_s(charter.rolls)
    known = [{missing.name: missing.for_s for missing in state.missing} for state in states]
    found: dict[NodeName, float] = {}
    for name in sorted(named.union(*known) - present):
        unknown_s = 0.0 if name in named else math.inf
        for_s = min(each.get(name, unknown_s) for each in known)
        if name in named or for_s < longest_s:
            found[name] = for_s
    return dict(sorted(found.items(), key=lambda item: (item[0] not in named, item[1], item[0]))[:MOST_MISSING])


def no_majority_words(backers: Mapping[Roll, Collection[NodeName]]) -> str:
    """For people: which majority a view lacks."""
    roll = next(roll for roll, voices in sorted(backers.items()) if not is_majority(roll, voices))
    here = [name for name in roll.members if name in backers[roll]]
    return f"no majority of the members {', '.join(roll.members)}: only {', '.join(here) or 'none'} of them here"


def wait_s(rolls: Iterable[Roll]) -> float:
    """After what time a member that is missing has lost everything, counted on any clock from the beginning of a
    carried view that lacks it."""
    longest_s = max((roll.lifetime_s for roll in rolls), default=0.0)
    return CLOCK_RATIO * (mandate_s(longest_s) + longest_s + EXPIRY_S + ALARM_S + CALL_S)


def mandate_s(lifetime_s: float) -> float:
    """How long after a confirmed beat a node may hold."""
    return MANDATE_SHARE * lifetime_s
