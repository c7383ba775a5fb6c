"""The public face of duravip for plugin authors: the marker, the kinds, and what each must do.

A plugin is a module (or object) named by an entry point in the group `duravip`. It marks functions with
`hookimpl`; each returns values that follow a Protocol below. Hooks are called once, synchronously, at start; the
objects they return are called later, directly.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import pluggy

from duravip.config.document import Document
from duravip.config.options import Option
from duravip.events import Stamped
from duravip.model import Address, NodeName

hookimpl = pluggy.HookimplMarker("duravip")


@runtime_checkable
class ConfigParser(Protocol):
    """Turns text into the neutral document. Pure: reads no file, keeps no state.

    `name`: what `--format` and `convert --to` call it; `suffixes`: file endings with the dot, lower case.
    """

    name: str
    suffixes: tuple[str, ...]

    def sniff(self, text: str) -> float:
        """How likely (0.0 to 1.0) the text is in this language; asked when no suffix decides, and the surest parser
        reads it: of equals, the first by the plugin's name. Never raises."""
        ...

    def parse(self, text: str, *, file: str) -> Document:
        """`file` is for places in errors only. Problems are diagnostics in the document, never exceptions."""
        ...


@runtime_checkable
class ConfigWriter(ConfigParser, Protocol):
    """What a ConfigParser may be: `duravip convert` then writes its language too, and says what it leaves out."""

    def write(self, document: Document) -> str:
        """The text that `parse` makes the same tree of, but for the order of stanzas with different keywords, and for
        types that the language lacks. Keywords and options are in small letters; stanzas that count as one have been
        merged. Raises `UnsayableError` when the language has no way to write something of it."""
        ...

    def comments(self, text: str) -> Sequence[int]:
        """The offset of every comment in a text without errors. No tree has them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportContext:
    """What a transport may know. `node`: this node's name. `options`: the validated stanza, every declared option in
    it. `node_address`: the configured `nodeaddr` or None. `vips`: never bind to one, never send from one."""

    node: NodeName
    options: Mapping[str, Any]
    node_address: str | None = None
    vips: frozenset[Address] = frozenset()


class Transport(Protocol):
    """Best-effort datagrams to all other members. An async context manager; entering opens the sockets and raises
    `TransportError` with one clear sentence when it cannot. It may be a
    `PromptTransport` and a `ReadableTransport`, and should be a `FarewellTransport`, beside."""

    mtu_bytes: int

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def send(self, payload: bytes, to: NodeName | None = None) -> None:
        """Give `payload` (at most `mtu_bytes`) to the network; to all when `to` is None or cannot be told apart.
        Does not wait for anyone. A passing failure (no route, buffer full) is not an error: datagrams get lost."""
        ...

    async def receive(self) -> bytes:
        """The next datagram of anybody, never one of our own if that can be told."""
        ...

    def source_address(self) -> str:
        """The IP address, in text, that datagrams leave from; asked when the transport is open. A transport that
        has no addresses of its own gives `TransportContext.node_address`, and refuses to open without. If it is a
        VIP, the start is refused."""
        ...


@runtime_checkable
class PromptTransport(Protocol):
    """What a transport may offer beside: what is urgent then leaves before anything else is done."""

    def send_nowait(self, payload: bytes) -> None:
        """As `Transport.send` to all, within this call."""
        ...


@runtime_checkable
class ReadableTransport(Protocol):
    """What a transport on a socket may offer beside: the socket is then watched for it, without a task of its own, and
    `Transport.receive` is not called."""

    def fileno(self) -> int:
        """The socket's descriptor, the same for as long as the transport is open."""
        ...

    def receive_nowait(self) -> bytes | None:
        """As `Transport.receive`, within this call; None when there is nothing (more)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Farewell:
    """How a process that knows nothing of transports sends one last datagram: the descriptor of a datagram socket, the
    same for as long as the transport is open, and the addresses to send to, as the socket module writes them. It goes
    out bare, past whatever `Transport.send` puts around a payload."""

    descriptor: int
    destinations: tuple[tuple[str, int], ...]


@runtime_checkable
class FarewellTransport(Protocol):
    """What a transport should offer beside, for the guard to say over it that the node's daemon has died. Without, the
    others must wait for the time-out."""

    def farewell(self) -> Farewell:
        """To all other members, as far as they are known now; asked every few seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportKind:
    """What `duravip_transports` returns. `open`: called at a start, once for each stanza that bears the `name` (each
    is a path of its own), or once with the defaults if `transports` in the stanza `cluster` names it. It gives the
    transport, not entered yet.

    Of its options `check` understands three by their names: `interface`, where it sends; `listen`, an address of this
    node; `peers`, addresses of nodes."""

    name: str
    options: tuple[Option, ...]
    open: Callable[[TransportContext], Transport]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where an address is, or should be. `interface` None: choose the one whose connected subnet contains it, as
    `connected_interface` does. `prefix` in bits.

    `lifetime_s`: after so long without renewal the kernel is to drop the address; 0: never. `not_after`: the time of
    `time.monotonic` from which on the order must not be carried out any more, to be looked at right before the kernel
    is asked. `must_expire`: the lifetime must be there from the first moment on; else it may be left to `renew`."""

    address: Address
    interface: str | None
    prefix: int
    lifetime_s: float = 0.0
    not_after: float = math.inf
    must_expire: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plumbed:
    """An address found on an interface. `ours`: it bears the backend's mark, which every address gets that it adds, and
    which outlives the daemon: at each start what is `ours` is taken off. `hardware_address`: the interface's, `""` if
    unknown. `switched_off`: the interface is, as far as is known, whatever its carrier."""

    address: Address
    interface: str
    prefix: int
    ours: bool
    hardware_address: str = ""
    switched_off: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one address of a batch. `error` "" is success; else a sentence with the interface, or where there
    is none the address, in it. `interface` is where it is or was: announcements leave from there. `late`: it was not
    tried, because its `not_after` had passed (`error` says so too). `extra` is for logs and tests; nothing depends on
    it."""

    address: Address
    error: str = ""
    interface: str = ""
    late: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChanged:
    """An address came (`present`), was changed, or went, by whomever; the backend's own doing need not be told.
    `expired`: it went because its lifetime had ended, as far as the kernel says."""

    address: Address
    interface: str
    prefix: int
    present: bool
    ours: bool
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged:
    """An interface lost its carrier, was switched off or disappeared (`up` False), or the reverse."""

    interface: str
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksListed:
    """Of all interfaces of the machine these are up, and no others."""

    up: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesLost:
    """Too much happened at once and some changes were not told: ask `list` how things are."""


Change = AddressChanged | LinkChanged | LinksListed | ChangesLost


def connected_interface(address: Address, plumbed: Sequence[Plumbed]) -> str | None:
    """The interface with the smallest connected subnet that contains `address`, or None. Equal ones: the first name.

    Addresses that are ours, and single hosts (/32, /128), say nothing about what is connected.
    """
    ip = ipaddress.ip_address(address)
    found: list[tuple[int, str]] = []
    for row in plumbed:
        if not row.ours and row.prefix < ip.max_prefixlen and (":" in row.address) == (":" in address):
            network = ipaddress.ip_network(f"{row.address}/{row.prefix}", strict=False)
            if ip in network:
                found.append((-row.prefix, row.interface))
    return min(found)[1] if found else None


class Backend(Protocol):
    """Puts addresses on interfaces. An async context manager. None of its calls blocks the event loop; each answers
    per address, in the order asked, and returns when the kernel has acknowledged. It should be an `UndoingBackend`
    beside.

    `has_lifetimes`: the kernel drops addresses that are not renewed in time. A backend that cannot have that done says
    so at its start, and its `renew` is never called."""

    has_lifetimes: bool

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def list(self) -> Sequence[Plumbed]:
        """Every address on every interface, also those that are not ours."""
        ...

    async def add(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        """Adding an address that is already there as asked is success. IPv6 addresses may be put on without their
        lifetime, if that is cheaper: a renewal follows."""
        ...

    async def renew(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        """Begins the lifetimes anew (0: ends them); interfaces are named. An address that has gone meanwhile may be put
        back, or be an error. `not_after` is looked at right before the kernel is asked."""
        ...

    async def remove(self, placements: Sequence[Placement]) -> Sequence[Answer]:
        """Takes the address off whichever interface has it. Removing one that is not there is success."""
        ...

    def watch(self) -> AsyncIterator[Change]:
        """Changes on the machine as they happen, from this call on; an empty iterator if the backend cannot tell.
        One that tells of interfaces should begin with LinksListed, and say it again whenever it says ChangesLost;
        without it, an interface of which nothing was said counts as up. When it raises it is over, and is called again
        after a pause; when it ends it is not."""
        ...


@runtime_checkable
class UndoingBackend(Protocol):
    """What a backend should offer beside, for the guard to take addresses off when the daemon has died. Without, there
    is no guard, and they stay on until the daemon is started again."""

    async def undo(self, placements: Sequence[Placement]) -> Sequence[bytes]:
        """For each, in order, what takes it off: one rtnetlink request that asks for acknowledgement, its sequence
        number left 0. Empty where it cannot be said. Asked before each `add` and `renew` of the same placements."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendKind:
    """What `duravip_backends` returns. `open`: called at a start, for the one backend that `backend` in the stanza
    `cluster` names, with the options of its stanza, every one of them there. It gives the backend, not entered yet."""

    name: str
    options: tuple[Option, ...]
    open: Callable[[Mapping[str, Any]], Backend]


class Notifier(Protocol):
    """Tells somebody. Each has one task and one bounded queue of the runtime's: events come one after the other, in
    their order, and what a slow one loses is counted. The options that it declares should include `events` (a list of
    texts, `("*",)` by default): the runtime applies the globs.

    It may be an async context manager: it is entered before the first event, and after each failure left and entered
    again. It may have an attribute `limit_s`: how long one `notify` may take, in place of 30 s."""

    async def notify(self, stamped: Stamped) -> None:
        """Returns when it is told, or handed to somebody who will. Raising, and taking too long, are failures: an event
        `plugin.failed`, this event given up, a pause that doubles. Never blocks the event loop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierKind:
    """What `duravip_notifiers` returns. `open`: called at a start, once for each stanza that bears the `name` (a
    notifier without a stanza is not used), with the stanza's own name ("" if it has none) and its options. It gives the
    notifier, not entered yet."""

    name: str
    options: tuple[Option, ...]
    open: Callable[[str, Mapping[str, Any]], Notifier]
