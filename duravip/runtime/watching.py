"""What others do to this machine's interfaces, told to the plumber and to the node's machine.

Rules of this file
- It decides nothing. An address that is not as it was ordered is only doubted here; the plumber asks the kernel,
  between two orders, and tells the machine. The echo of an order is told from somebody else's doing by what was ordered
  last, never by time.
- An interface that VIPs belong on and that is not up, or not there, is told to the machine at once. A backend that
  tells of no interface leaves all of them up.
- Every `if_check_interval` everything is compared, whatever was told; also when the backend has lost count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import assert_never

import trio

from duravip.cluster.inputs import Input, InterfaceFell, InterfaceRose
from duravip.events import Event, PluginFailed
from duravip.model import Address, Table
from duravip.plugin.api import (
    AddressChanged,
    Backend,
    Change,
    ChangesLost,
    LinkChanged,
    LinksListed,
    Plumbed,
    connected_interface,
)
from duravip.runtime.foreign import in_words
from duravip.runtime.plumber import Plumber

LEAST_PAUSE_S = 0.05  # between two comparisons: who floods the kernel with changes shall not have us list without end

log = logging.getLogger("duravip")


class Watching:
    """`table` gives the one that was read last; `feed` takes one input for the machine, and `publish` one event; both
    return at once. `plugin` names the backend in it.
    `check_interval_s` 0: nothing is compared unasked."""

    def __init__(
        self,
        *,
        backend: Backend,
        plumber: Plumber,
        table: Callable[[], Table],
        feed: Callable[[Input], None],
        publish: Callable[[Event], object],
        plugin: str,
        check_interval_s: float,
    ) -> None:
        self._backend = backend
        self._plumber = plumber
        self._table = table
        self._feed = feed
        self._publish = publish
        self._plugin = plugin
        self._check_interval_s = check_interval_s
        self._usual = True  # whether an interface of which nothing was said is up
        self._unusual: set[str] = set()  # those that are otherwise
        self._told: dict[str, tuple[Address, ...]] = {}  # interfaces that the machine knows to be down, and their VIPs
        self._homes_of: Table | None = None
        self._homes: dict[str, tuple[Address, ...]] = {}
        self._vips: frozenset[Address] = frozenset()
        self._plumbed: tuple[Plumbed, ...] = ()
        self._again = trio.Event()

    def __repr__(self) -> str:
        return f"<Watching: down {', '.join(sorted(self._told)) or 'none'}>"

    def look_again(self) -> None:
        """Something may have changed that no event tells, as the table: everything is compared, soon."""
        self._again.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._compare)
            try:
                async for change in self._backend.watch():
                    self._take(change)
            except Exception as error:  # a plugin's: comparing goes on
                text = f"it tells of no changes any more: {in_words(error)}"
                self._publish(PluginFailed(plugin=self._plugin, text=text))

    async def _compare(self) -> None:
        while True:
            self._again = trio.Event()
            try:
                self._plumbed = tuple(await self._backend.list()) if self._has_unplaced() else ()
            except Exception as error:  # a plugin's: it is asked again
                log.warning("the interface backend lists nothing: %s", in_words(error))
            self._homes_of = None
            self._judge_interfaces()
            self._plumber.doubt_everything(self.is_vip)
            with trio.move_on_after(self._check_interval_s or float("inf")):
                await self._again.wait()
            await trio.sleep(LEAST_PAUSE_S)

    def _take(self, change: Change) -> None:
        match change:
            case AddressChanged():
                if not self._plumber.expects(change) and (
                    self.is_vip(change.address) or self._plumber.interface_of(change.address) is not None
                ):
                    self._plumber.doubt(change.address, expired=change.expired)
            case LinkChanged():
                if change.up == self._usual:
                    self._unusual.discard(change.interface)
                else:
                    self._unusual.add(change.interface)
                self._judge_interfaces()
                if self._has_unplaced():
                    self.look_again()
            case LinksListed():
                self._usual, self._unusual = False, set(change.up)
                self._judge_interfaces()
            case ChangesLost():
                self.look_again()
            case _:
                assert_never(change)

    def is_vip(self, address: Address) -> bool:
        """Whether it is in the table that was read last."""
        self._learn_table()
        return address in self._vips

    def _judge_interfaces(self) -> None:
        """Tells the machine of every interface whose state it does not know."""
        self._learn_table()
        down = {
            interface: unplaced
            for interface, unplaced in self._homes.items()
            if (interface in self._unusual) == self._usual
        }
        for interface in sorted(down):
            if self._told.get(interface) != down[interface]:
                self._feed(InterfaceFell(interface=interface, unplaced=down[interface]))
        for interface in sorted(self._told.keys() - down.keys()):
            self._feed(InterfaceRose(interface=interface))
        self._told = down

    def _has_unplaced(self) -> bool:
        return any(vip.interface is None for vip in self._table().vips)

    def _learn_table(self) -> None:
        """Which VIPs there are, and which interfaces they belong on, with those that no Topology places."""
        table = self._table()
        if table is self._homes_of:
            return
        homes: dict[str, list[Address]] = {}
        for vip in table.vips:
            if vip.interface is not None:
                homes.setdefault(vip.interface, [])
            elif (interface := connected_interface(vip.address, self._plumbed)) is not None:
                homes.setdefault(interface, []).append(vip.address)
        self._homes_of = table
        self._homes = {interface: tuple(unplaced) for interface, unplaced in homes.items()}
        self._vips = frozenset(vip.address for vip in table.vips)
