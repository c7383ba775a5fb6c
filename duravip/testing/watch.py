"""Looks at a little network's hosts all the time, and remembers every moment at which an address was on two that
hear each other: the safety property, checked from outside, in the kernels.

It looks at one host after the other, so an address that was seen on two may just have moved. Hence a second look:
if the host that was looked at first still has it, both had it at the moment between.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from duravip.model import Address
from duravip.testing.netns import Lan

LOOK_EVERY_S = 0.003

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
_NLMSG_DONE, _RTM_NEWADDR, _RTM_GETADDR = 3, 20, 22
_REQUEST_DUMP = 0x1 | 0x300
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_MESSAGE, _ADDRESS, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
_GLOBAL = 0

Holders = Mapping[Address, tuple[str, ...]]


class Watch:
    """A context manager: looking from entering to leaving, in a thread. Every address of global scope that is not
    a host's own counts.

    `violations` are sentences, at most one for each pair of address and holders.
    """

    def __init__(self, lan: Lan, hosts: Sequence[str]) -> None:
        self._hosts = tuple(hosts)
        self._lan = lan
        self._lock = threading.Lock()
        self._groups: tuple[frozenset[str], ...] = (frozenset(hosts),)
        self._merging: dict[Address, frozenset[str]] = {}
        self._merge_limit = 0.0
        self._held: dict[Address, tuple[str, ...]] = {}
        self._said: set[tuple[Address, tuple[str, ...]]] = set()
        self._sockets: dict[str, socket.socket] = {}
        self._opened = ExitStack()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.violations: list[str] = []
        self.looks = 0

    def __repr__(self) -> str:
        return f"<Watch of {', '.join(self._hosts)}: {self.looks} looks, {len(self.violations)} violations>"

    def __enter__(self) -> Self:
        for host in self._hosts:
            with self._lan.inside(host):
                made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
            self._sockets[host] = self._opened.enter_context(made)
            made.settimeout(10.0)
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._opened.close()

    def parted(self, *groups: Sequence[str]) -> None:
        """From now on only hosts of one group hear each other; each host that is in none hears nobody."""
        named = {host for group in groups for host in group}
        alone = [frozenset([host]) for host in self._hosts if host not in named]
        with self._lock:
            self._groups = (*map(frozenset, groups), *alone)

    def merged(self, *, within_s: float) -> None:
        """From now on all hear each other again. What several hold now they may hold for `within_s` more, each
        until it lets go of it, and nobody else may."""
        with self._lock:
            self._look_at_all()
            self._groups = (frozenset(self._hosts),)
            self._merging = {address: frozenset(hosts) for address, hosts in self._held.items() if len(hosts) > 1}
            self._merge_limit = time.monotonic() + within_s

    def held(self) -> Holders:
        """Every address that is on a host, with the hosts in order; as it is now."""
        with self._lock:
            self._look()
            return dict(self._held)

    def holders(self, address: str) -> tuple[str, ...]:
        return self.held().get(Address(address), ())

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            with self._lock:
                self._look()

    def _look(self) -> None:
        self._look_at_all()
        self.looks += 1
        doubles = {address: hosts for address, hosts in self._held.items() if self._together(hosts)}
        if doubles:
            again = {host: self._on(host) for host in self._hosts}
            for address, hosts in doubles.items():
                certain = tuple(host for host in hosts if host == hosts[-1] or address in again[host])
                if self._together(certain):
                    self._judge(address, certain)
        for address in [each for each in self._merging if len(self._held.get(each, ())) < 2]:
            del self._merging[address]

    def _judge(self, address: Address, hosts: tuple[str, ...]) -> None:
        pardoned = self._merging.get(address, frozenset())
        late = time.monotonic() > self._merge_limit
        if pardoned >= set(hosts) and not late:
            self._merging[address] = frozenset(hosts)
            return
        if (address, hosts) not in self._said:
            self._said.add((address, hosts))
            after = " long after they met" if late and pardoned else ""
            clock = time.strftime("%H:%M:%S") + f"{time.time() % 1:.3f}"[1:]
            self.violations.append(f"{clock} {address} is on {' and '.join(hosts)} at once{after}")

    def _together(self, hosts: Sequence[str]) -> bool:
        return any(len(group.intersection(hosts)) > 1 for group in self._groups)

    def _look_at_all(self) -> None:
        found: dict[Address, tuple[str, ...]] = {}
        for host in self._hosts:
            for address in self._on(host):
                found[address] = (*found.get(address, ()), host)
        self._held = found

    def _on(self, host: str) -> frozenset[Address]:
        link = self._sockets[host]
        size = _MESSAGE.size + _ADDRESS.size
        link.send(_MESSAGE.pack(size, _RTM_GETADDR, _REQUEST_DUMP, 0, 0) + _ADDRESS.pack(0, 0, 0, 0, 0))
        found: set[Address] = set()
        while True:
            heard = link.recv(1 << 16)
            at = 0
            while at < len(heard):
                size, kind, *_ = _MESSAGE.unpack_from(heard, at)
                if kind == _NLMSG_DONE:
                    return frozenset(found)
                if kind == _RTM_NEWADDR and (address := self._address(heard[at + _MESSAGE.size : at + size])):
                    found.add(address)
                at += (size + 3) & ~3

    def _address(self, payload: bytes) -> Address | None:
        """None for what does not count."""
        _, _, _, scope, _ = _ADDRESS.unpack_from(payload)
        if scope != _GLOBAL:
            return None
        values: dict[int, bytes] = {}
        at = _ADDRESS.size
        while at < len(payload):
            size, kind = _ATTRIBUTE.unpack_from(payload, at)
            values[kind] = payload[at + _ATTRIBUTE.size : at + size]
            at += (size + 3) & ~3
        found = Address(str(ip_address(values.get(_IFA_LOCAL) or values[_IFA_ADDRESS])))
        return None if found in self._lan.own else found
