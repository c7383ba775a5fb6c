"""The backend `ifconfig`: what it is told, and who carries it out (`ifconfig_backend`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duravip.config.options import Kind, Option
from duravip.plugin.api import Backend, BackendKind, hookimpl

DEFAULT_MARKS = "/run/duravip/ifconfig"

OPTIONS = (
    Option(
        name="marks",
        kind=Kind.TEXT,
        default=DEFAULT_MARKS,
        doc="The folder that tells which IPv6 addresses are ours; it must be empty after a boot, like all of /run.",
    ),
)


def _open(options: Mapping[str, Any]) -> Backend:
    from duravip_plugins.ifconfig_backend import IfconfigBackend

    return IfconfigBackend(marks=options.get("marks") or DEFAULT_MARKS)


@hookimpl
def duravip_backends() -> Sequence[BackendKind]:
    return (BackendKind(name="ifconfig", options=OPTIONS, open=_open),)
