"""Asks the default gateways, on the machine's behalf, whether they are there, and tells it of every answer.

Rules of this file
- It decides nothing, and has nothing open while nobody asks.
- A gateway is asked as its neighbours would ask it: by an ARP probe, or a neighbour solicitation. What it says by
  itself about its own address is an answer too. One whose address is a VIP here is nobody's gateway.
- Reading the kernel's routes takes a while, and is done in a thread.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import trio

from duravip.cluster.inputs import GatewayAnswered, Input
from duravip.model import Address, Table
from duravip.net import rtnetlink
from duravip.net.claim_filter import ClaimFilter
from duravip.net.listening import ClaimSocket
from duravip.net.routes import default_gateways
from duravip.runtime.claim_watch import Homes
from duravip.runtime.complaints import Complaints

IDLE_S = 5.0  # nobody has asked for so long: nothing stays open
PAUSE_S = 0.02  # after each answer

Place = tuple[str, Address]
"""An interface, and a default gateway on it."""


class GatewayWatch:
    """`run` once; `ask` at any time."""

    def __init__(self) -> None:
        self._asked = trio.Event()
        self._sockets: dict[Place, ClaimSocket] = {}
        self._complain = Complaints()

    def __repr__(self) -> str:
        return f"<GatewayWatch of {', '.join(f'{gateway} on {name}' for name, gateway in sorted(self._sockets))}>"

    def ask(self) -> None:
        """Returns at once. Who cannot be asked does not answer."""
        self._asked.set()

    async def run(
        self,
        homes: Callable[[], Awaitable[Homes]],
        table: Callable[[], Table],
        feed: Callable[[Input], None],
    ) -> None:
        """Until cancelled. `homes` tells where each VIP belongs, `table` is the one read last."""
        while True:
            await self._asked.wait()
            try:
                link = rtnetlink.open_socket()
            except OSError as error:
                self._complain(f"the default gateways cannot be asked: {error.strerror}")
                await trio.sleep(IDLE_S)
                continue
            try:
                async with trio.open_nursery() as nursery:
                    while self._asked.is_set():
                        self._asked = trio.Event()
                        await self._put_questions(link, await homes(), table(), feed, nursery)
                        with trio.move_on_after(IDLE_S):
                            await self._asked.wait()
                    nursery.cancel_scope.cancel()
            finally:
                link.close()
                for place in list(self._sockets):
                    self._forget(place)

    async def _put_questions(
        self, link: socket.socket, homes: Homes, table: Table, feed: Callable[[Input], None], nursery: trio.Nursery
    ) -> None:
        try:
            found = await trio.to_thread.run_sync(default_gateways, link)
        except OSError as error:
            self._complain(f"the default gateways cannot be asked: {error.strerror}")
            return
        wanted = {(name, gateway) for name, gateway in found if name in homes and gateway not in homes[name]}
        for name in homes.keys() - {name for name, _ in wanted}:
            self._complain(f"{name} has no default gateway that could be asked: isolated, nothing is held there")
        for place in self._sockets.keys() - wanted:
            self._forget(place)
        for place in sorted(wanted):
            name, gateway = place
            try:
                if place not in self._sockets:
                    self._sockets[place] = ClaimSocket(name, ClaimFilter({gateway}, is_v6=":" in gateway))
                    unplaced = [vip.address for vip in table.vips if vip.interface is None]
                    heard = GatewayAnswered(interface=name, unplaced=tuple(a for a in unplaced if a in homes[name]))
                    nursery.start_soon(self._listen, place, heard, feed)
                self._sockets[place].ask(gateway, None)
            except OSError:  # its interface is down, or has gone
                self._forget(place)

    async def _listen(self, place: Place, heard: GatewayAnswered, feed: Callable[[Input], None]) -> None:
        """Until it fails or is closed."""
        link = self._sockets[place]
        try:
            while True:
                await trio.lowlevel.wait_readable(link)
                if link.claims():
                    feed(heard)
                await trio.sleep(PAUSE_S)
        except (OSError, ValueError, trio.ClosedResourceError):
            return  # the next question finds out whether it can be opened again

    def _forget(self, place: Place) -> None:
        link = self._sockets.pop(place, None)
        if link is not None:
            link.close()
