"""Macvlans: interfaces with a hardware address of their own, on top of another.

Rules of this file: plain calls into the kernel, for a thread. Making one takes 0.4 ms, switching it on 0.1 ms;
switching it off takes 7 ms and deleting it 16 ms, because the kernel waits for its readers, and the lock that it holds
meanwhile is the one that all others need too. What bears the alias of the cluster group is ours, nothing else is ever
touched; where the group is not known, its name must be ours too.

Source: linux/if_link.h; ip-sysctl of the kernel's documentation for what is set in /proc.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from duravip.model import Address
from duravip.net import rtnetlink

NAME_PREFIX = "dv-"

_ALIAS = "duravip"
_INFO_KIND, _INFO_DATA, _MACVLAN_MODE = 1, 2, 1
_PRIVATE = struct.pack("=I", 1)
_UP = 0x1
_CONF = Path("/proc/sys/net")
_OWN_SETTINGS = {
    "ipv4/conf/{}/arp_ignore": "1",  # answers for the address that it has, not for all of the machine's
    "ipv4/conf/{}/rp_filter": "2",  # answers leave through the interface below it
    "ipv6/conf/{}/addr_gen_mode": "1",  # no link-local address: nothing but the VIP
    "ipv6/conf/{}/accept_ra": "0",
    # It says that it leaves the address's group before the removal is acknowledged. By MLDv2 it would say so up to a
    # second later, when a switch may know the hardware address at another node's port already.
    "ipv6/conf/{}/force_mld_version": "1",
}
_BELOW_SETTINGS = {
    "ipv4/conf/{}/arp_ignore": 1,  # does not answer for what is on top of it
    "ipv4/conf/{}/arp_announce": 2,  # does not name what is on top of it when it asks
}


def hardware_address(cluster_group: str, address: Address) -> bytes:
    """The same on every node and for ever: 46 bits of BLAKE2b of the group's name, a zero byte and the address;
    locally administered, one host's."""
    named = f"{cluster_group}\0{address}".encode()
    digest = hashlib.blake2b(named, digest_size=6, person=b"duravip mac").digest()
    return bytes((digest[0] & 0xFC | 0x02,)) + digest[1:]


def link_name(hardware: bytes) -> str:
    """15 letters: all that an interface's name may have."""
    return NAME_PREFIX + hardware.hex()


class Macvlans:
    """Those of one cluster group on this machine. A context manager: leaving it closes the socket, no more."""

    def __init__(self, cluster_group: str) -> None:
        """Raises OSError."""
        self._group = cluster_group
        self._link = rtnetlink.open_socket()

    def __enter__(self) -> Macvlans:
        return self

    def __exit__(self, *exception: object) -> None:
        self._link.close()

    def switch_on(self, address: Address, below: str) -> str:
        """Makes the one for `address` on the interface `below`, unless it is there, and switches it on. One that is on
        top of another interface (a Topology names another one now, or the name has gone over to other hardware) is
        deleted first: 16 ms. Its name. Raises OSError: ENODEV without `below`, EBUSY if that is in a bridge, EEXIST
        where somebody else has made an interface of that name."""
        hardware = hardware_address(self._group, address)
        name = link_name(hardware)
        parent = _index_of(below)
        found = rtnetlink.find_link(self._link, name)
        if found is not None and found.below != parent:
            if found.alias != self._alias:
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
            rtnetlink.ask(self._link, rtnetlink.DELLINK, rtnetlink.link_body(index=found.index))
            found = None
        if found is None:
            found = self._make(name, hardware, parent)
        if not found.flags & _UP:
            rtnetlink.ask(self._link, rtnetlink.NEWLINK, rtnetlink.link_body(index=found.index, flags=_UP, change=_UP))
        return name

    def switch_off(self, name: str) -> None:
        """One that is not there is off."""
        with contextlib.suppress(OSError):
            index = socket.if_nametoindex(name)
            rtnetlink.ask(self._link, rtnetlink.NEWLINK, rtnetlink.link_body(index=index, change=_UP))

    def remove_all(self) -> tuple[str, ...]:
        """Whoever made them; their names. Raises OSError."""
        return _remove(self._link, lambda row: _text(row, rtnetlink.IFLA_IFALIAS) == self._alias)

    @property
    def _alias(self) -> str:
        return f"{_ALIAS} {self._group}"[:255]

    def _make(self, name: str, hardware: bytes, parent: int) -> rtnetlink.FoundLink:
        attribute = rtnetlink.attribute
        kind = attribute(_INFO_KIND, b"macvlan\0") + attribute(_INFO_DATA, attribute(_MACVLAN_MODE, _PRIVATE))
        body = b"".join(
            (
                rtnetlink.link_body(),
                attribute(rtnetlink.IFLA_LINK, struct.pack("=I", parent)),
                attribute(rtnetlink.IFLA_IFNAME, name.encode() + b"\0"),
                attribute(rtnetlink.IFLA_ADDRESS, hardware),
                attribute(rtnetlink.IFLA_LINKINFO, kind),
            )
        )
        rtnetlink.ask(self._link, rtnetlink.NEWLINK, body, flags=rtnetlink.CREATE | rtnetlink.EXCLUSIVE)
        found = rtnetlink.find_link(self._link, name)
        if found is None:
            raise _no_device()  # somebody has just deleted it
        alias = attribute(rtnetlink.IFLA_IFALIAS, self._alias.encode())
        rtnetlink.ask(self._link, rtnetlink.SETLINK, rtnetlink.link_body(index=found.index) + alias)
        for path, value in _OWN_SETTINGS.items():
            with contextlib.suppress(FileNotFoundError):  # IPv6 may be switched off
                (_CONF / path.format(name)).write_text(value)
        return found


def remove_left(cluster_group: str | None) -> tuple[str, ...]:
    """What an earlier life of that cluster group, or (None) of any, left on this machine; the names. Raises OSError."""
    if cluster_group is not None:
        with Macvlans(cluster_group) as macvlans:
            return macvlans.remove_all()
    with rtnetlink.open_socket() as link:
        return _remove(link, _is_ours)


def _index_of(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:  # without a number
        raise _no_device() from error


def _no_device() -> OSError:
    return OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def _is_ours(row: Mapping[int, bytes]) -> bool:
    """Of whatever cluster group: somebody else's alias may begin like ours."""
    named = link_name(row.get(rtnetlink.IFLA_ADDRESS, b""))
    return _text(row, rtnetlink.IFLA_IFNAME) == named and _text(row, rtnetlink.IFLA_IFALIAS).startswith(f"{_ALIAS} ")


def _remove(link: socket.socket, is_wanted: Callable[[Mapping[int, bytes]], bool]) -> tuple[str, ...]:
    removed = []
    for index, row in rtnetlink.links(link).items():
        if is_wanted(row):
            rtnetlink.ask(link, rtnetlink.DELLINK, rtnetlink.link_body(index=index))
            removed.append(_text(row, rtnetlink.IFLA_IFNAME))
    return tuple(removed)


def _text(row: Mapping[int, bytes], kind: int) -> str:
    return rtnetlink.text(row.get(kind))


class Below:
    """What must hold on the interfaces that carry macvlans, and did not before."""

    def __init__(self) -> None:
        self._before: dict[Path, str] = {}

    def prepare(self, interface: str) -> str:
        """ "" or why it cannot be prepared."""
        for path, least in _BELOW_SETTINGS.items():
            of_all, own = (_CONF / path.format(name) for name in ("all", interface))
            try:
                before = own.read_text()
                if max(int(of_all.read_text()), int(before)) >= least:
                    continue
                own.write_text(str(least))
            except OSError as error:
                setting = path.format(interface).replace("/", ".")
                return (
                    f"a virtual hardware address on {interface} needs net.{setting} = {least}, which cannot be set "
                    f"here ({error.strerror}): set it, or use mac = real"
                )
            self._before.setdefault(own, before)
        return ""

    def restore(self) -> None:
        for path, value in self._before.items():
            with contextlib.suppress(OSError):  # the interface has gone
                path.write_text(value)
        self._before.clear()
