"""Whom the unicast transport sends to: peers by address, and by names that are asked for again and again."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import trio

from duravip.errors import TransportError
from duravip.model import Address, canonical_address

ASK_AGAIN_S = 60.0
ASK_AGAIN_UNKNOWN_S = 5.0  # while a name has no answer
_NAMES_AT_ONCE = 4  # of the threads that wait for an answer
_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_][A-Za-z0-9_.-]{0,253}")

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host name in one family (4 or 6), as text; raises OSError when there are none. May block."""

log = logging.getLogger("duravip.unicast")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of this or another node, and a UDP port. Text: `10.0.0.1:4860`, `[2001:db8::1]:4860`."""

    address: Address
    port: int

    @property
    def version(self) -> int:
        return 6 if ":" in self.address else 4

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Name:
    """A host name, and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_endpoint(text: str, *, option: str, port: int) -> Endpoint | Name:
    """`port` stands where the text has none. Raises TransportError with what is wrong in `option`."""
    host, tail = text.strip(), None
    if bracketed := re.fullmatch(r"\[(.*:.*)\](?::(.*))?", host):
        host, tail = bracketed[1], bracketed[2]
    elif host.count(":") == 1:
        host, _, tail = host.partition(":")
    if tail is not None:
        if not re.fullmatch(r"[0-9]{1,5}", tail) or not 1 <= int(tail) <= 65_535:
            raise TransportError(f"unicast: {option}: in {text!r}, {tail!r} is no port: ports are 1 to 65535")
        port = int(tail)
    try:
        ip = ip_address(host)
    except ValueError:
        if _HOST_NAME.fullmatch(host):
            return Name(host, port)
        raise TransportError(
            f'unicast: {option}: {text!r} is neither an address nor a host name: write "10.1.1.1", "10.1.1.1:4860" '
            f'or "[2001:db8::1]:4860"'
        ) from None
    mapped = isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None
    if ip.is_unspecified or ip.is_multicast or ip.is_link_local or ip.is_loopback or mapped:
        raise TransportError(f"unicast: {option}: {host} is no address at which one node reaches another")
    return Endpoint(canonical_address(host), port)


class Names:
    """What the names stand for now: never `own`, a loopback address or a VIP. A name without an answer keeps the
    addresses it had; that, and its next answer, is one line in the log."""

    def __init__(self, names: Sequence[Name], *, own: Endpoint, vips: Set[Address], resolve: Resolve) -> None:
        self._own = own
        self._vips = vips
        self._resolve = resolve
        self._known: dict[Name, tuple[Endpoint, ...]] = dict.fromkeys(names, ())
        self._problems: dict[Name, str] = {}
        self._threads = trio.CapacityLimiter(_NAMES_AT_ONCE)

    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(endpoint for found in self._known.values() for endpoint in found)

    async def ask(self) -> None:
        """Asks for every name once. A name that is slow to answer holds up nobody but the caller."""
        async with trio.open_nursery() as nursery:
            for name in self._known:
                nursery.start_soon(self._ask_for, name)

    async def keep_asking(self) -> None:
        """Until cancelled; the first time after a while."""
        while True:
            await trio.sleep(ASK_AGAIN_UNKNOWN_S if self._problems else ASK_AGAIN_S)
            await self.ask()

    async def _ask_for(self, name: Name) -> None:
        try:
            answer = await trio.to_thread.run_sync(
                self._resolve, name.host, self._own.version, abandon_on_cancel=True, limiter=self._threads
            )
        except (OSError, UnicodeError) as error:
            self._say(name, f"has no IPv{self._own.version} address ({getattr(error, 'strerror', None) or error})")
            return
        found = sorted({canonical_address(one.partition("%")[0]) for one in answer})
        vips = [one for one in found if one in self._vips]
        endpoints = [Endpoint(one, name.port) for one in found if one not in vips and not ip_address(one).is_loopback]
        self._known[name] = tuple(endpoint for endpoint in endpoints if endpoint != self._own)
        self._say(name, f"is {vips[0]}, a DuraVIP" if vips and not endpoints else "")

    def _say(self, name: Name, problem: str) -> None:
        if problem and name not in self._problems:
            log.warning("unicast: the peer %s %s; asking again every %g s", name.host, problem, ASK_AGAIN_UNKNOWN_S)
            self._problems[name] = problem
        if not problem and self._problems.pop(name, ""):
            log.info("unicast: the peer %s is %s", name.host, ", ".join(map(str, self._known[name])) or "this node")


def resolve(host: str, version: int) -> Sequence[str]:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)]
