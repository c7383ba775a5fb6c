"""Tells the machine who claims its addresses on the network, and asks there on its behalf.

Rules of this file
- It decides nothing: claims of anybody, members and this machine included, go to the machine as they were heard.
- A flood costs little: the kernel lets pass only frames about our addresses, each socket is read in batches with a
  pause after each, and the same claim is passed on once in REPEAT_S.
- Every CHECK_S it looks whether the table, the interfaces or their hardware addresses have changed. A socket that fails
  (its interface is down or gone) is opened again then.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Set

import trio

from duravip.cluster.effects import ProbeAddress
from duravip.cluster.inputs import AddressesClaimed, HardwareSeen, Input
from duravip.model import Address, Claim
from duravip.net.listening import ClaimSocket, hardware_addresses

CHECK_S = 1.0
PAUSE_S = 0.02  # after each batch
REPEAT_S = 0.5
MAX_REMEMBERED = 1_024  # claims that were passed on
MAX_QUESTIONS = 20_000
QUESTIONS_AT_ONCE = 64

log = logging.getLogger("duravip")

Homes = Mapping[str, Set[Address]]
"""Interface -> the addresses that may be put on it here."""


class ClaimWatch:
    """`run` once; `ask` at any time. `is_shared`: whether a claim is with a hardware address that all members have in
    common: it says nothing about who it is, and is passed over."""

    def __init__(self, *, is_shared: Callable[[Claim], bool] = lambda claim: False) -> None:
        self._is_shared = is_shared
        self._open_sockets: dict[tuple[str, bool], ClaimSocket] = {}  # (interface, is IPv6)
        self._socket_of: dict[Address, ClaimSocket] = {}
        self._questions: deque[ProbeAddress] = deque(maxlen=MAX_QUESTIONS)
        self._asked = trio.Event()
        self._passed_on: dict[Claim, float] = {}
        self._mute: set[str] = set()  # interfaces without Ethernet
        self._hardware: tuple[bytes, ...] = ()

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
            try:
                while True:
                    now = await homes()
                    if now is not before:
                        self._close()
                        before = now
                    self._open(now, nursery, feed)
                    self._look_at_hardware(now, feed)
                    await trio.sleep(CHECK_S)
            finally:
                self._close()

    def _open(self, homes: Homes, nursery: trio.Nursery, feed: Callable[[Input], None]) -> None:
        for interface, addresses in homes.items():
            for is_v6 in (False, True):
                family = frozenset(address for address in addresses if (":" in address) is is_v6)
                if not family or (interface, is_v6) in self._open_sockets or interface in self._mute:
                    continue
                try:
                    link = ClaimSocket(interface, family)
                except OSError:
                    continue
                if not link.is_ethernet:
                    link.close()
                    self._mute.add(interface)
                    log.info("%s is no Ethernet: who else has its addresses cannot be heard there", interface)
                    continue
                self._open_sockets[interface, is_v6] = link
                self._socket_of.update(dict.fromkeys(family, link))
                nursery.start_soon(self._listen, (interface, is_v6), link, feed)

    async def _listen(self, key: tuple[str, bool], link: ClaimSocket, feed: Callable[[Input], None]) -> None:
        """Until it fails or is closed."""
        try:
            while True:
                await trio.lowlevel.wait_readable(link)
                claims = tuple(claim for claim in link.claims() if self._is_news(claim))
                if claims:
                    feed(AddressesClaimed(claims=claims))
                await trio.sleep(PAUSE_S)
        except (OSError, ValueError, trio.ClosedResourceError):
            if self._open_sockets.get(key) is link:
                self._forget(key)

    def _is_news(self, claim: Claim) -> bool:
        now = trio.current_time()
        if now < self._passed_on.get(claim, -math.inf) + REPEAT_S or self._is_shared(claim):
            return False
        if len(self._passed_on) >= MAX_REMEMBERED:
            self._passed_on.clear()
        self._passed_on[claim] = now
        return True

    def _look_at_hardware(self, homes: Homes, feed: Callable[[Input], None]) -> None:
        hardware = hardware_addresses(first=homes)
        if hardware != self._hardware:
            self._hardware = hardware
            feed(HardwareSeen(hardware_addresses=hardware))

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

    def _forget(self, key: tuple[str, bool]) -> None:
        link = self._open_sockets.pop(key)
        self._socket_of = {address: other for address, other in self._socket_of.items() if other is not link}
        trio.lowlevel.notify_closing(link)
        link.close()

    def _close(self) -> None:
        self._mute.clear()
        for key in list(self._open_sockets):
            self._forget(key)
