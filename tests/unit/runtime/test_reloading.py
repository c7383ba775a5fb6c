from __future__ import annotations

import threading
from pathlib import Path

import pytest

from duravip.cluster.inputs import Input, TableLoaded
from duravip.config.load import load_file
from duravip.config.node_config import LocalSettings, NodeConfig
from duravip.events import ConfigReloaded, Event
from duravip.model import NodeName, Table, TableDigest
from duravip.runtime.reloading import Reloading
from duravip.wire.keyring import Keyring
from duravip_plugins.config_momentum import MomentumParser


class SameKeys:
    async def read(self, local: LocalSettings, /) -> Keyring:
        return Keyring()

    def use(self, keyring: Keyring, /) -> None:
        pass

    def differ(self, keyring: Keyring, /) -> bool:
        return False


async def test_the_digest_of_a_new_table_is_not_worked_out_by_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "n1.conf"

    def read(address: str = "192.0.2.9") -> NodeConfig:
        path.write_text(
            "cluster { nodename = n1 insecure = true }\n"
            f"Binding a {{ Bind_Address = {address} Enable_Duravip = true }}\n"
        )
        return load_file(path, parsers=[MomentumParser()], plugin_options={}, environ={}, host_name="h")

    async def fits(config: NodeConfig) -> None:
        pass

    fed: list[Input] = []
    published: list[Event] = []
    reloading = Reloading(
        read(),
        reread=lambda: read("192.0.2.10"),
        fits=fits,
        keys=SameKeys(),
        feed=fed.append,
        publish=published.append,
        me=NodeName("n1"),
        members=tuple,
    )
    threads: list[int] = []
    digest = Table.digest

    def noted(table: Table) -> TableDigest:
        threads.append(threading.get_ident())
        return digest(table)

    monkeypatch.setattr(Table, "digest", noted)
    await reloading.reload()
    assert threads
    assert threading.get_ident() not in threads
    table = read("192.0.2.10").table
    assert fed == [TableLoaded(table=table)]
    assert published == [ConfigReloaded(digest=table.digest())]
