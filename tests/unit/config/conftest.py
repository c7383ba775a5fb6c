"""Configurations from text: `momentum("...")` and `toml("...")` give a NodeConfig; `place` finds a mark's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from duravip.config.build import build
from duravip.config.node_config import NodeConfig
from duravip.config.options import Kind, Option
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

PLUGINS: dict[str, tuple[Option, ...]] = {
    "multicast": (Option(name="port", kind=Kind.INTEGER, doc="", default=4860, low=1, high=65_535),),
    "unicast": (
        Option(name="listen", kind=Kind.TEXT, doc=""),
        Option(name="peers", kind=Kind.TEXTS, doc="The members.", required=True),
    ),
    "netlink": (),
    "webhook": (
        Option(name="url", kind=Kind.TEXT, doc="Where to.", required=True),
        Option(name="events", kind=Kind.TEXTS, doc="", default=("*",)),
    ),
}
KINDS = {"multicast": "transport", "unicast": "transport", "netlink": "backend", "webhook": "notifier"}
HOSTS = {"mail.example.com": ("192.0.2.9",), "two.example.com": ("192.0.2.7", "192.0.2.8")}


def resolve(name: str) -> tuple[str, ...]:
    if name not in HOSTS:
        raise OSError("no such host")
    return HOSTS[name]


def _reader(parser: Any, ending: str) -> Callable[..., NodeConfig]:
    def read(
        text: str,
        *,
        name: str | None = None,
        environ: Mapping[str, str] | None = None,
        plugins: Mapping[str, tuple[Option, ...]] = PLUGINS,
        kinds: Mapping[str, str] = KINDS,
        failed: Mapping[str, str] | None = None,
        resolve: Callable[[str], tuple[str, ...]] = resolve,
    ) -> NodeConfig:
        return build(
            parser.parse(text, file=f"x.{ending}"),
            plugin_options=plugins,
            plugin_kinds=kinds,
            failed_plugins=failed,
            name=name,
            environ=environ or {},
            host_name="host",
            resolve=resolve,
        )

    return read


@pytest.fixture
def momentum() -> Callable[..., NodeConfig]:
    return _reader(MomentumParser(), "conf")


@pytest.fixture
def toml() -> Callable[..., NodeConfig]:
    return _reader(TomlParser(), "toml")
