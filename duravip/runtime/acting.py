"""What operators make a running node do, beside reloading: move, announce, drain, undrain.

Rules of this file: whatever cannot be done is refused at once, with the reason in words, and changes nothing. A drain
is on the disk before the node is told of it, so that it outlives the node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import trio

from duravip.cluster.flags import Landscape
from duravip.cluster.inputs import AnnounceRequested, DrainChanged, Input, MoveRequested
from duravip.model import Address, Flag, NodeName, address_order
from duravip.runtime.status import Machine

SHOWN_ADDRESSES = 3  # of many, in a sentence


class Steerable(Machine, Protocol):
    """What is asked of `cluster.node.Node`."""

    def why_not_move(self, address: Address, node: NodeName | None) -> str: ...


class Acting:
    """Every method answers "" when it is under way, else why not. `keep_drained` writes to the disk, in a thread."""

    def __init__(
        self,
        *,
        me: NodeName,
        machine: Steerable,
        feed: Callable[[Input], None],
        keep_drained: Callable[[bool], None],
        drained: bool,
    ) -> None:
        self._me = me
        self._machine = machine
        self._feed = feed
        self._keep_drained = keep_drained
        self._drained = drained
        self._draining = trio.Lock()

    def move(self, address: Address, node: NodeName | None) -> str:
        """`node` None ends the pin."""
        refusal = self._machine.why_not_move(address, node)
        if not refusal:
            self._feed(MoveRequested(address=address, node=node))
        return refusal

    def announce(self, *, everywhere: bool) -> str:
        """This node's addresses, or every owner's in the view."""
        if everywhere and self._machine.view is None:
            return "this node is in no view yet"
        self._feed(AnnounceRequested(everywhere=everywhere))
        return ""

    async def drain(self, name: NodeName | None, *, force: bool) -> str:
        """Without `force` not when an address would be nobody's afterwards."""
        async with self._draining:
            if refusal := self._not_me(name, "drain"):
                return refusal
            if not force and not self._drained:
                able = {
                    peer.name: peer.online and peer.mature and peer.eligible for peer in self._machine.member_infos()
                }
                if left := left_alone(self._machine.landscape, able, self._me):
                    return (
                        f"nobody else could own {some(left)} now: {self._me} is the last eligible node. "
                        "With --force it is drained all the same, and nobody owns them"
                    )
            return await self._set_drained(True)

    async def undrain(self, name: NodeName | None) -> str:
        async with self._draining:
            return self._not_me(name, "undrain") or await self._set_drained(False)

    def _not_me(self, name: NodeName | None, command: str) -> str:
        if name is None or name == self._me:
            return ""
        return f"this daemon is {self._me}: `duravip {command}` for {name} must be given on {name}'s own machine"

    async def _set_drained(self, drained: bool) -> str:
        try:
            await trio.to_thread.run_sync(self._keep_drained, drained)
        except OSError as error:
            return f"it cannot be written to the state directory, and was not done: {error.strerror or error}"
        self._drained = drained
        self._feed(DrainChanged(drained=drained))
        return ""


def left_alone(landscape: Landscape, able: Mapping[NodeName, bool], without: NodeName) -> tuple[Address, ...]:
    """The addresses in the node's table that none of the others may own, in address order; BROKEN ones, which nobody
    may own anyway, left out. `able`: which members are eligible at all."""
    return tuple(
        address
        for address in sorted(landscape.entries.get(without, ()), key=address_order)
        if Flag.BROKEN not in landscape.flags.get(address, ())
        and not any(able.get(node, False) for node in landscape.members[address] if node != without)
    )


def some(addresses: tuple[Address, ...]) -> str:
    """`a, b, c and 4 more`."""
    more = len(addresses) - SHOWN_ADDRESSES
    return ", ".join(addresses[:SHOWN_ADDRESSES]) + (f" and {more} more" if more > 0 else "")
