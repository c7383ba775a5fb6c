"""Each broken promise is noticed, and what is allowed is not: with puppets that believe what the test says."""

import math
from collections.abc import Collection, Mapping

import pytest

from duravip.cluster.addresses import AddressSet
from duravip.cluster.effects import Effect, ReleaseAddress, RenewAddresses, Send, TakeAddress
from duravip.cluster.flags import Landscape, survey
from duravip.cluster.holdings import HoldState
from duravip.cluster.inputs import Input
from duravip.cluster.messages import Blocked, Leave
from duravip.cluster.parameters import Parameters
from duravip.model import (
    Address,
    Decision,
    Member,
    NodeName,
    Reason,
    Table,
    TableDigest,
    Use,
    View,
    ViewId,
    VipEntry,
    make_table,
)
from duravip.sim.checker import LAG_INTERVALS, LET_GO_S, MAX_VIEWS, Checker
from duravip.sim.host import Host
from duravip.sim.world import World

A, B = NodeName("a"), NodeName("b")
X, Y = Address("192.0.2.1"), Address("192.0.2.2")


def table(*, binding: str = "b", preference: str | None = None) -> Table:
    wish = Use(preference) if preference is not None else None
    return make_table([VipEntry(address=X, bindings=(Use(binding),), preference=wish)])


class Puppet:
    """Believes what the test says; gives the effects that the test wants, once."""

    def __init__(self, parameters: Parameters, table: Table, now: float) -> None:
        self.me = Member(parameters.name, parameters.incarnation)
        self.now = now
        self.view: View | None = None
        self.number = 1
        self.mature = True
        self.landscape: Landscape = survey({})
        self.in_force: Mapping[NodeName, TableDigest | None] = {}
        self.claims_at_install: Mapping[Address, frozenset[NodeName]] = {}
        self.decisions: dict[Address, Decision] = {}
        self.holdings: dict[Address, HoldState] = {}
        self.unclaimed: set[NodeName] = set()
        self.effects: tuple[Effect, ...] = ()

    def handle(self, given: Input, /, *, now: float) -> tuple[Effect, ...]:
        self.now = now
        effects, self.effects = self.effects, ()
        return effects

    def next_deadline(self) -> float:
        return self.now + 0.5

    @property
    def claims(self) -> Mapping[Address, Collection[NodeName]]:
        return {address: {self.me.name} - self.unclaimed for address in self.holdings}

    def owners(self) -> Mapping[Address, Decision]:
        return self.decisions

    def pins(self) -> Mapping[Address, NodeName]:
        return {}

    def held(self) -> frozenset[Address]:
        return frozenset(self.holdings)

    def holding_state(self, address: Address) -> HoldState | None:
        return self.holdings.get(address)


class Stage:
    """Two hosts in one view, both with X in their tables."""

    def __init__(self, *, tables: tuple[Table, Table] | None = None) -> None:
        self.checker = Checker()
        self.world = World("stage", observer=self.checker, make_node=Puppet)
        self.checker.watch(self.world)
        for name, its_table in zip((A, B), tables or (table(), table()), strict=True):
            self.world.add_host(name, its_table).start()
        self.world.clock.run_until(0.1)
        self.in_view(1)

    def host(self, name: NodeName) -> Host:
        return self.world.hosts[name]

    def node(self, name: NodeName) -> Puppet:
        node = self.host(name).node
        assert isinstance(node, Puppet)
        return node

    def in_view(self, epoch: int, *names: NodeName) -> None:
        """Both, or those named, install a view of both."""
        members = tuple(sorted(self.node(name).me for name in (A, B)))
        landscape = survey({name: self.host(name).table for name in (A, B)})
        for name in names or (A, B):
            self.node(name).view = View(ViewId(epoch, A, members[0].incarnation), members)
            self.node(name).landscape = landscape

    def does(self, name: NodeName, *effects: Effect) -> None:
        self.node(name).effects = effects
        self.host(name).drain(self.host(name).drained)
        self.world.clock.run_until(self.world.clock.now + 0.1)

    def holds(self, name: NodeName, *, says: NodeName | None = None) -> None:
        """The node takes X and the kernel does it; it believes that `says` (itself by default) owns it."""
        self.node(name).decisions = {X: Decision(says or name, Reason.HOLDER)}
        self.node(name).holdings = {X: HoldState.HELD}
        self.does(name, TakeAddress(address=X, interface=None, prefix=32))

    def rules(self) -> set[str]:
        return {violation.rule for violation in self.checker.violations}

    def at_rest(self) -> set[str]:
        self.world.clock.run_until(self.world.clock.now + 5)
        self.checker.judge_rest(quiet_since_s=self.world.clock.now - 4)
        return self.rules()


def test_one_holder_and_everybody_agreed_is_fine() -> None:
    stage = Stage()
    stage.node(B).decisions = {X: Decision(A, Reason.HOLDER)}
    stage.holds(A)
    assert stage.at_rest() == set()


def test_two_holders_in_one_view_are_noticed() -> None:
    stage = Stage()
    stage.holds(A)
    stage.holds(B)
    assert stage.rules() == {"S1"}


def test_two_holders_are_noticed_when_the_second_installs_the_view_of_the_first() -> None:
    stage = Stage()
    stage.in_view(2, B)
    stage.holds(A)
    stage.holds(B)
    assert stage.rules() == set()
    stage.in_view(2)
    stage.does(A)
    assert stage.rules() == {"S1"}


def test_two_who_both_claimed_in_the_exchange_may_overlap() -> None:
    stage = Stage()
    for name in (A, B):
        stage.node(name).claims_at_install = {X: frozenset({A, B})}
        stage.node(name).holdings = {X: HoldState.TAKING}
    for name in (A, B):
        stage.host(name).kernel.order(TakeAddress(address=X, interface=None, prefix=32))
    stage.world.clock.run_until(1.0)
    assert all(X in stage.host(name).kernel.present for name in (A, B))
    assert stage.rules() == set()


def test_taking_what_another_of_the_view_still_has_is_noticed_before_the_kernel_has_it_twice() -> None:
    stage = Stage()
    stage.holds(A)
    for name in (A, B):
        stage.node(name).claims_at_install = {X: frozenset({A, B})}
    stage.node(B).effects = (TakeAddress(address=X, interface=None, prefix=32),)
    stage.host(B).drain(False)
    assert stage.rules() == {"S1"}


def test_taking_what_another_has_while_all_is_calm_is_noticed_in_any_view() -> None:
    stage = Stage()
    stage.holds(A)
    stage.in_view(2, B)
    stage.world.clock.run_until(30)
    stage.holds(B)
    assert stage.rules() == {"L5"}


def test_taking_what_another_has_is_fair_after_a_partition() -> None:
    stage = Stage()
    stage.holds(A)
    stage.in_view(2, B)
    stage.world.clock.run_until(30)
    stage.world.network.split([[A], [B]])
    stage.holds(B)
    assert stage.rules() == set()


@pytest.mark.parametrize(("stalls_s", "expected"), [([1.0], set()), ([5.0], {"L5"}), ([5.0, 1.0], set())])
def test_taking_what_another_has_right_after_a_stall_is_noticed(stalls_s: list[float], expected: set[str]) -> None:
    stage = Stage()
    stage.holds(A)
    for stall_s in stalls_s:
        stage.world.clock.run_until(stage.world.clock.now + 4)
        stage.host(B).freeze()
        stage.world.clock.run_until(stage.world.clock.now + stall_s)
        stage.host(B).thaw()
    stage.in_view(2, B)
    stage.holds(B)
    assert stage.rules() == expected


def test_a_dead_process_is_no_holder() -> None:
    stage = Stage()
    stage.holds(A)
    stage.host(A).crash()
    stage.holds(B)
    assert stage.rules() == set()


def test_keeping_what_another_owns_is_noticed_at_the_number_that_says_so() -> None:
    stage = Stage()
    stage.holds(A)
    stage.node(A).decisions = {X: Decision(B, Reason.BALANCED)}
    stage.node(A).number += 1
    stage.does(A)
    assert stage.rules() == {"S1"}


def test_an_address_on_its_way_out_is_not_kept() -> None:
    stage = Stage()
    stage.holds(A)
    stage.node(A).decisions = {X: Decision(B, Reason.BALANCED)}
    stage.node(A).holdings = {X: HoldState.RELEASING}
    stage.node(A).number += 1
    stage.does(A, ReleaseAddress(address=X, interface=None, prefix=32))
    assert stage.rules() == set()


def test_keeping_what_the_agreed_state_knows_no_claim_on_is_noticed() -> None:
    stage = Stage()
    stage.node(A).unclaimed = {A}
    stage.holds(A)
    assert stage.rules() == {"S1"}


def test_a_broken_vip_that_stays_is_noticed() -> None:
    stage = Stage()
    stage.holds(A)
    stage.node(A).landscape = survey({A: table(), B: table(binding="other")})
    stage.does(A)
    assert stage.rules() == {"S2"}


def test_a_vip_that_is_broken_by_a_table_which_its_holder_lacks_is_noticed() -> None:
    other = table(binding="other")
    stage = Stage(tables=(table(), other))
    node = stage.node(A)
    node.landscape = survey({A: table()})
    node.in_force = {A: table().digest(), B: None}
    stage.holds(A)
    assert stage.rules() == set()
    node.in_force = {A: table().digest(), B: other.digest()}
    node.number += 1
    stage.does(A)
    assert stage.rules() == {"S2"}


@pytest.mark.parametrize(("behind_s", "found"), [(LAG_INTERVALS - 1, set()), (LAG_INTERVALS + 1, {"L2"})])
def test_who_stays_behind_what_its_coordinator_has_numbered_is_noticed(behind_s: float, found: set[str]) -> None:
    stage = Stage()
    stage.node(A).number = 2
    stage.world.clock.run_until(stage.world.clock.now + behind_s)
    assert stage.rules() == found


def test_who_is_behind_and_comes_on_is_well() -> None:
    stage = Stage()
    for number in range(2, 20):
        stage.node(A).number, stage.node(B).number = number + 1, number
        stage.world.clock.run_until(stage.world.clock.now + 1)
    assert stage.rules() == set()


def test_who_was_behind_in_an_earlier_view_is_no_later_for_that_in_the_next() -> None:
    stage = Stage()
    stage.node(A).number = 2
    stage.world.clock.run_until(stage.world.clock.now + LAG_INTERVALS - 1)
    stage.in_view(2)
    stage.world.clock.run_until(stage.world.clock.now + LAG_INTERVALS - 1)
    assert stage.rules() == set()


def test_who_is_behind_on_a_bad_network_has_time() -> None:
    stage = Stage()
    stage.node(A).number = 2
    stage.world.network.cut(A, B)
    stage.world.clock.run_until(stage.world.clock.now + 3 * LAG_INTERVALS)
    assert stage.rules() == set()


def test_a_vip_outside_the_own_table_is_noticed() -> None:
    stage = Stage(tables=(make_table([]), table()))
    stage.holds(A)
    assert stage.rules() == {"S3"}


def test_an_immature_holder_is_noticed() -> None:
    stage = Stage()
    stage.node(A).mature = False
    stage.holds(A)
    assert stage.rules() == {"S3"}


def test_keeping_what_is_blocked_is_noticed() -> None:
    stage = Stage()
    stage.holds(A)
    stage.host(A).block(Blocked(addresses=AddressSet([X])))
    assert stage.rules() == {"S3"}


def test_keeping_anything_alone_under_the_policy_release_is_noticed() -> None:
    stage = Stage()
    stage.holds(A)
    stage.host(A).on_isolation = "release"
    stage.does(A)
    assert stage.rules() == set()
    view = stage.node(A).view
    assert view is not None
    stage.node(A).view = View(view.id, view.members[:1])
    stage.node(A).number += 1
    stage.does(A)
    assert stage.rules() == {"S3"}


def test_taking_while_drained_is_noticed() -> None:
    stage = Stage()
    stage.host(A).drain(True)
    stage.holds(A)
    assert stage.rules() == {"S3"}


def test_a_farewell_with_addresses_in_the_kernel_is_noticed() -> None:
    stage = Stage()
    stage.holds(A)
    stage.does(A, Send(messages=(Leave(),)))
    assert stage.rules() == {"S3"}


def test_a_vip_that_nobody_holds_is_noticed_at_rest() -> None:
    stage = Stage()
    assert stage.at_rest() == {"L1"}


def test_a_vip_that_nobody_may_hold_is_not_missed_at_rest() -> None:
    stage = Stage(tables=(table(binding="one"), table(binding="other")))
    assert stage.at_rest() == set()


def test_a_kernel_that_has_what_its_node_does_not_know_is_noticed_at_rest() -> None:
    stage = Stage()
    stage.node(B).decisions = {X: Decision(A, Reason.HOLDER)}
    stage.holds(A)
    stage.node(A).holdings = {}
    assert stage.at_rest() == {"L1"}


def test_a_preference_that_is_not_honoured_is_noticed_at_rest() -> None:
    stage = Stage(tables=(table(preference="b"), table(preference="b")))
    stage.node(B).decisions = {X: Decision(A, Reason.HOLDER)}
    stage.holds(A)
    assert stage.at_rest() == {"L3"}


@pytest.mark.parametrize("what", ["number", "owners", "view", "maturity"])
def test_members_that_do_not_agree_are_noticed_at_rest(what: str) -> None:
    stage = Stage()
    if what != "owners":
        stage.node(B).decisions = {X: Decision(A, Reason.HOLDER)}
    stage.holds(A)
    match what:
        case "number":
            stage.node(B).number += 1
        case "view":
            stage.in_view(2, B)
        case "maturity":
            stage.node(B).mature = False
    assert stage.at_rest() == {"L2"}


def test_an_order_shortly_before_the_end_is_noticed() -> None:
    stage = Stage()
    stage.node(B).decisions = {X: Decision(A, Reason.HOLDER)}
    stage.world.clock.run_until(10)
    stage.holds(A)
    stage.checker.judge_rest(quiet_since_s=9.0)
    assert stage.rules() == {"L5"}


def test_renewing_what_is_not_held_is_found() -> None:
    stage = Stage()
    stage.holds(A)
    renewal = RenewAddresses(addresses=(X,), lifetime_s=10, not_after=math.inf)
    stage.does(A, renewal)
    assert stage.rules() == set()
    stage.node(A).holdings = {X: HoldState.RELEASING}
    stage.does(A, renewal)
    assert stage.rules() == {"S3"}


def test_an_address_in_the_kernel_of_a_process_that_knows_nothing_of_it_is_found() -> None:
    stage = Stage()
    stage.host(A).kernel.order(TakeAddress(address=X, interface=None, prefix=32))
    stage.world.clock.run_until(1.0)
    assert stage.rules() == {"S3"}


@pytest.mark.parametrize(("lifetime_s", "found"), [(10.0, set()), (0.0, {"S3"})])
def test_an_address_that_outlives_its_process_for_long_is_found(lifetime_s: float, found: set[str]) -> None:
    stage = Stage()
    stage.node(A).holdings = {X: HoldState.TAKING}
    stage.host(A).kernel.order(TakeAddress(address=X, interface=None, prefix=32, lifetime_s=lifetime_s))
    stage.world.clock.run_until(1.0)
    stage.host(A).crash()
    stage.world.clock.run_until(LET_GO_S + 2)
    assert stage.at_rest() & {"S3"} == found


def pair(*, preference: str | None = None) -> Table:
    wish = Use(preference) if preference is not None else None
    entries = [VipEntry(address=at, bindings=(Use(f"b-{at}"),), preference=wish) for at in (X, Y)]
    return make_table(entries)


@pytest.mark.parametrize(
    ("tables", "weight", "found"),
    [
        ((pair(), pair()), 1.0, {"L4"}),
        ((pair(), pair()), 2.0, set()),
        ((pair(preference="a"), pair(preference="a")), 1.0, set()),
        ((pair(), table(binding=f"b-{X}")), 1.0, {"L4"}),
        ((pair(), make_table([])), 1.0, set()),
    ],
    ids=["uneven", "a may have twice as many", "both prefer a", "one of them may move", "none may"],
)
def test_loads_that_a_move_would_even_out_are_noticed_at_rest(
    tables: tuple[Table, Table], weight: float, found: set[str]
) -> None:
    stage = Stage(tables=tables)
    stage.host(A).weight = weight
    for name in (A, B):
        stage.node(name).decisions = dict.fromkeys((X, Y), Decision(A, Reason.HOLDER))
    stage.node(A).holdings = dict.fromkeys((X, Y), HoldState.HELD)
    stage.does(A, *(TakeAddress(address=at, interface=None, prefix=32) for at in (X, Y)))
    assert stage.at_rest() == found


def test_a_view_that_is_installed_shortly_before_the_end_is_noticed() -> None:
    stage = Stage()
    stage.holds(A)
    stage.node(B).decisions = dict(stage.node(A).decisions)
    stage.world.clock.run_until(9.0)
    stage.in_view(2)
    stage.does(A)
    stage.checker.judge_rest(quiet_since_s=5.0)
    assert stage.rules() == {"L6"}


def test_a_view_that_flaps_is_noticed() -> None:
    stage = Stage()
    for epoch in range(MAX_VIEWS):
        stage.in_view(2 + epoch, A)
        stage.does(A)
    assert stage.rules() == set()
    stage.in_view(2 + MAX_VIEWS, A)
    stage.does(A)
    assert stage.rules() == {"L6"}
