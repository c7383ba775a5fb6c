"""The transport `unicast`: what it is told, and who carries it out (`unicast_transport`)."""

from __future__ import annotations

from collections.abc import Sequence

from duravip.config.options import Kind, Option
from duravip.plugin.api import Transport, TransportContext, TransportKind, hookimpl

OPTIONS = (
    Option(
        name="listen",
        kind=Kind.TEXT,
        doc='The node\'s own address and UDP port, to receive on and to send from: `"10.1.1.1:4860"`, '
        '`"[2001:db8::1]:4860"`; without a port 4860. Default: `nodeaddr`, else the address among `peers` that is '
        "this machine's, else its first address. Never a VIP.",
    ),
    Option(
        name="peers",
        kind=Kind.TEXTS,
        required=True,
        doc="The members, each an address or host name, with a port if it is not 4860. The node itself may be among "
        "them, so all nodes can have the same list. Names are asked for again every minute.",
        trade_off="Each peer is one more copy of every datagram.",
    ),
)


def _open(context: TransportContext) -> Transport:
    from duravip_plugins.unicast_transport import UnicastTransport

    return UnicastTransport(context)


@hookimpl
def duravip_transports() -> Sequence[TransportKind]:
    return (TransportKind(name="unicast", options=OPTIONS, open=_open),)
