"""Looks at every step of a simulated world, and says which promise was broken.

Rules of this file
- Truth is what is in the kernels, what was ordered, and what processes are alive. Nodes are asked only what they
  believe about the view, the owners and the flags.
- Safety (S1, S2, S3) is judged after every input of every node and every change of a kernel; liveness (L1 to L6) by
  `judge_rest` once the faults have stopped for long enough.

What is judged, by the properties' names in `docs/explanation/protocol.md`
    S1  two live processes with the same view never both have a VIP in their kernels, unless both claimed it in that
        view's state exchange; nobody orders to take what another one of its view still has, or has not yet been told
        to be rid of; and nobody keeps what its own agreed state gives to another, or says that it has no claim on.
    S2  nobody keeps a VIP that is BROKEN by the tables that its own agreed state says are in force, whether it has
        their content or not.
    S3  nobody keeps or takes a VIP outside its table, blocked, while immature, or alone under the policy `release`;
        nobody keeps one for long while alone under `hold-if-gateway` with a silent gateway;
        nobody takes one while drained or leaving; a LEAVE is said only with an empty kernel. Nobody renews what it
        does not hold, and no live process finds in its kernel what it has neither ordered nor still to be rid of. A
        host whose process has ended long ago has nothing in its kernel (that ever had a lifetime).
    S4  under `strict` ownership no two kernels have the same VIP, at any instant; and (as long as nobody changes the
        members) no node that a majority's view lacks may hold anything for longer than a mandate from its beginning on.
    alarm  no process is killed by its alarm while all have been well for long, on a network that has been whole.
    L1  every manageable VIP with an eligible member is in exactly one kernel, every other in none.
    L2  all live nodes agree on view, number, owners and flags, and are mature; no node ever disagrees with its
        coordinator, nor stays behind the coordinator's number for LAG_INTERVALS while all links are whole and both are
        well.
    L3  an undisputed preference for an eligible node is honoured, unless `fail_back` says otherwise.
    L4  no chain of moves of single VIPs (of weight 1, in no group), each to another of its eligible members, would even
        out the loads: that is the same as optimal for these (Harvey et al., Semi-matchings for bipartite graphs and
        load balancing, 2003).
    L5  nothing is ordered any more. And nobody orders to take what another one has, in whatever view, while nothing
        gives a reason to doubt that one: all links have been whole and all concerned have been well for long; nor for
        one failure time-out after a stall, since nobody may be accused from before it.
    L6  no view is installed any more; and no node ever installs more than MAX_VIEWS within five failure time-outs.
    raised, hot  no node ever raises, nor handles inputs without end: bugs, whatever they lead to.

"Keeps" means that its machine has the address and has not ordered its removal.
"""

from __future__ import annotations

import math
import traceback
from collections import deque
from collections.abc import Mapping
from typing import Final

from duravip.cluster.charter import STRICT, mandate_s, roll_of
from duravip.cluster.effects import ArmAlarm, Effect, Publish, RenewAddresses, Send, TakeAddress
from duravip.cluster.electorate import FAIL_BACK_WHEN_MATURE
from duravip.cluster.flags import Flags, Landscape, survey
from duravip.cluster.gateways import HOLD_IF_GATEWAY, SILENT_S
from duravip.cluster.holdings import HoldState
from duravip.cluster.inputs import Input, Ticked
from duravip.cluster.messages import AnyMessage, Leave, Roll
from duravip.cluster.node import Node
from duravip.events import Balanced, Disagreement, Event
from duravip.model import Address, Flag, Member, NodeName, Table, TableDigest, View, ViewId
from duravip.sim.clock import Clock
from duravip.sim.host import STRICT_DRIFT, Host
from duravip.sim.network import Network
from duravip.sim.observer import Observer
from duravip.sim.outcome import Violation
from duravip.sim.process import Process
from duravip.sim.setup import Setup, gone_after_s
from duravip.sim.world import World

MAX_INPUTS_PER_S: Final = 3000  # of one node that is heard ten times a second by a handful of others; see `watch`
CALM_S: Final = 15.0  # until then, things may still follow from what was wrong before
DOUBT_TIMEOUTS: Final = 0.97  # on a clock that is 1 % fast: nobody can have been silent that long since a stall
LET_GO_S: Final = 15.2  # the default `address_lifetime`, the kernel's slack, and a last order on its way
MAX_VIEWS: Final = 25
ANSWER_SLACK_S: Final = 0.3  # clocks that differ, and a last answer on its way
LAG_INTERVALS: Final = 5.0  # each heartbeat of the coordinator tells its number, and what is missing is asked for again
MAX_VIOLATIONS: Final = 20  # recorded in one run; the first is the one that matters


class Checker(Observer):
    """Call `watch` before anything happens."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.orders = 0
        self.inputs = 0
        self.views: set[ViewId] = set()
        self._carried: dict[ViewId, tuple[float, tuple[Member, ...]]] = {}  # since when, and of whom
        self.last_order_at = 0.0
        self.last_view_at = 0.0
        self.balanced_at = 0.0
        self._max_inputs = MAX_INPUTS_PER_S
        self._timeout_s = 3.5
        self._let_go_s = LET_GO_S
        self._lag_s = LAG_INTERVALS
        self._behind: dict[NodeName, tuple[ViewId, int, float]] = {}  # at which number, since when
        self._tables: dict[TableDigest, Table] = {}
        self._installed: dict[NodeName, deque[float]] = {}
        self._clock: Clock
        self._network: Network
        self._hosts: dict[NodeName, Host] = {}
        self._seen: dict[NodeName, tuple[object, ...]] = {}
        self._ended_at: dict[NodeName, float] = {}
        self._rolls: set[Roll | None] = set()  # that any configuration has ever said
        self._alone_since: dict[NodeName, float] = {}
        self._second = 0
        self._inputs_in: dict[NodeName, int] = {}  # that second

    def watch(self, world: World, setup: Setup | None = None) -> None:
        """`setup`: what the world was built from, if its times are not the simulator's usual ones."""
        self._clock, self._network, self._hosts = world.clock, world.network, world.hosts
        if setup is not None:
            self._timeout_s = setup.timeout_s
            self._let_go_s = setup.let_go_s
            self._lag_s = LAG_INTERVALS * setup.interval_s
            self._max_inputs = round(MAX_INPUTS_PER_S * max(1.0, 0.1 / setup.interval_s * len(setup.nodes) / 7))

    def _violated(self, rule: str, text: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(at_s=self._clock.now, rule=rule, text=text))

    # --- at every step --------------------------------------------------------------------------------------

    def started(self, host: Host) -> None:
        self._seen.pop(host.name, None)
        self._alone_since.pop(host.name, None)
        if host.kernel.present:
            self._violated("S3", f"{host.name} starts with {sorted(host.kernel.present)} in its kernel")

    def ended(self, host: Host, why: str) -> None:
        self._ended_at[host.name] = self._clock.now

    def failed(self, host: Host, error: Exception) -> None:
        where = traceback.format_exception(error)[-3:]
        self._violated("raised", f"{host.name}: " + " ".join("".join(where).split()))

    def alarmed(self, host: Host) -> None:
        well_since = max(other.well_since for other in self._hosts.values())
        if min(self._network.fair_for_s(), self._clock.now - well_since) > CALM_S:
            self._violated("alarm", f"{host.name} is killed by its alarm, for no reason")

    def handled(self, host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        process = host.process
        assert process is not None
        node = process.node
        self.inputs += 1
        self._count_inputs(host.name)
        view = node.view
        if view is None:
            if node.held():
                self._violated("S1", f"{host.name} has {sorted(node.held())} without a view")
            return
        if host.on_isolation == HOLD_IF_GATEWAY:
            self._judge_isolation(host, node, view)
        if _is_strict(host):
            roll = roll_of(host.table.settings)
            self._rolls.add(roll)
            if roll is not None and view.id not in self._carried and _has_majority(roll, view):
                self._carried[view.id] = (self._clock.now, view.members)
        else:
            self._rolls.add(None)
        if type(given) is Ticked:
            self._judge_progress(host, node, view.id)
        seen = (node.landscape, view.id, node.number, node.mature, host.blocked, host.link_up)
        before = self._seen.get(host.name)
        taken: list[Address] = []
        for effect in effects:
            if type(effect) is Send or type(effect) is Publish:  # the most frequent
                continue
            match effect:
                case TakeAddress():
                    taken.append(effect.address)
                case RenewAddresses():
                    self._judge_renewed(host, effect)
                case ArmAlarm() if effect.at < math.inf and len(self._rolls) == 1:
                    self._judge_mandate(host, view, host.world_time(effect.at))
        if taken:
            self._judge_taken(host, taken)
        if taken or before != seen:
            self._seen[host.name] = seen
            self._judge_kept(host, process)
            if before is None or before[1] != view.id:
                self.views.add(view.id)
                self._judge_flapping(host.name)
                for address in sorted(host.kernel.present):
                    self._judge_holders(host, address)

    def _judge_isolation(self, host: Host, node: Node, view: View) -> None:
        if len(view.members) > 1:
            self._alone_since.pop(host.name, None)
            return
        alone_since = self._alone_since.setdefault(host.name, self._clock.now)
        silent_since = max(alone_since, host.gateway_lost_at, host.well_since)
        kept = [address for address in node.held() if node.holding_state(address) is not HoldState.RELEASING]
        if kept and silent_since + SILENT_S + ANSWER_SLACK_S < self._clock.now < math.inf:
            self._violated("S3", f"{host.name} keeps {sorted(kept)}, alone, and its gateway has long been silent")

    def _judge_flapping(self, name: NodeName) -> None:
        now = self.last_view_at = self._clock.now
        installed = self._installed.setdefault(name, deque(maxlen=MAX_VIEWS))
        if len(installed) == MAX_VIEWS and now - installed[0] < 5 * self._timeout_s:
            self._violated("L6", f"{name} has installed {MAX_VIEWS + 1} views in {now - installed[0]:.3f} s")
        installed.append(now)

    def plumbed(self, host: Host, address: Address, present: bool) -> None:
        if present:
            self._judge_holders(host, address)
            self._judge_strictly(host, address)
            if host.node is not None and host.node.holding_state(address) is None:
                self._violated("S3", f"{address} is in the kernel of {host.name}, which knows nothing of it")

    def ordered(self, host: Host, address: Address, take: bool) -> None:
        self.orders += 1
        self.last_order_at = self._clock.now

    def sent(self, host: Host, message: AnyMessage) -> None:
        if type(message) is Leave and (host.kernel.present or not host.kernel.idle()):
            self._violated("S3", f"{host.name} says LEAVE with {sorted(host.kernel.present)} in its kernel")

    def published(self, host: Host, event: Event) -> None:
        if type(event) is Disagreement:
            self._violated("L2", f"{host.name}: {event.address or ''} {event.text}")
        elif type(event) is Balanced:
            self.balanced_at = self._clock.now

    def _judge_holders(self, host: Host, address: Address) -> None:
        """S1 in the kernels."""
        view = _view_id(host.node)
        if view is None or host.node is None:
            return
        for other in self._hosts.values():
            if other is host or address not in other.kernel.present or _view_id(other.node) != view:
                continue
            claimed = host.node.claims_at_install.get(address, frozenset())
            if host.name not in claimed or other.name not in claimed:
                self._violated(
                    "S1",
                    f"{address} on {host.name} and {other.name}, both in {view}; claimed by {sorted(claimed)}",
                )

    def _judge_strictly(self, host: Host, address: Address) -> None:
        """S4."""
        for other in self._hosts.values():
            if other is not host and address in other.kernel.present and _is_strict(host) and _is_strict(other):
                self._violated("S4", f"{address} on {host.name}, and still on {other.name}")

    def _judge_mandate(self, host: Host, view: View, end: float) -> None:
        """S4, before it comes to it: no mandate outlasts a majority's view without its holder by its own length."""
        began, _ = self._carried.get(view.id, (-math.inf, ()))
        me, lifetime_s = _me(host), host.table.settings.address_lifetime
        for other, (since, members) in self._carried.items():
            if since > began and me not in members and end > since + mandate_s(lifetime_s) / (1 - STRICT_DRIFT):
                text = f"{host.name} may hold in {view.id} until {end:.3f}, though {other} began at {since:.3f}"
                self._violated("S4", text)

    def _judge_progress(self, host: Host, node: Node, view: ViewId) -> None:
        """Nothing that was numbered is missed for long, be it the last."""
        coordinator = self._hosts.get(view.coordinator)
        if coordinator is None or coordinator.node is None or _view_id(coordinator.node) != view:
            self._behind.pop(host.name, None)
            return
        number = node.number
        *at, since = self._behind.get(host.name, (None, -1, 0.0))
        if coordinator.node.number <= number:
            self._behind.pop(host.name, None)
        elif at != [view, number]:
            self._behind[host.name] = (view, number, self._clock.now)
        else:
            well_since = max(since, host.well_since, coordinator.well_since)
            if min(self._clock.now - well_since, self._network.fair_for_s()) > self._lag_s:
                given = coordinator.node.number
                self._violated("L2", f"{host.name} stays at number {number} of {view}, though {given} was given")
                del self._behind[host.name]

    def _flags(self, node: Node) -> Flags:
        """Of the tables that are in force; what the node makes of them if it has them all."""
        known = node.landscape.entries
        if all(digest is None or name in known for name, digest in node.in_force.items()):
            return node.landscape.flags
        for host in self._hosts.values():
            if host.process is not None:
                self._tables.update(host.process.tables)
        in_force = {name: self._tables.get(digest) for name, digest in node.in_force.items() if digest is not None}
        return survey({name: table for name, table in in_force.items() if table is not None}).flags

    def _judge_kept(self, host: Host, process: Process) -> None:
        node = process.node
        flags = self._flags(node)
        owners, claims = node.owners(), node.claims
        releasing = HoldState.RELEASING
        for address in sorted(node.held()):
            if node.holding_state(address) is releasing:
                continue
            decision = owners.get(address)
            if decision is not None and decision.owner != host.name:
                self._violated("S1", f"{host.name} keeps {address}, which {decision.owner} owns ({node.number})")
            if host.name not in claims.get(address, ()):
                self._violated("S1", f"{host.name} keeps {address} without a claim on it ({node.number})")
            if address in flags and Flag.BROKEN in flags[address]:
                self._violated("S2", f"{host.name} keeps {address}, which is BROKEN")
            if address not in process.addresses:
                self._violated("S3", f"{host.name} keeps {address}, which is not in its table")
            if not node.mature:
                self._violated("S3", f"{host.name} keeps {address} while immature")
            if host.blocked.everything or address in host.blocked.addresses:
                self._violated("S3", f"{host.name} keeps {address}, which is blocked there")
            if not host.link_up:
                self._violated("S3", f"{host.name} keeps {address}, where its link is down")
            if host.on_isolation == "release" and node.view is not None and len(node.view.members) == 1:
                self._violated("S3", f"{host.name} keeps {address}, alone under the policy release")

    def _judge_taken(self, host: Host, taken: list[Address]) -> None:
        process, view = host.process, _view_id(host.node)
        assert process is not None
        for address in taken:
            if host.drained or process.leaving:
                self._violated("S3", f"{host.name} takes {address} while drained or leaving")
            for other in self._hosts.values():
                if other is host or other.node is None or not other.kernel.may_have(address):
                    continue
                if _view_id(other.node) == view:
                    self._violated("S1", f"{host.name} takes {address} from {other.name}, both in {view}")
                elif self._in_calm(host, other):
                    self._violated("L5", f"{host.name} takes {address}, which {other.name} has, for no reason")

    def _judge_renewed(self, host: Host, order: RenewAddresses) -> None:
        for address in order.addresses:
            if host.node is None or host.node.holding_state(address) is not HoldState.HELD:
                self._violated("S3", f"{host.name} renews {address}, which it does not hold")

    def _in_calm(self, host: Host, other: Host) -> bool:
        """Whether `host` has no reason to think that `other` has gone."""
        now, fair_for_s = self._clock.now, self._network.fair_for_s()
        well_for_s = now - host.well_since
        doubt_s = DOUBT_TIMEOUTS * self._timeout_s
        if (
            well_for_s < doubt_s < fair_for_s
            and other.process is not None
            and other.well_since < host.well_since - doubt_s
        ):
            return other.process.link.me in host.accused_none
        return min(fair_for_s, well_for_s, now - other.well_since) > CALM_S

    def _count_inputs(self, name: NodeName) -> None:
        second = int(self._clock.now)
        if second != self._second:
            self._second = second
            self._inputs_in.clear()
        count = self._inputs_in[name] = self._inputs_in.get(name, 0) + 1
        if count == self._max_inputs:
            self._violated("hot", f"{name} handles more than {self._max_inputs} inputs in a second")

    # --- at the end -----------------------------------------------------------------------------------------

    def judge_rest(self, *, quiet_since_s: float) -> None:
        """All links are whole, nothing has gone wrong for long; nothing should have been ordered since."""
        live = {name: host.process for name, host in self._hosts.items() if host.process is not None}
        if self.last_order_at > quiet_since_s:
            self._violated("L5", f"the last kernel order was given at {self.last_order_at:.3f}")
        if self.last_view_at > quiet_since_s:
            self._violated("L6", f"the last view was installed at {self.last_view_at:.3f}")
        self._judge_agreement(live)
        landscape = survey({name: process.table for name, process in live.items()})
        holders: dict[Address, list[NodeName]] = {}
        for name, host in self._hosts.items():
            if host.process is None:
                left = [address for address in sorted(host.kernel.present) if ":" not in address]
                let_go_s = max(self._let_go_s, gone_after_s(host.kernel.longest_lifetime_s))  # it may be stretched
                if left and self._clock.now - self._ended_at.get(name, 0.0) > let_go_s:
                    self._violated("S3", f"{name} has no process, and still {left} in its kernel")
                continue
            for address in host.kernel.present:
                holders.setdefault(address, []).append(name)
            believed = set(host.process.node.held())
            if believed != host.kernel.present:
                self._violated(
                    "L1", f"{name} believes {sorted(believed)}, its kernel has {sorted(host.kernel.present)}"
                )
        pins = next((process.node.pins() for process in live.values()), {})
        fails_back = {p.table.settings.fail_back for p in live.values()} == {FAIL_BACK_WHEN_MATURE}
        for address in sorted(set(landscape.universe) | set(holders)):
            self._judge_address(landscape, address, holders, pins, fails_back=fails_back)
        if not any(violation.rule == "L1" for violation in self.violations):
            self._judge_balance(landscape, {address: names[0] for address, names in holders.items()}, pins)

    def _judge_agreement(self, live: dict[NodeName, Process]) -> None:
        first: tuple[NodeName, Node] | None = None
        for name, process in live.items():
            node = process.node
            if node.view is None or set(node.view.names()) != set(live):
                names = node.view.names() if node.view is not None else None
                self._violated("L2", f"{name} has the view {names}, alive are {sorted(live)}")
                return
            if not node.mature:
                self._violated("L2", f"{name} is still immature")
            if first is None:
                first = name, node
                continue
            other_name, other = first
            assert other.view is not None
            for what, mine, theirs in (
                ("view", node.view.id, other.view.id),
                ("number", node.number, other.number),
                ("owners", dict(node.owners()), dict(other.owners())),
                ("pins", dict(node.pins()), dict(other.pins())),
                ("flags", dict(node.landscape.flags), dict(other.landscape.flags)),
            ):
                if mine != theirs:
                    self._violated("L2", f"{what} of {name}: {mine}; of {other_name}: {theirs}")

    def _judge_address(
        self,
        landscape: Landscape,
        address: Address,
        holders: dict[Address, list[NodeName]],
        pins: Mapping[Address, NodeName],
        *,
        fails_back: bool,
    ) -> None:
        held_by = holders.get(address, [])
        eligible = self._eligible(landscape, address)
        wanted: list[NodeName] | None
        if address in landscape.follows:
            leader = holders.get(landscape.follows[address], [])
            wanted = [name for name in leader if name in eligible]
        elif pins.get(address) in eligible:
            wanted = [pins[address]]
        elif fails_back and (preferred := [n for n in landscape.preferences.get(address, ()) if n in eligible]):
            wanted = preferred[:1]
        else:
            wanted = None if eligible else []
        if wanted is None and len(held_by) == 1 and held_by[0] in eligible:
            return
        if held_by != wanted:
            rule = "L3" if len(held_by) == 1 and address in landscape.preferences else "L1"
            expected = "one of " + str(eligible) if wanted is None else str(wanted)
            self._violated(rule, f"{address} is held by {held_by}, expected {expected}")

    def _judge_balance(
        self, landscape: Landscape, holder: Mapping[Address, NodeName], pins: Mapping[Address, NodeName]
    ) -> None:
        """L4: from the fullest node on, looks for a chain of moves that ends at one that has room."""
        weight = {name: host.weight for name, host in self._hosts.items()}
        load = dict.fromkeys(self._hosts, 0.0)
        ways: dict[NodeName, dict[NodeName, Address]] = {name: {} for name in self._hosts}
        for address, owner in holder.items():
            load[owner] += landscape.weights.get(address, 1.0)
            eligible = self._eligible(landscape, address)
            bound = {pins.get(address), *landscape.preferences.get(address, ())}.intersection(eligible)
            company = (landscape.follows, landscape.followers, landscape.weights, landscape.apart, landscape.together)
            tied = any(address in mapping for mapping in company)
            if not bound and not tied:
                ways[owner].update(dict.fromkeys(eligible, address))
        for source in self._hosts:
            reached, waiting = {source}, [source]
            while waiting:
                for target in ways[waiting.pop()].keys() - reached:
                    reached.add(target)
                    waiting.append(target)
                    if (load[target] + 1) / weight[target] < load[source] / weight[source] - 1e-9:
                        self._violated("L4", f"{source} has {load[source]:g} VIPs, and {target} {load[target]:g}")
                        return

    def _eligible(self, landscape: Landscape, address: Address) -> list[NodeName]:
        if Flag.BROKEN in landscape.flags.get(address, ()):
            return []
        return [
            name
            for name in landscape.members.get(address, ())
            if not (host := self._hosts[name]).drained
            and host.link_up
            and ((roll := roll_of(host.table.settings)) is None or name in roll.members)
            and not host.blocked.everything
            and address not in host.blocked.addresses
        ]


def _has_majority(roll: Roll, view: View) -> bool:
    """Counted here once more: the checker shares no rule with what it checks."""
    here = set(view.names()) & set(roll.members)
    return 2 * len(here) + (roll.tie_breaker in here) > len(roll.members)


def _me(host: Host) -> Member:
    assert host.process is not None
    return host.process.link.me


def _is_strict(host: Host) -> bool:
    return host.table.settings.ownership == STRICT


def _view_id(node: Node | None) -> ViewId | None:
    return node.view.id if node is not None and node.view is not None else None
