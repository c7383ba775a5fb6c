"""The ifconfig backend: addresses on interfaces through net-tools' `ifconfig`, for machines where that is the rule.

Prefer netlink: it takes a fraction of a millisecond for an address, hears of changes made by others, and marks IPv6
addresses in the kernel. Here every address costs a process (1 to 3 ms), an IPv4 address comes and goes a few times
within it (ifconfig sets address, mask and broadcast one after the other), IPv6 VIPs may be chosen as the source of
connections that this machine opens, and an interface's name may have at most 11 characters.

Everything runs in a thread of its own, started for the call by the event loop's thread: so it is in that thread's
network namespace, which a pooled one may not be.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import trio

from duravip.errors import BackendError
from duravip.plugin.api import Answer, Change, Placement, Plumbed
from duravip_plugins import ifconfig_work as work
from duravip_plugins.backend_ifconfig import DEFAULT_MARKS

_SEARCHED = "/usr/sbin:/sbin:/usr/bin:/bin"
_CAP_NET_ADMIN = 12  # linux/capability.h

log = logging.getLogger("duravip")
_T = TypeVar("_T")


class IfconfigBackend:
    """See `duravip.plugin.api.Backend`. Entering raises BackendError without ifconfig, or CAP_NET_ADMIN, or the
    folder of marks."""

    has_lifetimes = False

    def __init__(self, *, marks: str = DEFAULT_MARKS, path: str | None = None) -> None:
        self._folder = Path(marks)
        self._command = work.Command(path=path or shutil.which("ifconfig", path=_SEARCHED) or "")
        self._marks = work.Marks(folder=self._folder, namespace=0)
        self._one_at_a_time = trio.Lock()

    def __repr__(self) -> str:
        return f"<IfconfigBackend {self._command.path} marks={self._folder}>"

    async def __aenter__(self) -> Self:
        if not self._command.path:
            raise BackendError(f"there is no ifconfig in {_SEARCHED}: install net-tools, or use the backend netlink")
        if not _may_change_addresses():
            raise BackendError(
                "putting addresses on interfaces needs the capability CAP_NET_ADMIN: "
                "run duravip as root, or grant it (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW in the unit)"
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            namespace = os.stat("/proc/thread-self/ns/net").st_ino
        except OSError as error:
            raise BackendError(f"ifconfig: the folder of marks cannot be made: {error}") from error
        self._marks = work.Marks(folder=self._folder, namespace=namespace)
        log.warning(
            "backend ifconfig: addresses have no lifetime in the kernel and no guard; if this daemon is killed, they "
            "stay on this machine until it is started again"
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def list(self) -> Sequence[Plumbed]:
        """Raises BackendError when ifconfig does not say."""
        try:
            return await self._run(lambda: work.plumbed(self._command, self._marks))
        except (OSError, work.HangsError) as error:
            raise BackendError(f"ifconfig does not list the addresses: {error}") from error

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return await self._batch(work.add, placements)

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        """Never called: there are no lifetimes."""
        return [Answer(address=asked.address, error="ifconfig knows no lifetimes") for asked in placements]

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return await self._batch(work.remove, placements)

    async def watch(self) -> AsyncIterator[Change]:
        """Nothing: ifconfig cannot tell."""
        changes: tuple[Change, ...] = ()
        for change in changes:
            yield change

    async def _batch(
        self,
        job: Callable[[work.Command, work.Marks, Sequence[Placement]], Sequence[Answer]],
        placements: Sequence[Placement],
    ) -> Sequence[Answer]:
        if not placements:
            return ()
        try:
            return await self._run(lambda: job(self._command, self._marks, placements))
        except (OSError, work.HangsError, BackendError) as error:
            return [Answer(address=asked.address, error=f"{asked.address}: {error}") for asked in placements]

    async def _run(self, job: Callable[[], _T]) -> _T:
        """The job in a new thread. Not abandoned when the caller is cancelled: commands have time limits."""
        async with self._one_at_a_time:
            token = trio.lowlevel.current_trio_token()
            done = trio.Event()
            results: list[_T] = []
            failures: list[BaseException] = []

            def run() -> None:
                try:
                    results.append(job())
                except BaseException as error:  # handed to whoever waits
                    failures.append(error)
                token.run_sync_soon(done.set)

            threading.Thread(target=run, name="duravip-ifconfig", daemon=True).start()
            with trio.CancelScope(shield=True):
                await done.wait()
        if failures:
            raise failures[0]
        return results[0]


def _may_change_addresses() -> bool:
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    return False
