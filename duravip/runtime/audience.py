"""Keeps the neighbourhood up to date where announcements are not for everybody, and shares it with the members.

Rules of this file: what others say is advice (`net.neighbourhood`), and is taken from members of the view only.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Collection
from typing import Any, NoReturn

import trio

from duravip.cluster.messages import MAX_NEIGHBOURS, Neighbours, NeighbourSeen
from duravip.model import Address, Member
from duravip.net.kernel_neighbours import KernelNeighbours
from duravip.net.neighbourhood import Neighbour, Neighbourhood

LOOK_EVERY_S = 5.0
TELL_EVERY_S = 30.0  # and at the next look after somebody new is known, or a member

log = logging.getLogger("duravip")


class Audience:
    """`say` gives one message to all members and returns at once; `members` are those of the view."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        *,
        say: Callable[[Neighbours], None],
        members: Callable[[], Collection[Member]],
        kernel: Callable[[], KernelNeighbours] = KernelNeighbours,
    ) -> None:
        self._neighbourhood = neighbourhood
        self._say = say
        self._members = members
        self._kernel = kernel

    def __repr__(self) -> str:
        return f"<Audience of {self._neighbourhood}>"

    def as_json(self) -> dict[str, Any]:
        """For `info`: how many hosts are told, by whose knowledge."""
        return {"own_neighbours": len(self._neighbourhood.own()), "others_neighbours": len(self._neighbourhood.told())}

    def hear(self, sender: Member, advice: Neighbours) -> None:
        """What a sender knows; who is no member of the view is not listened to."""
        if sender not in self._members():
            return
        told = (Neighbour(_text(one.address), one.hardware_address) for one in advice.neighbours)
        self._neighbourhood.heard(sender.name, told, now=trio.current_time())

    async def run(self) -> NoReturn:
        """Looks and tells, until cancelled."""
        told_at = -TELL_EVERY_S
        told: frozenset[Member] = frozenset()
        with self._kernel() as kernel:
            while True:
                now = trio.current_time()
                self._neighbourhood.forget_old(now=now)
                try:
                    is_new = self._neighbourhood.saw(await kernel.look())
                except OSError as error:
                    log.warning("the kernel does not tell its neighbours (%s): the old ones count on", error.strerror)
                    is_new = False
                present = frozenset(self._members())
                if is_new or present - told or now - told_at >= TELL_EVERY_S:
                    told_at, told = now, present
                    self._tell()
                await trio.sleep(LOOK_EVERY_S)

    def _tell(self) -> None:
        own = self._neighbourhood.own()
        for start in range(0, len(own), MAX_NEIGHBOURS):
            self._say(
                Neighbours(
                    neighbours=tuple(
                        NeighbourSeen(ipaddress.ip_address(one.address).packed, one.hardware_address)
                        for one in own[start : start + MAX_NEIGHBOURS]
                    )
                )
            )


def _text(packed: bytes) -> Address:
    """ "" for what is no address."""
    return Address(str(ipaddress.ip_address(packed)) if len(packed) in (4, 16) else "")
