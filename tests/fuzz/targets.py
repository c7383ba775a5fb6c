"""Everything here that reads what somebody else has written, each as one function of bytes.

    run(data)      must return, whatever the bytes are; an exception, or an AssertionError of its own, is a find
    seeds()        inputs that are well-formed, for a fuzzer to begin with

`judge` runs a target; that it takes longer than LIMIT_S is a find too.

What a find is, in one line each, stands in the targets' docstrings.
"""

from __future__ import annotations

import contextlib
import functools
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from duravip.cluster import messages as m
from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.balance import balance
from duravip.cluster.election import elect
from duravip.cluster.flags import survey
from duravip.cluster.inputs import PacketHeard
from duravip.cluster.library import Library
from duravip.cluster.table_codec import decode_table, unpack_table
from duravip.model import Claim, Decision, Incarnation, Member, NodeName, Reason, TableDigest, View, ViewId, digest_of
from duravip.net import claims, rtnetlink
from duravip.net.frames import announcement_frames
from duravip.runtime import _guard_process, control
from duravip.wire import codec
from duravip.wire.dropped import Dropped
from duravip.wire.link import Link
from duravip.wire.received import Incomplete, Received
from duravip.wire.seal import Sealer
from duravip_plugins import netlink_codec
from tests.fuzz import corpus, lab

KEY = bytes(range(32))
ME, PEER = Member(NodeName("a"), Incarnation(1, 7)), Member(lab.LIAR, Incarnation(1, 8))


LABS = tuple((names, how) for how in ("available", "strict") for names in (("a", lab.LIAR, "z"), (lab.LIAR, "z")))
"""The liar follows in the first of each, and coordinates in the second."""
NEXT = 5  # the number of a lab that has come to rest, and one


LIMIT_S = 0.25  # of processor time, for one input: four times what the slowest took of 13,000 for `member`, 0.065 s
TRIES = 3  # a machine that is busy otherwise makes one run slow, hardly three


class SlowError(AssertionError):
    """An input takes longer than it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def link(me: Member, *keys: bytes) -> Link:
    return Link(me=me, cluster_group="fuzz", keys=keys, mtu_bytes=300)


@functools.cache
def sayings() -> tuple[m.AnyMessage, ...]:
    """What a member says until a cluster has come to rest, every kind of message among it."""
    said = [message for names, ownership in LABS for message in lab.at_rest(*names, ownership=ownership)[1]]
    own, its = (ViewId(1, name, lab.member(name).incarnation) for name in (lab.LIAR, NodeName("a")))
    digest = lab.TABLES[lab.LIAR].digest()
    status = m.MemberStatus(table=digest, has=(digest,))
    roll = m.Roll(members=("a", lab.LIAR, "z"), tie_breaker=lab.LIAR, lifetime_s=18)
    wishes: tuple[m.WishBody, ...] = (
        m.Pinned(by=lab.LIAR, sequence=1, address=lab.COMMON[0], node=lab.LIAR),
        m.DrainAsked(by=lab.LIAR, sequence=2, name=NodeName("z"), drained=True, force=True),
        m.Announced(by=lab.LIAR, sequence=3),
        m.SwitchAsked(by=lab.LIAR, sequence=4),
    )
    numbered: tuple[m.AnyBody, ...] = (
        *wishes,
        m.Reported(name=lab.LIAR, sequence=9, status=status, as_of=1, released=AddressSet(lab.COMMON)),
        m.Matured(names=(lab.LIAR, NodeName("z"))),
        m.ViewAged(),
        m.Assigned(balancing=False, groups=(m.Group(Decision(lab.LIAR, Reason.PINNED), AddressSet(lab.COMMON)),)),
        m.Chartered(charter=m.Charter(generation=1, rolls=(roll,)), voters=("a", lab.LIAR)),
        m.Switched(round=m.Round(view=own, number=1, by=lab.LIAR, sequence=1)),
        m.SwitchAbandoned(round=m.Round(view=own, number=1, by=lab.LIAR, sequence=1), reason="no"),
        m.TableChosen(name=lab.LIAR, digest=None),
        m.Overdue(addresses=AddressSet(lab.COMMON)),
    )
    more: tuple[m.AnyMessage, ...] = (
        m.Probe(to=NodeName("a")),
        m.Leave(),
        m.Refuse(to=NodeName("a"), view=its, promised=1 << 52),
        *(m.Wish(to=NodeName("a"), view=its, body=body) for body in wishes),
        m.Resend(to=NodeName("a"), view=its, first=1),
        m.TableWanted(to=NodeName("a"), digest=digest, chunks=(0, 1)),
        m.TableChunk(digest=digest, index=0, count=2, data=b"x" * 1100),
        m.Neighbours(neighbours=(m.NeighbourSeen(bytes(4), bytes(6)),)),
        m.Report(to=NodeName("a"), view=its, sequence=9, status=status, as_of=1, released=AddressSet(lab.COMMON)),
        *(m.Numbered(view=own, number=NEXT, body=body) for body in numbered),
    )
    return (*dict.fromkeys(said), *more)


def bodies() -> list[bytes]:
    by_kind: dict[object, list[bytes]] = {}
    for message in sayings():
        kind = (type(message), type(getattr(message, "body", None)))
        by_kind.setdefault(kind, []).append(codec.encode_message(message))
    by_kind["a view"] = [codec.encode_message(message) for message in _next_view()]
    return [b"\0" + bytes((0x90 | len(some[-3:]),)) + b"".join(some[-3:]) for some in by_kind.values()]


def _next_view() -> tuple[m.AnyMessage, ...]:
    """That the liar makes of itself and `z`, whatever `z` promises."""
    [install, *_] = (one for one in sayings() if isinstance(one, m.Install))
    view = msgspec.structs.replace(install.view, epoch=2)
    members = tuple(state.member for state in install.states)
    return m.Propose(view=view, members=members), m.Install(view=view, states=install.states)


def framed(pieces: list[bytes]) -> bytes:
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in pieces)


def unframed(data: bytes) -> list[bytes]:
    pieces, at = [], 0
    while at + 2 <= len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        pieces.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return pieces


def run_codec(data: bytes) -> None:
    """A body is messages or a drop; and what was understood is understood the same when it is said again."""
    heard = codec.decode(data)
    if isinstance(heard, Dropped):
        return
    encoded = [codec.encode_message(message) for message in heard]
    again = codec.decode(codec.body_of(encoded))
    assert not isinstance(again, Dropped)
    assert [codec.encode_message(message) for message in again] == encoded


def run_datagram(data: bytes) -> None:
    """Any datagrams, to a link with a key and to one without: received, incomplete or dropped."""
    for end in (link(ME, KEY), link(ME)):
        for datagram in unframed(data):
            assert isinstance(end.open(datagram), Received | Incomplete | Dropped)


def run_frame(data: bytes) -> None:
    """Any frames that a member seals, cut-up bodies among them: received, incomplete or dropped, and nothing is kept
    without end."""
    end, sealer = link(ME, KEY), Sealer(me=PEER, cluster_group="fuzz", key=KEY)
    for frame in unframed(data):
        assert isinstance(end.open(sealer.seal(frame)), Received | Incomplete | Dropped)


def datagrams() -> list[bytes]:
    cut_up = link(PEER, KEY).pack(sayings()[:4])
    plain = link(PEER).pack(sayings()[:40])
    return [framed(cut_up), *(framed(plain[at : at + 4]) for at in range(0, len(plain), 16)), framed([b"DV\1\1"])]


def frames() -> list[bytes]:
    body = codec.body_of([codec.encode_message(sayings()[0])])
    pieces = [body[:40], body[40:]]
    head = [b"\1" + (7).to_bytes(4, "big") + at.to_bytes(2, "big") + b"\0\2" for at in range(2)]
    return [framed([b"\0" + body]), framed([a + b for a, b in zip(head, pieces, strict=True)])]


def run_table(data: bytes) -> None:
    """An encoded table is a table or a ValueError; and with a table that is one, everything that is worked out from
    tables can be worked out."""
    digest = digest_of(data)
    try:
        table = unpack_table(zlib.compress(data), digest)
    except ValueError:
        return
    with contextlib.suppress(ValueError):
        decode_table(data + b"\0")
    library = Library(lab.TABLES[NodeName("a")], retry_s=1.0)
    library.add(table)
    tables = {NodeName("a"): lab.TABLES[NodeName("a")], lab.LIAR: table}
    landscape = survey(tables)
    states = tuple(
        m.MemberState(
            member=lab.member(name),
            previous=None,
            mature=True,
            status=m.MemberStatus(table=one.digest(), has=tuple(sorted({t.digest() for t in tables.values()}))),
            in_force=one.digest(),
            held=AddressSet(),
            releasing=AddressSet(),
        )
        for name, one in tables.items()
    )
    view_id = ViewId(1, NodeName("a"), lab.member(NodeName("a")).incarnation)
    agreed = AgreedState(View(id=view_id, members=tuple(state.member for state in states)), states, library)
    agreed.view_mature = True
    for decision in (elected := elect(landscape, agreed.circumstances())).values():
        assert decision.owner is None or decision.owner in tables
    for address, decision in elected.items():
        owner = decision.owner
        assert owner is None or address in landscape.entries[owner]
    balance(landscape, agreed.circumstances(), elected, 4)


def run_chunks(data: bytes) -> None:
    """Pieces of a table that was asked for: it is what its digest says, or it is not there."""
    digest = TableDigest(data[:16].hex().rjust(32, "0"))
    library = Library(lab.TABLES[NodeName("a")], retry_s=1.0)
    library.want([(digest, lab.LIAR)], ())
    for number, piece in enumerate(unframed(data[16:])[:200]):
        index, count = (piece[0] if piece else number), max(1, piece[1] if len(piece) > 1 else 1)
        library.on_chunk(m.TableChunk(digest=digest, index=index, count=count, data=piece[2:][: m.CHUNK_BYTES]))
        library.tick(float(number))
    found = library.get(digest)
    assert found is None or found.digest() == digest


def run_member(data: bytes) -> None:
    """What a member says, who holds the key and may lie, as follower and as coordinator: the others do not raise, and
    hold nothing but what is in their own table."""
    heard = codec.decode(data)
    if isinstance(heard, Dropped):
        return
    for asleep in _labs():
        awake = lab.woken(asleep)
        for name in [name for name in awake.nodes if name != lab.LIAR]:
            awake.feed(name, PacketHeard(sender=lab.member(lab.LIAR), messages=heard))
        for step_s in (0.3, 1.0, 5.0):
            awake.run_until(awake.now + step_s)
            for name, node in awake.nodes.items():
                own = {vip.address for vip in awake.tables[name].vips}
                assert node.held() <= own, f"{name} holds {sorted(node.held() - own)}"


@functools.cache
def _labs() -> tuple[bytes, ...]:
    return tuple(lab.at_rest(*names, ownership=ownership)[0] for names, ownership in LABS)


def run_control(data: bytes) -> None:
    """A line on the control socket is a request, or refused in a sentence."""
    with contextlib.suppress(control._RefusedError):
        request = control._decode(data)
        if isinstance(address := getattr(request, "address", None), str):
            control._address(address)


def control_lines() -> list[bytes]:
    asked: list[dict[str, object]] = [
        {"command": "show", "address": "192.0.2.1"},
        {"command": "events", "follow": True, "filters": ["*"], "past": False},
        {"command": "move", "address": "::1", "node": None},
        {"command": "drain", "force": True},
        {"command": "reload", "cluster": True},
    ]
    return [msgspec.json.encode(one) for one in asked]


def run_netlink(data: bytes) -> None:
    """What a netlink socket gives: rows, or nothing."""
    for message in netlink_codec.messages(data):
        netlink_codec.parse_error(message)
        netlink_codec.parse_address(message.payload)
        netlink_codec.parse_link(message.payload)
    for _, payload in rtnetlink._messages(data):
        rtnetlink.attributes(payload)
    _guard_process._answers(data)


def netlink_datagrams() -> list[bytes]:
    requests = [
        netlink_codec.add_request(lab.COMMON[0], 2, 32, sequence=1, lifetime_s=10),
        netlink_codec.delete_request(lab.COMMON[1], 2, 32, sequence=2),
        netlink_codec.link_request("eth0", sequence=3),
        netlink_codec.address_dump_request(2, sequence=4),
    ]
    refused = (
        (36).to_bytes(4, "little")
        + b"\2\0\0\0"
        + bytes(8)
        + (-17).to_bytes(4, "little", signed=True)
        + requests[0][:16]
    )
    return [*requests, refused, b"".join(requests)]


def run_frame_on_the_wire(data: bytes) -> None:
    """An Ethernet frame is a claim, or nothing."""
    claim = claims.parse(data)
    assert claim is None or (isinstance(claim, Claim) and len(claim.hardware_address) == 6)


def ethernet_frames() -> list[bytes]:
    mac = bytes((2, 0, 0, 0, 0, 1))
    return [
        *announcement_frames(lab.COMMON[0], mac),
        *announcement_frames(lab.TABLES[NodeName("z")].vips[-1].address, mac),
    ]


TARGETS: Mapping[str, Target] = {
    "codec": Target(run=run_codec, seeds=bodies),
    "datagram": Target(run=run_datagram, seeds=datagrams),
    "frame": Target(run=run_frame, seeds=frames),
    "table": Target(run=run_table, seeds=lambda: [one.encoded() for one in lab.TABLES.values()]),
    "chunks": Target(run=run_chunks, seeds=lambda: [bytes(16) + framed([b"\0\1" + zlib.compress(b"\x82")] * 2)]),
    "member": Target(run=run_member, seeds=bodies),
    "control": Target(run=run_control, seeds=control_lines),
    "netlink": Target(run=run_netlink, seeds=netlink_datagrams),
    "arp": Target(run=run_frame_on_the_wire, seeds=ethernet_frames),
}


def judge(name: str, data: bytes, *, limit_s: float = LIMIT_S) -> None:
    """Raises whatever a find raises; SlowError for an input that takes too long whenever it is tried."""
    _labs()  # made once, and no input's fault
    took_s = []
    while len(took_s) < TRIES:
        began = time.process_time()
        TARGETS[name].run(data)
        took_s.append(time.process_time() - began)
        if took_s[-1] <= limit_s:
            return
    raise SlowError(f"{name}: {len(data)} bytes take {min(took_s):.2f} s of processor time, more than {limit_s} s")


def begin_with(name: str) -> list[bytes]:
    """A target's seeds and its corpus, each input once."""
    return list(dict.fromkeys([*TARGETS[name].seeds(), *corpus.kept(name)]))
