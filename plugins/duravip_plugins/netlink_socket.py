"""A plain rtnetlink socket that waits: for worker threads, and for start-up code that may take a millisecond.

The kernel works on a request inside `send`, so answers are there when it returns; 256 additions take tens of
milliseconds, and an unlucky one waits for whoever holds the kernel's lock.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from duravip.model import Address
from duravip_plugins import netlink_codec as codec

BATCH_MESSAGES = 256
"""How many requests go into one `send`: more wins nothing, and their answers must fit the receive buffer."""

_RECEIVE_BUFFER_BYTES = 4 << 20
_ANSWER_LIMIT_S = 1.0  # it is there when the request is sent: else it is lost (the kernel had no memory for it)
_DUMP_TRIES = 5
_DUMP_BYTES = 32768  # the kernel makes no larger pieces
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The kernel's answer to one request: an errno (0: done) and its own words, if any."""

    errno: int = 0
    text: str = ""

    def words(self) -> str:
        return self.text or os.strerror(self.errno)


DONE = Refusal()
LATE = Refusal(errno=errno.ETIME, text="the order came too late to be carried out")


def open_socket(groups: int = 0, *, answer_limit_s: float = _ANSWER_LIMIT_S) -> socket.socket:
    """`groups`: which notifications to be sent (RTMGRP_*), 0 for none. Raises OSError."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        made.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        made.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(answer_limit_s))
        _enlarge(made)
        made.bind((0, groups))
    except BaseException:
        made.close()
        raise
    return made


def _timeval(seconds: float) -> bytes:
    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))


def _enlarge(made: socket.socket) -> None:
    force = 33  # SO_RCVBUFFORCE, beyond the system's limit, needs CAP_NET_ADMIN
    with contextlib.suppress(PermissionError):
        made.setsockopt(socket.SOL_SOCKET, force, _RECEIVE_BUFFER_BYTES)


def exchange(link: socket.socket, requests: Sequence[bytes], *, not_after: float = math.inf) -> list[Refusal]:
    """One answer for each request, in order. Requests must be numbered 0, 1, 2, ... and ask for
    acknowledgement. Those whose turn comes `not_after` (of `time.monotonic`) or later are not sent: LATE.

    Raises OSError when an answer is lost; the socket must be closed then.
    """
    answers: list[Refusal] = []
    for start in range(0, len(requests), BATCH_MESSAGES):
        batch = requests[start : start + BATCH_MESSAGES]
        data = b"".join(batch)
        if time.monotonic() >= not_after:
            return answers + [LATE] * (len(requests) - len(answers))
        link.send(data)
        while len(answers) < start + len(batch):
            for message in codec.messages(link.recv(65536)):
                if message.kind == codec.NLMSG_ERROR and message.sequence == len(answers):
                    number, text = codec.parse_error(message)
                    answers.append(Refusal(errno=number, text=text) if number else DONE)
    return answers


def addresses(link: socket.socket, family: int = codec.AF_UNSPEC) -> tuple[list[codec.AddressRow], bool]:
    """Every address, and whether the list is certain: False when the table changed during each of several
    tries."""
    rows: list[codec.AddressRow] = []
    for _ in range(_DUMP_TRIES):
        rows, interrupted = [], False
        for message in _dump(link, codec.address_dump_request(family, sequence=0)):
            interrupted |= message.interrupted
            row = codec.parse_address(message.payload) if message.kind == codec.RTM_NEWADDR else None
            if row is not None:
                rows.append(row)
        if not interrupted:
            return rows, True
    return rows, False


def links(link: socket.socket) -> list[codec.LinkRow]:
    """Every interface, in the kernel's order."""
    found = (
        codec.parse_link(message.payload)
        for message in _dump(link, codec.link_dump_request(sequence=0))
        if message.kind == codec.RTM_NEWLINK
    )
    return [row for row in found if row is not None]


def index_of(link: socket.socket, name: str) -> int | None:
    """The number of one interface; None when there is none. Much cheaper than `links`."""
    link.send(codec.link_request(name, sequence=0))
    for message in codec.messages(link.recv(_DUMP_BYTES)):
        row = codec.parse_link(message.payload) if message.kind == codec.RTM_NEWLINK else None
        if row is not None:
            return row.index
    return None


def _dump(link: socket.socket, request: bytes) -> Iterator[codec.Message]:
    link.send(request)
    while True:
        for message in codec.messages(link.recv(_DUMP_BYTES)):
            if message.kind in (codec.NLMSG_DONE, codec.NLMSG_ERROR):
                number, text = codec.parse_error(message)
                if number:
                    raise OSError(number, text or os.strerror(number))
                if message.interrupted:
                    yield message
                return
            yield message


def may_change_addresses(link: socket.socket) -> bool:
    """Whether the kernel lets us: asks for the removal of an address from an interface that cannot exist."""
    nowhere = codec.delete_request(Address("0.0.0.0"), 0x7FFFFFFF, 32, sequence=0)  # noqa: S104
    return exchange(link, [nowhere])[0].errno not in (errno.EPERM, errno.EACCES)
