from __future__ import annotations

import dataclasses

from duravip.cluster.addresses import AddressSet
from duravip.cluster.messages import Blocked
from duravip.cluster.parameters import Parameters
from duravip.cluster.shadow import Shadow
from duravip.cluster.standing import NAMESAKE_TIMEOUTS, Standing
from duravip.model import Address, Incarnation, NodeName

X, Y, Z = (Address(f"10.0.0.{number}") for number in (1, 2, 3))
NONE = AddressSet()
PARAMETERS = Parameters(name=NodeName("a"), incarnation=Incarnation(1, 1), failure_timeout_s=1.0)


def test_what_ends_with_the_next_view_is_not_promised_for_it() -> None:
    standing = Standing(PARAMETERS)
    standing.suspended = True
    assert standing.blocked(NONE, 0.0).everything == "stalled or expelled"
    assert standing.lasting_blocks(NONE, 0.0) == Blocked()
    standing.on_install(alone=False)
    assert standing.blocked(NONE, 0.0) == Blocked()


def test_refusals_shadows_and_the_hosts_own_blocks_add_up() -> None:
    standing = Standing(PARAMETERS)
    standing.external = Blocked(addresses=AddressSet([X]))
    standing.shadow = Shadow(given_up=AddressSet([Y]), avoided=NONE)
    assert standing.blocked(AddressSet([Z]), 0.0).addresses == AddressSet([X, Y, Z])


def test_a_node_alone_is_isolated_only_under_the_policy_release() -> None:
    for policy, isolated in (("hold", False), ("release", True)):
        standing = Standing(dataclasses.replace(PARAMETERS, on_isolation=policy))
        standing.on_install(alone=True)
        assert standing.is_isolated() is isolated
        assert bool(standing.blocked(NONE, 0.0).everything) is isolated


def test_a_namesake_is_news_once_and_blocks_as_long_as_it_is_heard() -> None:
    standing = Standing(PARAMETERS)
    assert standing.on_namesake(0.0)
    assert not standing.on_namesake(1.0)
    assert "calls itself a" in standing.blocked(NONE, 1.0 + NAMESAKE_TIMEOUTS - 0.1).everything
    assert standing.blocked(NONE, 1.0 + NAMESAKE_TIMEOUTS) == Blocked()
    assert standing.on_namesake(1.0 + NAMESAKE_TIMEOUTS)
