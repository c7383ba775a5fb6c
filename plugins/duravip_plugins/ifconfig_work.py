"""What the ifconfig backend does, in a thread: lists, additions and removals, one command after the other.

Rules of this file
- Argument vectors only, no shell; the C locale; every command has a time limit, and after one that has not kept it
  nothing more is tried.
- An exit status is not believed alone (ifconfig ends with 0 where the kernel has refused the second half of what it
  was told): a batch ends with a look, and the answers say what is there.

How an address is known for ours: IPv4 by its label, `eth0:dvNUMBER`. IPv6 addresses have no labels, so a file of
theirs in the folder of marks stands for each (see `Marks`).

What ifconfig cannot see: an IPv4 address beside another on the same interface that bears no label of its own (from
`ip addr add`, or from the netlink backend). To put such a one on again fails, in words.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from duravip.errors import BackendError
from duravip.model import Address
from duravip.plugin.api import Answer, Placement, Plumbed, connected_interface
from duravip_plugins.ifconfig_text import MAX_LABEL, Listing, Row, free_label, read_listing

COMMAND_LIMIT_S = 3.0
TOO_LATE = "the order came too late to be carried out"
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_PROC = Path("/proc/sys/net")
_ADDRESSES = Path("/proc/thread-self/net/if_inet6")
_TENTATIVE = 0x40  # IFA_F_TENTATIVE, linux/if_addr.h
USABLE_LIMIT_S = 0.1


class HangsError(Exception):
    """A command did not end in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`path` of ifconfig."""

    path: str
    limit_s: float = COMMAND_LIMIT_S

    def run(self, *words: str) -> tuple[str, str]:
        """What it printed, and what it complained of ("" when its status is 0). Raises HangsError, OSError."""
        try:
            done = subprocess.run(  # noqa: S603
                [self.path, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.limit_s,
                env=_ENVIRONMENT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HangsError(f"`ifconfig {' '.join(words)}` has not ended within {self.limit_s:g} s") from None
        complaint = ""
        if done.returncode:
            said = done.stderr.decode(errors="replace").split("\n", 1)[0].strip()
            complaint = said or f"exit status {done.returncode}"
        return done.stdout.decode(errors="replace"), complaint

    def look(self) -> Listing:
        """Raises BackendError, HangsError, OSError."""
        text, complaint = self.run("-a")
        if complaint:
            raise BackendError(f"ifconfig does not list the addresses: {complaint}")
        return read_listing(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """One empty file for each IPv6 address of ours, named by network namespace, interface and address. It is made
    before the address and removed after it, so that no crash leaves an address without its mark; a mark without
    an address says nothing. The folder is one that is empty after a boot."""

    folder: Path
    namespace: int  # network namespaces share a file system, and their interfaces have the same names

    def all(self) -> frozenset[tuple[str, str]]:
        """Interface and address. Raises OSError."""
        words = (name.split(" ") for name in os.listdir(self.folder))
        return frozenset((word[1], word[2]) for word in words if len(word) == 3 and word[0] == str(self.namespace))

    def add(self, interface: str, address: Address) -> None:
        self._file(interface, address).touch()

    def remove(self, interface: str, address: Address) -> None:
        self._file(interface, address).unlink(missing_ok=True)

    def _file(self, interface: str, address: Address) -> Path:
        return self.folder / f"{self.namespace} {interface} {address}"


def plumbed(command: Command, marks: Marks) -> tuple[Plumbed, ...]:
    """Raises BackendError, HangsError, OSError."""
    return _plumbed(command.look(), marks.all())


def add(command: Command, marks: Marks, placements: Sequence[Placement]) -> tuple[Answer, ...]:
    """Raises BackendError, HangsError, OSError when nothing can be said about any of them."""
    before = command.look()
    marked = marks.all()
    everything = _plumbed(before, marked)
    labels = before.labels
    wanted: list[tuple[Placement, str]] = []  # with what speaks against it
    late: set[Address] = set()
    for asked in placements:
        if time.monotonic() >= asked.not_after:
            late.add(asked.address)
            wanted.append((asked, TOO_LATE))
            continue
        interface = asked.interface or connected_interface(asked.address, everything) or ""
        complaint = _objection(asked, interface, before)
        if not complaint:
            here = [row for row in before.rows if (row.address, row.interface) == (asked.address, interface)]
            if not any(row.prefix == asked.prefix and _is_ours(row, marked) for row in here):
                for row in here:
                    _take_off(command, row)
                label, complaint = _put_on(command, marks, asked, interface, labels)
                labels |= {label}
        wanted.append((replace(asked, interface=interface), complaint))
    now = {(row.address, row.interface, row.prefix) for row in plumbed(command, marks) if row.ours}
    return tuple(
        Answer(address=asked.address, error=complaint, late=True)
        if asked.address in late
        else _added(asked, complaint, now)
        for asked, complaint in wanted
    )


def remove(command: Command, marks: Marks, placements: Sequence[Placement]) -> tuple[Answer, ...]:
    """Raises BackendError, HangsError, OSError when nothing can be said about any of them."""
    addresses = {asked.address for asked in placements}
    found = [row for row in command.look().rows if row.address in addresses]
    complaints: dict[Address, str] = {}
    for row in found:
        if complaint := _take_off(command, row):
            complaints[row.address] = f"cannot remove {row.address} from {row.label}: {complaint}"
    left = {row.address: row.label for row in command.look().rows} if found else {}
    for interface, address in sorted(marks.all()):
        if address in addresses and address not in left:
            marks.remove(interface, Address(address))
    return tuple(
        Answer(
            address=asked.address,
            error=complaints.get(asked.address, f"{asked.address} is still on {left[asked.address]}")
            if asked.address in left
            else "",
            interface=next((row.interface for row in found if row.address == asked.address), ""),
        )
        for asked in placements
    )


def _added(asked: Placement, complaint: str, now: set[tuple[Address, str, int]]) -> Answer:
    address, interface = asked.address, asked.interface or ""
    there = (address, interface, asked.prefix) in now
    if not complaint:
        complaint = _about(asked, interface, "ifconfig ended well, but does not show it")
    return Answer(address=address, error="" if there else complaint, interface=interface)


def _objection(asked: Placement, interface: str, machine: Listing) -> str:
    """Why it must not even be tried, or ""."""
    address = asked.address
    if not interface:
        return f"no interface has a connected subnet that contains {address}: name one in a Topology that covers it"
    if interface not in machine.labels:
        return f"cannot add {address}: there is no interface {interface} on this machine"
    if ":" in address:
        return ""
    if any((row.address, row.label) == (address, interface) for row in machine.rows):
        return f"cannot add {address}: it is the own address of {interface}"
    if asked.prefix < 32 and not _keeps_siblings(interface):
        return (
            f"a prefix shorter than 32 needs net.ipv4.conf.{interface}.promote_secondaries = 1 (removing one address "
            f"would remove its neighbours): set it, or use cidrmask = 32, or the backend netlink"
        )
    return ""


def _put_on(
    command: Command, marks: Marks, asked: Placement, interface: str, labels: frozenset[str]
) -> tuple[str, str]:
    """The label taken ("" for IPv6), and the complaint, if any."""
    if ":" in asked.address:
        marks.add(interface, asked.address)
        with _without_detection(interface) as undetected:
            _, complaint = command.run(interface, "add", f"{asked.address}/{asked.prefix}")
            if undetected and not complaint:
                _await_usable(asked.address)
        return "", _about(asked, interface, complaint)
    label = free_label(interface, labels)
    if label is None:
        return "", (
            f"cannot add {asked.address} to {interface}: the name leaves no room for another label within "
            f"{MAX_LABEL} characters; use the backend netlink"
        )
    mask = str(ipaddress.IPv4Network((0, asked.prefix)).netmask)
    _, complaint = command.run(label, asked.address, "netmask", mask, "broadcast", "0.0.0.0")  # noqa: S104
    return label, _about(asked, interface, complaint)


def _take_off(command: Command, row: Row) -> str:
    """The complaint, or ""."""
    if ":" in row.address:
        return command.run(row.interface, "del", f"{row.address}/{row.prefix}")[1]
    if row.label == row.interface:
        return "it is the interface's own address, and all others would go with it"
    return command.run(row.label, "down")[1]


def _about(asked: Placement, interface: str, complaint: str) -> str:
    if not complaint:
        return ""
    hint = ""
    if ":" not in asked.address:
        hint = (
            f" (if it is there without a label, which `ip addr show dev {interface}` tells and ifconfig cannot, take "
            f"it off with `ip addr del`)"
        )
    return f"cannot add {asked.address} to {interface}: {complaint}{hint}"


def _is_ours(row: Row, marked: frozenset[tuple[str, str]]) -> bool:
    return (row.interface, row.address) in marked if ":" in row.address else row.has_our_label


def _plumbed(machine: Listing, marked: frozenset[tuple[str, str]]) -> tuple[Plumbed, ...]:
    return tuple(row.plumbed(ours=_is_ours(row, marked)) for row in machine.rows)


def _keeps_siblings(interface: str) -> bool:
    return any(_read(_PROC / "ipv4/conf" / name / "promote_secondaries") == "1" for name in ("all", interface))


@contextmanager
def _without_detection(interface: str) -> Iterator[bool]:
    """For this moment the kernel does not ask the network whether it may use a new IPv6 address: the cluster has
    settled that, and asking takes a second or two. ifconfig has no word for it. Where the setting cannot be
    written, the address comes so much later. Whether it is so."""
    setting = _PROC / "ipv6/conf" / interface / "accept_dad"
    before = _read(setting)
    changed = before not in ("", "0") and _write(setting, "0")
    try:
        yield changed
    finally:
        if changed:
            _write(setting, before)


def _await_usable(address: Address) -> None:
    """The kernel looks at the setting after it has acknowledged the address, in a worker of its own."""
    number = ipaddress.IPv6Address(address).packed.hex()
    until = time.monotonic() + USABLE_LIMIT_S
    while time.monotonic() < until:
        rows = [line.split() for line in _read(_ADDRESSES).splitlines()]
        if not any(row[0] == number and int(row[4], 16) & _TENTATIVE for row in rows):
            return
        time.sleep(USABLE_LIMIT_S / 100)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _write(path: Path, value: str) -> bool:
    try:
        path.write_text(value)
    except OSError:
        return False
    return True
