"""What happened, for people and their alerting: every event is a frozen class with a dotted id.

An event is a past-tense fact. The bus stamps it (`Stamped`) with the node, its incarnation, a sequence number that
grows by one per event and node, wall-clock time and the view; the class carries the rest. Fields with units say so.
"""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

import msgspec

from duravip.model import Address, Evidence, NodeName


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Base of all events. `id` is a promise to users: alerting hangs on it."""

    id: ClassVar[str] = ""

    def fields(self) -> dict[str, Any]:
        """The event's own fields as JSON-ready values."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


# --- membership ---------------------------------------------------------------------------------------------------


class NodeJoined(Event, frozen=True, kw_only=True):
    """A node is in the newly installed view and was not in the one before."""

    id = "membership.node_joined"
    name: NodeName
    node_incarnation: str


class NodeLeft(Event, frozen=True, kw_only=True):
    """A node was in the view before and is not in the newly installed one. `cause`: left, failed, restarted."""

    id = "membership.node_left"
    name: NodeName
    cause: str


class NodeSuspected(Event, frozen=True, kw_only=True):
    """This node stopped counting another as alive. `silent_s`: seconds since it was last heard."""

    id = "membership.node_suspected"
    name: NodeName
    silent_s: float
    cause: str


class ViewInstalled(Event, frozen=True, kw_only=True):
    """This node has installed a view."""

    id = "membership.view_installed"
    members: tuple[NodeName, ...]
    coordinator: NodeName


class NodeMatured(Event, frozen=True, kw_only=True):
    """A member may own addresses from now on."""

    id = "membership.node_matured"
    name: NodeName


class ViewMatured(Event, frozen=True, kw_only=True):
    """The view and its tables have not changed for `view_mature_time`."""

    id = "membership.view_matured"


class MajorityGained(Event, frozen=True, kw_only=True):
    """Under `strict` ownership: the view that this node has installed may decide who holds what."""

    id = "membership.majority_gained"
    members: tuple[NodeName, ...]


class MajorityLost(Event, frozen=True, kw_only=True):
    """Under `strict` ownership: the nodes of this view are no majority of the members, and hold nothing."""

    id = "membership.majority_lost"
    members: tuple[NodeName, ...]


class Stalled(Event, frozen=True, kw_only=True):
    """This daemon did not run for `gap_s` seconds: it gave up every address and asks for a new view."""

    id = "membership.stalled"
    gap_s: float


class PathLost(Event, frozen=True, kw_only=True):
    """A node is heard, but for the failure timeout not on this path (transport). Nothing moves; one path fewer is
    left."""

    id = "membership.path_lost"
    name: NodeName
    path: str


class PathRestored(Event, frozen=True, kw_only=True):
    """A node is heard again on a path that was lost, and has been for the failure timeout."""

    id = "membership.path_restored"
    name: NodeName
    path: str


class Expelled(Event, frozen=True, kw_only=True):
    """The others went on without this node: it gave up every address and joins anew."""

    id = "membership.expelled"
    by: NodeName


class NameTaken(Event, frozen=True, kw_only=True):
    """Another daemon uses this node's name, with a greater incarnation: this node holds nothing while it hears it."""

    id = "membership.name_taken"
    name: NodeName
    other: str


# --- election -----------------------------------------------------------------------------------------------------


class OwnerElected(Event, frozen=True, kw_only=True):
    """The agreed owner of a VIP changed; `owner` None: nobody may have it. `reason` in words."""

    id = "election.owner_elected"
    address: Address
    owner: NodeName | None
    previous: NodeName | None
    reason: str


class AddressAcquired(Event, frozen=True, kw_only=True):
    """This node has put the address on its interface and announced it."""

    id = "election.address_acquired"
    address: Address
    interface: str | None


class AddressReleased(Event, frozen=True, kw_only=True):
    """This node has taken off the address that it had acquired: the kernel has acknowledged it."""

    id = "election.address_released"
    address: Address
    interface: str | None


class AddressMoved(Event, frozen=True, kw_only=True):
    """The agreed owner changed from one node to another (the coordinator says so, once)."""

    id = "election.address_moved"
    address: Address
    source: NodeName
    target: NodeName
    reason: str


class Awaited(Event, frozen=True, kw_only=True):
    """Under `strict` ownership: this node takes over `addresses` VIPs, and waits until the nodes `names`, which have
    gone without a word, must have lost them: `wait_s` seconds more."""

    id = "election.awaited"
    names: tuple[NodeName, ...]
    addresses: int
    wait_s: float


class Balanced(Event, frozen=True, kw_only=True):
    """A balancing round moved `moves` VIPs."""

    id = "election.balanced"
    moves: int


class Disagreement(Event, frozen=True, kw_only=True):
    """This node's own election, or its agreed state, differs from the coordinator's. It obeys the coordinator."""

    id = "election.disagreement"
    address: Address | None
    text: str


class AddressFailed(Event, frozen=True, kw_only=True):
    """The kernel refused to add or remove the address here; the VIP is not eligible on this node for a while."""

    id = "election.address_failed"
    address: Address
    error: str


# --- conflict -----------------------------------------------------------------------------------------------------


class _Conflict(Event, frozen=True, kw_only=True):
    """`change` is raised, changed or cleared."""

    change: str
    address: Address
    evidence: tuple[Evidence, ...] = ()


class PreferenceConflict(_Conflict, frozen=True, kw_only=True):
    """CONFLICT: two different online members are each named as preferred owner."""

    id = "conflict.preference"


class UnsafeServices(_Conflict, frozen=True, kw_only=True):
    """UNSAFE: members run different services on the address, or disagree whom it follows."""

    id = "conflict.unsafe"


class BrokenBinding(_Conflict, frozen=True, kw_only=True):
    """BROKEN: Binding names do not match the address across the cluster; nobody owns it."""

    id = "conflict.broken"


class DuplicateAddress(_Conflict, frozen=True, kw_only=True):
    """Somebody else says on the network that it has an address that this node holds, or was about to take. `claimant`:
    the node of this group that tells the hardware address as its own, though this node does not hear it; None: a
    stranger. Several at once are in the evidence."""

    id = "conflict.duplicate"
    hardware_address: str = ""
    claimant: NodeName | None = None


# --- interface, configuration, plugins ----------------------------------------------------------------------------


class LinkDown(Event, frozen=True, kw_only=True):
    """An interface of VIPs lost its carrier, was switched off, renamed or removed: its VIPs go elsewhere."""

    id = "interface.link_down"
    interface: str


class LinkUp(Event, frozen=True, kw_only=True):
    """An interface that was down has been up for long enough to be trusted: VIPs may come back to it."""

    id = "interface.link_up"
    interface: str


class LifetimeStretched(Event, frozen=True, kw_only=True):
    """Renewing the lifetimes of this node's addresses takes so long that they are longer than configured, or shorter
    again. Should the node freeze, it keeps them for `lifetime_s`. `pass_s`: what renewing all of them took last."""

    id = "interface.lifetime_stretched"
    lifetime_s: float
    configured_s: float
    pass_s: float
    addresses: int


class AddressLost(Event, frozen=True, kw_only=True):
    """One of this node's VIPs is not on its interface any more: somebody else took it off, or switched off an interface
    that was the VIP's own, or (`expired`) its lifetime in the kernel ended."""

    id = "interface.address_lost"
    address: Address
    interface: str | None
    expired: bool = False


class AddressStray(Event, frozen=True, kw_only=True):
    """Somebody else put a VIP of this node's table on an interface here, where this node does not have it: it is taken
    off."""

    id = "interface.address_stray"
    address: Address
    interface: str


class ConfigReloaded(Event, frozen=True, kw_only=True):
    """This node goes by its file as it has just been read. `digest`: of its table."""

    id = "config.reloaded"
    digest: str


class ConfigRejected(Event, frozen=True, kw_only=True):
    """A reload was refused; the running configuration stays in force."""

    id = "config.rejected"
    text: str


class ConfigDisagreement(Event, frozen=True, kw_only=True):
    """A setting that must agree differs between this node and the coordinator, whose value is in force."""

    id = "config.disagreement"
    name: NodeName
    setting: str
    value: str
    in_force: str


class GuardReplaced(Event, frozen=True, kw_only=True):
    """The guard process, which takes the addresses off if the daemon dies, has ended, and another was started."""

    id = "guard.replaced"
    cause: str


class PluginFailed(Event, frozen=True, kw_only=True):
    """A plugin did not do what it should: what, in `text`. It is tried again."""

    id = "plugin.failed"
    plugin: str
    text: str


def event_classes() -> tuple[type[Event], ...]:
    """Every concrete event class, sorted by id."""

    def walk(cls: type[Event]) -> list[type[Event]]:
        found = [cls] if cls.id else []
        for sub in cls.__subclasses__():
            found += walk(sub)
        return found

    return tuple(sorted(set(walk(Event)), key=lambda cls: cls.id))


class Stamped(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the bus carries it. `seq` grows by one for each event of this node's incarnation."""

    event: Event
    node: NodeName
    incarnation: str
    seq: int
    time: datetime.datetime
    view: str

    def to_json_object(self) -> dict[str, Any]:
        """`id`, `incarnation`, `seq`, `time` (RFC 3339), `node`, `view`, then the event's fields, as plain values that
        `json` can write."""
        return {
            "id": self.event.id,
            "incarnation": self.incarnation,
            "seq": self.seq,
            "time": self.time.isoformat(timespec="milliseconds"),
            "node": self.node,
            "view": self.view,
            **self.event.fields(),
        }
