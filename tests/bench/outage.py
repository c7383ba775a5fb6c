"""How long a client of a VIP gets no answer when its owner fails, is stopped, or is told to hand it over.

    python -m tests.bench.outage [--runs 5] [--profile lan] [--transports multicast,unicast] [--format text|json]

Three real daemons on hosts of their own with the default settings, or those of another profile than `lan`, and a client
that asks the VIP for an echo every millisecond. Each run faults another node, and the runs of one kind hit it at
different phases of its heartbeat, spread evenly over the interval.

    silence   the owner's frames vanish, its link stays up
    cable     the owner's link goes down
    stop      SIGTERM: the owner hands over and leaves
    move      `duravip move` to the next node

With several transports, one cluster after the other, each median is compared with that of the first transport too.
Exit status 1 when a median misses its target, or is more than SAME_RATIO times the first transport's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.config.schema import PROFILES
from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from duravip.testing.probe import Probe

NODES = ("node1", "node2", "node3")
VIPS = {"10.77.0.101": "node1", "10.77.0.102": "node2", "10.77.0.103": "node3"}
HEARTBEAT_INTERVAL_S = PROFILES["lan"][0]
QUIET_S = 1.3  # before a fault; longer than a Linux client clings to a neighbour that it has just learnt
AFTER_S = {"silence": 0.9, "cable": 0.9, "stop": 0.4, "move": 0.4}  # beside twice the failure time-out
FAULTS = ("silence", "cable", "stop", "move")
DETECTED_MS = {"lan": 330.0, "fast": 30.0, "wan": 4000.0}  # for what has to be noticed
ORDERLY_MS = {"stop": 3.0, "move": 5.0}
SAME_RATIO = 1.1
PROBE_MS = 1.0  # what the probe cannot tell apart
IDLE_S = 5.0
_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4  # packet(7)
_PORT = (4860).to_bytes(2, "big")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """One daemon while nothing happens: share of a core, and resident memory."""

    node: str
    cpu_percent: float
    rss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The runs of one kind of fault over one transport. Outages in the order of the runs. `ratio`: of the median to
    that of the first transport."""

    transport: str
    fault: str
    outages_ms: list[float]
    median_ms: float
    target_ms: float
    ratio: float
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="Client outages of a three-node cluster.", prog="tests.bench.outage")
    options.add_argument("--runs", type=int, default=5, help="of each kind of fault (5)")
    options.add_argument("--faults", default=",".join(FAULTS), help=f"which kinds ({','.join(FAULTS)})")
    options.add_argument("--profile", choices=sorted(PROFILES), default="lan", help="the daemons' (lan)")
    options.add_argument("--transports", default="multicast", help="one or both of multicast,unicast (multicast)")
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.add_argument("--keep-logs", metavar="FOLDER", type=Path, help="leave configurations and logs there")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
        text = given.format == "text"
        idle: list[Idle] = []
        kinds: list[Kind] = []
        for transport in given.transports.split(","):
            folder = (given.keep_logs or Path(made)) / transport
            folder.mkdir(parents=True, exist_ok=True)
            say = print if text else lambda _line: None
            looked, measured = measure(
                given.runs, given.faults.split(","), given.profile, transport, folder, kinds, say=say
            )
            idle, kinds = idle or looked, [*kinds, *measured]
    if not text:
        print(json.dumps({"idle": [asdict(one) for one in idle], "faults": [asdict(kind) for kind in kinds]}))
    sys.exit(not all(kind.met for kind in kinds))


def measure(
    runs: int,
    faults: list[str],
    profile: str,
    transport: str,
    folder: Path,
    first: Sequence[Kind],
    *,
    say: Callable[[str], None],
) -> tuple[list[Idle], list[Kind]]:
    """`first`: what other transports gave, those of the first one before the rest."""
    kinds = []
    settings = {"profile": json.dumps(profile)}
    interval_s, timeout_s = PROFILES[profile]
    with (
        Lan((*NODES, "client"), prefix="dvbench") as lan,
        Daemons(lan, folder, NODES, VIPS, settings=settings, transport=transport) as daemons,
    ):
        daemons.wait_settled()
        idle = look_idle(daemons)
        for one in idle:
            say(f"idle     {one.node:<8} {one.cpu_percent:5.1f} % of a core   {one.rss_mb:5.1f} MB resident")
        for fault in faults:
            phases = [turn / runs for turn in range(runs)]
            random.Random(fault).shuffle(phases)  # the same for every transport
            outages = []
            for run, phase in enumerate(phases):
                victim = NODES[run % len(NODES)]
                outage_ms = one_run(lan, daemons, fault, victim, phase * interval_s, AFTER_S[fault] + 2 * timeout_s)
                outages.append(round(outage_ms, 2))
                say(f"{fault:<8} {victim:<8} {outage_ms:7.1f} ms   {phase * 100:3.0f} % after a heartbeat")
            kind = judged(profile, transport, fault, outages, first)
            kinds.append(kind)
            say(
                f"{fault:<8} median   {kind.median_ms:7.1f} ms   target {kind.target_ms:g} ms, {kind.ratio:.2f} of the "
                f"first transport's, over {transport}: {'met' if kind.met else 'MISSED'}"
            )
    return idle, kinds


def judged(profile: str, transport: str, fault: str, outages_ms: list[float], first: Sequence[Kind]) -> Kind:
    median_ms, target_ms = statistics.median(outages_ms), ORDERLY_MS.get(fault, DETECTED_MS[profile])
    like_ms = next((kind.median_ms for kind in first if kind.fault == fault), median_ms)
    return Kind(
        transport=transport,
        fault=fault,
        outages_ms=outages_ms,
        median_ms=median_ms,
        target_ms=target_ms,
        ratio=round(median_ms / like_ms, 3),
        met=median_ms <= target_ms and median_ms <= max(SAME_RATIO * like_ms, like_ms + PROBE_MS),
    )


def one_run(lan: Lan, daemons: Daemons, fault: str, victim: str, phase_s: float, after_s: float) -> float:
    """The client's longest gap, in milliseconds, watched for `after_s`. Leaves the cluster as it was."""
    daemons.wait_settled()
    address = next(vip for vip, preferred in VIPS.items() if preferred == victim)
    with Probe(lan, "client", address) as probe:
        time.sleep(QUIET_S)
        wait_for_heartbeat(lan, victim)
        time.sleep(phase_s)
        since_s = time.monotonic() - 0.01
        match fault:
            case "silence":
                lan.silence(victim)
            case "cable":
                lan.link_down(victim)
            case "stop":
                daemons.signal(victim, signal.SIGTERM)
            case "move":
                target = NODES[(NODES.index(victim) + 1) % len(NODES)]
                daemons.ask(victim, "move", address=address, node=target)
            case _:
                raise ValueError(f"no such fault: {fault}")
        time.sleep(after_s)
    gap_ms = probe.longest_gap_ms(since_s=since_s)
    if fault == "stop":
        daemons.wait_ended(victim)
        daemons.start(victim)
    elif fault == "move":
        daemons.ask(victim, "move", address=address, node=victim)
    else:
        lan.heal()
    return gap_ms


def wait_for_heartbeat(lan: Lan, node: str) -> None:
    """Returns when the node's next datagram leaves it."""
    with lan.inside(node), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as wire:
        wire.bind((lan[node].interface, _ETH_P_ALL))
        wire.settimeout(5.0)
        while True:
            frame, where = wire.recvfrom(2048)
            if where[2] == _PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[36:38] == _PORT:
                return


def look_idle(daemons: Daemons) -> list[Idle]:
    before = {node: cpu_s(daemons.pid(node)) for node in NODES}
    began = time.monotonic()
    time.sleep(IDLE_S)
    took_s = time.monotonic() - began
    return [
        Idle(
            node=node,
            cpu_percent=round(100 * (cpu_s(daemons.pid(node)) - before[node]) / took_s, 2),
            rss_mb=round(rss_mb(daemons.pid(node)), 1),
        )
        for node in NODES
    ]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


if __name__ == "__main__":
    main()
