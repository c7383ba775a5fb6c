"""What this host's kernel knows of its neighbours: its neighbour tables, its gateways and its connected networks.

Source: rtnetlink(7), linux/neighbour.h, linux/rtnetlink.h.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct

import trio

from duravip.model import Address
from duravip.net import rtnetlink
from duravip.net.neighbourhood import Neighbour, Seen
from duravip.net.routes import look_at_routes

_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_NDA_DST, _NDA_LLADDR, _NDA_CACHEINFO = 1, 2, 3
_REACHABLE, _STALE, _DELAY, _PROBE, _PERMANENT = 0x02, 0x04, 0x08, 0x10, 0x80
_USED = 0x01  # NTF_USE: find out now
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class KernelNeighbours:
    """A context manager; entering raises OSError."""

    def __init__(self) -> None:
        self._link = rtnetlink.open_socket()

    def __enter__(self) -> KernelNeighbours:
        return self

    def __exit__(self, *exception: object) -> None:
        self._link.close()

    async def look(self) -> Seen:
        """One at a time. A gateway whose hardware address the kernel does not have is asked for by the kernel, so that
        a later look has it. Raises OSError."""
        return await trio.to_thread.run_sync(self._look)  # a millisecond, or more where there are many neighbours

    def _look(self) -> Seen:
        names = {index: rtnetlink.text(row.get(rtnetlink.IFLA_IFNAME)) for index, row in self._links().items()}
        routes = look_at_routes(self._link)
        gateways = routes.gateways
        rows = [row for family in _FAMILIES for row in self._neighbours(family)]
        known = {(index, neighbour.address) for _, index, neighbour in rows}
        for index, gateway in gateways:
            if (index, gateway) not in known:
                self._resolve(index, gateway)
        rows.sort(key=lambda row: ((row[1], row[2].address) not in gateways, row[0]))
        return Seen(
            neighbours=tuple((names[index], neighbour) for _, index, neighbour in rows if index in names),
            networks=tuple((names[index], network) for index, network in routes.networks if index in names),
        )

    def _links(self) -> dict[int, dict[int, bytes]]:
        return rtnetlink.links(self._link)

    def _neighbours(self, family: int) -> list[tuple[int, int, Neighbour]]:
        """(for how long not confirmed, in ticks; interface's number; neighbour)"""
        usable = _REACHABLE | _STALE | _DELAY | _PROBE | _PERMANENT
        found: list[tuple[int, int, Neighbour]] = []
        for row in rtnetlink.dump(self._link, rtnetlink.GETNEIGH, _NEIGHBOUR.pack(family, 0, 0, 0, 0)):
            _, index, state, _, _ = _NEIGHBOUR.unpack_from(row)
            values = rtnetlink.attributes(row[_NEIGHBOUR.size :])
            if state & usable and _NDA_DST in values and len(values.get(_NDA_LLADDR, b"")) == 6:
                age = struct.unpack_from("=I", values.get(_NDA_CACHEINFO, b"") or bytes(4))[0]
                address = Address(str(ipaddress.ip_address(values[_NDA_DST])))
                found.append((age, index, Neighbour(address, values[_NDA_LLADDR])))
        return found

    def _resolve(self, index: int, gateway: Address) -> None:
        ip = ipaddress.ip_address(gateway)
        family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        body = _NEIGHBOUR.pack(family, index, 0, _USED, 0) + rtnetlink.attribute(_NDA_DST, ip.packed)
        with contextlib.suppress(OSError):  # without CAP_NET_ADMIN, or the interface has gone: not known then
            rtnetlink.ask(self._link, rtnetlink.NEWNEIGH, body, flags=rtnetlink.CREATE)
