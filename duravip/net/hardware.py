"""The hardware addresses of this machine's interfaces.

Rules of this file: it is asked every second, so it is cheap, and none of it keeps Python's lock for long (which
`socket.if_nameindex` does): 1.5 ms for 500 interfaces, in a thread. What it has open belongs to the network namespace
of the thread that made it, whichever reads.

Source: netdevice(7), proc(5).
"""

from __future__ import annotations

import fcntl
import socket
import struct
from pathlib import Path

from duravip.net.macvlan import NAME_PREFIX

_ARPHRD_ETHER = 1
_SIOCGIFHWADDR = 0x8927
_INTERFACES = Path("/proc/thread-self/net/dev")
_TITLE_LINES = 2
_OF_VIPS = NAME_PREFIX.encode()


class HardwareAddresses:
    """A context manager. Raises OSError when made."""

    def __init__(self) -> None:
        self._names = _INTERFACES.open("rb", buffering=0)
        self._any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def __enter__(self) -> HardwareAddresses:
        return self

    def __exit__(self, *exception: object) -> None:
        self._any_socket.close()
        self._names.close()

    def read(self) -> dict[str, bytes]:
        """Of every Ethernet interface, by its name. Those of VIPs (`net.macvlan`) are not the machine's."""
        self._names.seek(0)
        found = {}
        for line in self._names.readall().splitlines()[_TITLE_LINES:]:
            name = line.partition(b":")[0].strip()
            if name.startswith(_OF_VIPS):
                continue
            try:
                answer = fcntl.ioctl(self._any_socket, _SIOCGIFHWADDR, struct.pack("16s24x", name))
            except OSError:
                continue  # it has just gone
            kind, hardware_address = struct.unpack_from("=16xH6s", answer)
            if kind == _ARPHRD_ETHER:
                found[name.decode(errors="surrogateescape")] = hardware_address
        return found
