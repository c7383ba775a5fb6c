"""What reading one node's configuration gives: the table that the cluster agrees on, and what stays on this
host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from duravip.config.diagnostics import Diagnostic, Severity
from duravip.model import Address, NodeName, Origin, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginStanza:
    """A stanza that configures a plugin: `webhook "pager" { ... }`. `options` are validated, with
    defaults."""

    plugin: str
    name: str | None
    options: Mapping[str, Any]
    origin: Origin = field(default_factory=Origin)

    @property
    def title(self) -> str:
        """What people call it: `webhook pager`."""
        return f"{self.plugin} {self.name}" if self.name else self.plugin


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """What one daemon needs and the others need not know. Times in seconds; paths as text, already with the
    node's name filled in. `key_file` None and `insecure` False: `run` refuses. `seal`: enforce or receive-only.
    `heartbeat_interval` and `failure_timeout` are resolved from the profile. `macs`: (network, real or virtual) of
    every Topology, the longest first; empty when none is virtual."""

    cluster_group: str = "ec_cluster"
    nodeaddr: str | None = None
    heartbeat_interval: float = 0.1
    failure_timeout: float = 0.35
    weight: float = 1.0
    on_isolation: str = "hold"
    key_file: str | None = None
    insecure: bool = False
    seal: str = "enforce"
    transports: tuple[PluginStanza, ...] = ()
    backend: PluginStanza = PluginStanza(plugin="netlink", name=None, options={})
    notifiers: tuple[PluginStanza, ...] = ()
    control: str = ""
    state_dir: str = ""
    arp_all_hosts: bool = True
    announce_refresh: float = 60.0
    announce_rate: int = 10_000
    on_duplicate: str = "defend"
    probe_before_taking: bool = False
    if_check_interval: float = 30.0
    macs: tuple[tuple[str, str], ...] = ()
    if_down_limit: float = 4.0
    if_flap_limit: int = 5
    disable_plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """`mentioned`: addresses that have services here and are not enabled here. `diagnostics`: everything
    found, in the order of the text. `written`: the `cluster` options that the file gives, and where. Usable
    when `errors()` is empty."""

    name: NodeName
    file: str
    table: Table
    local: LocalSettings
    mentioned: tuple[tuple[Address, Origin], ...] = ()
    diagnostics: tuple[Diagnostic, ...] = field(default=())
    written: Mapping[str, Origin] = field(default_factory=dict)

    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(found for found in self.diagnostics if found.severity is Severity.ERROR)
