"""What it costs a daemon when somebody floods the segment with ARP.

    python -m tests.bench.claims [--rate 20000] [--seconds 5] [--format text|json]

Three real daemons on hosts of their own with default settings and three VIPs, one each, and a stranger that sends
`--rate` broadcast frames a second:

    none      nothing: what is compared with
    others    claims of addresses that are nobody's here: the filter in the kernel should drop them
    ours      claims of the three VIPs, all with one hardware address
    forged    claims of the three VIPs, each with another hardware address

Printed: each daemon's share of one core, its longest turn and how often one took more than 5 ms, and the views that
were installed meanwhile (a flood may make none). Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.model import Address
from duravip.net.frames import gratuitous_arp_request
from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from tests.bench.outage import NODES, cpu_s

VIPS = {f"10.77.0.{51 + place}": node for place, node in enumerate(NODES[:3])}
STRANGER = bytes.fromhex("027700000099")
TARGETS_PERCENT = {"none": None, "others": 1.0, "ours": 10.0, "forged": 10.0}
"""Of a core, above `none`, for the daemon that needs most."""
BURST_FRAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of flood; each daemon's share of a core, in percent."""

    flood: str
    frames_per_s: float
    cpu_percent: dict[str, float]
    slow_turns: int
    longest_turn_ms: float
    views: int
    target_percent: float | None
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="The cost of a flood of ARP.", prog="tests.bench.claims")
    options.add_argument("--rate", type=int, default=20_000, help="frames a second (20000)")
    options.add_argument("--seconds", type=float, default=5.0, help="of each kind (5)")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    text = given.format == "text"
    with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
        kinds = measure(given.rate, given.seconds, Path(made), say=print if text else lambda _line: None)
    if not text:
        print(json.dumps({"floods": [asdict(kind) for kind in kinds]}))
    sys.exit(not all(kind.met for kind in kinds))


def measure(rate: int, seconds: float, folder: Path, *, say: Callable[[str], None]) -> list[Kind]:
    kinds: list[Kind] = []
    with (
        Lan((*NODES, "stranger"), prefix="dvbench") as lan,
        Daemons(lan, folder, NODES, VIPS, settings={"view_mature_time": "1"}) as daemons,
    ):
        daemons.wait_settled()
        for flood in TARGETS_PERCENT:
            kind = one_flood(lan, daemons, flood, rate, seconds, kinds[0].cpu_percent if kinds else {})
            kinds.append(kind)
            shares = "  ".join(f"{node} {share:4.1f} %" for node, share in kind.cpu_percent.items())
            say(
                f"{flood:<8} {kind.frames_per_s:8.0f} frames/s   {shares}   slow turns {kind.slow_turns}, longest so "
                f"far {kind.longest_turn_ms:.1f} ms   views {kind.views}   "
                + ("" if kind.target_percent is None else f"target + {kind.target_percent:g} %, no view: ")
                + ("met" if kind.met else "MISSED")
            )
    return kinds


def one_flood(lan: Lan, daemons: Daemons, flood: str, rate: int, seconds: float, idle: dict[str, float]) -> Kind:
    before = {node: (cpu_s(daemons.pid(node)), daemons.ask(node, "info"), views(daemons, node)) for node in NODES}
    began = time.monotonic()
    sent = send(lan, frames(flood), 0 if flood == "none" else rate, seconds)
    took_s = time.monotonic() - began
    shares = {
        node: round(100 * (cpu_s(daemons.pid(node)) - used_s) / took_s, 1) for node, (used_s, _, _) in before.items()
    }
    after = {node: daemons.ask(node, "info")["counters"] for node in NODES}
    slow = sum(after[node]["slow_turns"] - info["counters"]["slow_turns"] for node, (_, info, _) in before.items())
    installed = sum(views(daemons, node) - count for node, (_, _, count) in before.items())
    target = TARGETS_PERCENT[flood]
    most = max(share - idle.get(node, share) for node, share in shares.items())
    return Kind(
        flood=flood,
        frames_per_s=round(sent / took_s, 1),
        cpu_percent=shares,
        slow_turns=slow,
        longest_turn_ms=round(1000 * max(one["longest_turn_s"] for one in after.values()), 2),
        views=installed,
        target_percent=target,
        met=(target is None or most <= target) and installed == 0,
    )


def views(daemons: Daemons, node: str) -> int:
    return len(daemons.ask(node, "events", filters=("membership.view_installed",)))


def frames(flood: str) -> Iterator[bytes]:
    for number in itertools.count():
        address = f"10.77.{1 + number % 200}.{number % 251}" if flood == "others" else f"10.77.0.{51 + number % 3}"
        forged = b"\x06" + (number & 0xFFFFFFFFFF).to_bytes(5, "big")
        yield gratuitous_arp_request(Address(address), forged if flood == "forged" else STRANGER)


def send(lan: Lan, flood: Iterator[bytes], rate: int, seconds: float) -> int:
    """How many were sent; fewer than asked for when this machine cannot."""
    sent = 0
    with lan.inside("stranger"), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind(("eth0", 0))
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            if sent >= rate * elapsed:
                time.sleep(0.001)
                continue
            for frame in itertools.islice(flood, BURST_FRAMES):
                link.send(frame)
            sent += BURST_FRAMES
    return sent


if __name__ == "__main__":
    main()
