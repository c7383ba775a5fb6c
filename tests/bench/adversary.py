"""Somebody who does to the nodes' interfaces whatever hurts, for minutes; and what is left of the cluster afterwards.

    python -m tests.bench.adversary [--minutes 5] [--seed N] [--format text|json]

Three real daemons with default settings, save that views mature after one second; VIPs of both families on `eth0`,
heartbeats over `eth0` and `eth1`. Several times a second the adversary takes a VIP off, puts one on where it does not
belong, pulls a cable, renames an interface, deletes one and makes it again, or floods the kernel with addresses of its
own. Then it stops.

Exit status 1 unless, at the end, every VIP is on the node that it prefers and nowhere else, every address that is not
of the cluster is where it was, no daemon has more descriptors than at the start, and none has grown by more than
GROWTH_LIMIT_MB since a quarter of the time had passed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from tests.bench.outage import NODES, rss_mb

VIPS = {
    **{f"10.77.0.{100 + number}": NODES[number % 3] for number in range(9)},
    **{f"fd77::{100 + number}": NODES[number % 3] for number in range(3)},
}
STANZAS = """
multicast "second" { interface = "eth1" group = "239.192.0.78" }
Topology "fd77::/64" { interface = "eth0" }
"""
FOREIGN = ("10.99.0.1/32", "10.77.0.250/32", "fd99::1/128")
FLOOD_ADDRESSES = 1_000
PAUSE_S = 0.4  # between two blows, at most
SETTLE_LIMIT_S = 150.0  # a VIP that was lost too often comes back after 60 s, a link that fell too often after 30 s
GROWTH_LIMIT_MB = 4.0
DESCRIPTORS_LIMIT = 2  # a control connection that is just open


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`settled_s`: how long it took after the last blow until all was as elected. `touched`: what became of addresses
    that are not of the cluster. Descriptors and megabytes are differences, by node."""

    seed: int
    blows: dict[str, int]
    settled_s: float | None
    touched: list[str]
    descriptors: dict[str, int]
    growth_mb: dict[str, float]
    met: bool


def main() -> None:
    options = argparse.ArgumentParser(description="A cluster and somebody who hurts it.", prog="tests.bench.adversary")
    options.add_argument("--minutes", type=float, default=5.0, help="for how long (5)")
    options.add_argument("--seed", type=int, default=None, help="the same blows again, as far as time allows")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this needs network namespaces: {refusal}")
    seed = given.seed if given.seed is not None else random.randrange(1 << 32)
    with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
        result = measure(given.minutes * 60, seed, Path(made))
    if given.format == "json":
        print(json.dumps(asdict(result)))
    else:
        print(f"seed {seed}: {', '.join(f'{count} x {blow}' for blow, count in sorted(result.blows.items()))}")
        print(f"as elected again after {result.settled_s} s; touched: {'; '.join(result.touched) or 'nothing'}")
        print(f"descriptors more: {result.descriptors}; megabytes more: {result.growth_mb}")
        print("met" if result.met else "MISSED")
    sys.exit(not result.met)


def measure(duration_s: float, seed: int, folder: Path) -> Result:
    with Lan((*NODES, "client"), prefix="dvbench") as lan:
        lan.second_link(*NODES)
        for node in NODES:
            lan.run(node, "sysctl", "-w", "net.ipv6.conf.all.keep_addr_on_down=1", "net.ipv6.conf.eth0.accept_dad=0")
            add_foreign(lan, node)
        before = {node: strangers(lan, node) for node in NODES}
        with Daemons(lan, folder, NODES, VIPS, settings={"view_mature_time": "1"}, stanzas=STANZAS) as daemons:
            daemons.wait_settled()
            open_before = {node: descriptors(daemons.pid(node)) for node in NODES}
            adversary = Adversary(lan, random.Random(seed))
            began = time.monotonic()
            adversary.strike(until=began + duration_s / 4)
            mb_before = {node: rss_mb(daemons.pid(node)) for node in NODES}
            adversary.strike(until=began + duration_s)
            adversary.stop()
            settled_s = settled(lan, daemons)
            open_after = {node: descriptors(daemons.pid(node)) - open_before[node] for node in NODES}
            growth = {node: round(rss_mb(daemons.pid(node)) - mb_before[node], 1) for node in NODES}
            touched = [
                f"{node}: {sorted(before[node] ^ after)}"
                for node in NODES
                if (after := strangers(lan, node)) != before[node]
            ]
    return Result(
        seed=seed,
        blows=dict(adversary.blows),
        settled_s=settled_s,
        touched=touched,
        descriptors=open_after,
        growth_mb=growth,
        met=settled_s is not None
        and not touched
        and max(open_after.values()) <= DESCRIPTORS_LIMIT
        and max(growth.values()) <= GROWTH_LIMIT_MB,
    )


class Adversary:
    """`blows` counts them by name."""

    def __init__(self, lan: Lan, chance: random.Random) -> None:
        self._lan = lan
        self._chance = chance
        self._undo: dict[str, tuple[float, Callable[[], None]]] = {}  # by node: when, and how
        self.blows: Counter[str] = Counter()

    def strike(self, *, until: float) -> None:
        blows = {
            self._take_off: 6,
            self._put_on: 4,
            self._pull_the_cable: 2,
            self._rename: 2,
            self._replace: 1,
            self._flood: 1,
        }
        while time.monotonic() < until:
            blow = self._chance.choices(list(blows), list(blows.values()))[0]
            node = self._chance.choice(NODES)
            if node not in self._undo:
                self.blows[blow.__name__.strip("_").replace("_", " ")] += 1
                blow(node)
            self._mend(time.monotonic())
            time.sleep(PAUSE_S * self._chance.random() ** 2)

    def stop(self) -> None:
        """Everything that was pulled or renamed is as it was."""
        self._mend(float("inf"))

    def _mend(self, now: float) -> None:
        for node, (at, undo) in list(self._undo.items()):
            if now >= at:
                undo()
                del self._undo[node]

    def _later(self, node: str, undo: Callable[[], None]) -> None:
        self._undo[node] = (time.monotonic() + self._chance.uniform(0, 1.5), undo)

    def _take_off(self, node: str) -> None:
        for vip in self._chance.sample(list(VIPS), self._chance.choice((1, 1, 2, len(VIPS)))):
            self._ip(node, f"addr del {single(vip)} dev eth0")

    def _put_on(self, node: str) -> None:
        vip = self._chance.choice(list(VIPS))
        interface = self._chance.choice(("eth0", "eth1", "lo"))
        prefix = single(vip) if ":" in vip else f"{vip}/{self._chance.choice((24, 32))}"
        self._ip(node, f"addr add {prefix} dev {interface}{' nodad' if ':' in vip else ''}")

    def _pull_the_cable(self, node: str) -> None:
        self._lan.unplug(node)
        self._later(node, lambda: self._lan.plug(node))

    def _rename(self, node: str) -> None:
        self._ip(node, "link set dev eth0 down")
        self._ip(node, "link set dev eth0 name lan0 up")

        def undo() -> None:
            self._ip(node, "link set dev lan0 down")
            self._ip(node, "link set dev lan0 name eth0 up")

        self._later(node, undo)

    def _replace(self, node: str) -> None:
        """What was on it goes with it; what is the host's own, its administrator puts on the new one."""
        self._lan.remove_interface(node)

        def undo() -> None:
            self._lan.restore_interface(node)
            add_foreign(self._lan, node)

        self._later(node, undo)

    def _flood(self, node: str) -> None:
        for verb in ("add", "del"):
            lines = [f"addr {verb} 10.98.{n // 250}.{n % 250}/32 dev lo" for n in range(FLOOD_ADDRESSES)]
            batch = "\n".join(lines)
            self._lan.run(node, "sh", "-c", f"ip -batch - <<'END'\n{batch}\nEND\n")

    def _ip(self, node: str, words: str) -> None:
        """Whether it can be done or not."""
        self._lan.run(node, "ip", *words.split())


def add_foreign(lan: Lan, node: str) -> None:
    for address in FOREIGN:
        lan.run(node, "ip", "addr", "add", address, "dev", "eth0", *(("nodad",) if ":" in address else ()))


def settled(lan: Lan, daemons: Daemons) -> float | None:
    """Seconds until every VIP is on its node's `eth0` and nowhere else; None if that does not come about."""
    began = time.monotonic()
    wanted = {node: {(vip, "eth0") for vip, preferred in VIPS.items() if preferred == node} for node in NODES}
    while time.monotonic() - began < SETTLE_LIMIT_S:
        if all(on_node(lan, node) == wanted[node] for node in NODES):
            daemons.wait_settled()
            return round(time.monotonic() - began, 1)
        time.sleep(0.5)
    return None


def addresses(lan: Lan, node: str) -> list[tuple[str, str, str]]:
    """Address, prefix and interface of everything on the node."""
    shown = lan.run(node, "ip", "-o", "addr", "show").stdout
    return [(a, p, i) for i, a, p in re.findall(r"^\d+: (\S+)\s+inet6? ([0-9a-f.:]+)/(\d+)", shown, re.MULTILINE)]


def on_node(lan: Lan, node: str) -> set[tuple[str, str]]:
    return {(address, interface) for address, _, interface in addresses(lan, node) if address in VIPS}


def strangers(lan: Lan, node: str) -> set[tuple[str, str, str]]:
    """What is not of the cluster; link-local addresses aside, which the kernel makes itself."""
    return {row for row in addresses(lan, node) if row[0] not in VIPS and not row[0].startswith("fe80:")}


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def single(vip: str) -> str:
    return f"{vip}/{128 if ':' in vip else 32}"


if __name__ == "__main__":
    main()
