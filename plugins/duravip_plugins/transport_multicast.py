"""The transport `multicast`: what it is told, and who carries it out (`multicast_transport`)."""

from __future__ import annotations

from collections.abc import Sequence

from duravip.config.options import Kind, Option
from duravip.plugin.api import Transport, TransportContext, TransportKind, hookimpl

DEFAULT_GROUP, DEFAULT_PORT, DEFAULT_TTL = "239.192.0.77", 4860, 1

OPTIONS = (
    Option(
        name="group",
        kind=Kind.ADDRESS,
        default=DEFAULT_GROUP,
        doc="The multicast group that the members join, IPv4 or IPv6 (`ff02::...`).",
        trade_off="Clusters in one segment disturb each other less if each has its own group.",
    ),
    Option(
        name="port",
        kind=Kind.INTEGER,
        default=DEFAULT_PORT,
        low=1,
        high=65535,
        doc="The UDP port of the group.",
        trade_off="Only the number: clusters that share a group stay apart by it.",
    ),
    Option(
        name="interface",
        kind=Kind.TEXT,
        doc="The interface to join and send on. Default: the one that has `nodeaddr`, else the one of the "
        "route to the group, else the first that has an address.",
    ),
    Option(
        name="ttl",
        kind=Kind.INTEGER,
        default=DEFAULT_TTL,
        low=1,
        high=255,
        doc="How many routers, plus one, a datagram may pass.",
        trade_off="Above 1, routers that forward multicast carry heartbeats to other segments.",
    ),
)


def _open(context: TransportContext) -> Transport:
    from duravip_plugins.multicast_transport import MulticastTransport

    return MulticastTransport(context)


@hookimpl
def duravip_transports() -> Sequence[TransportKind]:
    return (TransportKind(name="multicast", options=OPTIONS, open=_open),)
