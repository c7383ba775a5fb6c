"""Under strict ownership an operator changes the list of members, while everything else goes on going wrong.

Rules of this file: what the how-to asks of the operator is kept to.
- The new list is in every file before any daemon is asked to go by it, and the next change begins when this one is
  through.
- While a change is under way fewer than half of the new list start with the new file, whatever ended them: the others
  wait until it is through. If so many wait that it cannot be, all are stopped, for as long as an address may last, and
  then started.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from duravip.cluster.charter import is_majority, roll_of
from duravip.cluster.messages import Roll
from duravip.model import NodeName, Table
from duravip.sim.host import Host
from duravip.sim.world import World

LEAST_MEMBERS: Final = 3  # so that one that stays down for good takes nobody's majority away
ASK_EVERY_S: Final = 1.0
ENDING_S: Final = 3.7


class MembersChange:
    """All changes of one world. `let_go_s`: after so long a stopped machine has nothing."""

    def __init__(self, world: World, chance: random.Random, names: tuple[NodeName, ...], *, let_go_s: float) -> None:
        self._world = world
        self._random = chance
        self._names = names
        self._let_go_s = let_go_s
        self._under_way = False
        self._looked = False
        self._started: set[NodeName] = set()

    def begin(self, members: tuple[NodeName, ...]) -> None:
        """Nothing happens while another change is under way."""
        if self._under_way:
            return
        self._under_way, self._started = True, set()
        for host in self._hosts():
            host.table = with_members(host.table, members)
            host.may_start = partial(self._may_start, host)
        self._ask()

    def rescue(self) -> None:
        """All links are whole, and everybody runs that may: if the change cannot come about so, begin anew. Looked at
        now and once more, when those have ended that were about to: told to leave, or by their alarm."""
        if not self._under_way:
            return
        if self._can_go_on():
            if not self._looked:
                self._looked = True
                self._world.clock.after(ENDING_S, self.rescue)
            return
        stopped = [host for host in self._hosts() if host.process is not None or host.waits_to_start]
        for host in stopped:
            host.crash()
            host.waits_to_start = False
        self._world.clock.after(self._let_go_s, partial(self._end, stopped))

    def _hosts(self) -> list[Host]:
        return [self._world.hosts[name] for name in self._names]

    def _may_start(self, host: Host) -> bool:
        wanted = _roll(host)
        started = self._started | {host.name}
        if wanted is not None and 2 * len(started.intersection(wanted.members)) >= len(wanted.members):
            return False
        self._started = started
        return True

    def _ask(self) -> None:
        """Again and again, all together or one after the other, until it is through."""
        if not self._under_way:
            return
        live = [host for host in self._hosts() if host.process is not None]
        if live and all(map(_is_through, live)):
            self._end([host for host in self._hosts() if host.waits_to_start])
            return
        if live and self._random.random() < 0.7:
            self._random.choice(live).switch()
        else:
            for host in live:
                host.reload(host.table)
        self._world.clock.after(ASK_EVERY_S, self._ask)

    def _can_go_on(self) -> bool:
        """Whether those that run, and have not forgotten it, are a majority of every list that counts or is to."""
        live = {host.name: (host.node.charter, _roll(host)) for host in self._hosts() if host.node is not None}
        newest = max((charter.generation for charter, _ in live.values()), default=0)
        rolls = {roll for charter, _ in live.values() if charter.generation == newest for roll in charter.rolls}
        rolls |= {own for _, own in live.values() if own is not None}
        return newest > 0 and all(
            is_majority(roll, [name for name, (charter, own) in live.items() if charter.generation or own == roll])
            for roll in rolls
        )

    def _end(self, to_start: list[Host]) -> None:
        self._under_way = False
        for host in self._hosts():
            host.may_start = _always
        for host in to_start:
            host.waits_to_start = False
            host.start()


def with_members(table: Table, members: tuple[NodeName, ...]) -> Table:
    """The tie-breaker stays where it may."""
    breaker = table.settings.tie_breaker
    settings = msgspec.structs.replace(
        table.settings, members=members, tie_breaker=breaker if breaker in members else None
    )
    return msgspec.structs.replace(table, settings=settings)


def plan_changes(
    change: MembersChange,
    chance: random.Random,
    names: tuple[NodeName, ...],
    add: Callable[[float, str, Callable[[], object]], None],
    mend_at_s: float,
) -> None:
    """Somebody is left out, perhaps several; later, perhaps, all are in again."""
    few = tuple(sorted(chance.sample(names, chance.randint(LEAST_MEMBERS, len(names) - 1))))
    add(chance.uniform(6.0, 18.0), f"the members are to be {' '.join(few)}", partial(change.begin, few))
    if chance.random() < 0.6:
        add(chance.uniform(22.0, 32.0), "the members are to be all", partial(change.begin, names))
    add(mend_at_s, "what the change of members waits for is done", change.rescue)


def _roll(host: Host) -> Roll | None:
    return roll_of(host.table.settings)


def _is_through(host: Host) -> bool:
    """Whether it goes by the new list, and has read it in its own file: it may have stood still when all were asked."""
    process, wanted = host.process, _roll(host)
    return process is not None and process.node.charter.rolls == (wanted,) and roll_of(process.table.settings) == wanted


def _always() -> bool:
    return True
