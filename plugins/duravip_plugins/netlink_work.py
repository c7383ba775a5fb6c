"""What the netlink backend does, in worker threads: whole batches, on a socket given to them.

Nothing here may depend on the thread it runs in: interfaces are named and numbered over the socket alone (a
thread may have been started in another network namespace).

IPv4 addresses of one subnet hang together in the kernel: the later ones go when the first goes, unless the
interface has `promote_secondaries` = 1. So a prefix shorter than 32 is touched only on interfaces that the
caller says keep siblings (`keeping`); others are reported back in `Outcome.wants_promotion`, and their
addresses left alone.

An IPv6 address with a prefix shorter than 128 must have its lifetime from the beginning: when one that lives for ever
is given a lifetime, the kernel (6.18) lets the route to its network expire, also if the host's own address needs it.
So it is taken off first.
"""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

from duravip.model import Address
from duravip.plugin.api import Answer, Placement, Plumbed, connected_interface
from duravip_plugins import netlink_codec as codec
from duravip_plugins import netlink_socket as rtnetlink

Numbering = Callable[[str], int | None]
"""The number of an interface; None: there is none of that name."""

_GONE = frozenset({errno.EADDRNOTAVAIL, errno.ENODEV})
_UNFIT = "waits for promote_secondaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An answer per placement, in order. `wants_promotion` names, for each address that was left alone (its
    answer is an error), the interface that must keep siblings first. `size`: of the machine; 0 if it was not
    looked at."""

    answers: tuple[Answer, ...]
    wants_promotion: Mapping[Address, str]
    size: int = 0


class Job(Protocol):
    """One of `add`, `renew` and `remove`."""

    def __call__(
        self,
        link: socket.socket,
        placements: Sequence[Placement],
        keeping: Set[str],
        number: Numbering | None = None,
        /,
    ) -> Outcome: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Addresses and interfaces at one moment. `certain` False: the list of addresses may have gaps."""

    plumbed: tuple[Plumbed, ...]
    index_of: dict[str, int]
    certain: bool

    @property
    def size(self) -> int:
        """Interfaces and addresses together."""
        return len(self.index_of) + len(self.plumbed)


def look(link: socket.socket) -> Machine:
    """Raises OSError."""
    links = {row.index: row for row in rtnetlink.links(link)}
    rows, certain = rtnetlink.addresses(link)
    plumbed = tuple(
        Plumbed(
            address=row.address,
            interface=links[row.index].name,
            prefix=row.prefix,
            ours=row.ours,
            hardware_address=links[row.index].hardware_address,
            switched_off=not links[row.index].switched_on,
        )
        for row in rows
        if row.index in links
    )
    index_of = {row.name: row.index for row in links.values()}
    return Machine(plumbed=plumbed, index_of=index_of, certain=certain)


def add(
    link: socket.socket, placements: Sequence[Placement], keeping: Set[str], number: Numbering | None = None
) -> Outcome:
    """`number`: a quicker way to an interface's number than over the socket. Raises OSError when the kernel's answer is
    lost."""
    if any(asked.interface is None for asked in placements):
        machine = look(link)
        index_of, plumbed = machine.index_of, machine.plumbed
    else:
        index_of, plumbed = _named(link, placements, number), ()

    places: list[tuple[str, str]] = []  # interface ("" if none is known) and what speaks against it ("" if nothing)
    requests: list[bytes] = []
    wants: dict[Address, str] = {}
    for asked in placements:
        interface = asked.interface or connected_interface(asked.address, plumbed) or ""
        objection = ""
        if not interface:
            objection = (
                f"no interface has a connected subnet that contains {asked.address}: "
                f"name one in a Topology that covers it"
            )
        elif interface not in index_of:
            objection = f"cannot add {asked.address}: there is no interface {interface} on this machine"
        elif _has_siblings(asked.address, asked.prefix) and interface not in keeping:
            wants[asked.address] = interface
            objection = _UNFIT
        else:
            follows = ":" in asked.address and not asked.must_expire and not _shares_a_route(asked)  # which is cheaper
            lifetime_s = 0.0 if follows else asked.lifetime_s
            requests.append(_request(asked, index_of[interface], len(requests), lifetime_s))
        places.append((interface, objection))
    return Outcome(answers=_exchanged(link, placements, places, requests), wants_promotion=wants)


def renew(
    link: socket.socket, placements: Sequence[Placement], keeping: Set[str], number: Numbering | None = None
) -> Outcome:
    """Raises OSError when the kernel's answer is lost. Which siblings are kept was settled when they were added."""
    index_of = _named(link, placements, number)
    _take_off_immortals(link, placements, index_of)
    places: list[tuple[str, str]] = []
    requests: list[bytes] = []
    for asked in placements:
        interface, objection = asked.interface or "", ""
        if interface in index_of:
            requests.append(_request(asked, index_of[interface], len(requests), asked.lifetime_s))
        else:
            objection = f"cannot renew {asked.address}: there is no interface {interface} on this machine"
        places.append((interface, objection))
    return Outcome(answers=_exchanged(link, placements, places, requests), wants_promotion={})


def _take_off_immortals(link: socket.socket, placements: Sequence[Placement], index_of: Mapping[str, int]) -> None:
    """Those among the placements that cannot be given a lifetime as they are."""
    wanted = {
        (asked.address, index_of.get(asked.interface or ""), asked.prefix)
        for asked in placements
        if asked.lifetime_s and _shares_a_route(asked)
    }
    if not wanted:
        return
    rows, _ = rtnetlink.addresses(link, codec.AF_INET6)
    found = [row for row in rows if row.immortal and (row.address, row.index, row.prefix) in wanted]
    requests = [codec.delete_request(r.address, r.index, r.prefix, sequence=n) for n, r in enumerate(found)]
    rtnetlink.exchange(link, requests, not_after=min(asked.not_after for asked in placements))


def _named(link: socket.socket, placements: Sequence[Placement], number: Numbering | None) -> dict[str, int]:
    """The interfaces that are asked for and exist."""
    names = {asked.interface for asked in placements if asked.interface}
    numbers = {name: number(name) if number is not None else rtnetlink.index_of(link, name) for name in names}
    return {name: index for name, index in numbers.items() if index is not None}


def _request(asked: Placement, index: int, sequence: int, lifetime_s: float) -> bytes:
    return codec.add_request(asked.address, index, asked.prefix, sequence=sequence, lifetime_s=lifetime_s)


def _exchanged(
    link: socket.socket,
    placements: Sequence[Placement],
    places: Sequence[tuple[str, str]],
    requests: Sequence[bytes],
) -> tuple[Answer, ...]:
    """`places`: of each placement, its interface and what speaks against it. For all others there is a request."""
    not_after = min((asked.not_after for asked in placements), default=math.inf)
    replies = iter(rtnetlink.exchange(link, requests, not_after=not_after))
    answers = []
    for asked, (interface, objection) in zip(placements, places, strict=True):
        reply = rtnetlink.DONE if objection else next(replies)
        error = objection or _refused_addition(asked, interface, reply)
        answers.append(Answer(address=asked.address, error=error, interface=interface, late=reply is rtnetlink.LATE))
    return tuple(answers)


def remove(
    link: socket.socket, placements: Sequence[Placement], keeping: Set[str], number: Numbering | None = None
) -> Outcome:
    """Wherever they are, so `number` is of no use. Raises OSError when the kernel's answer is lost."""
    machine = look(link)
    spots: dict[Address, list[tuple[str, int]]] = {asked.address: [] for asked in placements}
    for row in machine.plumbed:
        if row.address in spots:
            spots[row.address].append((row.interface, row.prefix))
    if not machine.certain:  # the list changed under our hands: where it may have a gap, ask blindly
        for asked in placements:
            named = (asked.interface or "", asked.prefix)
            if named[0] in machine.index_of and named not in spots[asked.address]:
                spots[asked.address].append(named)

    errors: dict[Address, str] = {}
    wants: dict[Address, str] = {}
    orders: list[tuple[Address, str, int]] = []
    for address, found in spots.items():
        for interface, prefix in found:
            if _has_siblings(address, prefix) and interface not in keeping:
                wants[address] = interface
                errors[address] = _UNFIT
            else:
                orders.append((address, interface, prefix))
    requests = [
        codec.delete_request(address, machine.index_of[interface], prefix, sequence=number)
        for number, (address, interface, prefix) in enumerate(orders)
    ]
    for (address, interface, prefix), reply in zip(orders, rtnetlink.exchange(link, requests), strict=True):
        if reply.errno and reply.errno not in _GONE:
            errors[address] = f"cannot remove {address}/{prefix} from {interface}: {reply.words()}"

    answers = tuple(
        Answer(
            address=asked.address,
            error=errors.get(asked.address, ""),
            interface=spots[asked.address][0][0] if spots[asked.address] else "",
        )
        for asked in placements
    )
    return Outcome(answers=answers, wants_promotion=wants, size=machine.size)


def _shares_a_route(asked: Placement) -> bool:
    """Whether the kernel makes a route to its network for it, or counts on one that is there."""
    return ":" in asked.address and asked.prefix < 128


def _has_siblings(address: Address, prefix: int) -> bool:
    return ":" not in address and prefix < 32


def _refused_addition(asked: Placement, interface: str, reply: rtnetlink.Refusal) -> str:
    if not reply.errno:
        return ""
    if reply.errno == errno.ENODEV:
        return f"cannot add {asked.address}: the interface {interface} has just gone"
    if reply.errno == errno.EPERM:
        return f"cannot add {asked.address} to {interface}: the capability CAP_NET_ADMIN is missing"
    if ":" in asked.address and reply.errno in (errno.EACCES, errno.EOPNOTSUPP):
        return f"cannot add {asked.address} to {interface}: IPv6 is switched off there"
    return f"cannot add {asked.address}/{asked.prefix} to {interface}: {reply.words()}"
