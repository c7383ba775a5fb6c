"""How many schedules a core simulates in a second: 5 nodes, 20 VIPs, heartbeats each second.

    python -m tests.bench.simulator [--seeds 0-39] [--profile]

    alike        all nodes have the same table: every VIP is on each of them, none has a preference
    overlapping  each has a table of its own: overlapping memberships, preferences, a follower

The time is the process's own (CPU): other work on the machine counts little. The target is 20.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Iterable, Mapping, Sequence

from duravip.model import NodeName, Settings, Use, VipEntry, canonical_address, make_table
from duravip.sim.faults import KINDS
from duravip.sim.rehearsal import Rehearsal, rehearse
from duravip.sim.setup import NodeSetup, Setup

NODES = 5
VIPS = 20
SETTINGS = Settings(view_mature_time=5.0, view_balance_interval=2.0)
TARGET = 20.0  # schedules per second and core


def alike() -> Setup:
    """The simplest cluster of this size."""
    entries = [
        VipEntry(
            address=canonical_address(f"192.0.2.{number}"),
            services=(Use("multivip"),),
            bindings=(Use(f"b{number}"),),
            interface="eth0",
        )
        for number in range(1, VIPS + 1)
    ]
    return _setup(dict.fromkeys(_names(), entries))


def overlapping() -> Setup:
    """Every second VIP is on all nodes, every other lacks one."""
    names = _names()
    tables: dict[NodeName, list[VipEntry]] = {name: [] for name in names}
    for number in range(1, VIPS + 1):
        follows = number == VIPS
        entry = VipEntry(
            address=canonical_address(f"192.0.2.{number}"),
            services=(Use("esmtp:25" if follows else "multivip"),),
            bindings=() if follows else (Use(f"b{number}"),),
            preference=Use(names[number % NODES]) if number <= 5 else None,
            follow=Use("192.0.2.1") if follows else None,
            interface="eth0",
        )
        for place, name in enumerate(names):
            if number % 2 or follows or place != number // 2 % NODES:
                tables[name].append(entry)
    return _setup(tables)


CLUSTERS = {"alike": alike, "overlapping": overlapping}


def _names() -> list[NodeName]:
    return [NodeName(f"node{number}") for number in range(1, NODES + 1)]


def _setup(tables: Mapping[NodeName, Sequence[VipEntry]]) -> Setup:
    return Setup(
        nodes=tuple(
            NodeSetup(
                name=name,
                table=make_table(vips, SETTINGS),
                heartbeat_interval_s=1.0,
                failure_timeout_s=3.5,
            )
            for name, vips in tables.items()
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulator", description=__doc__)
    parser.add_argument("--seeds", default="0-39", metavar="A-B")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    for name, make in CLUSTERS.items():
        print(f"{name}: {measured(make(), seeds, profiles=options.profile)}")


def measured(cluster: Setup, seeds: Iterable[int], *, profiles: bool) -> str:
    rehearse(0, setup=cluster, kinds=KINDS)  # what is imported and compiled once
    profile = cProfile.Profile()
    rehearsal = Rehearsal()
    inputs = 0
    began = time.process_time()
    if profiles:
        profile.enable()
    for seed in seeds:
        outcome = rehearse(seed, setup=cluster, kinds=KINDS)
        inputs += outcome.inputs
        rehearsal.add(outcome)
    profile.disable()
    took_s = time.process_time() - began
    if profiles:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    return (
        f"{rehearsal.seeds} schedules of {NODES} nodes and {VIPS} VIPs, {len(rehearsal.findings)} violations: "
        f"{rehearsal.seeds / took_s:.1f} schedules per second and core (target {TARGET:g}), "
        f"{1e6 * took_s / inputs:.0f} us an input, {rehearsal.virtual_s / rehearsal.seeds:.0f} virtual seconds each"
    )


if __name__ == "__main__":
    main()
