"""Tells the network segments which addresses this machine has: the one announcer, whatever the backend.

`announce` sends the first announcement before it returns (some ten microseconds); `run`, a task, sends the
rest as `schedule` has it, and what `repeat` was asked; other tasks have their turn after every few. What cannot be sent
is lost and repeated at the next turn: an interface may be down, gone, or come back with another hardware address.

A system call for each frame: sendmmsg, which takes many, was measured with 2,000 frames and saves 0.3 of the 5.4 us
that a frame costs here, the building of it included.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Sequence
from itertools import islice
from types import TracebackType
from typing import NoReturn, Self

import trio

from duravip.errors import BackendError
from duravip.model import Address
from duravip.net.frames import announcement_frames, frame_count
from duravip.net.schedule import Schedule, lost_after_s
from duravip.stint import Stint
from duravip.threads import close_aside

AT_ONCE = 64  # announcements, then other tasks run; a millisecond
FEW = 8  # between two looks at the clock

_ARPHRD_ETHER = 1


class PacketSockets:
    """Raw Ethernet, one socket for each interface, opened when first needed."""

    def __init__(self) -> None:
        self._open: dict[str, socket.socket] = {}

    def check(self) -> None:
        """Raises BackendError when this process may not send raw frames."""
        try:
            close_aside(self._make())
        except PermissionError as error:
            raise BackendError(
                "announcing addresses needs the capability CAP_NET_RAW: "
                "run duravip as root, or grant it (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in the unit)"
            ) from error

    def announce(self, address: Address, interface: str, *, to: Sequence[bytes] | None = None) -> bool:
        """One announcement with the interface's present hardware address, to all or to these hardware addresses.
        False: could not be sent (interface down, gone or without Ethernet, or a full queue). Does not wait and never
        raises."""
        try:
            link = self._open.get(interface) or self._bind(interface)
            _, _, _, kind, hardware_address = link.getsockname()
            if kind != _ARPHRD_ETHER:
                return False
            for frame in announcement_frames(address, hardware_address, to=to):
                link.send(frame)
        except BlockingIOError:
            return False
        except OSError:
            self._forget(interface)
            return False
        return True

    def close(self) -> None:
        for interface in list(self._open):
            self._forget(interface)

    def _bind(self, interface: str) -> socket.socket:
        link = self._make()
        try:
            link.bind((interface, 0))
        except OSError:
            close_aside(link)
            raise
        self._open[interface] = link
        return link

    def _forget(self, interface: str) -> None:
        link = self._open.pop(interface, None)
        if link is not None:
            close_aside(link)

    @staticmethod
    def _make() -> socket.socket:
        # Protocol 0: this socket never receives anything.
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        link.setblocking(False)
        return link


def everybody(address: Address, interface: str) -> None:
    """The audience of those who tell all."""


class Announcer:
    """An async context manager; entering raises BackendError without CAP_NET_RAW. `lost` counts announcements
    that could not be sent. `audience` says, each time, which hardware addresses are told; None is everybody.
    `lifetime_s` says, when an address begins, how long the kernel of a former owner may keep it; 0 is for ever. All
    methods belong to the event loop's thread."""

    def __init__(
        self,
        *,
        refresh_s: float = 60.0,
        packets_per_s: float = 10_000.0,
        audience: Callable[[Address, str], Sequence[bytes] | None] = everybody,
        lifetime_s: Callable[[], float] = lambda: 0.0,
        sockets: PacketSockets | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.lost = 0
        self._audience = audience
        self._lifetime_s = lifetime_s
        self._schedule = Schedule(refresh_s=refresh_s, packets_per_s=packets_per_s, packets=self._packets)
        self._sockets = sockets if sockets is not None else PacketSockets()
        self._clock = clock
        self._again: dict[Address, str] = {}  # what `repeat` was asked and the task has not done yet
        self._woken = trio.Event()

    def __repr__(self) -> str:
        return f"<Announcer addresses={len(self._schedule)} lost={self.lost}>"

    async def __aenter__(self) -> Self:
        self._sockets.check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sockets.close()

    def announce(self, address: Address, interface: str) -> None:
        """From now on, and at once if the pace allows. For a known address: from the beginning, because
        somebody may have heard otherwise (a merge, a rival that has gone, a carrier that is back)."""
        self._again.pop(address, None)
        self._start(address, interface)
        self._send_due()
        self._woken.set()

    def repeat(self, address: Address, interface: str) -> None:
        """`announce` from the task: for many at once, which would keep everybody else waiting."""
        self._again[address] = interface
        self._woken.set()

    def defend(self, address: Address, interface: str) -> None:
        """One announcement at once, beside the schedule: somebody else has said that it has the address."""
        self._tell(address, interface)

    def withdraw(self, address: Address) -> None:
        """Stop announcing it. An unknown address is no error."""
        self._again.pop(address, None)
        self._schedule.stop(address)

    async def run(self) -> NoReturn:
        """Sends what falls due, until cancelled."""
        while True:
            for address in tuple(islice(self._again, AT_ONCE)):
                self._start(address, self._again.pop(address))
            self._send_due()
            self._woken = trio.Event()
            with trio.move_on_after(self._wait_s()):
                await self._woken.wait()
            await trio.lowlevel.checkpoint()

    def _start(self, address: Address, interface: str) -> None:
        self._schedule.start(address, interface, self._clock(), last_s=lost_after_s(self._lifetime_s()))

    def _wait_s(self) -> float:
        if self._again:
            return 0.0
        deadline = self._schedule.next_deadline()
        return math.inf if deadline is None else max(0.0, deadline - self._clock())

    def _send_due(self) -> None:
        stint = Stint()
        for _ in range(0, AT_ONCE, FEW):
            several = self._schedule.due(self._clock(), at_most=FEW)
            for due in several:
                self._tell(due.address, due.interface)
            if len(several) < FEW or stint.is_over():
                return

    def _tell(self, address: Address, interface: str) -> None:
        if not self._sockets.announce(address, interface, to=self._audience(address, interface)):
            self.lost += 1

    def _packets(self, address: Address, interface: str) -> int:
        to = self._audience(address, interface)
        return frame_count(address, hosts=None if to is None else len(to))
