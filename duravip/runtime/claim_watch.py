"""Tells the machine who claims its addresses on the network, and asks there on its behalf.

Rules of this file
- It decides nothing: claims of anybody, members and this machine included, go to the machine as they were heard.
- A flood costs little: the kernel lets pass only frames about our addresses, each socket is read in batches with a
  pause after each, and the same claim is passed on once in REPEAT_S.
- What takes long with many addresses (the filters) or many interfaces is worked out in a thread.
- Every CHECK_S it looks whether the table, the interfaces or their hardware addresses have changed. A socket that fails
  (its interface is down or gone) is opened again then. When an interface has got another hardware address, clients send
  to the old one: what this node has is announced again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set

import trio

from duravip.cluster.effects import ProbeAddress
from duravip.cluster.inputs import AddressesClaimed, AnnounceRequested, HardwareSeen, Input
from duravip.model import Address, Claim, Table
from duravip.net.claim_filter import ClaimFilter
from duravip.net.hardware import HardwareAddresses
from duravip.net.listening import ClaimSocket
from duravip.plugin.api import Plumbed, connected_interface
from duravip.runtime.complaints import Complaints

CHECK_S = 1.0
READS = 4  # with others' turns between them, then a pause
PAUSE_S = 0.02
REPEAT_S = 0.5
MAX_REMEMBERED = 1_024  # claims that were passed on
MAX_QUESTIONS = 20_000
QUESTIONS_AT_ONCE = 64

Homes = Mapping[str, Set[Address]]
"""Interface -> the addresses that may be put on it here."""

Place = tuple[str, bool]
"""An interface, and whether it is about IPv6 there: what one socket listens to."""


def homes_of(table: Table, plumbed: Sequence[Plumbed]) -> Homes:
    """Where the addresses of a table belong on a machine that has these on its interfaces."""
    homes: dict[str, set[Address]] = {}
    for vip in table.vips:
        interface = vip.interface or connected_interface(vip.address, plumbed)
        if interface is not None:
            homes.setdefault(interface, set()).add(vip.address)
    return homes


def _filters(homes: Homes) -> dict[Place, ClaimFilter]:
    made = {}
    for interface, addresses in homes.items():
        for is_v6 in (False, True):
            family = frozenset(address for address in addresses if (":" in address) is is_v6)
            if family:
                made[interface, is_v6] = ClaimFilter(family, is_v6=is_v6)
    return made


class ClaimWatch:
    """`run` once; `ask` at any time. `is_shared`: whether a claim is with a hardware address that all members have in
    common: it says nothing about who it is, and is passed over."""

    def __init__(
        self,
        *,
        is_shared: Callable[[Claim], bool] = lambda claim: False,
        open_hardware: Callable[[], HardwareAddresses] = HardwareAddresses,
    ) -> None:
        self._is_shared = is_shared
        self._open_hardware = open_hardware
        self._open_sockets: dict[Place, ClaimSocket] = {}
        self._socket_of: dict[Address, ClaimSocket] = {}
        self._questions: deque[ProbeAddress] = deque(maxlen=MAX_QUESTIONS)
        self._asked = trio.Event()
        self._passed_on: dict[Claim, float] = {}
        self._mute: set[str] = set()  # interfaces without Ethernet
        self._complain = Complaints()
        self._hardware: dict[str, bytes] = {}
        self._told: tuple[bytes, ...] = ()  # of these

    def __repr__(self) -> str:
        return f"<ClaimWatch on {', '.join(sorted({interface for interface, _ in self._open_sockets}))}>"

    def ask(self, question: ProbeAddress) -> None:
        """Takes it and returns at once. What cannot be asked is not answered."""
        self._questions.append(question)
        self._asked.set()

    async def run(self, homes: Callable[[], Awaitable[Homes]], feed: Callable[[Input], None]) -> None:
        """Until cancelled. `homes` is asked every CHECK_S, and gives the same object while nothing has changed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._put_questions)
            before: Homes = {}
            filters: dict[Place, ClaimFilter] = {}
            try:
                with self._open_hardware() as hardware:
                    while True:
                        now = await homes()
                        if now is not before:
                            filters = await trio.to_thread.run_sync(_filters, now)
                            self._close()
                            before = now
                        self._open(filters, nursery, feed)
                        self._look_at_hardware(await trio.to_thread.run_sync(hardware.read), now, feed)
                        await trio.sleep(CHECK_S)
            finally:
                self._close()

    def _open(self, filters: Mapping[Place, ClaimFilter], nursery: trio.Nursery, feed: Callable[[Input], None]) -> None:
        for place, wanted in filters.items():
            interface, _ = place
            if place in self._open_sockets or interface in self._mute:
                continue
            try:
                link = ClaimSocket(interface, wanted)
            except OSError as error:
                self._complain(f"{interface}: who else has its addresses cannot be heard now: {error.strerror}")
                continue
            if not link.is_ethernet:
                link.close()
                self._mute.add(interface)
                self._complain(f"{interface} is no Ethernet: who else has its addresses cannot be heard there")
                continue
            self._open_sockets[place] = link
            self._socket_of.update(dict.fromkeys(wanted.addresses, link))
            nursery.start_soon(self._listen, place, link, feed)

    async def _listen(self, place: Place, link: ClaimSocket, feed: Callable[[Input], None]) -> None:
        """Until it fails or is closed."""
        try:
            while True:
                await trio.lowlevel.wait_readable(link)
                claims: list[Claim] = []
                for _ in range(READS):
                    found, more = link.claims()
                    claims += filter(self._is_news, found)
                    if not more:
                        break
                    await trio.lowlevel.checkpoint()
                if claims:
                    feed(AddressesClaimed(claims=tuple(claims)))
                await trio.sleep(PAUSE_S)
        except (OSError, ValueError, trio.ClosedResourceError):
            if self._open_sockets.get(place) is link:
                self._forget(place)

    def _is_news(self, claim: Claim) -> bool:
        now = trio.current_time()
        if now < self._passed_on.get(claim, -math.inf) + REPEAT_S or self._is_shared(claim):
            return False
        if len(self._passed_on) >= MAX_REMEMBERED:
            self._passed_on.clear()
        self._passed_on[claim] = now
        return True

    def _look_at_hardware(self, found: dict[str, bytes], homes: Homes, feed: Callable[[Input], None]) -> None:
        """Those of interfaces that addresses belong on are told first: of many not all are."""
        before, self._hardware = self._hardware, found
        names = sorted(found, key=lambda name: (name not in homes, name))
        hardware = tuple(dict.fromkeys(found[name] for name in names))
        if hardware != self._told:
            self._told = hardware
            feed(HardwareSeen(hardware_addresses=hardware))
        if any(found.get(name, old) != old for name, old in before.items() if name in homes):
            feed(AnnounceRequested(everywhere=False))

    async def _put_questions(self) -> None:
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            while self._questions:
                for _ in range(min(QUESTIONS_AT_ONCE, len(self._questions))):
                    self._put(self._questions.popleft())
                await trio.lowlevel.checkpoint()

    def _put(self, question: ProbeAddress) -> None:
        link = self._socket_of.get(question.address)
        if link is None:
            return
        try:
            link.ask(question.address, question.hardware_address)
        except OSError:
            return  # the listener of this socket notices too, and sees to it

    def _forget(self, place: Place) -> None:
        link = self._open_sockets.pop(place)
        self._socket_of = {address: other for address, other in self._socket_of.items() if other is not link}
        link.close()

    def _close(self) -> None:
        self._mute.clear()
        for place in list(self._open_sockets):
            self._forget(place)
