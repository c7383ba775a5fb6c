"""Why a VIP has the owner it has, who else could, and what would follow if a node went: asked of the agreed inputs.

Rules of this file: pure; the words are the election's. It elects again, which takes a while with many addresses: ask it
outside of the event loop.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from duravip.cluster.charter import is_majority, no_majority_words
from duravip.cluster.election import elect, wording
from duravip.cluster.electorate import Circumstances, Electorate, is_broken
from duravip.cluster.flags import Landscape, survey
from duravip.cluster.messages import Roll
from duravip.model import Address, Decision, NodeName, Reason, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a decision follows from, at one moment: the tables in force, and the other agreed inputs. `backers`: under
    `strict` ownership, whose voices count for each roll."""

    tables: Mapping[NodeName, Table]
    given: Circumstances
    decisions: Mapping[Address, Decision]
    backers: Mapping[Roll, Collection[NodeName]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One member of the view, as an owner of the VIP."""

    node: NodeName
    eligible: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`if_down`: for each virtual member, who would own the VIP as soon as that one had gone; nobody, where `strict`
    ownership would find no majority then."""

    owner: NodeName | None
    reason: str
    candidates: tuple[Standing, ...]
    if_down: Mapping[NodeName, NodeName | None]


def explain(address: Address, grounds: Grounds) -> Explanation | None:
    """None when no table in force has the address."""
    landscape = survey(grounds.tables)
    if address not in landscape.members:
        return None
    decision = grounds.decisions.get(address)
    say = wording(Electorate(landscape, grounds.given))
    return Explanation(
        owner=decision.owner if decision is not None else None,
        reason=say(address, decision) if decision is not None else "no election yet",
        candidates=standings(address, decision, landscape, grounds.given),
        if_down={node: _owner_without(node, address, grounds, landscape) for node in landscape.members[address]},
    )


def standings(
    address: Address, decision: Decision | None, landscape: Landscape, given: Circumstances
) -> tuple[Standing, ...]:
    """Every member of the view, by name."""
    electorate = Electorate(landscape, given)
    able = () if is_broken(landscape, address) else electorate.eligible(address)
    reason = wording(Electorate(landscape, given))(address, decision) if decision is not None else "no election yet"
    found = []
    for node in electorate.names:
        if decision is not None and node == decision.owner:
            why = reason
        elif node in able:
            why = _outdone(electorate, node, address, decision)
        elif is_broken(landscape, address) and node in landscape.members[address]:
            why = "the address is BROKEN: nobody may have it"
        else:
            why = electorate.why_not(node, address)
        found.append(Standing(node=node, eligible=node in able, why=why))
    return tuple(found)


def _outdone(electorate: Electorate, node: NodeName, address: Address, decision: Decision | None) -> str:
    """Why an eligible member is not the owner."""
    if decision is None or decision.owner is None:
        return f"{node} could have it"
    owner = decision.owner
    ranking = electorate.landscape.preferences.get(address, ())
    match decision.reason:
        case Reason.PINNED:
            return f"it is pinned to {owner}"
        case Reason.FOLLOWS:
            return f"it follows {electorate.landscape.follows.get(address, 'another address')}, which {owner} owns"
        case Reason.PREFERRED:
            return f"{owner} is preferred{' to it' if node in ranking else ''}"
        case Reason.TOGETHER:
            return f"its group is together on {owner}"
        case Reason.LEAST_LOADED | Reason.BALANCED:
            return f"{owner} had less to do than {node} when it was given the address"
        case _:
            return f"{owner} holds it, and what is held stays" + (
                " until the preference may be followed" if node in ranking else ""
            )


def _no_majority_without(gone: NodeName, grounds: Grounds) -> str:
    voices = {roll: {name for name in names if name != gone} for roll, names in grounds.backers.items()}
    return "" if all(is_majority(roll, names) for roll, names in voices.items()) else no_majority_words(voices)


def _owner_without(gone: NodeName, address: Address, grounds: Grounds, landscape: Landscape) -> NodeName | None:
    tables = {node: table for node, table in grounds.tables.items() if node != gone}
    left = survey(tables) if tables else None
    if left is None or address not in left.members:
        return None
    holders = {
        held: rest for held, nodes in grounds.given.holders.items() if (rest := tuple(n for n in nodes if n != gone))
    }
    given = replace(
        grounds.given,
        candidates=tuple(one for one in grounds.given.candidates if one.name != gone),
        holders=holders,
        pins={pinned: node for pinned, node in grounds.given.pins.items() if node != gone},
        view_mature=False,
        moving=0,
        no_majority=_no_majority_without(gone, grounds),
    )
    end = left.follows.get(address, address)
    if holders.get(end):  # whoever holds it is asked alone: nothing has to be placed
        family = tuple(sorted({address, end} & left.members.keys()))
        follows = {one: left.follows[one] for one in family if one in left.follows}
        left = replace(left, universe=family, follows=follows)
    return elect(left, given)[address].owner
