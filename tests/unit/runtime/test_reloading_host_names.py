"""domain.md section 4: "A host name in `bind_address` must resolve to exactly one address, once per load; failing at a
reload keeps the old table."
"""

from __future__ import annotations

from pathlib import Path

import pytest

from duravip.cluster.inputs import Input
from duravip.config.load import load_file
from duravip.config.node_config import LocalSettings, NodeConfig
from duravip.events import ConfigRejected, Event
from duravip.model import NodeName
from duravip.runtime.reloading import Reloading
from duravip.wire.keyring import Keyring
from duravip_plugins.config_momentum import MomentumParser

ME = NodeName("n1")


class NoKeys:
    """A refused configuration's keys are not even read."""

    async def read(self, local: LocalSettings, /) -> Keyring:
        raise AssertionError("nobody needs them")

    def use(self, keyring: Keyring, /) -> None:
        raise AssertionError("nobody has them")

    def differ(self, keyring: Keyring, /) -> bool:
        raise AssertionError("nobody has them")


class Names:
    """A resolver that can be switched off, and that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: tuple[str, ...] | None = ("192.0.2.9",)

    def __call__(self, name: str) -> tuple[str, ...]:
        self.asked.append(name)
        if self.answers is None:
            raise OSError("the name server does not answer")
        return self.answers


@pytest.mark.parametrize(
    ("answers", "words"), [(None, "does not answer"), ((), "0 addresses"), (("192.0.2.7", "192.0.2.8"), "2 addresses")]
)
async def test_a_name_that_fails_at_a_reload_keeps_the_old_table(
    tmp_path: Path, answers: tuple[str, ...] | None, words: str
) -> None:
    path = tmp_path / "n1.conf"
    path.write_text(
        "cluster { nodename = n1 insecure = true }\n"
        "Binding a { Bind_Address = mail.example.com Enable_Duravip = true }\n"
        "Binding b { Bind_Address = mail.example.com }\n"
    )
    names = Names()

    def read() -> NodeConfig:
        return load_file(path, parsers=[MomentumParser()], plugin_options={}, environ={}, host_name="h", resolve=names)

    async def fits(config: NodeConfig) -> None:
        pass

    before = read()
    assert [vip.address for vip in before.table.vips] == ["192.0.2.9"]
    assert names.asked == ["mail.example.com"], "once per load"
    fed: list[Input] = []
    published: list[Event] = []
    reloading = Reloading(
        before,
        reread=read,
        fits=fits,
        keys=NoKeys(),
        feed=fed.append,
        publish=published.append,
        me=ME,
        members=lambda: (ME,),
    )
    names.answers = answers
    found = await reloading.reload()
    assert f"{path}:2:28" in found.refusal
    assert words in found.refusal
    assert reloading.config is before
    assert fed == []
    assert [type(event) for event in published] == [ConfigRejected]
