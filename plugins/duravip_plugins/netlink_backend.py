"""The netlink backend: addresses on Linux interfaces, through rtnetlink with a codec of our own.

The kernel works on a request inside the system call and may wait there for a lock of its own, so whatever asks it
for something runs in a worker thread. Clients wait for a few addresses on a machine that has not many: the event loop
waits for these as well, but not for longer than such requests usually take (`duravip.threads`).

Sockets are made on the event loop's thread, so that they belong to its network namespace. Calls may overlap, each
on a socket of its own; whoever asks for the same address twice at once gets no promise about the order.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import trio

from duravip.errors import BackendError
from duravip.plugin.api import Answer, Change, Placement, Plumbed, connected_interface
from duravip.threads import run_promptly
from duravip_plugins import netlink_codec as codec
from duravip_plugins import netlink_socket as rtnetlink
from duravip_plugins import netlink_work as work
from duravip_plugins.netlink_watch import NetlinkWatch

_T = TypeVar("_T")
_IPV4_CONF = Path("/proc/sys/net/ipv4/conf")
_MAX_WORKERS = 4  # calls that run side by side; further ones queue
_FEW_PLACEMENTS = 16
_SMALL_MACHINE = 300  # interfaces and addresses together: what a request may have to list, some 5 µs each


class NetlinkBackend:
    """See `duravip.plugin.api.Backend`. Entering raises BackendError without CAP_NET_ADMIN."""

    has_lifetimes = True

    def __init__(self) -> None:
        self._idle: list[socket.socket] = []
        self._size = _SMALL_MACHINE + 1  # of the machine, when last looked at
        self._watches: list[NetlinkWatch] = []
        self._ports: set[int] = set()  # of our sockets
        self._workers = trio.CapacityLimiter(_MAX_WORKERS)
        self._promoted: list[str] = []

    def __repr__(self) -> str:
        return f"<NetlinkBackend idle sockets={len(self._idle)} promoted={self._promoted}>"

    async def __aenter__(self) -> Self:
        if not await self._in_thread(rtnetlink.may_change_addresses):
            self._close()
            raise BackendError(
                "putting addresses on interfaces needs the capability CAP_NET_ADMIN: "
                "run duravip as root, or grant it (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in the unit)"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for interface in self._promoted:
            _write_promote(interface, "0")
        self._promoted.clear()
        for watch in self._watches:
            await watch.aclose()
        self._close()

    async def list(self) -> Sequence[Plumbed]:
        """Raises BackendError when the kernel cannot be asked."""
        try:
            machine = await self._in_thread(work.look)
        except OSError as error:
            raise BackendError(f"the kernel does not list its addresses: {_reason(error)}") from error
        self._size = machine.size
        return machine.plumbed

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return await self._batch(work.add, placements)

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return await self._batch(work.renew, placements)

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return await self._batch(work.remove, placements)

    async def undo(self, placements: Sequence[Placement]) -> Sequence[bytes]:
        plumbed = await self.list() if any(asked.interface is None for asked in placements) else ()
        places = [asked.interface or connected_interface(asked.address, plumbed) or "" for asked in placements]
        index_of = {interface: _index(interface) or 0 for interface in set(places)}
        return [
            codec.delete_request(asked.address, index_of[interface], asked.prefix, sequence=0)
            if index_of[interface]
            else b""
            for asked, interface in zip(placements, places, strict=True)
        ]

    def watch(self) -> AsyncIterator[Change]:
        watch = NetlinkWatch(self._ports)
        self._watches = [*(one for one in self._watches if not one.is_closed), watch]
        return watch

    async def _batch(
        self,
        job: work.Job,
        placements: Sequence[Placement],
    ) -> Sequence[Answer]:
        """The job; and, if interfaces must learn to keep siblings first, the job once more."""
        if not placements:
            return ()
        try:
            outcome = await self._do(job, placements, frozenset())
            if not outcome.wants_promotion:
                return outcome.answers
            interfaces = sorted(set(outcome.wants_promotion.values()))
            refusals = {interface: self._keep_siblings(interface) for interface in interfaces}
            keeping = frozenset(interface for interface, refusal in refusals.items() if not refusal)
            outcome = await self._do(job, placements, keeping)
        except OSError as error:
            return [Answer(address=asked.address, error=f"{asked.address}: {_reason(error)}") for asked in placements]
        return [
            replace(answer, error=refusals.get(outcome.wants_promotion[answer.address], answer.error))
            if answer.address in outcome.wants_promotion
            else answer
            for answer in outcome.answers
        ]

    async def _do(
        self,
        job: work.Job,
        placements: Sequence[Placement],
        keeping: Set[str],
    ) -> work.Outcome:
        if len(placements) > _FEW_PLACEMENTS or self._size > _SMALL_MACHINE:
            outcome = await self._in_thread(job, placements, keeping)
        else:
            numbers = {asked.interface: _index(asked.interface) for asked in placements if asked.interface}
            outcome = await self._in_thread(job, placements, keeping, numbers.get, is_prompt=True)
        self._size = outcome.size or self._size + len(placements)
        return outcome

    def _keep_siblings(self, interface: str) -> str:
        """Has the kernel keep the other addresses of a subnet when the first goes; "" or why that cannot
        be."""
        if _promotes("all") or _promotes(interface):
            return ""
        if _write_promote(interface, "1"):
            self._promoted.append(interface)
            return ""
        return (
            f"a prefix shorter than 32 needs net.ipv4.conf.{interface}.promote_secondaries = 1, which cannot "
            f"be set here (removing one address would remove its neighbours): set it, or use cidrmask = 32"
        )

    async def _in_thread(self, job: Callable[..., _T], *arguments: object, is_prompt: bool = False) -> _T:
        """`is_prompt`: it takes no time unless the kernel has to wait."""
        link = self._idle.pop() if self._idle else self._open(rtnetlink.open_socket())
        work = partial(job, link, *arguments)
        try:
            result = await (run_promptly(work) if is_prompt else trio.to_thread.run_sync(work, limiter=self._workers))
        except BaseException:
            self._drop(link)
            raise
        self._idle.append(link)
        return result

    def _open(self, link: socket.socket) -> socket.socket:
        self._ports.add(link.getsockname()[0])
        return link

    def _drop(self, link: socket.socket) -> None:
        self._ports.discard(link.getsockname()[0])
        link.close()

    def _close(self) -> None:
        for link in self._idle:
            self._drop(link)
        self._idle.clear()


def _index(interface: str) -> int | None:
    """None: there is none of that name."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def _reason(error: OSError) -> str:
    return f"the kernel's answer was lost ({os.strerror(error.errno or 0)})"


def _promotes(interface: str) -> bool:
    try:
        return (_IPV4_CONF / interface / "promote_secondaries").read_text().strip() == "1"
    except OSError:
        return False


def _write_promote(interface: str, value: str) -> bool:
    try:
        (_IPV4_CONF / interface / "promote_secondaries").write_text(value)
    except OSError:
        return False
    return True
