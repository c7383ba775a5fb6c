"""Addresses as services write them: `Bind_Address` and `Listen`."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from duravip.config.diagnostics import Findings, shown
from duravip.model import Address, Origin, canonical_address

Resolve = Callable[[str], Sequence[str]]
"""A host name's addresses as text; raises OSError when there is no answer."""

ANY = Address("*")
"""Stands for every address of the machine."""

_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253})")
_PORT = re.compile(r"[0-9]{1,5}")
_WILDCARDS = ("", "*")
_LOOPBACK_IPV6 = bytes(15) + b"\1"


class ListenError(ValueError):
    """The text is no `address:port`; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Listen:
    """`address` None: a wildcard, a UNIX socket, or the host of the `name`, which is not resolved: no VIP is behind it.
    `port` 0: a UNIX socket."""

    address: Address | None
    port: int
    name: str = ""


def plain_address(text: str) -> Address | None:
    """The address in `text`, with or without brackets; an IPv4 address in IPv6 clothes is the IPv4 address.
    None for a wildcard. Raises ValueError when it is no address."""
    if text[:1].isdigit() and (packed := _packed_ipv4(text)):
        return Address(text) if any(packed) else None
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if text in _WILDCARDS:
        return None
    ip = ipaddress.ip_address(text)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id:
            raise ValueError("an address with a zone is good for one interface only")
        ip = ip.ipv4_mapped or ip
    return None if ip.is_unspecified else canonical_address(str(ip))


def packed(address: Address) -> bytes:
    """4 or 16 bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _packed_ipv4(text: str) -> bytes | None:
    """None for what is no canonical IPv4 address."""
    try:
        return socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return None


def parse_listen(text: str) -> Listen:
    """Raises ListenError."""
    if text.startswith("/"):
        return Listen(None, 0)
    host, colon, port = text.rpartition(":")
    if not colon and _PORT.fullmatch(text):
        host, port = "*", text
    elif not colon or (host.count(":") and not host.startswith("[")):
        raise ListenError('a Listen is "address:port", with an IPv6 address in brackets: "[2001:db8::1]:25"')
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65_535:
        raise ListenError(f"{shown(port)} is no port; a port is a number from 1 to 65535")
    try:
        return Listen(plain_address(host), int(port))
    except ValueError:
        if _HOST_NAME.fullmatch(host):
            return Listen(None, int(port), host)
        raise ListenError(f"{shown(host)} is no IP address") from None


class BindAddresses:
    """Finds the address behind a `Bind_Address`, asking for each host name once."""

    def __init__(self, resolve: Resolve, findings: Findings) -> None:
        self._resolve = resolve
        self._findings = findings
        self._known: dict[str, tuple[Address | None, str]] = {}

    def find(self, text: str, origin: Origin) -> Address | None:
        """`ANY` for a wildcard; None for a mistake, which has been reported."""
        try:
            return plain_address(text) or ANY
        except ValueError:
            pass
        if not _HOST_NAME.fullmatch(text):
            self._findings.error(
                "DV304",
                f"bind_address: {shown(text)} is no IP address",
                origin,
                "write it without port and prefix length: 192.0.2.1 or 2001:db8::1",
            )
            return None
        if text not in self._known:
            self._known[text] = self._ask(text)
        address, problem = self._known[text]
        if problem:
            self._findings.error(
                "DV305",
                f"bind_address: {shown(text)} {problem}",
                origin,
                "write the address instead of the name",
            )
        return address

    def _ask(self, name: str) -> tuple[Address | None, str]:
        """The address, or what is wrong as the rest of a sentence."""
        try:
            found = sorted({canonical_address(one) for one in self._resolve(name)})
        except (OSError, ValueError) as error:
            return None, f"does not resolve: {error}"
        if len(found) == 1:
            return found[0], ""
        listed = f" ({', '.join(found[:4])})" if found else ""
        return None, f"resolves to {len(found)} addresses{listed}, and exactly one is needed"


def unfit_as_vip(address: Address) -> str:
    """Why the address can never be one that moves between nodes; "" when it can."""
    data = packed(address)
    if data == _LOOPBACK_IPV6 or (len(data) == 4 and data[0] == 127):
        return "a loopback address"
    if data[0] == 0xFF if len(data) == 16 else 224 <= data[0] < 240:
        return "a multicast address"
    if address == "255.255.255.255":
        return "the broadcast address"
    return ""
