"""A backend that the guard watches: it knows of an address before the kernel does, and until the kernel has let go.

Rules of this file: it changes nothing about the backend's answers, and asks it for nothing that was not asked of it,
but for how to undo an addition.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from duravip.model import Address
from duravip.plugin.api import Answer, Backend, Change, Placement, Plumbed, UndoingBackend


class GuardLike(Protocol):
    """What this file needs of `guard.Guard`."""

    def expect(self, requests: Mapping[Address, bytes]) -> None: ...

    def forget(self, addresses: Sequence[Address]) -> None: ...


class GuardableBackend(Backend, UndoingBackend, Protocol):
    """A backend that can say how an addition is undone."""


class GuardedBackend:
    """See `duravip.plugin.api.Backend`. Whoever entered `backend` leaves it."""

    def __init__(self, backend: GuardableBackend, guard: GuardLike) -> None:
        self._backend = backend
        self._guard = guard
        self.has_lifetimes = backend.has_lifetimes

    def __repr__(self) -> str:
        return f"<GuardedBackend {self._backend!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def list(self) -> Sequence[Plumbed]:
        return await self._backend.list()

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        requests = await self._backend.undo(placements)
        undoing = {asked.address: request for asked, request in zip(placements, requests, strict=True)}
        self._guard.expect(undoing)
        answers = await self._backend.add(placements)
        # One that was refused may be on all the same, if only the answer was lost: to take it off harms nobody. But one
        # that the guard cannot take off would keep it from saying LEAVE.
        self._guard.forget([answer.address for answer in answers if answer.error and not undoing[answer.address]])
        return answers

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        """A renewal puts back what is gone, and by then its interface may be another one of the same name."""
        requests = await self._backend.undo(placements)
        undoing = {asked.address: request for asked, request in zip(placements, requests, strict=True)}
        self._guard.expect({address: request for address, request in undoing.items() if request})
        return await self._backend.renew(placements)

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        answers = await self._backend.remove(placements)
        self._guard.forget([answer.address for answer in answers if not answer.error])
        return answers

    def watch(self) -> AsyncIterator[Change]:
        return self._backend.watch()
