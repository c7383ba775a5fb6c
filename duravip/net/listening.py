"""Listens on interfaces for whoever says that it has one of given addresses, and asks.

Rules of this file: nothing here waits, and a read takes a bounded number of frames. What the kernel's small buffers
cannot keep is lost: whoever claims an address claims it again. Only Ethernet is understood.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from pathlib import Path

import trio

from duravip.model import Address, Claim
from duravip.net.claim_filter import ClaimFilter
from duravip.net.claims import FRAME_BYTES, parse
from duravip.net.questions import arp_probe, neighbour_solicitation
from duravip.stint import Stint
from duravip.threads import close_aside

FRAMES_AT_ONCE = 16  # fewer while a busy thread takes the interpreter
BUFFER_BYTES = 65_536  # some 80 small frames

_ETHERTYPE_ARP, _ETHERTYPE_IPV6 = 0x0806, 0x86DD
_ARPHRD_ETHER = 1
_SO_ATTACH_FILTER = 26
_UNUSABLE = 0x48  # IFA_F_TENTATIVE, IFA_F_DADFAILED
_SCOPE_LINK = 0x20
_INTERFACE_ADDRESSES = Path("/proc/thread-self/net/if_inet6")


class ClaimSocket:
    """One socket: the addresses of one family on one interface. Raises OSError when it cannot be opened, and from every
    call when the interface has gone, is down, or has no Ethernet (`is_ethernet` tells)."""

    def __init__(self, interface: str, wanted: ClaimFilter) -> None:
        self.interface = interface
        self.addresses = wanted.addresses
        self._made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        try:
            self._made.setblocking(False)
            self._made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            _attach(self._made, wanted.program)
            # Bound last: nothing unfiltered comes in. To one protocol: what this machine sends does not come in either.
            self._made.bind((interface, _ETHERTYPE_IPV6 if wanted.is_v6 else _ETHERTYPE_ARP))
        except BaseException:
            close_aside(self._made)
            raise

    def fileno(self) -> int:
        return self._made.fileno()

    def close(self) -> None:
        """Whoever waits for it hears of that."""
        trio.lowlevel.notify_closing(self)
        close_aside(self._made)

    @property
    def is_ethernet(self) -> bool:
        return bool(self._made.getsockname()[3] == _ARPHRD_ETHER)

    def claims(self) -> tuple[list[Claim], bool]:
        """What has come in since, up to FRAMES_AT_ONCE; and whether there may be more."""
        found: list[Claim] = []
        stint = Stint()
        for _ in range(FRAMES_AT_ONCE):
            try:
                claim = parse(self._made.recv(FRAME_BYTES))
            except BlockingIOError:
                return found, False
            if claim is not None and claim.address in self.addresses:
                found.append(claim)
            if stint.is_over():
                break
        return found, True

    def ask(self, address: Address, to: bytes | None) -> bool:
        """Who has it? `to`: asks only the one with this hardware address. False: could not be asked (a full queue; for
        IPv6, no link-local address to ask from)."""
        mine = self._made.getsockname()[4]
        if ":" not in address:
            frame = arp_probe(address, mine, to=to)
        else:
            source = link_local_address(self.interface)
            if source is None:
                return False
            frame = neighbour_solicitation(address, mine, source, to=to)
        try:
            self._made.send(frame)
        except BlockingIOError:
            return False
        return True


def link_local_address(interface: str) -> Address | None:
    """The one that this machine speaks from on the interface; None: it has none there (yet)."""
    try:
        lines = _INTERFACE_ADDRESSES.read_text().splitlines()
    except OSError:
        return None  # IPv6 is switched off
    for line in lines:
        digits, _, _, scope, flags, name = line.split()
        if name == interface and int(scope, 16) == _SCOPE_LINK and not int(flags, 16) & _UNUSABLE:
            return Address(str(ipaddress.IPv6Address(int(digits, 16))))
    return None


def _attach(link: socket.socket, program: bytes) -> None:
    kept = ctypes.create_string_buffer(program)
    descriptor = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    link.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
