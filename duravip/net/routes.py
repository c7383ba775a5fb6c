"""What this host's kernel knows of its networks: which are connected to which interface, and the default gateways.

Rules of this file: the main table only, and routes by one gateway. A call waits for the kernel, a millisecond or two,
or longer where there are very many routes.

Source: rtnetlink(7), linux/rtnetlink.h.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

from duravip.model import Address
from duravip.net import rtnetlink
from duravip.net.neighbourhood import Network

_ROUTE = struct.Struct("=BBBBBBBBI")  # family, prefix, source prefix, tos, table, protocol, scope, type, flags
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_TABLE_MAIN, _UNICAST = 254, 1
_BITS = {socket.AF_INET: 32, socket.AF_INET6: 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Each with its interface's number."""

    networks: tuple[tuple[int, Network], ...]
    gateways: tuple[tuple[int, Address], ...]


def look_at_routes(link: socket.socket) -> Routes:
    """`link` is one of `rtnetlink`'s. Raises OSError."""
    networks: list[tuple[int, Network]] = []
    gateways: list[tuple[int, Address]] = []
    for family, bits in _BITS.items():
        for row in rtnetlink.dump(link, rtnetlink.GETROUTE, _ROUTE.pack(family, *[0] * 8)):
            _, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(row)
            found = rtnetlink.attributes(row[_ROUTE.size :])
            if table != _TABLE_MAIN or kind != _UNICAST or len(found.get(_RTA_OIF, b"")) != 4:
                continue
            (index,) = struct.unpack("=i", found[_RTA_OIF])
            if prefix == 0 and _RTA_GATEWAY in found:
                gateways.append((index, Address(str(ipaddress.ip_address(found[_RTA_GATEWAY])))))
            elif 0 < prefix < bits and _RTA_DST in found and _RTA_GATEWAY not in found:
                networks.append((index, ipaddress.ip_network((found[_RTA_DST], prefix))))
    return Routes(networks=tuple(networks), gateways=tuple(gateways))


def default_gateways(link: socket.socket) -> frozenset[tuple[str, Address]]:
    """Each with the name of its interface. Raises OSError."""
    names = {index: rtnetlink.text(row.get(rtnetlink.IFLA_IFNAME)) for index, row in rtnetlink.links(link).items()}
    return frozenset((names[index], gateway) for index, gateway in look_at_routes(link).gateways if index in names)
