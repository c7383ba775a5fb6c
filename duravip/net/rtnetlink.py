"""rtnetlink in small: a request out, rows of attributes back. For what is asked rarely: neighbours, routes, links.

Rules of this file: plain sockets that wait; a call takes a millisecond or two, so callers use a thread, or are at
their start. A socket belongs to the network namespace of the thread that made it.

Source: netlink(7), rtnetlink(7). Numbers are in the machine's byte order.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
GETROUTE, NEWNEIGH, GETNEIGH = 26, 28, 30
CREATE, EXCLUSIVE = 0x400, 0x200

IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC = 1, 3, 5, 18, 20, 26

_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, kind
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_RECEIVE_BYTES = 1 << 16
_ANSWER_LIMIT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLink:
    """`below`: the number of the interface that it is on top of; 0 for none. `alias`: what somebody calls it."""

    index: int
    flags: int
    below: int
    alias: str


def open_socket() -> socket.socket:
    """Raises OSError."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_LIMIT_S, 0))
    return made


def attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """By kind, each once; stops at anything that is cut short."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            break
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4
    return found


def dump(link: socket.socket, kind: int, fixed: bytes) -> list[bytes]:
    """Every row of one table: what comes after the header. Raises OSError."""
    link.send(_message(kind, _DUMP, fixed))
    rows: list[bytes] = []
    while True:
        for answer, payload in _messages(link.recv(_RECEIVE_BYTES)):
            if answer == _DONE:
                return rows
            if answer == _ERROR:
                _refuse(payload)
                return rows
            rows.append(payload)


def ask(link: socket.socket, kind: int, body: bytes, *, flags: int = 0) -> None:
    """Has the kernel do something. Raises OSError with its errno when it does not."""
    link.send(_message(kind, _ACK | flags, body))
    while True:
        for answer, payload in _messages(link.recv(_RECEIVE_BYTES)):
            if answer == _ERROR:
                _refuse(payload)
                return


def link_body(*, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """The fixed part of requests about links (linux/if_link.h)."""
    return _LINK.pack(0, 0, index, flags, change)


def links(link: socket.socket) -> dict[int, dict[int, bytes]]:
    """Every interface: its number, and its attributes. Raises OSError."""
    rows = (row for row in dump(link, GETLINK, link_body()) if len(row) >= _LINK.size)
    return {_LINK.unpack_from(row)[2]: attributes(row[_LINK.size :]) for row in rows}


def find_link(link: socket.socket, name: str) -> FoundLink | None:
    """None: there is no interface of that name. Raises OSError."""
    link.send(_message(GETLINK, 0, link_body() + attribute(IFLA_IFNAME, os.fsencode(name) + b"\0")))
    for answer, payload in _messages(link.recv(_RECEIVE_BYTES)):
        if answer == NEWLINK and len(payload) >= _LINK.size:
            _, _, index, flags, _ = _LINK.unpack_from(payload)
            row = attributes(payload[_LINK.size :])
            below = int.from_bytes(row.get(IFLA_LINK, b""), sys.byteorder)
            return FoundLink(index=index, flags=flags, below=below, alias=text(row.get(IFLA_IFALIAS)))
    return None


def text(value: bytes | None) -> str:
    return os.fsdecode(value.rstrip(b"\0")) if value else ""


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | _REQUEST, 0, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += length + -length % 4


def _refuse(payload: bytes) -> None:
    number = -struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else errno.EPROTO
    if number:
        raise OSError(number, os.strerror(number))
