"""How long a node takes to put on all addresses of one that is cut off, beside what `ip -batch` takes for the same.

    python -m tests.bench.scale [--vips 1000] [--runs 5] [--fault silence] [--format text|json]

Two real daemons on hosts of their own with default settings, save that views mature after one second, and a third host
with no daemon. All VIPs are the first node's; it is cut off, and the kernel of the second says when the last one is on.
In the same run `ip -batch` puts the same addresses on the third host.

It also says how long the turns of both event loops were: from their start until all is settled (the boot), and those of
the heir from each cut until a moment after the last address (the takeover). What happens when the hosts are joined
again is in neither.

Exit status 1 when the median is longer than the failure time-out and 1.1 times the median of `ip -batch`, or a turn of
the boot or of a takeover was longer than 5 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from duravip_plugins import netlink_codec as codec
from duravip_plugins import netlink_socket as rtnetlink
from tests.bench.outage import rss_mb
from tests.bench.repeated import LIMIT_MS
from tests.bench.turns import Turns, turns_between, turns_of

OWNER, HEIR, PLAIN = "node1", "node2", "plain"
FAILURE_TIMEOUT_S = 0.35
ALLOWANCE = 1.1
FIRST_VIP = IPv4Address("10.76.4.0")
SETTLE_LIMIT_S = 120.0
TAKEOVER_LIMIT_S = 30.0
AFTERWARDS_S = 0.2  # what follows from the last address is of the takeover too


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`takeover_ms`: from the cut to the last address. `spread_ms`: from the first to the last. `turns`: the heir's."""

    takeover_ms: float
    spread_ms: float
    ip_batch_ms: float
    turns: Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    vips: int
    fault: str
    runs: list[Run]
    takeover_ms: float
    ip_batch_ms: float
    target_ms: float
    boot: dict[str, Turns]
    rss_mb: float
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="Takeover of many addresses at once.", prog="tests.bench.scale")
    options.add_argument("--vips", type=int, default=1000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--fault", choices=("silence", "cable"), default="silence")
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.add_argument("--keep-logs", metavar="FOLDER", type=Path, help="leave configurations and logs there")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
        folder = given.keep_logs or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        text = given.format == "text"
        result = measure(given.vips, given.runs, given.fault, folder, say=print if text else lambda _line: None)
    if not text:
        print(json.dumps(asdict(result)))
    sys.exit(not result.met)


def measure(vips: int, runs: int, fault: str, folder: Path, *, say: Callable[[str], None]) -> Result:
    addresses = [str(FIRST_VIP + number) for number in range(vips)]
    done: list[Run] = []
    boot: dict[str, Turns] = {}
    with (
        Lan((OWNER, HEIR, PLAIN), prefix="dvscale", network="10.76.0.0/16") as lan,
        Daemons(
            lan,
            folder,
            (OWNER, HEIR),
            dict.fromkeys(addresses, OWNER),
            settings={"view_mature_time": "1"},
        ) as daemons,
    ):
        for _ in range(runs):
            daemons.wait_settled(limit_s=SETTLE_LIMIT_S)
            if not boot:
                boot = {node: turns_between([], turns_of(daemons, node)) for node in (OWNER, HEIR)}
                for node, turns in boot.items():
                    say(f"boot of {node}: {turns}")
            ip_batch_ms = time_ip_batch(lan, addresses, folder)
            before = turns_of(daemons, HEIR)
            takeover_ms, spread_ms = time_takeover(lan, addresses, fault)
            time.sleep(AFTERWARDS_S)
            one = Run(
                takeover_ms=round(takeover_ms, 1),
                spread_ms=round(spread_ms, 1),
                ip_batch_ms=round(ip_batch_ms, 1),
                turns=turns_between(before, turns_of(daemons, HEIR)),
            )
            done.append(one)
            say(
                f"takeover {one.takeover_ms:7.1f} ms, first to last {one.spread_ms:6.1f} ms   "
                f"ip -batch {one.ip_batch_ms:6.1f} ms   {one.turns}"
            )
            lan.heal()
        resident_mb = rss_mb(daemons.pid(HEIR))
    takeover = statistics.median(one.takeover_ms for one in done)
    ip_batch = statistics.median(one.ip_batch_ms for one in done)
    target = 1000 * FAILURE_TIMEOUT_S + ALLOWANCE * ip_batch
    all_turns = [*boot.values(), *(one.turns for one in done)]
    are_short = not any(turns.slow for turns in all_turns)
    result = Result(
        vips=vips,
        fault=fault,
        runs=done,
        takeover_ms=takeover,
        ip_batch_ms=ip_batch,
        target_ms=round(target, 1),
        boot=boot,
        rss_mb=round(resident_mb, 1),
        met=takeover <= target and are_short,
    )
    say(
        f"median   {takeover:7.1f} ms for {vips} addresses, target {target:.1f} ms "
        f"({1000 * FAILURE_TIMEOUT_S:g} + {ALLOWANCE:g} x {ip_batch:.1f}): "
        f"{'met' if takeover <= target else 'MISSED'}; {resident_mb:.1f} MB resident"
    )
    say(f"no turn longer than {LIMIT_MS} ms: {'met' if are_short else 'MISSED'}")
    return result


def time_ip_batch(lan: Lan, addresses: list[str], folder: Path) -> float:
    """Milliseconds to put all of them on the host without a daemon; then they are taken off again."""
    interface = lan[PLAIN].interface
    for verb in ("add", "del"):
        (folder / verb).write_text("".join(f"addr {verb} {each}/32 dev {interface}\n" for each in addresses))
    command = ["ip", "-n", lan[PLAIN].namespace, "-batch"]
    began = time.monotonic()
    subprocess.run([*command, str(folder / "add")], check=True)
    took_s = time.monotonic() - began
    subprocess.run([*command, str(folder / "del")], check=True)
    return took_s * 1000


def time_takeover(lan: Lan, addresses: list[str], fault: str) -> tuple[float, float]:
    """Milliseconds from the cut to the last address on the heir, and from the first to the last."""
    missing = set(addresses)
    first = 0.0
    with lan.inside(HEIR):
        link = rtnetlink.open_socket(codec.RTMGRP_IPV4_IFADDR, answer_limit_s=TAKEOVER_LIMIT_S)
    with contextlib.closing(link):
        began = time.monotonic()
        (lan.silence if fault == "silence" else lan.link_down)(OWNER)
        for address in arrivals(link):
            first = first or time.monotonic()
            missing.discard(address)
            if not missing:
                break
    return (time.monotonic() - began) * 1000, (time.monotonic() - first) * 1000


def arrivals(link: socket.socket) -> Iterator[str]:
    """Addresses as the kernel puts them on. Raises OSError when it is silent for long."""
    while True:
        for message in codec.messages(link.recv(1 << 16)):
            row = codec.parse_address(message.payload) if message.kind == codec.RTM_NEWADDR else None
            if row is not None:
                yield row.address


if __name__ == "__main__":
    main()
