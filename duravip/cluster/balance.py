"""Balancing: which held VIPs should move so that the loads are as even as they can be. Pure, as the election is.

What may move: VIPs with an owner that are not bound to a node by a pin or by a preference, not BROKEN and do not
follow. A VIP with followers, or a group that is kept together, moves as one and counts as one move. Everything else
keeps its place, and its load counts.

First of all, groups that should be together come together. Then one call carries out at most `limit` moves of a layout
that is optimal for the VIPs of weight 1 and was found with the fewest moves, so each round comes nearer to it and the
next continues it, whatever the limit. Only when that layout is reached are heavier VIPs, and those that should be
apart, moved or swapped, each time to an improvement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from duravip.cluster.election import elect, follow
from duravip.cluster.electorate import Circumstances, Electorate, is_broken
from duravip.cluster.flags import Landscape
from duravip.cluster.layout import Layout, Owners, crowd_of, keep_company, parted
from duravip.cluster.placement import join
from duravip.model import Address, Decision, NodeName, Reason


def balance(
    landscape: Landscape, given: Circumstances, decisions: Mapping[Address, Decision], limit: int
) -> dict[Address, Decision]:
    """The decisions that change, in universe order: at most `limit` moves (at least 1; followers of what
    moves come along uncounted); none when nothing improves the loads. `decisions` are those in force: each
    owner is eligible."""
    electorate = Electorate(landscape, given)
    owned = {a: d.owner for a, d in decisions.items() if d.owner is not None and a not in landscape.follows}
    movable, fixed = parted(electorate, owned)
    changed = _gathered(electorate, movable, fixed, limit)
    if not changed:
        moved = _evened(electorate, movable, fixed, limit)
        changed = {address: Decision(owner, Reason.BALANCED) for address, owner in moved.items()}
    after = {**decisions, **changed}
    for address in list(changed):
        for follower in landscape.followers.get(address, ()):
            decision = decisions[follower] if is_broken(landscape, follower) else follow(electorate, follower, after)
            if decision != decisions[follower]:
                changed[follower] = decision
    return {address: changed[address] for address in sorted(changed)}


def _gathered(
    electorate: Electorate, movable: Mapping[Address, NodeName], fixed: Mapping[Address, NodeName], limit: int
) -> dict[Address, Decision]:
    """Those that are not where their group belongs."""
    astray = {
        address: Decision(home, Reason.TOGETHER)
        for address, home in join(electorate, sorted(movable), {**movable, **fixed}).items()
        if home != movable[address]
    }
    return dict(list(astray.items())[:limit])


def _evened(electorate: Electorate, movable: Owners, fixed: Owners, limit: int) -> Owners:
    keep_company(electorate, movable, fixed)
    layout = Layout(electorate, movable, electorate.loads(fixed.items()), crowd_of(electorate, fixed))
    layout.spread.improve_singles()
    layout.spread.cut(limit)
    moved = layout.transfers()
    if not moved:
        layout.spread.improve_heavy(limit)
        moved = layout.transfers()
    return moved


def settle(landscape: Landscape, given: Circumstances) -> dict[Address, Decision]:
    """What repeated election and balancing end in, with the view mature and every move done at once. A VIP
    keeps the reason for which it last changed its owner."""
    given = replace(given, view_mature=True, moving=0)
    settled = elect(landscape, given)
    while True:
        holders: dict[Address, tuple[NodeName, ...]] = {}
        for address, decision in settled.items():
            if decision.owner is not None:
                holders[address] = (decision.owner,)
        given = replace(given, holders=holders, claims=holders)
        changed = {
            address: decision
            for address, decision in elect(landscape, given).items()
            if decision.owner != settled[address].owner
        }
        changed = changed or balance(landscape, given, settled, len(settled))
        if not changed:
            return settled
        settled.update(changed)
