"""What this machine must look like before a daemon may start on it, and the clean slate that it starts from.

Rules of this file: everything that can be refused is refused before anything is changed. What is taken off is
a DuraVIP of our own table, or bears our mark; no other address is ever touched.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence

from duravip.config.node_config import NodeConfig
from duravip.errors import BackendError, ConfigurationError
from duravip.model import Address, Table, VipEntry
from duravip.plugin.api import Backend, Placement, Plumbed, connected_interface


def has_interface(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def refuse_impossible(
    config: NodeConfig, plumbed: Sequence[Plumbed], *, has_interface: Callable[[str], bool] = has_interface
) -> None:
    """Raises ConfigurationError, with the place, for the first VIP that this machine could never own."""
    own = main_addresses(plumbed)
    named = {vip.interface for vip in config.table.vips if vip.interface is not None}
    missing = {interface for interface in named if not has_interface(interface)}
    for vip in config.table.vips:
        if vip.address in own or vip.address == config.local.nodeaddr:
            where = f" (on {own[vip.address]})" if vip.address in own else ""
            raise _refusal(
                vip,
                f"{vip.address} is this machine's own address{where} and cannot be a DuraVIP",
                "a DuraVIP must be free to leave; give the service an address of its own",
            )
        if vip.interface in missing:
            raise _refusal(
                vip,
                f"there is no interface {vip.interface} for {vip.address} on this machine",
                "correct the interface of its Topology",
            )
        if vip.interface is None and connected_interface(vip.address, plumbed) is None:
            raise _refusal(
                vip,
                f"no Topology names the interface for {vip.address}, and none here has its network",
                "add a Topology for it",
            )


def refuse_own_addresses(config: NodeConfig, own: Mapping[str, str]) -> None:
    """Raises ConfigurationError, with the place, for the first VIP that is among `own`: addresses that this node's
    daemon has in use -> for what, as a sentence."""
    for vip in config.table.vips:
        if vip.address in own:
            raise _refusal(
                vip,
                f"{vip.address} is this node's own address ({own[vip.address]}) and cannot be a DuraVIP",
                "a DuraVIP must be free to leave; give the service an address of its own",
            )


def refuse_immortal(config: NodeConfig, backend: Backend) -> None:
    """Raises ConfigurationError for strict ownership over a backend whose addresses do not end by themselves."""
    if config.table.settings.ownership == "strict" and not backend.has_lifetimes:
        raise ConfigurationError(
            f"ownership is strict, and the backend {config.local.backend.plugin} cannot have the kernel drop an "
            "address by itself: two nodes could have one",
            path=config.file,
            hint="use the backend netlink, or ownership = available",
        )


def main_addresses(plumbed: Sequence[Plumbed]) -> dict[Address, str]:
    """The first address of each family on each interface (link-local ones aside), unless it is ours: what the
    machine is known by. Address -> interface."""
    first: dict[tuple[str, bool], Plumbed] = {}
    for one in plumbed:
        place = one.interface, ":" in one.address
        if place not in first and not _is_link_local(one.address):
            first[place] = one
    return {one.address: one.interface for one in first.values() if not one.ours}


def _is_link_local(address: Address) -> bool:
    return ":" in address and ipaddress.IPv6Address(address).is_link_local


def leftovers(table: Table, plumbed: Sequence[Plumbed]) -> tuple[Placement, ...]:
    """What an earlier life left: every DuraVIP of the table, and everything that bears our mark."""
    vips = {vip.address for vip in table.vips}
    return tuple(
        Placement(address=one.address, interface=one.interface, prefix=one.prefix)
        for one in plumbed
        if one.ours or one.address in vips
    )


async def clean(backend: Backend, table: Table) -> tuple[Address, ...]:
    """Takes the leftovers off; returns them when the kernel has acknowledged. Raises BackendError
    otherwise."""
    off, left = await sweep(backend, table)
    if left:
        raise left[0]
    return off


async def sweep(backend: Backend, table: Table) -> tuple[tuple[Address, ...], tuple[BackendError, ...]]:
    """Takes the leftovers off: those that the kernel has acknowledged, and an error for each that is left."""
    placements = leftovers(table, await backend.list())
    answers = {answer.address: answer for answer in await backend.remove(placements)} if placements else {}
    off: list[Address] = []
    left: list[BackendError] = []
    for placement in placements:
        answer = answers.get(placement.address)
        if answer is not None and not answer.error:
            off.append(placement.address)
            continue
        why = answer.error if answer else "the interface backend did not answer"
        left.append(
            BackendError(
                f"{placement.address} was left on {placement.interface} and cannot be taken off: {why}",
                interface=placement.interface or "",
                address=placement.address,
            )
        )
    return tuple(off), tuple(left)


def _refusal(vip: VipEntry, message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(message, path=vip.origin.file, line=vip.origin.line, column=vip.origin.column, hint=hint)
