"""What `ifconfig -a` prints, read. No process in here.

One paragraph for each interface and each label; it begins at the margin, what follows is indented. net-tools 2
writes `eth0:dv7: flags=...` and `inet 192.0.2.1  netmask 255.255.255.0`, net-tools 1.60 `eth0:dv7  Link encap:...`
and `inet addr:192.0.2.1  Mask:255.255.255.0`; both are read, and lines of other kinds are passed over.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from duravip.model import Address
from duravip.plugin.api import Plumbed

_TITLE = re.compile(r"^(\S+?):?\s")  # the label may itself contain a colon
_HARDWARE = re.compile(r"\b(?:ether|HWaddr)\s+((?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})\b")
_INET = re.compile(r"^\s+inet (?:addr:)?([0-9.]+)\b.*?\b(?:netmask |Mask:)([0-9.]+)")
_INET6 = re.compile(r"^\s+inet6 (?:addr: ?)?([0-9a-fA-F:.]+)(?:%\S+)?(?:/|\s+prefixlen )(\d+)\b")
_OUR_LABEL = re.compile(r"dv\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One address. `label` is the interface's name, or that name, a colon and a word: only IPv4 has such."""

    address: Address
    label: str
    prefix: int
    hardware_address: str

    @property
    def interface(self) -> str:
        return self.label.partition(":")[0]

    @property
    def has_our_label(self) -> bool:
        return _OUR_LABEL.fullmatch(self.label.partition(":")[2]) is not None

    def plumbed(self, *, ours: bool) -> Plumbed:
        return Plumbed(
            address=self.address,
            interface=self.interface,
            prefix=self.prefix,
            ours=ours,
            hardware_address=self.hardware_address,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """`labels`: of every interface and alias, also of those without an address. `rows`: in the order of the text."""

    labels: frozenset[str]
    rows: tuple[Row, ...]


def read_listing(text: str) -> Listing:
    """Never raises: a line that is not understood tells nothing."""
    labels: list[str] = []
    rows: list[Row] = []
    for paragraph in _paragraphs(text):
        title = _TITLE.match(paragraph[0] + " ")
        if title is None:
            continue
        labels.append(title[1])
        found = _HARDWARE.search("\n".join(paragraph))
        hardware_address = found[1].lower() if found else ""
        for line in paragraph:
            address = _address(line)
            if address is not None:
                rows.append(
                    Row(address=address[0], label=title[1], prefix=address[1], hardware_address=hardware_address)
                )
    return Listing(labels=frozenset(labels), rows=tuple(rows))


def free_label(interface: str, taken: frozenset[str]) -> str | None:
    """The first `INTERFACE:dvNUMBER` that nobody has; None when the kernel's 15 characters do not hold one."""
    for number in range(len(taken) + 1):
        label = f"{interface}:dv{number}"
        if len(label) > MAX_LABEL:
            return None
        if label not in taken:
            return label
    return None


MAX_LABEL = 15  # IFNAMSIZ less the final NUL


def _paragraphs(text: str) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for line in text.splitlines():
        if line[:1].strip() and paragraph:
            yield paragraph
            paragraph = []
        if line.strip():
            paragraph.append(line)
    if paragraph:
        yield paragraph


def _address(line: str) -> tuple[Address, int] | None:
    """Address, as our model spells it, and prefix."""
    try:
        if found := _INET.match(line):
            four = ipaddress.IPv4Interface(f"{found[1]}/{found[2]}")
            return Address(str(four.ip)), four.network.prefixlen
        if found := _INET6.match(line):
            six = ipaddress.IPv6Interface(f"{found[1]}/{found[2]}")
            return Address(str(six.ip)), six.network.prefixlen
    except ValueError:
        return None
    return None
