"""What changes on the machine's interfaces, as the kernel tells it through rtnetlink's multicast groups."""

from __future__ import annotations

import errno
from collections import deque
from typing import Self

import trio

from duravip.plugin.api import AddressChanged, Change, ChangesLost, LinkChanged
from duravip_plugins import netlink_codec as codec
from duravip_plugins import netlink_socket as rtnetlink

_GROUPS = codec.RTMGRP_LINK | codec.RTMGRP_IPV4_IFADDR | codec.RTMGRP_IPV6_IFADDR


class NetlinkWatch:
    """An async iterator of changes from its making on; ends after `aclose`. One task at a time may
    iterate."""

    def __init__(self) -> None:
        made = rtnetlink.open_socket(_GROUPS)
        made.setblocking(False)
        self._socket = trio.socket.from_stdlib_socket(made)
        self._waiting: deque[Change] = deque()
        self._names: dict[int, str] = {}
        self._up: dict[int, bool] = {}
        with rtnetlink.open_socket() as link:
            for row in rtnetlink.links(link):
                self._names[row.index], self._up[row.index] = row.name, row.up

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._waiting:
            try:
                data = await self._socket.recv(1 << 16)
            except trio.ClosedResourceError:
                raise StopAsyncIteration from None
            except OSError as error:
                if error.errno == errno.EBADF:
                    raise StopAsyncIteration from None
                if error.errno != errno.ENOBUFS:
                    raise
                self._waiting.append(ChangesLost())
            else:
                self._take(data)
        return self._waiting.popleft()

    async def aclose(self) -> None:
        self._socket.close()

    def _take(self, data: bytes) -> None:
        for message in codec.messages(data):
            if message.kind in (codec.RTM_NEWADDR, codec.RTM_DELADDR):
                self._take_address(message)
            elif message.kind in (codec.RTM_NEWLINK, codec.RTM_DELLINK):
                self._take_link(message)

    def _take_address(self, message: codec.Message) -> None:
        row = codec.parse_address(message.payload)
        if row is not None and row.index in self._names:
            self._waiting.append(
                AddressChanged(
                    address=row.address,
                    interface=self._names[row.index],
                    prefix=row.prefix,
                    present=message.kind == codec.RTM_NEWADDR,
                    ours=row.ours,
                )
            )

    def _take_link(self, message: codec.Message) -> None:
        row = codec.parse_link(message.payload)
        if row is None:
            return
        gone = message.kind == codec.RTM_DELLINK
        up = row.up and not gone
        self._names[row.index] = row.name
        if self._up.get(row.index, False) != up:
            self._waiting.append(LinkChanged(interface=row.name, up=up))
        self._up[row.index] = up
        if gone:
            del self._names[row.index], self._up[row.index]
