"""Everything that can happen to a node's machine. Past tense; made by a driver (`runtime.driver`, `sim`).

Rules of this file: nobody changes an input, nor pickles it (mypyc's frozen dataclasses cannot be unpickled). The
frequent one, PacketHeard, has a written constructor, since no other is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from duravip.cluster.messages import AnyMessage, Blocked, Round
from duravip.model import Address, Claim, Decision, Member, NodeName, Table, ViewId


@dataclass(frozen=True, kw_only=True)
class Ticked:
    """Time has passed: `next_deadline()` was reached, or the driver felt like it."""


@dataclass(frozen=True, kw_only=True)
class Slept:
    """The whole machine was suspended for `seconds`, which the monotonic clock does not show."""

    seconds: float


@dataclass(slots=True, init=False)
class PacketHeard:
    """A sealed datagram was opened and decoded: authentic, not a replay. `path` names the transport."""

    sender: Member
    messages: tuple[AnyMessage, ...]
    path: str

    def __init__(self, *, sender: Member, messages: tuple[AnyMessage, ...], path: str = "") -> None:
        self.sender = sender
        self.messages = messages
        self.path = path


@dataclass(frozen=True, kw_only=True)
class AddressAdded:
    """The kernel has acknowledged TakeAddress."""

    address: Address


@dataclass(frozen=True, kw_only=True)
class AddressAddFailed:
    address: Address
    error: str


@dataclass(frozen=True, kw_only=True)
class AddressLapsed:
    """TakeAddress came too late to be carried out: the kernel was not asked."""

    address: Address


@dataclass(frozen=True, kw_only=True)
class AddressRemoved:
    """The kernel has acknowledged ReleaseAddress, or says that the address is not there."""

    address: Address


@dataclass(frozen=True, kw_only=True)
class AddressRemoveFailed:
    """The address may still be there. The machine orders the removal again, later."""

    address: Address
    error: str


KernelAnswer = AddressAdded | AddressAddFailed | AddressLapsed | AddressRemoved | AddressRemoveFailed


@dataclass(frozen=True, kw_only=True)
class KernelAnswered:
    """What became of a batch of orders: dealt with together, so that many removals make one report."""

    answers: tuple[KernelAnswer, ...]


@dataclass(frozen=True, kw_only=True)
class AddressesRenewed:
    """What became of RenewAddresses, which kept the kernel busy for `took_s` seconds. `failed`: each address that the
    kernel would not renew, with its words. `lapsed`: the order came too late, and the kernel was not asked."""

    took_s: float = 0.0
    failed: tuple[tuple[Address, str], ...] = ()
    lapsed: bool = False


@dataclass(frozen=True, kw_only=True)
class AddressesLost:
    """Addresses that the kernel had acknowledged are not where they were put: somebody else took them off, or
    (`expired`) their lifetimes ended."""

    addresses: tuple[Address, ...]
    expired: frozenset[Address] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Spot:
    """An address on an interface."""

    address: Address
    interface: str
    prefix: int


@dataclass(frozen=True, kw_only=True)
class AddressesStray:
    """VIPs were found where this node did not put them."""

    spots: tuple[Spot, ...]


@dataclass(frozen=True, kw_only=True)
class InterfaceFell:
    """An interface has no carrier, is switched off, or is not there. `unplaced`: the VIPs that belong there though no
    Topology says so."""

    interface: str
    unplaced: tuple[Address, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InterfaceRose:
    """An interface that fell is there, switched on, and has a carrier."""

    interface: str


@dataclass(frozen=True, kw_only=True)
class GatewayAnswered:
    """A default gateway was heard on the interface. `unplaced`: the VIPs that belong there though no Topology says
    so."""

    interface: str
    unplaced: tuple[Address, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BlockedChanged:
    """What this host cannot own for reasons outside the group (no interface, a failed check) is now this."""

    blocked: Blocked


@dataclass(frozen=True, kw_only=True)
class AddressesClaimed:
    """Somebody, perhaps a member, perhaps this node, was heard to say on the network that it has these."""

    claims: tuple[Claim, ...]


@dataclass(frozen=True, kw_only=True)
class HardwareSeen:
    """The hardware addresses of this machine's interfaces are now these, six bytes each, the most important first."""

    hardware_addresses: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class DrainChanged:
    drained: bool


@dataclass(frozen=True, kw_only=True)
class DrainRequested:
    """An operator wants a member of the view drained, or not any more. Ask `Node.why_not_drain` first: what cannot be
    granted is forgotten without a word."""

    name: NodeName
    drained: bool
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class TableLoaded:
    """The configuration was read again; the machine brings the new table into force by agreement."""

    table: Table


@dataclass(frozen=True, kw_only=True)
class SwitchRequested:
    """An operator wants all members to read their configurations and to switch to them together."""


@dataclass(frozen=True, kw_only=True)
class ConfigurationRead:
    """The answer to `effects.ReadConfiguration`. `table` None: it cannot be used, because of `refusal`."""

    round: Round
    table: Table | None
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class Deliberated:
    """The answer to `effects.Deliberate`, whose `view` and `number` these are."""

    view: ViewId
    number: int
    answer: Mapping[Address, Decision]


@dataclass(frozen=True, kw_only=True)
class MoveRequested:
    """An operator wants the address on that node; None: wherever the election puts it. Ask `Node.why_not_move` first:
    what cannot be granted is forgotten without a word."""

    address: Address
    node: NodeName | None


@dataclass(frozen=True, kw_only=True)
class AnnounceRequested:
    """Addresses are to be announced again, as an operator wants or because an interface has got another hardware
    address: this node's own, or (`everywhere`) every owner's."""

    everywhere: bool


@dataclass(frozen=True, kw_only=True)
class LeaveRequested:
    """Hand everything over, then leave: answered by the effect `Left`, after `LEAVE_LIMIT_S` at the latest."""


Input = (
    Ticked
    | Slept
    | PacketHeard
    | KernelAnswer
    | KernelAnswered
    | AddressesRenewed
    | AddressesLost
    | AddressesStray
    | InterfaceFell
    | InterfaceRose
    | GatewayAnswered
    | BlockedChanged
    | AddressesClaimed
    | HardwareSeen
    | DrainChanged
    | DrainRequested
    | TableLoaded
    | SwitchRequested
    | ConfigurationRead
    | Deliberated
    | MoveRequested
    | AnnounceRequested
    | LeaveRequested
)
