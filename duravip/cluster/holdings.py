"""What this node has, is taking, or is giving up: one small state machine for each address.

Rules of this file
- An address is given to nobody else while it stands here: from the order to take until the kernel has acknowledged
  the removal (`claims`).
- One kernel order is on its way for an address at a time, except that a removal may follow an unanswered take.
- MOVES gives the legal moves; a missing state is "not here".
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from duravip.cluster.addresses import AddressSet
from duravip.cluster.effects import Effect, ReleaseAddress, TakeAddress
from duravip.errors import ImpossibleTransitionError
from duravip.model import Address, VipEntry


class HoldState(enum.Enum):
    __hash__ = object.__hash__  # each is one object; Enum's own is in Python, and every move asks for it

    TAKING = "taking"
    HELD = "held"
    RELEASING = "releasing"


MOVES: Final[dict[HoldState | None, frozenset[HoldState | None]]] = {
    None: frozenset({HoldState.TAKING, HoldState.RELEASING}),
    HoldState.TAKING: frozenset({HoldState.HELD, HoldState.RELEASING, None}),
    HoldState.HELD: frozenset({HoldState.RELEASING, None}),
    HoldState.RELEASING: frozenset({HoldState.RELEASING, None}),
}

RELEASE_RETRY_S: Final = 0.5


@dataclass(slots=True)
class Holding:
    """`acquired`: it has been held."""

    state: HoldState
    interface: str | None
    prefix: int
    acquired: bool = False


class Holdings:
    """The addresses of one node. `reconcile` is the only place that gives kernel orders. `revision` grows with every
    change."""

    def __init__(self) -> None:
        self._all: dict[Address, Holding] = {}
        self._retry_at: dict[Address, float] = {}
        self.revision = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Address]:
        """In no order."""
        return iter(self._all)

    def __contains__(self, address: Address) -> bool:
        return address in self._all

    def state(self, address: Address) -> HoldState | None:
        holding = self._all.get(address)
        return holding.state if holding is not None else None

    def states(self, state: HoldState) -> list[Address]:
        """The addresses in this state, in no order."""
        return [address for address, holding in self._all.items() if holding.state is state]

    def has(self, address: Address) -> bool:
        """Held or being taken."""
        return self.state(address) in (HoldState.TAKING, HoldState.HELD)

    def get(self, address: Address) -> Holding | None:
        return self._all.get(address)

    def addresses(self) -> tuple[Address, ...]:
        return tuple(sorted(self._all))

    def is_taking(self) -> bool:
        """Whether the kernel has not answered an order to take yet."""
        return any(holding.state is HoldState.TAKING for holding in self._all.values())

    def held(self) -> AddressSet:
        """Held or being taken."""
        return AddressSet(a for a, holding in self._all.items() if holding.state is not HoldState.RELEASING)

    def releasing(self) -> AddressSet:
        return AddressSet(a for a, holding in self._all.items() if holding.state is HoldState.RELEASING)

    def reconcile(
        self,
        keep: Mapping[Address, VipEntry],
        take: Mapping[Address, VipEntry],
        now: float,
        *,
        lifetime_s: float = 0.0,
        not_after: float = math.inf,
        must_expire: bool = False,
    ) -> list[Effect]:
        """Gives up what is not in `keep`, or is placed otherwise there, then starts taking what is in `take` and not
        here yet, on these terms. An address that is on its way out is taken again only when it is gone."""
        leaving: list[Address] = []
        for address, holding in self._all.items():
            if holding.state is HoldState.RELEASING:
                if now >= self._retry_at.get(address, math.inf):
                    leaving.append(address)
                continue
            wanted = keep.get(address)
            if wanted is None or wanted.interface != holding.interface or wanted.prefix != holding.prefix:
                leaving.append(address)
        orders: list[Effect] = []
        for address in sorted(leaving):
            self._retry_at.pop(address, None)
            orders.append(self._release(address, self._all[address]))
        for address in sorted(take):
            if address not in self._all:
                entry = take[address]
                self._move(address, HoldState.TAKING, Holding(HoldState.TAKING, entry.interface, entry.prefix))
                orders.append(
                    TakeAddress(
                        address=address,
                        interface=entry.interface,
                        prefix=entry.prefix,
                        lifetime_s=lifetime_s,
                        not_after=not_after,
                        must_expire=must_expire,
                    )
                )
        return orders

    def added(self, address: Address) -> bool:
        """The kernel has it; False when it was given up meanwhile."""
        if self.state(address) is not HoldState.TAKING:
            return False
        self._move(address, HoldState.HELD)
        self._all[address].acquired = True
        return True

    def lapsed(self, address: Address) -> None:
        """The kernel was not asked in time; unless it was given up meanwhile, it is not here."""
        if self.state(address) is HoldState.TAKING:
            self._move(address, None)

    def removed(self, address: Address) -> bool:
        """The kernel has taken it off. Whether it had been held; one that the kernel had refused, that was given up
        before it was there, or that somebody else had put there, was not."""
        holding = self._all.get(address)
        if holding is None or holding.state is not HoldState.RELEASING:
            return False
        self._move(address, None)
        return holding.acquired

    def lost(self, address: Address) -> bool:
        """The kernel does not have it any more; False when this node did not count on it."""
        if self.state(address) is not HoldState.HELD:
            return False
        self._move(address, None)
        return True

    def stray(self, address: Address, interface: str, prefix: int) -> ReleaseAddress | None:
        """The kernel has it where nobody ordered it: it is given up, wherever it is. None while an order for it is on
        its way, which may be what put it there."""
        match self.state(address):
            case None:
                holding = Holding(HoldState.RELEASING, interface, prefix)
                self._move(address, HoldState.RELEASING, holding)
                return ReleaseAddress(address=address, interface=interface, prefix=prefix)
            case HoldState.HELD:
                return self._release(address, self._all[address])
            case _:
                return None

    def remove_failed(self, address: Address, now: float) -> None:
        """It may still be there: the claim stands and the order is repeated later."""
        if self.state(address) is HoldState.RELEASING:
            self._retry_at[address] = now + RELEASE_RETRY_S
            self.revision += 1

    def deadline(self) -> float:
        return min(self._retry_at.values()) if self._retry_at else math.inf

    def _release(self, address: Address, holding: Holding) -> ReleaseAddress:
        self._move(address, HoldState.RELEASING)
        return ReleaseAddress(address=address, interface=holding.interface, prefix=holding.prefix)

    def _move(self, address: Address, to: HoldState | None, holding: Holding | None = None) -> None:
        before = self.state(address)
        if to not in MOVES[before]:
            raise ImpossibleTransitionError(f"{address}: {before} -> {to}")
        self.revision += 1
        if to is None:
            self._retry_at.pop(address, None)
            del self._all[address]
        elif holding is not None:
            self._all[address] = holding
        else:
            self._all[address].state = to
