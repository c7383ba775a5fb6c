"""How many schedules a core simulates in a second: 5 nodes, 20 VIPs, heartbeats each second.

    python -m tests.bench.simulator [--seeds 0-39] [--profile]

The time is the process's own (CPU): other work on the machine counts little. The target is 20.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time

from duravip.model import NodeName, Settings, Use, VipEntry, canonical_address, make_table
from duravip.sim.faults import KINDS
from duravip.sim.rehearsal import Rehearsal, rehearse
from duravip.sim.setup import NodeSetup, Setup

NODES = 5
VIPS = 20
SETTINGS = Settings(view_mature_time=5.0, view_balance_interval=2.0)
TARGET = 20.0  # schedules per second and core


def setup() -> Setup:
    """Overlapping memberships, preferences and a follower: every second VIP is on all nodes, every other lacks one."""
    names = [NodeName(f"node{number}") for number in range(1, NODES + 1)]
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
    cluster = setup()
    rehearse(0, setup=cluster, kinds=KINDS)  # what is imported and compiled once
    profile = cProfile.Profile()
    rehearsal = Rehearsal()
    inputs = 0
    began = time.process_time()
    if options.profile:
        profile.enable()
    for seed in range(int(first), int(last or first) + 1):
        outcome = rehearse(seed, setup=cluster, kinds=KINDS)
        inputs += outcome.inputs
        rehearsal.add(outcome)
    profile.disable()
    took_s = time.process_time() - began
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    print(
        f"{rehearsal.seeds} schedules of {NODES} nodes and {VIPS} VIPs, {len(rehearsal.findings)} violations: "
        f"{rehearsal.seeds / took_s:.1f} schedules per second and core (target {TARGET:g}), "
        f"{1e6 * took_s / inputs:.0f} us an input, {rehearsal.virtual_s / rehearsal.seeds:.0f} virtual seconds each"
    )


if __name__ == "__main__":
    main()
