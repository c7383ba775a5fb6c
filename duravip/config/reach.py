"""What a configuration says of how nodes reach each other, held against its VIPs.

Transports are plugins, so their options are known by name only: `interface` is where one sends, `listen` an address of
this node, `peers` addresses of nodes (`duravip.plugin.api.TransportKind`). What they leave open is not guessed at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from duravip.config.diagnostics import Findings, Related
from duravip.config.endpoints import plain_address
from duravip.config.node_config import LocalSettings
from duravip.model import Address, Origin, VipEntry

_RELATED = 4  # transports that are pointed at for an interface that none of them uses


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """An address that a node has by itself. `what` says how it is known."""

    address: Address
    what: str
    origin: Origin


def node_addresses(local: LocalSettings) -> Iterator[NodeAddress]:
    """Of this node and of others, as far as transports name them by address."""
    for stanza in local.transports:
        listen, peers = stanza.options.get("listen"), stanza.options.get("peers")
        for what, texts in (("listen", (listen,)), ("peers", peers if isinstance(peers, tuple) else ())):
            for text in texts:
                if isinstance(text, str) and (address := _address(text)):
                    yield NodeAddress(address, f"{what} of {stanza.title}", stanza.origin)


def report_reach(vips: Iterable[VipEntry], local: LocalSettings, findings: Findings) -> None:
    known = {one.address: one for one in reversed(list(node_addresses(local)))}
    sending = {stanza.options.get("interface") for stanza in local.transports}
    said: set[str] = set()
    for vip in vips:
        if own := known.get(vip.address):
            findings.error(
                "DV423",
                f"{vip.address} is a node's own address ({own.what}) and cannot be a VIP",
                vip.origin,
                "a VIP is an address that no node has by itself",
                Related(own.origin, "it is named here"),
            )
        if vip.interface and vip.interface not in said and sending and not sending & {None, vip.interface}:
            said.add(vip.interface)
            findings.warning(
                "DV439",
                f"no transport uses {vip.interface}, where {vip.address} goes: when only that network fails, nodes "
                "still hear each other and nothing moves",
                vip.origin,
                "let a transport send there too; several transports are several paths",
                *(
                    Related(stanza.origin, f"{stanza.title} uses {stanza.options['interface']}")
                    for stanza in local.transports[:_RELATED]
                ),
            )


def _address(text: str) -> Address | None:
    """Of `address`, `address:port` or `[address]:port`."""
    host, colon, port = text.rpartition(":")
    for candidate in (text, host if colon and port.isdigit() else ""):
        try:
            if candidate and (address := plain_address(candidate)):
                return address
        except ValueError:
            continue
    return None
