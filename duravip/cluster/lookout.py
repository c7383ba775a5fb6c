"""What this node sees around it, brought up to date once for each input: live peers and their links, the tables they
name, interfaces, strangers; and what of that keeps this node from owning.

Rules of this file: it looks, tells the news, and writes down in `Standing` what follows. It decides about no view and
no address.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import ClassVar

from duravip import events
from duravip.cluster.addresses import AddressSet
from duravip.cluster.agreed import AgreedState
from duravip.cluster.agreement import Agreement
from duravip.cluster.detector import Detector, Peer
from duravip.cluster.effects import AskGateways, Effect, Publish
from duravip.cluster.interfaces import Interfaces
from duravip.cluster.leadership import Leadership
from duravip.cluster.library import Library
from duravip.cluster.messages import Probe, TableWanted
from duravip.cluster.parameters import Parameters
from duravip.cluster.pulse import Pulse
from duravip.cluster.rivals import Rivals
from duravip.cluster.shadow import NOTHING_CAST, Cast, cast
from duravip.cluster.standing import Standing
from duravip.cluster.switching import Switching
from duravip.cluster.tenure import Tenure
from duravip.model import Address, Member, NodeName, TableDigest, VipEntry


class Lookout:
    """Each method that acts returns what is to be said or done about it."""

    DERIVED: ClassVar = ("_cast",)  # from the rest: no part of the state

    def __init__(
        self,
        me: Member,
        parameters: Parameters,
        *,
        detector: Detector,
        agreement: Agreement,
        leadership: Leadership,
        library: Library,
        switching: Switching,
        tenure: Tenure,
        standing: Standing,
        rivals: Rivals,
        pulse: Pulse,
    ) -> None:
        self._me = me
        self._timeout = parameters.failure_timeout_s
        self._detector = detector
        self._agreement = agreement
        self._leadership = leadership
        self._library = library
        self._switching = switching
        self._tenure = tenure
        self._standing = standing
        self._rivals = rivals
        self._pulse = pulse
        self._live: tuple[Peer, ...] = ()
        self._alive: dict[Member, Peer] = {}
        self._alive_of = -1  # the detector's revision that it follows from
        self._tables_heard: set[TableDigest] = set()
        self._fetched_for: object = None
        self._unreachable_basis: object = None
        self._cast: Cast = NOTHING_CAST
        self.interfaces = Interfaces(self._timeout)

    # --- peers -----------------------------------------------------------------------------------------------------

    def watch_links(self, now: float) -> tuple[list[Probe], list[Effect]]:
        """Who is alive, who could form a view, what must be left to views that will not have this node."""
        probes: list[Probe] = []
        if now >= self._detector.deadline():
            self._detector.check(now)
            probes += [Probe(to=peer.member.name) for peer in self._detector.to_probe(now)]
        told = self._watch_peers(now) if self._detector.revision != self._alive_of else []
        self._detector.forget_dead(now, self._agreement.members())
        self._leadership.watch(now)
        self._cast = cast(
            self._me,
            self._switching.table,
            self._agreement.companions(),
            self._detector,
            self._leadership,
            self._library,
            self._timeout,
            now,
            self._cast,
        )
        self._standing.shadow = self._cast[1]
        return probes, told

    def _watch_peers(self, now: float) -> list[Effect]:
        """Something was learnt of them."""
        self._alive_of = self._detector.revision
        live = self._detector.alive()
        heard = {peer.heartbeat.table for peer in live}
        if heard != self._tables_heard:  # whoever compares it with what it was is quick while it is the same
            self._tables_heard = heard
        if live is self._live:
            return []
        self._live = live
        alive = {peer.member: peer for peer in live}
        told: list[Effect] = []
        for member in sorted(self._alive.keys() - alive.keys()):
            peer = self._alive[member]
            if not peer.left:
                silent_s = round(now - peer.last_heard, 6)
                cause = peer.cause or "restarted"
                told.append(Publish(event=events.NodeSuspected(name=member.name, silent_s=silent_s, cause=cause)))
        if alive.keys() != self._alive.keys():
            self._pulse.soon(now)
        self._alive = alive
        return told

    def friends(self) -> set[NodeName]:
        """This node, and the members that are alive or in the view."""
        return {self._me.name, *(m.name for m in self._alive), *(m.name for m in self._agreement.members())}

    # --- their tables ----------------------------------------------------------------------------------------------

    def tables_heard(self) -> set[TableDigest]:
        """Those that live peers name."""
        if self._detector.revision != self._alive_of:
            return {peer.heartbeat.table for peer in self._detector.alive()}
        return self._tables_heard

    def fetch_tables(self, agreed: AgreedState | None, now: float) -> list[TableWanted]:
        switching = self._switching
        basis = (
            self.tables_heard(),
            switching.table,
            switching.prepared,
            agreed.basis_of_members() if agreed is not None else None,
        )
        if basis == self._fetched_for and self._library.complete():
            return []
        self._fetched_for = basis
        named: list[tuple[TableDigest, NodeName]] = [
            (peer.heartbeat.table, peer.member.name) for peer in self._detector.alive()
        ]
        keep = switching.tables()
        if agreed is not None:
            keep |= agreed.tables_named()
            named += agreed.tables_prepared()
        self._library.want(named, keep)
        return self._library.tick(now)

    # --- interfaces and strangers ----------------------------------------------------------------------------------

    def watch_interfaces(self, agreed: AgreedState | None, now: float) -> list[Effect]:
        told: list[Effect] = [
            Publish(event=events.LinkUp(interface=interface)) for interface in self.interfaces.settled(now)
        ]
        self.locate(agreed, now)
        return told

    def locate(self, agreed: AgreedState | None, now: float) -> None:
        """What belongs where this node has no link, or no gateway, by the tables of now: others may have come into
        force since it last looked."""
        gateways, table = self._standing.gateways, self._switching.table
        if not len(self.interfaces) and not gateways.matter() and self._unreachable_basis is None:
            return
        in_force = self._in_force(agreed)
        basis = (self.interfaces.revision, table, in_force) if len(self.interfaces) else None
        if basis != self._unreachable_basis:
            self._unreachable_basis = basis
            wanted = self._library.require(table).vips
            self._standing.unreachable = self.interfaces.blocked((*wanted, *in_force.values()))
        gateways.judge(chain(self._library.require(table).vips, in_force.values()), now, basis=(table, in_force))

    def watch_gateways(self, now: float) -> list[AskGateways]:
        return self._standing.gateways.watch(now)

    def watch_rivals(self, now: float) -> list[Effect]:
        if self._rivals.is_quiet():
            return []
        orders = self._rivals.act(holds=self._tenure.holdings.has, friends=self.friends(), now=now)
        self._standing.claimed = self._rivals.claimed()
        return orders

    def is_troubled(self) -> bool:
        """Whether interfaces or strangers are to be looked at after every input."""
        return len(self.interfaces) > 0 or not self._rivals.is_quiet()

    def avoided(self) -> AddressSet:
        """What this node must not take now: another view is about to, or a gateway or a stranger has been asked about
        it."""
        avoided, unknown = self._standing.shadow.avoided, self._standing.gateways.unknown
        avoided = avoided | unknown if len(unknown) else avoided
        return avoided if self._rivals.is_quiet() else avoided | self._rivals.unanswered()

    def own_addresses(self, agreed: AgreedState | None) -> set[Address]:
        """Those of this node's table, whether in force or only wanted."""
        wanted = self._library.require(self._switching.table).vips
        return {*self._in_force(agreed), *(vip.address for vip in wanted)}

    def _in_force(self, agreed: AgreedState | None) -> Mapping[Address, VipEntry]:
        return agreed.landscape.entries.get(self._me.name, {}) if agreed is not None else {}
