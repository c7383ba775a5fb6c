"""Takes every DuraVIP off this machine, for `duravip release`: what a daemon and its guard left that died together.

Rules of this file
- What bears a backend's mark is taken off, and what is in the table, if there is one. No other address is ever touched,
  nor the machine's own if somebody has written it into the table (with which no daemon would start).
- What fails does not keep the rest from being taken off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duravip.config.node_config import NodeConfig, PluginStanza
from duravip.errors import BackendError, DuravipError, leaves
from duravip.model import Address, Table, make_table
from duravip.net import macvlan
from duravip.plugin.api import Backend
from duravip.plugin.manager import PluginSet
from duravip.runtime import machine, state_dir
from duravip.runtime.client import RUN_FOLDER, listener, sockets
from duravip.runtime.opening import blaming, open_backend

_ADVICE = "stop it first (or say --force, but a running daemon puts back what it owns); nothing was taken off"


@dataclass(slots=True, kw_only=True)
class Released:
    """What was taken off: `addresses`, and `interfaces` (macvlans). `passed_over`: sentences about what was left as it
    is, rightly. `failures`: sentences; something of ours may still be on."""

    addresses: list[Address] = field(default_factory=list)
    interfaces: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"released": self.addresses, "interfaces": self.interfaces}


@contextmanager
def alone(
    config: NodeConfig | None, *, state_folder: str = state_dir.FOLDER, run_folder: str = RUN_FOLDER
) -> Iterator[None]:
    """No daemon runs, nor can it start, while this lasts: the configuration's, or without one any that has its state
    directory or control socket in these folders. Waits for guards of daemons that died; makes no state directory.
    Raises DuravipError when a daemon runs."""
    if config is None:
        state_dirs = [path.parent for path in sorted(Path(state_folder).glob("*/lock"))]
    else:
        state_dirs = [Path(config.local.state_dir)]
    with ExitStack() as held:
        for path in state_dirs:
            try:
                locks = state_dir.take_locks(path)
            except FileNotFoundError:
                continue
            except state_dir.InUseError as error:
                raise DuravipError(f"{error.holder}: {_ADVICE}") from error
            except OSError as error:
                raise DuravipError(
                    f"whether a daemon runs with state_dir {path} cannot be told: {error.strerror}. Run this as root, "
                    "or say --force; nothing was taken off"
                ) from error
            for lock in locks:
                held.callback(os.close, lock)
        for socket in sockets(run_folder) if config is None else [config.local.control]:
            if (pid := listener(socket)) is not None:
                raise DuravipError(f"a daemon (pid {pid}) answers on {socket}: {_ADVICE}")
        yield


async def release(
    plugins: PluginSet,
    config: NodeConfig | None,
    *,
    remove_macvlans: Callable[[str | None], Sequence[str]] = macvlan.remove_left,
) -> Released:
    """With the configuration's backend, by the mark and its table; without one, with every backend that can be opened,
    by the mark alone. `remove_macvlans`: of one cluster group or (None) all; their names."""
    released = Released()
    unopened: list[str] = []
    names = [config.local.backend.plugin] if config else list(plugins.backends())
    for name in names:
        is_open = False
        try:
            stanza = config.local.backend if config else _with_defaults(plugins, name)
            async with open_backend(plugins, stanza) as backend:
                is_open = True
                with blaming(plugins.provider(name), f"the backend {stanza.title}", "failed"):
                    left = await _clear(backend, config, released)
            released.failures += [f"backend {name}: {error}" for error in left]
        except* DuravipError as errors:
            sentences = [f"backend {name}: {error}" for error in leaves(errors)]
            (released.failures if is_open else unopened).extend(sentences)
    if config is None:
        released.passed_over += [f"passed over plugin {name}, {why}" for name, why in plugins.failures().items()]
    if len(unopened) < len(names):
        released.passed_over += [f"passed over {sentence}" for sentence in unopened]
    else:
        released.failures += unopened or ["no plugin offers an interface backend; `duravip plugins` says why"]
    if config is None or config.local.macs:
        try:
            released.interfaces += remove_macvlans(config.local.cluster_group if config else None)
        except OSError as error:
            released.failures.append(f"interfaces of virtual hardware addresses may be left: {error.strerror}")
    return released


async def _clear(backend: Backend, config: NodeConfig | None, released: Released) -> Sequence[BackendError]:
    """Why what is left could not be taken off."""
    table = Table()
    if config is not None:
        vips = {vip.address: vip for vip in config.table.vips}
        plumbed = await backend.list()
        own = machine.main_addresses(plumbed)
        own |= {row.address: row.interface for row in plumbed if row.address == config.local.nodeaddr and not row.ours}
        for address in sorted(own.keys() & vips.keys()):
            del vips[address]
            released.passed_over.append(f"{address} is this machine's own address, on {own[address]}: left there")
        table = make_table(vips.values())
    off, left = await machine.sweep(backend, table)
    released.addresses += off
    return left


def _with_defaults(plugins: PluginSet, name: str) -> PluginStanza:
    """Raises BackendError when there is no default for something that it cannot do without."""
    options = plugins.backend(name).options
    if needed := [option.name for option in options if option.required]:
        raise BackendError(f"it needs {', '.join(needed)}: name a configuration with -c")
    return PluginStanza(plugin=name, name=None, options={option.name: option.default for option in options})
