"""What a cable that is pulled at the owner costs: when the owner lets go, and how long a client gets no answer.

    python -m tests.bench.link [--runs 20] [--format text|json]

Three real daemons with default settings, save that views mature after one second, and a client that asks the VIP for an
echo every millisecond. VIPs are on `eth0`, and its cable is pulled at the owner, each time another node.

    other-path   heartbeats go over `eth1` as well
    same-cable   heartbeats go over `eth0` alone

Letting go is counted from right before the cable is pulled until the kernel tells that the address has gone. Exit
status 1 when a median misses its target.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from duravip.testing.probe import Probe

NODES = ("node1", "node2", "node3")
VIPS = {"10.77.0.101": "node1", "10.77.0.102": "node2", "10.77.0.103": "node3"}
HEARTBEAT_INTERVAL_S = 0.1
QUIET_S = 1.3  # before a fault; longer than a Linux client clings to a neighbour that it has just learnt
AFTER_S = 0.9
LET_GO_TARGET_MS = 20.0
OUTAGE_TARGETS_MS = {"other-path": 60.0, "same-cable": 330.0}
_RTM_DELADDR = 21
_RTMGRP_IPV4_IFADDR = 0x10


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Milliseconds, in the order of the runs."""

    runs_ms: list[float]
    median_ms: float
    worst_ms: float
    target_ms: float
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The runs of one kind of cluster."""

    paths: str
    let_go: Figures
    outage: Figures


def main() -> None:
    options = argparse.ArgumentParser(description="What a pulled cable costs.", prog="tests.bench.link")
    options.add_argument("--runs", type=int, default=20, help="of each kind (20)")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    text = given.format == "text"
    with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
        kinds = [
            measure(paths, given.runs, Path(made), say=print if text else lambda _line: None)
            for paths in OUTAGE_TARGETS_MS
        ]
    if not text:
        print(json.dumps([asdict(kind) for kind in kinds]))
    sys.exit(not all(kind.let_go.met and kind.outage.met for kind in kinds))


def measure(paths: str, runs: int, folder: Path, *, say: Callable[[str], None]) -> Kind:
    chance = random.Random()
    let_go, outages = [], []
    stanzas = 'multicast "second" { interface = "eth1" group = "239.192.0.78" }' if paths == "other-path" else ""
    folder = folder / paths
    folder.mkdir()
    with Lan((*NODES, "client"), prefix="dvbench") as lan:
        lan.second_link(*NODES)
        with Daemons(lan, folder, NODES, VIPS, settings={"view_mature_time": "1"}, stanzas=stanzas) as daemons:
            for run in range(runs):
                victim = NODES[run % len(NODES)]
                gone_ms, outage_ms = one_run(lan, daemons, victim, chance.random() * HEARTBEAT_INTERVAL_S)
                let_go.append(round(gone_ms, 2))
                outages.append(round(outage_ms, 2))
                say(f"{paths:<11} {victim}   let go after {gone_ms:6.1f} ms   outage {outage_ms:7.1f} ms")
    kind = Kind(
        paths=paths, let_go=figures(let_go, LET_GO_TARGET_MS), outage=figures(outages, OUTAGE_TARGETS_MS[paths])
    )
    for what, found in (("let go", kind.let_go), ("outage", kind.outage)):
        say(
            f"{paths:<11} {what}: median {found.median_ms:.1f} ms, worst {found.worst_ms:.1f} ms, "
            f"target {found.target_ms:g} ms: {'met' if found.met else 'MISSED'}"
        )
    return kind


def figures(runs_ms: list[float], target_ms: float) -> Figures:
    median_ms = statistics.median(runs_ms)
    return Figures(
        runs_ms=runs_ms,
        median_ms=round(median_ms, 2),
        worst_ms=max(runs_ms),
        target_ms=target_ms,
        met=median_ms <= target_ms,
    )


def one_run(lan: Lan, daemons: Daemons, victim: str, phase_s: float) -> tuple[float, float]:
    """How long the victim kept its address, and the client's longest gap, in milliseconds."""
    daemons.wait_settled()
    address = next(vip for vip, preferred in VIPS.items() if preferred == victim)
    with Probe(lan, "client", address) as probe, removal(lan, victim, address) as gone:
        time.sleep(QUIET_S + phase_s)
        since_s = time.monotonic()
        lan.unplug(victim)
        time.sleep(AFTER_S)
    gap_ms = probe.longest_gap_ms(since_s=since_s - 0.01)
    lan.plug(victim)
    return (gone[0] - since_s) * 1000 if gone else float("inf"), gap_ms


@contextlib.contextmanager
def removal(lan: Lan, host: str, address: str) -> Iterator[list[float]]:
    """Gets one item, CLOCK_MONOTONIC, when the host's kernel tells that the address has gone."""
    found: list[float] = []
    packed, over = socket.inet_aton(address), threading.Event()
    with lan.inside(host):
        hearing = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        hearing.bind((0, _RTMGRP_IPV4_IFADDR))
    hearing.settimeout(0.05)

    def listen() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                heard = hearing.recv(1 << 16)
                if int.from_bytes(heard[4:6], sys.byteorder) == _RTM_DELADDR and packed in heard:
                    found.append(time.monotonic())

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        hearing.close()


if __name__ == "__main__":
    main()
