"""What changes on the machine's interfaces, as the kernel tells it through rtnetlink's multicast groups.

The kernel tells of our own requests too. Where it names the socket that asked (for IPv4 it does), they are passed over
unread: a renewal of thousands of addresses would otherwise keep the event loop busy. A flood of notices is read with
pauses; what then does not fit into the socket's buffer is a ChangesLost.

Rules of this file
- The interfaces are listed in a thread, after a socket was opened that hears of what changes meanwhile, and before
  anything is read from it.
- A socket that has overflowed is replaced: what waits in it is older than the list, and what contradicts it is lost.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Set
from typing import Self

import trio

from duravip.plugin.api import AddressChanged, Change, ChangesLost, LinkChanged, LinksListed
from duravip.stint import Stint
from duravip_plugins import netlink_codec as codec
from duravip_plugins import netlink_socket as rtnetlink

_GROUPS = codec.RTMGRP_LINK | codec.RTMGRP_IPV4_IFADDR | codec.RTMGRP_IPV6_IFADDR
_READ_AT_ONCE = 64  # notices that come one after the other, before a pause
_PAUSE_S = 0.005  # so a flood costs at most a third of a core


def _open_socket() -> socket.socket:
    made = rtnetlink.open_socket(_GROUPS)
    made.setblocking(False)
    return made


class NetlinkWatch:
    """An async iterator of changes from its making on; ends after `aclose`. One task at a time may iterate. `own`: the
    ports of the sockets whose requests are not to be told. Raises OSError when the kernel cannot be asked; whatever it
    raises, it has ended then."""

    def __init__(self, own: Set[int] = frozenset()) -> None:
        self._own = own
        self._socket = _open_socket()
        self._waiting: deque[Change] = deque()
        self._names: dict[int, str] = {}
        self._up: dict[int, bool] = {}
        self._is_listed = False
        self._has_lost = False
        self._in_a_row = 0  # notices, since nothing more was there or there was a pause

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        try:
            return await self._next()
        except Exception:
            await self.aclose()
            raise

    async def _next(self) -> Change:
        while not self._waiting:
            if self.is_closed:
                raise StopAsyncIteration
            if not self._is_listed:
                await self._list_links()
                continue
            try:
                await trio.lowlevel.wait_readable(self._socket)
            except trio.ClosedResourceError:
                continue
            self._read()
            if self._in_a_row >= _READ_AT_ONCE:
                self._in_a_row = 0
                await trio.sleep(_PAUSE_S)
        return self._waiting.popleft()

    @property
    def is_closed(self) -> bool:
        return self._socket.fileno() < 0

    async def aclose(self) -> None:
        if not self.is_closed:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _read(self) -> None:
        """Reads what has come, until others should have their turn."""
        stint = Stint()
        while self._in_a_row < _READ_AT_ONCE:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                self._in_a_row = 0
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._replace_socket()
                self._in_a_row = _READ_AT_ONCE
                return
            self._take(data)
            self._in_a_row += 1
            if stint.is_over():
                return

    def _replace_socket(self) -> None:
        self._is_listed, self._has_lost = False, True
        self._socket.close()
        self._socket = _open_socket()

    async def _list_links(self) -> None:
        with rtnetlink.open_socket() as link:  # here, not in the thread: it belongs to this one's network namespace
            rows = await trio.to_thread.run_sync(rtnetlink.links, link)
        self._names = {row.index: row.name for row in rows}
        self._up = {row.index: row.up for row in rows}
        self._waiting.append(LinksListed(up=frozenset(row.name for row in rows if row.up)))
        if self._has_lost:
            self._waiting.append(ChangesLost())
        self._is_listed, self._has_lost = True, False

    def _take(self, data: bytes) -> None:
        for message in codec.messages(data):
            if message.port in self._own:
                continue
            if message.kind in (codec.RTM_NEWADDR, codec.RTM_DELADDR):
                self._take_address(message)
            elif message.kind in (codec.RTM_NEWLINK, codec.RTM_DELLINK):
                self._take_link(message)

    def _take_address(self, message: codec.Message) -> None:
        row = codec.parse_address(message.payload)
        if row is not None and row.index in self._names:
            present = message.kind == codec.RTM_NEWADDR
            self._waiting.append(
                AddressChanged(
                    address=row.address,
                    interface=self._names[row.index],
                    prefix=row.prefix,
                    present=present,
                    ours=row.ours,
                    expired=row.expired and not present,
                )
            )

    def _take_link(self, message: codec.Message) -> None:
        row = codec.parse_link(message.payload)
        if row is None:
            return
        before = self._names.get(row.index, row.name)
        if before != row.name and self._up.pop(row.index, False):
            self._waiting.append(LinkChanged(interface=before, up=False))
        gone = message.kind == codec.RTM_DELLINK
        up = row.up and not gone
        if self._up.get(row.index, False) != up:
            self._waiting.append(LinkChanged(interface=row.name, up=up))
        self._names[row.index], self._up[row.index] = row.name, up
        if gone:
            del self._names[row.index], self._up[row.index]
