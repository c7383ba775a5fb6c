"""Balancing: which held VIPs should move so that the loads are as even as they can be. Pure, as the election
is.

What may move: VIPs with an owner that are not pinned, not preferred to an eligible node, not BROKEN and do
not follow. A VIP with followers moves with them and counts as one move. Everything else keeps its place, and
its load counts.

One call carries out at most `limit` moves of a layout that is optimal for the VIPs of weight 1 and was found
with the fewest moves, so each round comes nearer to it and the next continues it, whatever the limit. Only
when that layout is reached are heavier VIPs moved or swapped, each time to an improvement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from duravip.cluster.election import elect, follow
from duravip.cluster.electorate import Circumstances, Electorate, is_broken
from duravip.cluster.flags import Landscape
from duravip.cluster.placement import Layout
from duravip.model import Address, Decision, NodeName, Reason


def balance(
    landscape: Landscape, given: Circumstances, decisions: Mapping[Address, Decision], limit: int
) -> dict[Address, Decision]:
    """The decisions that change, in universe order: at most `limit` moves (at least 1; followers of what
    moves come along uncounted); none when nothing improves the loads. `decisions` are those in force: each
    owner is eligible."""
    electorate = Electorate(landscape, given)
    movable: dict[Address, NodeName] = {}
    fixed: list[tuple[Address, NodeName]] = []
    for address, decision in decisions.items():
        if decision.owner is None or address in landscape.follows:
            continue
        if _may_move(electorate, address, decision.owner):
            movable[address] = decision.owner
        else:
            fixed.append((address, decision.owner))
    layout = Layout(electorate, movable, electorate.loads(fixed))
    layout.spread.improve_singles()
    layout.spread.cut(limit)
    moved = layout.transfers()
    if not moved:
        left = limit
        while left and (steps := layout.spread.improve_heavy(swaps=left >= 2)):
            left -= steps
        moved = layout.transfers()
    changed = {address: Decision(owner, Reason.BALANCED) for address, owner in moved.items()}
    after = {**decisions, **changed}
    for address in moved:
        for follower in landscape.followers.get(address, ()):
            decision = decisions[follower] if is_broken(landscape, follower) else follow(electorate, follower, after)
            if decision != decisions[follower]:
                changed[follower] = decision
    return {address: changed[address] for address in sorted(changed)}


def settle(landscape: Landscape, given: Circumstances) -> dict[Address, Decision]:
    """What repeated election and balancing end in, with the view mature and every move done at once. A VIP
    keeps the reason for which it last changed its owner."""
    given = replace(given, view_mature=True, moving=0)
    settled = elect(landscape, given)
    while True:
        given = replace(given, holders={a: (d.owner,) for a, d in settled.items() if d.owner is not None})
        changed = {
            address: decision
            for address, decision in elect(landscape, given).items()
            if decision.owner != settled[address].owner
        }
        changed = changed or balance(landscape, given, settled, len(settled))
        if not changed:
            return settled
        settled.update(changed)


def _may_move(electorate: Electorate, address: Address, owner: NodeName) -> bool:
    eligible = electorate.eligible(address)
    return (
        owner in eligible
        and electorate.given.pins.get(address) not in eligible
        and electorate.preferred(address) is None
    )
