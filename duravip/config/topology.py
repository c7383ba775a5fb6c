"""Topologies: on which interface, and with which prefix length, the VIPs of a network go."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from duravip.config import schema
from duravip.config.diagnostics import Related, shown
from duravip.config.document import Stanza
from duravip.config.endpoints import packed
from duravip.config.scope import Named, Reader
from duravip.model import Address, Origin

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Place:
    """Where a VIP goes. `interface` None: no Topology says so. `prefix` in bits. `mac`: real or virtual."""

    interface: str | None
    prefix: int
    mac: str = "real"


_NO_PLACE = {bits: Place(None, bits) for bits in (32, 128)}


class Topologies:
    """The blocks of one configuration; the longest that contains an address decides."""

    def __init__(self, reader: Reader, stanzas: list[Stanza]) -> None:
        self._places: dict[tuple[int, int, int], Place] = {}
        self._seen: dict[Network, Origin] = {}
        self._macs: dict[Network, str] = {}
        self._lengths: dict[int, list[int]] = {32: [], 128: []}
        pieces: dict[str, list[Stanza]] = {}
        for stanza in stanzas:
            if stanza.name is None:
                reader.findings.error(
                    "DV425",
                    "a Topology needs a network",
                    stanza.origin,
                    'write Topology "192.0.2.0/24" { ... }',
                )
            else:
                pieces.setdefault(stanza.name, []).append(stanza)
        for name, same in pieces.items():
            self._read(reader, name, same)
        for lengths in self._lengths.values():
            lengths.sort(reverse=True)

    def place(self, address: Address) -> Place:
        data = packed(address)
        bits, number = 8 * len(data), int.from_bytes(data, "big")
        for length in self._lengths[bits]:
            found = self._places.get((bits, length, number >> (bits - length)))
            if found:
                return found
        return _NO_PLACE[bits]

    def macs(self) -> tuple[tuple[str, str], ...]:
        """(network, real or virtual), the longest first; empty when none is virtual."""
        found = sorted(self._macs.items(), key=lambda row: (-row[0].prefixlen, str(row[0])))
        return tuple((str(network), mac) for network, mac in found) if "virtual" in self._macs.values() else ()

    def _read(self, reader: Reader, name: str, pieces: list[Stanza]) -> None:
        scope = reader.scope(Named("Topology", name), pieces, schema.TOPOLOGY)
        origin = scope.origin
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            reader.findings.error(
                "DV309",
                f"{shown(name)} is no network block",
                origin,
                "write it as 192.0.2.0/24 or 2001:db8::/64",
            )
            return
        if network in self._seen:
            reader.findings.error(
                "DV411",
                f"a second Topology for {network}",
                origin,
                "keep one of them",
                Related(self._seen[network], "the first one"),
            )
            return
        self._seen[network] = origin
        bits = network.max_prefixlen
        prefix = scope.get("cidrmask")
        if prefix is None:
            prefix = bits
        elif prefix > bits:
            reader.findings.error(
                "DV302",
                f"cidrmask: {prefix} bits are more than an address of {network} has",
                scope.where("cidrmask"),
                f"allowed: from 1 to {bits}",
            )
            prefix = bits
        length = network.prefixlen
        key = (bits, length, int(network.network_address) >> (bits - length))
        place = Place(scope.get("interface") or None, prefix, scope.get("mac"))
        self._places[key] = place
        self._macs[network] = place.mac
        if place.mac == "virtual" and (place.interface is None or place.prefix != bits):
            reader.findings.error(
                "DV436",
                f"Topology {network}: virtual hardware addresses need an interface, and a cidrmask of {bits} bits",
                scope.where("mac"),
                "name the interface and leave cidrmask out, or write mac = real",
            )
        if length not in self._lengths[bits]:
            self._lengths[bits].append(length)
