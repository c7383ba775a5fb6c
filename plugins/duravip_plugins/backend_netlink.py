"""The backend `netlink`: it is told nothing; `netlink_backend` carries it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duravip.plugin.api import Backend, BackendKind, hookimpl


def _open(_options: Mapping[str, Any]) -> Backend:
    from duravip_plugins.netlink_backend import NetlinkBackend

    return NetlinkBackend()


@hookimpl
def duravip_backends() -> Sequence[BackendKind]:
    return (BackendKind(name="netlink", options=(), open=_open),)
