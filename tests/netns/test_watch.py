"""The watch sees two holders, and only where they may not be.

node1 ─┐
node2 ─┼─ br0
node3 ─┘
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from duravip.testing.netns import Lan
from duravip.testing.watch import Watch

pytestmark = pytest.mark.netns

VIP, VIP6 = "10.77.0.51", "fd77::51"
NODES = ("node1", "node2", "node3")


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(NODES, prefix="dvwatch") as built:
        yield built


def put(lan: Lan, host: str, address: str = VIP) -> None:
    done = lan.run(host, "ip", "addr", "add", f"{address}/{128 if ':' in address else 32}", "dev", "eth0")
    assert not done.returncode, done.stderr


def take_off(lan: Lan, host: str) -> None:
    assert not lan.run(host, "ip", "addr", "del", f"{VIP}/32", "dev", "eth0").returncode


def test_one_holder_after_the_other_is_fine_and_a_hosts_own_addresses_do_not_count(lan: Lan) -> None:
    with Watch(lan, NODES) as watch:
        assert watch.held() == {}
        for host in NODES:
            put(lan, host)
            assert watch.holders(VIP) == (host,)
            take_off(lan, host)
        before = watch.looks
        time.sleep(0.5)
        assert watch.looks > before
        assert not watch.violations


@pytest.mark.parametrize("address", [VIP, VIP6])
def test_two_holders_are_a_violation_said_once(lan: Lan, address: str) -> None:
    with Watch(lan, NODES) as watch:
        put(lan, "node3", address)
        put(lan, "node1", address)
        assert watch.held() == {address: ("node1", "node3")}
        time.sleep(0.1)
        [violation] = watch.violations
        assert f"{address} is on node1 and node3 at once" in violation


def test_a_divided_network_may_have_a_holder_in_each_part_but_not_two(lan: Lan) -> None:
    with Watch(lan, NODES) as watch:
        watch.parted(["node1", "node2"])
        put(lan, "node1")
        put(lan, "node3")
        assert watch.holders(VIP) == ("node1", "node3")
        assert not watch.violations
        put(lan, "node2")
        assert watch.holders(VIP) == NODES
        assert len(watch.violations) == 1


def test_after_a_merge_the_holders_have_a_moment_to_become_one_and_nobody_may_join_them(lan: Lan) -> None:
    with Watch(lan, NODES) as watch:
        watch.parted(["node1", "node2"])
        put(lan, "node1")
        put(lan, "node3")
        watch.merged(within_s=60)
        assert watch.holders(VIP) == ("node1", "node3")
        assert not watch.violations
        put(lan, "node2")
        assert watch.holders(VIP) == NODES
        assert len(watch.violations) == 1


def test_once_one_is_left_the_moment_is_over(lan: Lan) -> None:
    with Watch(lan, NODES) as watch:
        watch.parted(["node1", "node2"])
        put(lan, "node1")
        put(lan, "node3")
        watch.merged(within_s=60)
        take_off(lan, "node3")
        assert watch.holders(VIP) == ("node1",)
        put(lan, "node3")
        assert watch.holders(VIP) == ("node1", "node3")
        assert len(watch.violations) == 1


def test_holders_that_do_not_become_one_in_time_are_a_violation(lan: Lan) -> None:
    with Watch(lan, NODES) as watch:
        watch.parted(["node1", "node2"])
        put(lan, "node1")
        put(lan, "node3")
        watch.merged(within_s=0.0)
        time.sleep(0.05)
        assert watch.holders(VIP) == ("node1", "node3")
        assert "long after they met" in watch.violations[0]
