"""A backend whose virtual hardware addresses move with their VIPs: each VIP on a macvlan of its own.

Rules of this file
- A macvlan is switched on before its address is put on, and off soon after the address has gone: two hosts never
  send from one hardware address, because the last that the kernel says from it, by MLD, leaves within the removal
  (`net.macvlan` sees to that).
- It is made when first needed, and removed at the end and at the clean slate.
- Everything else goes to the backend as it came.

A hardware address for each VIP, not one for each Topology: the VIPs of a Topology are on several nodes at once, and a
switch sends frames for one hardware address one way only.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

import trio

from duravip.model import Address, Claim
from duravip.net.macvlan import Below, Macvlans, hardware_address, link_name
from duravip.plugin.api import Answer, Change, Placement, Plumbed
from duravip.runtime.guarded import GuardableBackend
from duravip.threads import run_promptly

OFF_AFTER_S = 0.05
"""After the address has gone. The kernel's lock is held for 7 ms then, and somebody may wait for the next address."""

log = logging.getLogger("duravip")


class VirtualMacs:
    """See `duravip.plugin.api.Backend`. `macs`: (network, real or virtual), the longest first. Whoever entered
    `backend` leaves it."""

    def __init__(
        self,
        backend: GuardableBackend,
        *,
        cluster_group: str,
        macs: Sequence[tuple[str, str]],
        open_macvlans: Callable[[str], Macvlans] = Macvlans,
        below: Below | None = None,
    ) -> None:
        self._backend = backend
        self._group = cluster_group
        self._macs = [(ipaddress.ip_network(network), mac == "virtual") for network, mac in macs]
        self._opened = AsyncExitStack()
        self._below = below or Below()
        self._open_macvlans = open_macvlans
        self._parents: dict[str, str] = {}  # macvlan -> the interface below it
        self._idle: set[Address] = set()  # without an address, and still on
        self._going: dict[Address, trio.Event] = {}  # being switched off
        self.has_lifetimes = backend.has_lifetimes

    def __repr__(self) -> str:
        return f"<VirtualMacs {len(self._parents)} macvlans, {self._backend!r}>"

    async def __aenter__(self) -> Self:
        self._now = self._opened.enter_context(self._open_macvlans(self._group))
        self._later = self._opened.enter_context(self._open_macvlans(self._group))  # for what nobody waits for
        self._one = trio.CapacityLimiter(1)  # thread at a time that uses it
        self._nursery = await self._opened.enter_async_context(trio.open_nursery())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await self.clean()
        self._below.restore()
        await self._opened.__aexit__(kind, value, trace)

    async def clean(self) -> tuple[str, ...]:
        """Removes every macvlan of the cluster group, an earlier life's too; their names."""
        try:
            names = await trio.to_thread.run_sync(self._later.remove_all, limiter=self._one)
        except OSError as error:
            log.warning("macvlans of this cluster may be left: %s", _reason(error))
            return ()
        return names

    def is_shared(self, claim: Claim) -> bool:
        """Whether its hardware address is the one that the VIP has on every node."""
        return self._is_virtual(claim.address) and claim.hardware_address == hardware_address(
            self._group, claim.address
        )

    def below(self, interface: str) -> str:
        """The interface that carries a macvlan of ours; any other is its own."""
        return self._parents.get(interface, interface)

    async def list(self) -> Sequence[Plumbed]:
        return await self._backend.list()

    async def undo(self, placements: Sequence[Placement]) -> Sequence[bytes]:
        """The macvlans are there afterwards: what undoes an addition names one."""
        return await self._backend.undo([(await self._placed(asked))[0] for asked in placements])

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        placed = [await self._placed(asked) for asked in placements]
        possible = [asked for asked, refusal in placed if not refusal]
        answers = iter(await self._backend.add(possible)) if possible else iter(())
        return [Answer(address=asked.address, error=refusal) if refusal else next(answers) for asked, refusal in placed]

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        return await self._backend.renew(placements)

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        answers = await self._backend.remove(placements)
        gone = {answer.address for answer in answers if not answer.error and self._is_virtual(answer.address)}
        if gone:
            self._idle |= gone
            self._nursery.start_soon(self._switch_off, frozenset(gone))
        return answers

    def watch(self) -> AsyncIterator[Change]:
        return self._backend.watch()

    def _is_virtual(self, address: Address) -> bool:
        ip = ipaddress.ip_address(address)
        return next((virtual for network, virtual in self._macs if ip in network), False)

    async def _placed(self, asked: Placement) -> tuple[Placement, str]:
        """Where it goes, on an interface that is ready for it; and why it cannot, or ""."""
        if asked.interface is None or not self._is_virtual(asked.address):
            return asked, ""
        await trio.lowlevel.checkpoint()  # many of these are not one turn
        self._idle.discard(asked.address)
        if asked.address in self._going:
            await self._going[asked.address].wait()
        below = self.below(asked.interface)
        refusal = self._below.prepare(below)
        if not refusal:
            try:
                name = await run_promptly(partial(self._now.switch_on, asked.address, below))
            except OSError as error:
                refusal = f"cannot make a virtual hardware address for {asked.address} on {below}: {_reason(error)}"
            else:
                self._parents[name] = below
                return replace(asked, interface=name), ""
        return asked, refusal

    async def _switch_off(self, addresses: frozenset[Address]) -> None:
        await trio.sleep(OFF_AFTER_S)
        for address in sorted(addresses):
            if address not in self._idle:  # it is on again, perhaps since the one before
                continue
            self._idle.discard(address)
            self._going[address] = trio.Event()
            name = link_name(hardware_address(self._group, address))
            try:
                await trio.to_thread.run_sync(self._later.switch_off, name, limiter=self._one)
            finally:
                self._going.pop(address).set()


def _reason(error: OSError) -> str:
    return error.strerror or os.strerror(error.errno or 0)
