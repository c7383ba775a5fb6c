"""Reading the configuration again while the node runs.

Rules of this file: a new configuration is read aside, in a thread, and checked against this machine before anything of
the old one is given up. What is refused changes nothing. One reading at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import trio

from duravip.cluster.inputs import Input, TableLoaded
from duravip.config.diagnostics import Diagnostic
from duravip.config.difference import Difference, difference
from duravip.config.node_config import NodeConfig
from duravip.errors import DuravipError
from duravip.events import ConfigRejected, ConfigReloaded, Event

log = logging.getLogger("duravip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reread:
    """What came of it. `refusal`: why the old configuration stays, or ""; `warnings`: a line each."""

    refusal: str = ""
    difference: Difference = field(default_factory=Difference)
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The answer to `reload`, when it is not refused."""
        return {**msgspec.to_builtins(self.difference), "warnings": list(self.warnings)}


class Reloading:
    """`config` is the one in force. `reread` reads the file again, as at the start; `fits` raises ConfigurationError
    when this machine could not run the result."""

    def __init__(
        self,
        config: NodeConfig,
        *,
        reread: Callable[[], NodeConfig],
        fits: Callable[[NodeConfig], Awaitable[None]],
        feed: Callable[[Input], None],
        publish: Callable[[Event], None],
    ) -> None:
        self.config = config
        self._reread = reread
        self._fits = fits
        self._feed = feed
        self._publish = publish
        self._lock = trio.Lock()

    async def reload(self, *, dry_run: bool = False) -> Reread:
        """Reads it and, unless it is only tried, brings its table into force."""
        async with self._lock:
            fresh, found = await self._read_aside()
            if dry_run:
                return found
            if fresh is None:
                self._publish(ConfigRejected(text=found.refusal))
                return found
            if found.difference.at_next_start:
                log.warning("reload: takes effect at the next start: %s", ", ".join(found.difference.at_next_start))
            self.config = replace(self.config, table=fresh.table)
            self._feed(TableLoaded(table=fresh.table))
            self._publish(ConfigReloaded(digest=fresh.table.digest()))
            return found

    async def _read_aside(self) -> tuple[NodeConfig | None, Reread]:
        """None for one that cannot be used."""
        try:
            fresh = await trio.to_thread.run_sync(self._reread)
            refusal = "; ".join(map(diagnostic_text, fresh.errors()))
            if not refusal:
                await self._fits(fresh)
        except DuravipError as error:
            refusal = str(error)
        if refusal:
            return None, Reread(refusal=refusal)
        warnings = tuple(map(diagnostic_text, fresh.diagnostics))
        return fresh, Reread(difference=difference(self.config, fresh), warnings=warnings)


def diagnostic_text(found: Diagnostic) -> str:
    """One line, as compilers print it."""
    origin = found.origin
    place = f"{origin.file}:{origin.line}:{origin.column}: " if origin.line else f"{origin.file}: "
    hint = f" ({found.hint})" if found.hint else ""
    return f"{place if origin.file else ''}{found.severity.value} {found.code}: {found.message}{hint}"
