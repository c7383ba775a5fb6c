"""What others do to this machine's interfaces, told to the plumber and to the node's machine.

Rules of this file
- It decides nothing. An address that is not as it was ordered is only doubted here; the plumber asks the kernel,
  between two orders, and tells the machine. The echo of an order is told from somebody else's doing by what was ordered
  last, never by time.
- An interface that VIPs belong on and that is not up, or not there, is told to the machine at once. A backend that
  tells of no interface leaves all of them up.
- Every `if_check_interval` everything is compared, whatever was told; also when the backend has lost count.
- A watch that fails is begun anew, after a pause that doubles with every failure in a row, and everything is compared.
  One that ends is over: that backend cannot tell.
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

FIRST_PAUSE_S = 1.0  # before a watch that has failed is begun anew
LONGEST_PAUSE_S = 60.0  # as long as a watch must have gone on for its failure to be the first again
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
            pause_s = FIRST_PAUSE_S
            while True:
                began = trio.current_time()
                failure = await self._watch()
                if failure is None:
                    break
                if trio.current_time() - began >= LONGEST_PAUSE_S:
                    pause_s = FIRST_PAUSE_S
                text = f"it tells of no changes for {pause_s:g} s: {failure}"
                self._publish(PluginFailed(plugin=self._plugin, text=text))
                await trio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    async def _watch(self) -> str | None:
        """Until the backend tells of nothing more: why that is a failure, in words, or None."""
        try:
            changes = self._backend.watch()
            self.look_again()
            async for change in changes:
                self._take(change)
        except Exception as error:  # a plugin's: comparing goes on
            return in_words(error)
        return None

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
                if not change.up:
                    self._plumber.doubt_interface(change.interface)
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
