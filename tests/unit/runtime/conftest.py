"""Three daemons in one process: the real core, driver, plumber and control sockets over a network and kernels
in memory, on trio's virtual clock."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from duravip.config.node_config import LocalSettings, NodeConfig, PluginStanza
from duravip.model import Address, NodeName, Settings, Table, Use, VipEntry, make_table
from duravip.plugin.api import BackendKind, TransportKind, hookimpl
from duravip.plugin.manager import Found, PluginSet, load_plugins
from duravip.runtime.daemon import Daemon, Host
from duravip.runtime.life import Life
from duravip.testing.fakes import MemoryBackend, MemoryNetwork, RecordingAnnouncer, RecordingClaimWatch

VIPS = tuple(Address(f"192.0.2.{number}") for number in (50, 51, 52))


class SilentAnnouncer(RecordingAnnouncer):
    async def __aenter__(self) -> SilentAnnouncer:
        return self

    async def __aexit__(self, *exception: object) -> None:
        return None

    async def run(self) -> None:
        await trio.sleep_forever()


class Memory:
    """What the nodes of one test stand on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = MemoryNetwork()
        self.backends: dict[NodeName, MemoryBackend] = {}
        self.announcers: dict[NodeName, SilentAnnouncer] = {}
        self.claim_watches: dict[NodeName, RecordingClaimWatch] = {}
        self.configs: dict[NodeName, NodeConfig] = {}
        key = folder / "key"
        key.touch(0o600)
        key.write_text(base64.b64encode(bytes(range(32))).decode())

    def plugins(self) -> PluginSet:
        memory = self

        class Plugin:
            @hookimpl
            def duravip_transports(self) -> list[TransportKind]:
                return [TransportKind(name="memory", options=(), open=lambda c: memory.network.transport(c.node))]

            @hookimpl
            def duravip_backends(self) -> list[BackendKind]:
                return [BackendKind(name="memory-kernel", options=(), open=lambda o: memory.backends[o["node"]])]

        return load_plugins(found=[Found(name="memory", distribution="test", version="0", module="", load=Plugin)])

    def config(self, name: str, table: Table | None = None, **local: Any) -> NodeConfig:
        node = NodeName(name)
        stanza = PluginStanza(plugin="memory", name=None, options={})
        settings = LocalSettings(
            key_file=str(self.folder / "key"),
            transports=(stanza,),
            backend=replace(stanza, plugin="memory-kernel", options={"node": node}),
            control=str(self.folder / "run" / f"{name}.sock"),
            state_dir=str(self.folder / "state" / name),
        )
        self.backends.setdefault(node, MemoryBackend(interface="eth0", delay_s=0.001))
        self.announcers.setdefault(node, SilentAnnouncer())
        self.claim_watches.setdefault(node, RecordingClaimWatch())
        self.configs[node] = NodeConfig(
            name=node, file=f"{name}.conf", table=table or some_table(), local=replace(settings, **local)
        )
        return self.configs[node]

    def daemon(self, name: str) -> Daemon:
        node = NodeName(name)
        if node not in self.configs:
            self.config(name)
        return Daemon(
            self.configs[node],
            self.plugins(),
            reread=lambda: self.configs[node],
            host=Host(
                announcer=lambda local, neighbourhood, below, lifetime_s: self.announcers[node],
                claim_watch=lambda is_shared: self.claim_watches[node],
                has_interface=lambda name: name == "eth0",
            ),
        )

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[dict[str, Life]]:
        async with trio.open_nursery() as nursery:
            yield {name: await nursery.start(self.daemon(name).run) for name in names}
            nursery.cancel_scope.cancel()

    def holders(self) -> dict[Address, list[NodeName]]:
        """Every address that is on any interface, and where."""
        found: dict[Address, list[NodeName]] = {}
        for name in sorted(self.backends):
            for address in self.backends[name].ours():
                found.setdefault(address, []).append(name)
        return found


def some_table(*addresses: Address, interface: str | None = "eth0", **settings: Any) -> Table:
    return make_table(
        (
            VipEntry(address=one, services=(Use("multivip"),), bindings=(Use(f"b-{one}"),), interface=interface)
            for one in addresses or VIPS
        ),
        Settings(view_mature_time=1.0, **settings),
    )


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path)


@pytest.fixture
def table() -> Callable[..., Table]:
    return some_table
