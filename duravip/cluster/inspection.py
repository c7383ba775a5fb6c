"""What may be asked of a node: what it believes of view, owners and flags, what it has, and why things are as they are.

Rules of this file: a question changes nothing and tells nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from duravip import __version__
from duravip.cluster.election import wording
from duravip.cluster.electorate import Electorate
from duravip.cluster.explanation import Grounds
from duravip.cluster.flags import Landscape, survey
from duravip.cluster.holdings import HoldState
from duravip.cluster.lease import Lease
from duravip.cluster.messages import Charter, DrainAsked, Pinned
from duravip.cluster.parts import Parts
from duravip.model import Address, Decision, Evidence, Member, NodeName, Table, TableDigest, View

NOTHING: Final = survey({})  # what is known of VIPs without a view


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberInfo:
    """One line of `duravip members`. `online`: in the present view. `alive`: heard, and hearing us. `addresses`: how
    many it has, or may still have."""

    name: NodeName
    incarnation: str
    online: bool
    mature: bool
    eligible: bool
    drained: bool
    penalty: float
    alive: bool
    addresses: int
    version: str  # "" while nothing was heard of it


class Inspection:
    """Times are the node's monotonic seconds. `_last` is when it was given its last input."""

    def __init__(self, parts: Parts, *, now: float) -> None:
        self.me = parts.me
        self._parts = parts
        self._born = self._last = now

    # --- the group -------------------------------------------------------------------------------------------------

    @property
    def view(self) -> View | None:
        return self._parts.agreement.view

    @property
    def charter(self) -> Charter:
        """Whose majorities decide: that of the last view of a majority; of generation 0: this node knows of none."""
        return self._parts.mandate.charter

    @property
    def number(self) -> int:
        """The last message delivered in the view."""
        term = self._parts.succession.term
        return term.agreed.number if term is not None else 0

    @property
    def view_mature(self) -> bool:
        agreed = self._parts.succession.agreed
        return agreed is not None and agreed.view_mature

    @property
    def stable_since(self) -> float:
        """When view or tables last changed."""
        term = self._parts.succession.term
        return term.stable_since if term is not None else self._born

    @property
    def landscape(self) -> Landscape:
        term = self._parts.succession.term
        return term.agreed.landscape if term is not None else NOTHING

    @property
    def in_force(self) -> Mapping[NodeName, TableDigest | None]:
        """Each member's table, by the agreed state; None for one in no virtual membership."""
        agreed = self._parts.succession.agreed
        return agreed.tables if agreed is not None else {}

    @property
    def claims_at_install(self) -> Mapping[Address, frozenset[NodeName]]:
        agreed = self._parts.succession.agreed
        return agreed.claimed_at_install if agreed is not None else {}

    @property
    def claims(self) -> Mapping[Address, Collection[NodeName]]:
        """Who may have each address, by the agreed state."""
        agreed = self._parts.succession.agreed
        return agreed.claims if agreed is not None else {}

    def owners(self) -> Mapping[Address, Decision]:
        agreed = self._parts.succession.agreed
        return agreed.decisions if agreed is not None else {}

    def pins(self) -> Mapping[Address, NodeName]:
        """Operators' choices that are in force."""
        agreed = self._parts.succession.agreed
        return agreed.circumstances().pins if agreed is not None else {}

    def member_infos(self) -> tuple[MemberInfo, ...]:
        """This node, the members of the view, and every peer heard of; by name."""
        parts, agreed = self._parts, self._parts.succession.agreed
        view = parts.agreement.members()
        known = {parts.me} | set(view) | {peer.member for peer in parts.detector.peers.values() if not peer.left}
        infos = []
        claims = Counter(name for by_name in agreed.claims.values() for name in by_name) if agreed is not None else {}
        for member in sorted(known):
            status = agreed.status.get(member.name) if agreed is not None and member in view else None
            peer = parts.detector.peers.get(member.name)
            version = peer.heartbeat.version if peer is not None and peer.member == member else ""
            infos.append(
                MemberInfo(
                    name=member.name,
                    incarnation=str(member.incarnation),
                    online=member in view,
                    mature=agreed is not None and member in view and member.name in agreed.mature,
                    eligible=status is not None
                    and not status.blocked.everything
                    and not status.drained
                    and not status.leaving
                    and agreed is not None
                    and not agreed.barred(member.name),
                    drained=status is not None and status.drained,
                    penalty=round(parts.agreement.penalties.points(member, self._last), 2),
                    alive=parts.detector.is_alive(member),
                    addresses=claims.get(member.name, 0),
                    version=__version__ if member == parts.me else version,
                )
            )
        return tuple(infos)

    def left_out(self) -> tuple[Member, ...]:
        """Who is heard and stays outside of the view for a penalty, where this node coordinates."""
        agreement, alive = self._parts.agreement, self._parts.detector.alive()
        if not agreement.is_coordinator():
            return ()
        strangers = [peer.member for peer in alive if peer.member not in agreement.members()]
        return tuple(member for member in strangers if agreement.penalties.is_out(member, self._last))

    # --- addresses -------------------------------------------------------------------------------------------------

    def why_not_move(self, address: Address, node: NodeName | None) -> str:
        """Why the address cannot be moved to that node now (None: unpinned); "" when it can."""
        agreed = self._parts.succession.agreed
        if agreed is None:
            return "this node is in no view yet"
        return agreed.why_not_pin(Pinned(by=self.me.name, sequence=0, address=address, node=node))

    def why_not_drain(self, name: NodeName, *, drained: bool, force: bool) -> str:
        """Why the node cannot be drained (or, `drained` False, undrained) from here; "" when it can."""
        agreed = self._parts.succession.agreed
        if agreed is None:
            return "this node is in no view yet"
        return agreed.why_not_drain(DrainAsked(by=self.me.name, sequence=0, name=name, drained=drained, force=force))

    def grounds(self) -> Grounds | None:
        """What every decision follows from now; it does not change with the node. None: in no view yet."""
        agreed = self._parts.succession.agreed
        if agreed is None:
            return None
        tables = {name: self._parts.library.get(digest) for name, digest in agreed.tables.items()}
        given = agreed.circumstances()
        return Grounds(
            tables={name: table for name, table in tables.items() if table is not None},
            given=replace(
                given,
                holders=dict(given.holders),
                claims={address: frozenset(names) for address, names in agreed.claims.items()},
            ),
            decisions=dict(agreed.decisions),
            backers=dict(agreed.backers),
        )

    def describe(self, address: Address) -> str:
        """Why the address has the owner it has, or none, in words."""
        return self.describer()(address)

    def describer(self) -> Callable[[Address], str]:
        """`describe` for many addresses, as things are now: what they have in common is worked out once."""
        agreed = self._parts.succession.agreed
        if agreed is None:
            return lambda address: "this node is in no view yet"
        decisions, say = dict(agreed.decisions), wording(Electorate(agreed.landscape, agreed.circumstances()))
        delay = self._parts.mandate.in_words(self._last)

        def describe(address: Address) -> str:
            decision = decisions.get(address)
            if decision is None:
                return "no election yet"
            return say(address, decision) + (delay if decision.owner is not None and agreed.waits(address) else "")

        return describe

    # --- this node -------------------------------------------------------------------------------------------------

    @property
    def mature(self) -> bool:
        """Whether it may own."""
        return self._parts.succession.is_mature()

    @property
    def table(self) -> Table:
        """The one that it wants in force for itself."""
        return self._parts.library.require(self._parts.switching.table)

    @property
    def lease(self) -> Lease:
        """The lifetimes of what it holds; look, and change nothing."""
        return self._parts.tenure.lease

    def held(self) -> frozenset[Address]:
        """Every address that the kernel may have through this node: being taken, held, or on its way out."""
        return frozenset(self._parts.tenure.holdings.addresses())

    def holding_state(self, address: Address) -> HoldState | None:
        return self._parts.tenure.holdings.state(address)

    def duplicates(self) -> Mapping[Address, tuple[Evidence, ...]]:
        """Who else says on the network that it has an address of this node's, as told by `conflict.duplicate`."""
        return self._parts.rivals.evidence()
