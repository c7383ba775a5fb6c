"""Everything a node's machine can ask for. Orders; carried out by a driver, in the order given.

`not_after` is the machine's own time: an order that is not with the kernel by then is not carried out any more,
because the process may have stood still, and others may have gone on without it. `lifetime_s`: after so long without
renewal the kernel is to drop the address; 0: never.

A driver hands over all effects of one input before it gives the machine its next input. Kernel orders for one
address are carried out in the order given; each is answered by exactly one input (`inputs.Address*`).

They are structs because a takeover makes them by the thousand, and a frozen dataclass takes three times as long to
make. Those need no garbage collection (gc=False): nothing that they hold leads back to them.
"""

from __future__ import annotations

import math
from typing import final

import msgspec

from duravip.cluster.deliberation import Question
from duravip.cluster.messages import AnyMessage, Round
from duravip.events import Event
from duravip.model import Address, NodeName, ViewId


@final
class Send(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Say these messages to all members, on every path; in one datagram if they fit. `to` is the only one that
    needs them, for transports that can choose; None: all."""

    messages: tuple[AnyMessage, ...]
    to: NodeName | None = None


class TakeAddress(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Put the address on the interface (None: the one whose connected subnet contains it) and announce it. It
    `must_expire` from the first moment on; else the backend may leave the lifetime to the first renewal."""

    address: Address
    interface: str | None
    prefix: int
    lifetime_s: float = 0.0
    not_after: float = math.inf
    must_expire: bool = False


class RenewAddresses(msgspec.Struct, frozen=True, kw_only=True):
    """Prolong the lifetimes of addresses that are held. Less urgent than anything else; those whose removal was ordered
    since are left out. Answered once, by `inputs.AddressesRenewed`."""

    addresses: tuple[Address, ...]
    lifetime_s: float
    not_after: float


class ReleaseAddress(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Take the address off, wherever it is. More urgent than any TakeAddress."""

    address: Address
    interface: str | None
    prefix: int


class AnnounceAddress(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A rival for an address held here has gone: announce again, on the full schedule."""

    address: Address


class ReadConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """All members are to switch together: read the configuration aside, and answer with `inputs.ConfigurationRead`."""

    round: Round


class SwitchEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The round is in force and the configuration read for it with it; or, because of `refusal`, never will be."""

    round: Round
    refusal: str


class Deliberate(msgspec.Struct, frozen=True, kw_only=True):
    """Work out `question.answer()` where nobody waits for it, a second perhaps, and say `inputs.Deliberated`. `view`
    and `number` name the state that it was asked in."""

    view: ViewId
    number: int
    question: Question


class KeepDrained(msgspec.Struct, frozen=True, kw_only=True):
    """An operator wants this node drained, or not any more: write it to the disk, then say `inputs.DrainChanged`."""

    drained: bool


class DefendAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else says that it has an address held here: one announcement, at once."""

    address: Address


class ProbeAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Ask on the segment who has the address; answers come as `inputs.AddressesClaimed`. `hardware_address`: only the
    one with that (six bytes); None: everybody."""

    address: Address
    hardware_address: bytes | None


class AskGateways(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the default gateways of every interface that a VIP of this node belongs on whether they are there; answers
    come as `inputs.GatewayAnswered`."""


class ArmAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel is to end this process at `at` (the machine's time), whatever it does then, unless told otherwise
    before; infinity: not at all. To be carried out before the next kernel order."""

    at: float


@final
class Publish(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    event: Event


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Everything is off and the group knows: the process may end."""


Effect = (
    Send
    | TakeAddress
    | RenewAddresses
    | ReleaseAddress
    | AnnounceAddress
    | DefendAddress
    | ProbeAddress
    | AskGateways
    | ReadConfiguration
    | SwitchEnded
    | Deliberate
    | KeepDrained
    | ArmAlarm
    | Publish
    | Left
)
