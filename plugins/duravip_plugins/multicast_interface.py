"""The interfaces of this machine, and which of them and which source address the multicast transport uses."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import trio

from duravip.errors import TransportError
from duravip.model import Address, canonical_address
from duravip_plugins import netlink_socket as rtnetlink

TENTATIVE_LIMIT_S = 5.0  # the kernel's own search takes one to two seconds after a link has come up
_ASK_AGAIN_S = 0.05
_OF_THE_OTHER_FAMILY = {4: "an IPv6 one, such as ff02::4d77", 6: "an IPv4 one, such as 239.192.0.77"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """`addresses` in the kernel's order."""

    name: str
    index: int
    mtu_bytes: int
    up: bool
    loopback: bool
    multicast: bool
    addresses: tuple[Address, ...]


def interfaces(transport: str = "multicast") -> tuple[Interface, ...]:
    """Every interface of this machine, in the kernel's order. Raises TransportError, in the transport's name."""
    try:
        with rtnetlink.open_socket() as link:
            rows, _ = rtnetlink.addresses(link)
            links = rtnetlink.links(link)
    except OSError as error:
        raise TransportError(f"{transport}: the kernel does not list its interfaces: {error.strerror}") from error
    return tuple(
        Interface(
            name=found.name,
            index=found.index,
            mtu_bytes=found.mtu_bytes,
            up=found.up,
            loopback=found.loopback,
            multicast=found.multicast,
            addresses=tuple(row.address for row in rows if row.index == found.index),
        )
        for found in links
    )


def choose_interface(
    present: Sequence[Interface],
    *,
    group: IPv4Address | IPv6Address,
    wanted: str | None,
    node_address: str | None,
) -> Interface:
    """The one that is `wanted`, else the one with `node_address`, else the one of the route to the group,
    else the first with an address (those that are up before the rest). Raises TransportError."""
    suitable = [each for each in present if not each.loopback and each.multicast]
    names = ", ".join(each.name for each in suitable) or "none"
    if wanted is not None:
        for each in present:
            if each.name == wanted:
                return each
        raise TransportError(
            f"multicast: there is no interface {wanted} on this machine (there are: {names})", interface=wanted
        )
    if node_address is not None:
        return _interface_with(present, canonical_address(node_address))
    with_address = [each for each in suitable if _of_version(each, group.version)]
    routed = _source_by_route(group)
    for each in with_address:
        if routed in each.addresses:
            return each
    for each in sorted(with_address, key=lambda each: not each.up):
        return each
    raise TransportError(
        f"multicast: no interface with an IPv{group.version} address can do multicast (there are: {names}): give one "
        f"an address, or set `group` to {_OF_THE_OTHER_FAMILY[group.version]}"
    )


async def wait_usable(source: Address, interface: Interface | None = None) -> None:
    """Until one can speak from the address, but TENTATIVE_LIMIT_S at most: while the kernel looks whether somebody else
    has an IPv6 address (RFC 4862, section 5.4), as it does right after a boot, nobody may. A link-local address is one
    of the `interface`."""
    if ":" not in source:
        return
    index = interface.index if interface is not None else 0
    deadline = trio.current_time() + TENTATIVE_LIMIT_S
    while _is_refused(source, index) and trio.current_time() < deadline:  # noqa: ASYNC110 (only the kernel knows when)
        await trio.sleep(_ASK_AGAIN_S)


def _is_refused(source: Address, index: int) -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        try:
            asking.bind((source, 0, 0, index))
        except OSError as error:
            return error.errno == errno.EADDRNOTAVAIL
    return False


def _interface_with(present: Sequence[Interface], node_address: Address) -> Interface:
    for each in present:
        if node_address in each.addresses:
            return each
    raise TransportError(
        f"multicast: no interface of this machine has the node's address {node_address}: correct `nodeaddr`, "
        f"or give the multicast stanza an `interface`"
    )


def choose_source(interface: Interface, version: int, *, node_address: str | None, vips: Set[Address]) -> Address:
    """`node_address` if the interface has it, else the first address that is no VIP; for IPv6, a link-local
    address goes before others. Raises TransportError, also when `node_address` is a VIP."""
    own = [address for address in _of_version(interface, version) if address not in vips]
    if node_address is not None:
        configured = canonical_address(node_address)
        if configured in vips:
            raise TransportError(
                f"multicast: the node's address {configured} is a DuraVIP: it would leave with the VIP",
                interface=interface.name,
            )
        if configured in own:
            return configured
    if not own:
        why = "has only DuraVIPs" if _of_version(interface, version) else f"has no IPv{version} address"
        raise TransportError(
            f"multicast: the interface {interface.name} {why}: give it an address of the node's own, or set `group` "
            f"to {_OF_THE_OTHER_FAMILY[version]}",
            interface=interface.name,
        )
    if version == 6:
        own.sort(key=lambda address: not ip_address(address).is_link_local)
    return own[0]


def _of_version(interface: Interface, version: int) -> list[Address]:
    return [address for address in interface.addresses if (":" in address) == (version == 6)]


def _source_by_route(group: IPv4Address | IPv6Address) -> str:
    """The address the kernel would send to the group from, "" without a route. Sends nothing."""
    family = socket.AF_INET if group.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((str(group), 9))
        except OSError:
            return ""
        return str(asking.getsockname()[0]).partition("%")[0]
