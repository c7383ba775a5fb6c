"""What operators make a running node do, beside reloading: move, announce, drain, undrain.

Rules of this file: whatever cannot be done is refused at once, with the reason in words, and changes nothing. A drain
is on the disk before the node is told of it, so that it outlives the node.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import trio

from duravip.cluster.inputs import AnnounceRequested, DrainChanged, DrainRequested, Input, MoveRequested
from duravip.model import Address, NodeName
from duravip.runtime.status import Machine

log = logging.getLogger("duravip")


class Steerable(Machine, Protocol):
    """What is asked of `cluster.node.Node`."""

    def why_not_move(self, address: Address, node: NodeName | None) -> str: ...
    def why_not_drain(self, name: NodeName, *, drained: bool, force: bool) -> str: ...


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
        """Any member of the view; None is this node. Without `force` not when an address would be nobody's then."""
        return await self._ask_drained(name or self._me, drained=True, force=force)

    async def undrain(self, name: NodeName | None) -> str:
        return await self._ask_drained(name or self._me, drained=False, force=True)

    async def obey(self, drained: bool) -> None:
        """The view has agreed that this node be drained, or not any more."""
        async with self._draining:
            if refusal := await self._set_drained(drained):
                log.error("%s: %s", "drain" if drained else "undrain", refusal)

    async def _ask_drained(self, name: NodeName, *, drained: bool, force: bool) -> str:
        if name != self._me:
            refusal = self._machine.why_not_drain(name, drained=drained, force=force)
            if not refusal:
                self._feed(DrainRequested(name=name, drained=drained, force=force))
            return refusal
        async with self._draining:
            is_news = drained and not self._drained and self._machine.view is not None
            refusal = self._machine.why_not_drain(name, drained=True, force=force) if is_news else ""
            return refusal or await self._set_drained(drained)

    async def _set_drained(self, drained: bool) -> str:
        try:
            await trio.to_thread.run_sync(self._keep_drained, drained)
        except OSError as error:
            return f"it cannot be written to the state directory, and was not done: {error.strerror or error}"
        self._drained = drained
        self._feed(DrainChanged(drained=drained))
        return ""
