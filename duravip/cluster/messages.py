"""What members say to each other. `wire.codec` turns these into bytes and back; nothing here knows bytes.

Every message travels to all members; one that has a `to` field is acted upon by its addressee, though others may
learn from it (a Report is how RELEASED reaches everybody at once). The sender's name and incarnation are
not in the message: the sealed envelope names them (`inputs.PacketHeard`).

Limits stand here because a member that holds the key may still lie: a decoder enforces them before anyone looks.
"""

from __future__ import annotations

from typing import Annotated, final

import msgspec
from msgspec import Meta

from duravip.cluster.addresses import AddressSet
from duravip.model import Address, Count, Decision, Member, Name, Nonce, TableDigest, ViewId, Weight

MAX_MEMBERS = 256
MAX_PINS = 12_000  # of all members together; with names of 255 letters they fit into one body
MAX_HARDWARE = 32  # hardware addresses of one node
MAX_TABLE_CHUNKS = 65_536
CHUNK_BYTES = 1_100
MAX_TABLES = 2 * MAX_MEMBERS  # that a member says to have
MAX_MISSING = 2 * MAX_MEMBERS
MAX_ROUNDS = 8  # that a member remembers to have come into force
MAX_ROLLS = 16  # one, or two while the members are being changed; more if configurations differ
MAX_REFUSAL = 600  # letters: a sentence with a file name in it
MAX_REASON = MAX_REFUSAL + 100  # with whose it is
MAX_NEIGHBOURS = 40  # in one message; one datagram has room for them

Digest = Annotated[TableDigest, Meta(min_length=32, max_length=32)]


AddressText = Annotated[Address, Meta(min_length=2, max_length=45)]
HardwareAddress = Annotated[bytes, Meta(min_length=6, max_length=6)]


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag=True, array_like=True):
    """Base of all messages. Nothing that one holds leads back to it: no need for garbage collection (gc=False). Newer
    software may say more fields behind these: they are read over."""


class Heard(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a heartbeat says of one peer: the newest beat heard of it, whether the link works both ways, and whether
    the peer is in the sender's view. `beat` 0: nothing heard."""

    name: Name
    counter: Count
    nonce: Nonce
    beat: Count
    alive: bool
    in_view: bool


@final
class Heartbeat(Message, frozen=True, kw_only=True):
    """`promised` is the highest epoch the sender has promised or seen installed; `number` the last message it has
    delivered in `view`; `state` digests (view, number, assignment); `table` is its own. `beat` grows by one with
    every heartbeat of the sender's incarnation: peers echo it, which dates what they say. `complete`: the sender has
    the content of every table that the heartbeats it hears name. `version` is its software's. `hardware` are the
    hardware addresses of its interfaces: who speaks from one of them is no stranger."""

    beat: Count
    view: ViewId | None
    promised: Count
    number: Count
    state: Annotated[bytes, Meta(max_length=16)]
    table: Digest
    complete: bool
    version: Annotated[str, Meta(max_length=40)]
    heard: Annotated[tuple[Heard, ...], Meta(max_length=2 * MAX_MEMBERS)]
    hardware: Annotated[tuple[HardwareAddress, ...], Meta(max_length=MAX_HARDWARE)] = ()


class Probe(Message, frozen=True, kw_only=True):
    """Asks `to` for a heartbeat now: it has been silent for longer than it should."""

    to: Name


class Leave(Message, frozen=True, kw_only=True):
    """The sender's incarnation holds nothing any more and says no more."""


class Blocked(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a member may not own, and why: `everything` (a reason, "" for no), and single addresses. `claimed`: what it
    leaves to a stranger on the network, and nobody may own."""

    everything: Annotated[str, Meta(max_length=200)] = ""
    addresses: AddressSet = AddressSet()
    claimed: AddressSet = AddressSet()


class Round(msgspec.Struct, frozen=True, array_like=True):
    """One switch of all members to new tables, asked for through `by`, its wish `sequence`; named by the number that
    asked for it, in the view of that number. Nobody but that view's coordinator can bring it into force or end it."""

    view: ViewId
    number: Count
    by: Name
    sequence: Count


class Prepared(msgspec.Struct, frozen=True, array_like=True):
    """What a member has read aside for a round. `table` None: it cannot, because of `refusal`."""

    round: Round
    table: Digest | None
    refusal: Annotated[str, Meta(max_length=MAX_REFUSAL)] = ""


class MemberStatus(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a member declares about itself; agreed by being numbered. `has` names the tables whose content it has
    (sorted); `table` is the one it wants in force for itself. `gone`: who was in a view of a majority with it, and has
    left for good in its last life there."""

    table: Digest
    has: Annotated[tuple[Digest, ...], Meta(max_length=MAX_TABLES)] = ()
    drained: bool = False
    leaving: bool = False
    blocked: Blocked = Blocked()
    weight: Weight = 1.0
    prepared: Prepared | None = None
    gone: Annotated[tuple[Name, ...], Meta(max_length=MAX_MEMBERS)] = ()


class Roll(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Whose majority decides under `strict` ownership, by one configuration. `members` is sorted; `tie_breaker` "":
    none; `lifetime_s` is that of addresses."""

    members: Annotated[tuple[Name, ...], Meta(max_length=MAX_MEMBERS)]
    tie_breaker: Annotated[str, Meta(max_length=255)] = ""
    lifetime_s: Annotated[int, Meta(ge=1, le=86_400)] = 10


class Charter(msgspec.Struct, frozen=True, array_like=True):
    """The rolls that count, all of them (sorted); none: ownership is `available`. Of two charters that with the higher
    generation counts; 0 is a configuration's, which no majority has confirmed."""

    generation: Count = 0
    rolls: Annotated[tuple[Roll, ...], Meta(max_length=MAX_ROLLS)] = ()


class Missing(msgspec.Struct, frozen=True, array_like=True):
    """A node, and for how many seconds it has been in no view of a majority that the sender knows of."""

    name: Name
    for_s: Annotated[float, Meta(ge=0)]


class Pin(msgspec.Struct, frozen=True, array_like=True):
    """An operator's choice of an owner; `node` None: it has ended. The newer (epoch, number) counts."""

    address: AddressText
    node: Name | None
    epoch: Count
    number: Count


class MemberState(msgspec.Struct, frozen=True, array_like=True):
    """One member's part of the state exchange. `held` it has or was ordered to take; `releasing` it was ordered to
    take off and the kernel has not acknowledged: together they are its claims. `former` it had last and let go
    because they were BROKEN: it counts as their holder when they are mended. `in_force` is the table of its own that
    counted in its last view, `switched` the last rounds that it has seen come into force, in order. `charter` and
    `missing` are for `strict` ownership."""

    member: Member
    previous: ViewId | None
    mature: bool
    status: MemberStatus
    in_force: Digest | None
    held: AddressSet
    releasing: AddressSet
    former: AddressSet = AddressSet()
    pins: Annotated[tuple[Pin, ...], Meta(max_length=MAX_PINS)] = ()
    switched: Annotated[tuple[Round, ...], Meta(max_length=MAX_ROUNDS)] = ()
    charter: Charter = Charter()
    missing: Annotated[tuple[Missing, ...], Meta(max_length=MAX_MISSING)] = ()


class Propose(Message, frozen=True, kw_only=True):
    view: ViewId
    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=MAX_MEMBERS)]


class Promise(Message, frozen=True, kw_only=True):
    """Answers a Propose: the sender will act on no view of a smaller epoch, and this is its state."""

    to: Name
    view: ViewId
    state: MemberState


class Refuse(Message, frozen=True, kw_only=True):
    """Answers a Propose that comes too late: the sender has promised `promised` already."""

    to: Name
    view: ViewId
    promised: Count


class Install(Message, frozen=True, kw_only=True):
    """The view is agreed; `states` are the members' promises, sorted by name. All start from here at number 0."""

    view: ViewId
    states: Annotated[tuple[MemberState, ...], Meta(min_length=1, max_length=MAX_MEMBERS)]


@final
class Report(Message, frozen=True, kw_only=True):
    """A member's declaration, repeated until it sees it numbered. Having processed message `as_of` of `view`, the
    sender neither holds nor will take, on the strength of any message up to it, the addresses in `released`.
    `sequence` grows with every new content."""

    to: Name
    view: ViewId
    sequence: Count
    status: MemberStatus
    as_of: Count
    released: AddressSet


class Resend(Message, frozen=True, kw_only=True):
    """Asks the coordinator `to` for the numbered messages from `first` on."""

    to: Name
    view: ViewId
    first: Count


class TableWanted(Message, frozen=True, kw_only=True):
    to: Name
    digest: Digest
    chunks: Annotated[tuple[Count, ...], Meta(max_length=256)]


class TableChunk(Message, frozen=True, kw_only=True):
    """Piece `index` of `count` of the compressed encoding of a table."""

    digest: Digest
    index: Count
    count: Annotated[int, Meta(ge=1, le=MAX_TABLE_CHUNKS)]
    data: Annotated[bytes, Meta(max_length=CHUNK_BYTES)]


class NeighbourSeen(msgspec.Struct, frozen=True, array_like=True):
    """A host that the sender's kernel knows: its IP address (4 or 16 bytes) and its hardware address."""

    address: Annotated[bytes, Meta(min_length=4, max_length=16)]
    hardware_address: Annotated[bytes, Meta(min_length=6, max_length=6)]


class Neighbours(Message, frozen=True, kw_only=True):
    """Hosts that should hear who has which address, if not everybody shall. Advice for those who announce: nothing is
    agreed about it, nobody answers, and no machine decides by it."""

    neighbours: Annotated[tuple[NeighbourSeen, ...], Meta(min_length=1, max_length=MAX_NEIGHBOURS)]


# --- agreed messages: bodies that the coordinator numbers ---------------------------------------------------------


class Body(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag=True, array_like=True):
    """Base of what can be numbered."""


class Reported(Body, frozen=True, kw_only=True):
    name: Name
    sequence: Count
    status: MemberStatus
    as_of: Count
    released: AddressSet


@final
class TableChosen(Body, frozen=True, kw_only=True):
    """From here on `digest` is the table of `name`; None: it is in no virtual membership."""

    name: Name
    digest: Digest | None


class Matured(Body, frozen=True, kw_only=True):
    names: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MAX_MEMBERS)]


class ViewAged(Body, frozen=True, kw_only=True):
    """The view is mature: fail-back and balancing may begin."""


class Group(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """VIPs that get the same decision."""

    decision: Decision
    addresses: AddressSet


class Assigned(Body, frozen=True, kw_only=True):
    """The new decisions, where they differ from those before. `balancing`: made by the balancing function, not by
    the election."""

    balancing: bool
    groups: Annotated[tuple[Group, ...], Meta(max_length=MAX_MEMBERS * 16)]


class Overdue(Body, frozen=True, kw_only=True):
    """Whoever should have let go of these has not, for long: no other hand-over waits for theirs any more."""

    addresses: AddressSet


class Chartered(Body, frozen=True, kw_only=True):
    """From here on this is the charter. A roll that was not in the one before has the voices of `voters`, whose tables
    name it."""

    charter: Charter
    voters: Annotated[tuple[Name, ...], Meta(max_length=MAX_MEMBERS)] = ()


class Pinned(Body, frozen=True, kw_only=True):
    """`address` belongs to `node` from here on, whatever else speaks for another; None: as if nobody had asked. `by`
    and `sequence` name the wish; an ended pin bears the coordinator's name and 0."""

    by: Name
    sequence: Count
    address: AddressText
    node: Name | None


class DrainAsked(Body, frozen=True, kw_only=True):
    """The node `name` is to be drained, or not any more: it writes that to its disk, and then declares it. `force`:
    even if nobody may own some of its addresses then."""

    by: Name
    sequence: Count
    name: Name
    drained: bool
    force: bool = False


class Announced(Body, frozen=True, kw_only=True):
    """Every owner announces its addresses again."""

    by: Name
    sequence: Count


class SwitchAsked(Body, frozen=True, kw_only=True):
    """Every member reads its configuration aside, and says what it would switch to."""

    by: Name
    sequence: Count


@final
class Switched(Body, frozen=True, kw_only=True):
    """From here on the table of every member is the one that it has prepared for the round."""

    round: Round


class SwitchAbandoned(Body, frozen=True, kw_only=True):
    """The round will not come into force, because of `reason`: all keep their tables."""

    round: Round
    reason: Annotated[str, Meta(max_length=MAX_REASON)]


WishBody = Pinned | DrainAsked | Announced | SwitchAsked
AnyBody = (
    Reported
    | TableChosen
    | Matured
    | ViewAged
    | Assigned
    | Overdue
    | Chartered
    | Pinned
    | DrainAsked
    | Announced
    | SwitchAsked
    | Switched
    | SwitchAbandoned
)


class Wish(Message, frozen=True, kw_only=True):
    """What an operator asks through the sender; repeated until it is numbered."""

    to: Name
    view: ViewId
    body: WishBody


@final
class Numbered(Message, frozen=True, kw_only=True):
    view: ViewId
    number: Count
    body: AnyBody


AnyMessage = (
    Heartbeat
    | Probe
    | Leave
    | Propose
    | Promise
    | Refuse
    | Install
    | Report
    | Wish
    | Resend
    | TableWanted
    | TableChunk
    | Neighbours
    | Numbered
)
