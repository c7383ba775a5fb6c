"""Reading the configuration again while the node runs, for this node alone or together with all others.

Rules of this file: a new configuration is read aside, in a thread, and checked against this machine before anything of
the old one is given up; what can be known of it before it comes into force is worked out there too, for the machine has
enough to do then. What is refused changes nothing. One reading at a time.

Together: an operator asks one node; the group asks every node to read aside (`order`); when all can, all switch at one
number, when one cannot, none does (`cluster.switching`, `cluster.coordinator`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import msgspec
import trio

from duravip.cluster.effects import ReadConfiguration, SwitchEnded
from duravip.cluster.inputs import ConfigurationRead, Input, SwitchRequested, TableLoaded
from duravip.cluster.messages import Round
from duravip.cluster.wishes import SWITCH_LIMIT_S
from duravip.config.diagnostics import Diagnostic
from duravip.config.difference import Difference, difference
from duravip.config.node_config import LocalSettings, NodeConfig
from duravip.errors import DuravipError
from duravip.events import ConfigRejected, ConfigReloaded, Event
from duravip.model import NodeName, TableDigest
from duravip.wire.keyring import Keyring

ANSWER_GRACE_S = 2.0  # on top of what the group takes at most
UNDERWAY = "a reload of the whole cluster, asked through this node, is under way"

log = logging.getLogger("duravip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """What came of it. `refusal`: why the old configuration stays, or ""; `warnings`: a line each; `members`: who has
    switched together; `keys`: what it seals and opens with, when the reload changes that."""

    refusal: str = ""
    difference: Difference = field(default_factory=Difference)
    warnings: tuple[str, ...] = ()
    members: tuple[NodeName, ...] = ()
    keys: Keyring | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer to `reload`, when it is not refused."""
        return {
            **msgspec.to_builtins(self.difference),
            "warnings": list(self.warnings),
            "members": list(self.members),
            "seal": self.keys.as_json() if self.keys is not None else None,
        }


class Keys(Protocol):
    """What is asked of `runtime.rekeying.Rekeying`."""

    async def read(self, local: LocalSettings, /) -> Keyring: ...
    def use(self, keyring: Keyring, /) -> None: ...
    def differ(self, keyring: Keyring, /) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A configuration that can be used, its keys, and the digest of its table."""

    config: NodeConfig
    keys: Keyring
    digest: TableDigest


class Outcome:
    """How a switch of all ended, for whoever waits for it."""

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.refusal = ""
        self.members: tuple[NodeName, ...] = ()


class Reloading:
    """`config` is the one in force. `reread` reads the file again, as at the start; `fits` raises ConfigurationError
    when this machine could not run the result; `members` names those of the present view."""

    def __init__(
        self,
        config: NodeConfig,
        *,
        reread: Callable[[], NodeConfig],
        fits: Callable[[NodeConfig], Awaitable[None]],
        keys: Keys,
        feed: Callable[[Input], None],
        publish: Callable[[Event], None],
        me: NodeName,
        members: Callable[[], tuple[NodeName, ...]],
    ) -> None:
        self.config = config
        self._me = me
        self._members = members
        self._asked, self._rounds = trio.open_memory_channel[Round](math.inf)
        self._aside: tuple[Round, Fresh, Reread] | None = None
        self._outcome: Outcome | None = None
        self._reread = reread
        self._fits = fits
        self._keys = keys
        self._feed = feed
        self._publish = publish
        self._lock = trio.Lock()

    async def reload(self, *, dry_run: bool = False) -> Reread:
        """Reads it and, unless it is only tried, brings its table into force."""
        async with self._lock:
            fresh, found = await self._read_aside()
            if dry_run:
                return found
            if self._outcome is not None:
                return Reread(refusal=UNDERWAY)
            if fresh is None:
                self._publish(ConfigRejected(text=found.refusal))
                return found
            self._feed(TableLoaded(table=fresh.config.table))
            self._go_by(fresh, found)
            return found

    async def reload_together(self) -> Reread:
        """Has all members of the view read theirs and switch at once; returns when that has come about, or will not."""
        async with self._lock:
            fresh, found = await self._read_aside()
        if fresh is None:
            self._publish(ConfigRejected(text=found.refusal))
            return found
        if not self._members():
            return Reread(refusal="this node is in no view yet")
        outcome = self._outcome
        if outcome is None:
            outcome = self._outcome = Outcome()
            self._feed(SwitchRequested())
        with trio.move_on_after(SWITCH_LIMIT_S + ANSWER_GRACE_S):
            await outcome.ended.wait()
        if outcome is self._outcome:
            outcome.refusal = f"no agreement within {SWITCH_LIMIT_S:g} s; `duravip members` shows who is there"
            self._publish(ConfigRejected(text=outcome.refusal))
            self._outcome = None
        return replace(found, refusal=outcome.refusal, members=outcome.members)

    def order(self, effect: ReadConfiguration | SwitchEnded) -> None:
        """Takes what the group says; returns at once."""
        if isinstance(effect, ReadConfiguration):
            self._asked.send_nowait(effect.round)
            return
        aside, self._aside = self._aside, None
        if effect.refusal:
            self._publish(ConfigRejected(text=f"asked through {effect.round.by}, for all: {effect.refusal}"))
        elif aside is not None and aside[0] == effect.round:
            self._go_by(aside[1], aside[2])
        if effect.round.by == self._me and self._outcome is not None:
            self._outcome.refusal, self._outcome.members = effect.refusal, self._members()
            self._outcome.ended.set()
            self._outcome = None

    async def run(self) -> None:
        """Reads aside whenever the group asks for it, until cancelled."""
        async for asked in self._rounds:
            async with self._lock:
                fresh, found = await self._read_aside()
                self._aside = (asked, fresh, found) if fresh is not None else None
                table = fresh.config.table if fresh is not None else None
                self._feed(ConfigurationRead(round=asked, table=table, refusal=found.refusal))

    def _go_by(self, fresh: Fresh, found: Reread) -> None:
        self._keys.use(fresh.keys)
        if found.difference.at_next_start:
            log.warning("reload: takes effect at the next start: %s", ", ".join(found.difference.at_next_start))
        self.config = replace(self.config, table=fresh.config.table)
        self._publish(ConfigReloaded(digest=fresh.digest))

    async def _read_aside(self) -> tuple[Fresh | None, Reread]:
        """None for one that cannot be used."""
        try:
            fresh = await trio.to_thread.run_sync(self._reread)
            refusal = "; ".join(map(diagnostic_text, fresh.errors()))
            if not refusal:
                await self._fits(fresh)
                keys = await self._keys.read(fresh.local)
        except DuravipError as error:
            refusal = str(error)
        if refusal:
            return None, Reread(refusal=refusal)
        warnings = tuple(map(diagnostic_text, fresh.diagnostics))
        changed = keys if self._keys.differ(keys) else None
        differing, digest = await trio.to_thread.run_sync(_compared, self.config, fresh)
        found = Reread(difference=differing, warnings=warnings, keys=changed)
        return Fresh(config=fresh, keys=keys, digest=digest), found


def _compared(before: NodeConfig, after: NodeConfig) -> tuple[Difference, TableDigest]:
    """What differs, and the digest of the later table."""
    return difference(before, after), after.table.digest()


def diagnostic_text(found: Diagnostic) -> str:
    """One line, as compilers print it."""
    origin = found.origin
    place = f"{origin.file}:{origin.line}:{origin.column}: " if origin.line else f"{origin.file}: "
    hint = f" ({found.hint})" if found.hint else ""
    return f"{place if origin.file else ''}{found.severity.value} {found.code}: {found.message}{hint}"
