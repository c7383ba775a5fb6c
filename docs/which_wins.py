"""What counts more: pins, preferences, holders, flags, under every `fail_back`; as the agreed state answers it."""

from __future__ import annotations

from collections.abc import Mapping

import from_code as code

from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.library import Library
from duravip.cluster.messages import Blocked, MemberState, MemberStatus, Pinned, ViewAged
from duravip.model import (
    Address,
    Incarnation,
    Member,
    NodeName,
    Settings,
    Use,
    View,
    ViewId,
    VipEntry,
    make_table,
)

VIP, LEADER = Address("192.0.2.1"), Address("192.0.2.2")
HOLDER, PREFERRED, OTHER = NODES = tuple(NodeName(name) for name in ("node1", "node2", "node3"))
FAIL_BACKS = ("when-mature", "never", "manual")
Entries = Mapping[NodeName, VipEntry]


def entry(*, prefer: str = "", second: str = "", name: str = "", service: str = "", follow: str = "") -> VipEntry:
    return VipEntry(
        address=VIP,
        services=(Use(service),) if service else (),
        bindings=(Use(name),) if name else (),
        preference=Use(prefer) if prefer else None,
        alternatives=(Use(second),) if second else (),
        follow=Use(follow) if follow else None,
    )


PLAIN = dict.fromkeys(NODES, entry())
WISHED = dict.fromkeys(NODES, entry(prefer=PREFERRED))
RANKED = dict.fromkeys(NODES, entry(prefer=PREFERRED, second=OTHER))
SECOND = dict.fromkeys(NODES, entry(prefer=PREFERRED, second=HOLDER))
CONFLICT = {HOLDER: entry(prefer=HOLDER), PREFERRED: entry(prefer=PREFERRED), OTHER: entry()}
UNSAFE = {**WISHED, OTHER: entry(prefer=PREFERRED, service="esmtp:25")}
BROKEN = {HOLDER: entry(prefer=PREFERRED, name="a"), PREFERRED: entry(name="b"), OTHER: entry(name="b")}
FOLLOWER = dict.fromkeys(NODES, entry(follow=LEADER))


def agreed(
    entries: Entries,
    fail_back: str,
    *,
    held: bool = True,
    mature: bool = True,
    drained: NodeName | None = None,
    blocked: NodeName | None = None,
) -> AgreedState:
    """node1 holds the address, and, where it follows, what it follows."""
    settings = Settings(fail_back=fail_back)
    tables = {node: make_table([one, VipEntry(address=LEADER)], settings) for node, one in entries.items()}
    library = Library(tables[HOLDER], retry_s=1.0)
    digests = {node: library.add(table) for node, table in tables.items()}
    life = Incarnation(1, 1)
    states = tuple(
        MemberState(
            member=Member(node, life),
            previous=None,
            mature=True,
            status=MemberStatus(
                table=digests[node],
                has=tuple(sorted(set(digests.values()))),
                drained=node == drained,
                blocked=Blocked(addresses=AddressSet([VIP])) if node == blocked else Blocked(),
            ),
            in_force=digests[node],
            held=AddressSet([LEADER, *([VIP] if held else [])]) if node == HOLDER else AddressSet(),
            releasing=AddressSet(),
        )
        for node in NODES
    )
    state = AgreedState(View(ViewId(1, HOLDER, life), tuple(one.member for one in states)), states, library)
    if mature:
        state.apply(1, ViewAged())
    return state


def owner(state: AgreedState) -> str:
    decision = state.election().answer()[VIP]
    return decision.owner or "nobody"


def pinned(state: AgreedState, node: NodeName | None) -> AgreedState:
    """What an operator wished, whether or not it would be granted now: circumstances change after a pin is given."""
    state.apply(2, Pinned(by=HOLDER, sequence=1, address=VIP, node=node))
    return state


def owners_table() -> str:
    """Rows of situations, in all of which node1 holds the address unless it says otherwise."""
    rows = [
        ("held, no preference", lambda f: agreed(PLAIN, f)),
        ("held, node2 preferred, view not mature", lambda f: agreed(WISHED, f, mature=False)),
        ("held, node2 preferred, view mature", lambda f: agreed(WISHED, f)),
        ("held, node2 preferred and drained", lambda f: agreed(WISHED, f, drained=PREFERRED)),
        ("held, node2 preferred, after `move ADDRESS auto`", lambda f: pinned(agreed(WISHED, f), None)),
        ("held, node2 preferred, pinned to node3", lambda f: pinned(agreed(WISHED, f), OTHER)),
        (
            "held, node2 preferred, pinned to node3, whose kernel refuses it",
            lambda f: pinned(agreed(WISHED, f, blocked=OTHER), OTHER),
        ),
        ("held, node2 preferred, then node3; view mature", lambda f: agreed(RANKED, f)),
        (
            "held, node2 preferred, then node3; node2 drained, view mature",
            lambda f: agreed(RANKED, f, drained=PREFERRED),
        ),
        ("held, node2 preferred, then node1; view mature", lambda f: agreed(SECOND, f)),
        ("held, node2 preferred, then node1; node2 drained", lambda f: agreed(SECOND, f, drained=PREFERRED)),
        ("node1 drained, node2 preferred, then node3", lambda f: agreed(RANKED, f, drained=HOLDER)),
        (
            "not held, node2 preferred, then node3; node2 drained",
            lambda f: agreed(RANKED, f, held=False, mature=False, drained=PREFERRED),
        ),
        ("not held, node2 preferred", lambda f: agreed(WISHED, f, held=False, mature=False)),
        ("not held, node2 preferred, pinned to node3", lambda f: pinned(agreed(WISHED, f, held=False), OTHER)),
        ("node1 drained, node2 preferred", lambda f: agreed(WISHED, f, drained=HOLDER)),
        ("CONFLICT, held", lambda f: agreed(CONFLICT, f)),
        ("CONFLICT, held, after `move ADDRESS auto`", lambda f: pinned(agreed(CONFLICT, f), None)),
        ("CONFLICT, held, pinned to node3", lambda f: pinned(agreed(CONFLICT, f), OTHER)),
        ("UNSAFE, held, node2 preferred", lambda f: agreed(UNSAFE, f)),
        ("UNSAFE, held, pinned to node3", lambda f: pinned(agreed(UNSAFE, f), OTHER)),
        ("BROKEN, node2 preferred", lambda f: agreed(BROKEN, f)),
        ("BROKEN, pinned to node3", lambda f: pinned(agreed(BROKEN, f), OTHER)),
        ("follows what node1 owns, pinned to node3", lambda f: pinned(agreed(FOLLOWER, f), OTHER)),
    ]
    return code.table(
        ("situation", *(f"`fail_back = {fail_back}`" for fail_back in FAIL_BACKS)),
        [(title, *(owner(made(fail_back)) for fail_back in FAIL_BACKS)) for title, made in rows],
    )


def moves_table() -> str:
    """What becomes of `move ADDRESS node3`."""
    rows = [
        ("SAFE", agreed(WISHED, "never")),
        ("CONFLICT", agreed(CONFLICT, "never")),
        ("UNSAFE", agreed(UNSAFE, "never")),
        ("BROKEN", agreed(BROKEN, "never")),
        ("follows another address", agreed(FOLLOWER, "never")),
        ("node3 is drained", agreed(WISHED, "never", drained=OTHER)),
        ("node3's kernel refuses the address", agreed(WISHED, "never", blocked=OTHER)),
    ]
    wish = Pinned(by=HOLDER, sequence=1, address=VIP, node=OTHER)
    return code.table(
        ("situation", "`move ADDRESS node3`"),
        [(title, f"refused: {why}" if (why := state.why_not_pin(wish)) else "granted") for title, state in rows],
    )
