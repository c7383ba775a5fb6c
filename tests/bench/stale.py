"""For how long a client goes on sending to the wrong hardware address after its VIP has moved.

    python -m tests.bench.stale [--runs 100] [--hogs 2] [--format text|json]

Three real daemons with default settings, save that views mature after one second, all candidates for one VIP, and as
many processes as there are cores that do nothing but compute. The client sends a datagram to the VIP every few
milliseconds and believes its ARP cache for an hour: it learns a change from announcements alone. Runs take turns:

    move      an operator moves the VIP to another node
    takeover  the owner's frames vanish; one of the two others steps forward; then the owner is back, and lets go
    split     no two nodes hear each other and all three step forward, the client beside one of them; then they meet

The client is wrong while exactly one host that can hear it has the VIP and its datagrams go to another hardware
address. Exit status 1 when it was wrong for more than 1.3 s at a stretch in any run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from duravip.model import Address
from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from duravip.testing.watch import Watch

NODES = ("node1", "node2", "node3")
VIP = Address("10.77.0.101")
LIMIT_MS = 1300.0
KINDS = ("move", "takeover", "split")
SEND_EVERY_S = 0.005
AFTER_S = 1.6  # watched after things have settled; longer than the limit
PARTED_S = 1.5
_PATIENCE_S = 20.0
_BELIEVE_MS = 3_600_000
_DISCARD = 9
_ETH_P_ALL, _ETHERTYPE_IPV4 = 0x0003, b"\x08\x00"
_PACKET_OUTGOING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`wrong_ms`: the longest stretch in which the client sent to the wrong hardware address."""

    kind: str
    wrong_ms: float


class Client:
    """Sends, sees where its datagrams go, and compares with who has the VIP."""

    def __init__(self, lan: Lan, watch: Watch) -> None:
        self._watch = watch
        self._owner_of = {lan[node].hardware_address: node for node in NODES}
        self.beside: Sequence[str] = NODES
        """The nodes that hear the client now."""
        self._wrong_since: float | None = None
        self._longest_s = 0.0
        with lan.inside("client"):
            believe = Path(f"/proc/sys/net/ipv4/neigh/{lan['client'].interface}/base_reachable_time_ms")
            believe.write_text(str(_BELIEVE_MS))
            self._talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self._wire.bind((lan["client"].interface, _ETH_P_ALL))
        self._talk.setblocking(False)
        self._wire.setblocking(False)
        self._packed = socket.inet_aton(VIP)

    def close(self) -> None:
        self._talk.close()
        self._wire.close()

    def holder(self) -> str | None:
        """The one node beside the client that has the VIP; None when there is none, or more than one."""
        holders = [node for node in self._watch.holders(VIP) if node in self.beside]
        return holders[0] if len(holders) == 1 else None

    def look_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()

    def look(self) -> str | None:
        """One datagram, one comparison; the holder."""
        with contextlib.suppress(OSError):
            self._talk.sendto(b"", (VIP, _DISCARD))
        time.sleep(SEND_EVERY_S)
        holder, told = self.holder(), self._told()
        if told is not None:  # else nothing was sent, rightly or wrongly
            now = time.monotonic()
            if holder is None or told == holder:
                self._wrong_since = None
            else:
                self._wrong_since = self._wrong_since or now
                self._longest_s = max(self._longest_s, now - self._wrong_since + SEND_EVERY_S)
        return holder

    def take_longest_ms(self) -> float:
        longest_ms, self._longest_s, self._wrong_since = self._longest_s * 1000, 0.0, None
        return longest_ms

    def _told(self) -> str | None:
        """To which node the last datagram for the VIP went; None: none left. "" for a host that is none of them."""
        told: str | None = None
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, origin = self._wire.recvfrom(128)
                if origin[2] == _PACKET_OUTGOING and frame[12:14] == _ETHERTYPE_IPV4 and frame[30:34] == self._packed:
                    told = self._owner_of.get(frame[0:6].hex(":"), "")
        return told


def main() -> None:
    options = argparse.ArgumentParser(description="Stale hardware addresses at a client.", prog="tests.bench.stale")
    options.add_argument("--runs", type=int, default=100, help="moves, takeovers and splits together (100)")
    options.add_argument("--hogs", type=int, default=os.cpu_count() or 1, help="busy processes (one for each core)")
    options.add_argument("--format", choices=("text", "json"), default="text")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    text = given.format == "text"
    runs = []
    for run in measure(given.runs, given.hogs):
        runs.append(run)
        if text:
            print(f"{run.kind:<9} wrong for {run.wrong_ms:7.1f} ms", flush=True)
    late = [run for run in runs if run.wrong_ms > LIMIT_MS]
    if text:
        for kind in KINDS:
            found = [run.wrong_ms for run in runs if run.kind == kind]
            if found:
                print(f"{kind:<9} {len(found)} runs, median {statistics.median(found):.1f}, worst {max(found):.1f} ms")
        print(f"more than {LIMIT_MS:g} ms: {len(late)} of {len(runs)}: {'MISSED' if late else 'met'}")
    else:
        print(json.dumps({"limit_ms": LIMIT_MS, "late": len(late), "runs": [asdict(run) for run in runs]}))
    sys.exit(bool(late))


def measure(runs: int, hogs: int) -> Iterator[Run]:
    chance = random.Random()
    with (
        tempfile.TemporaryDirectory(prefix="dvstale-") as made,
        Lan((*NODES, "client"), prefix="dvstale") as lan,
        Watch(lan, NODES) as watch,
        Daemons(lan, Path(made), NODES, {VIP: None}, settings={"view_mature_time": "1"}) as daemons,
        contextlib.closing(Client(lan, watch)) as client,
        busy(hogs),
    ):
        daemons.wait_settled(limit_s=60.0)
        client.look_for(AFTER_S)
        for number in range(runs):
            kind = KINDS[number % len(KINDS)]
            client.take_longest_ms()
            one_run(kind, lan, daemons, client, chance)
            yield Run(kind=kind, wrong_ms=round(client.take_longest_ms(), 1))


def one_run(kind: str, lan: Lan, daemons: Daemons, client: Client, chance: random.Random) -> None:
    owner = settled(client)
    others = [node for node in NODES if node != owner]
    time.sleep(chance.random() * 0.1)  # anywhere between two heartbeats
    match kind:
        case "move":
            target = chance.choice(others)
            daemons.ask(owner, "move", address=VIP, node=target)
            settled(client, lambda holder: holder == target)
        case "takeover":
            lan.silence(owner)
            client.beside = others
            settled(client)
            client.look_for(AFTER_S)
            lan.heal()
        case "split":
            beside = chance.choice(NODES)
            lan.partition(*([node, "client"] if node == beside else [node] for node in NODES))
            client.beside = (beside,)
            client.look_for(PARTED_S)
            lan.heal()
    client.beside = NODES
    settled(client)
    client.look_for(AFTER_S)
    daemons.wait_settled(limit_s=60.0)


def settled(client: Client, right: Callable[[str], bool] = lambda holder: True) -> str:
    """Looks on until one node has the VIP, and `right` says so of it."""
    began = time.monotonic()
    while True:
        holder = client.look()
        if holder is not None and right(holder):
            return holder
        if time.monotonic() - began > _PATIENCE_S:
            raise TimeoutError(f"no single owner of {VIP} for {_PATIENCE_S:g} s")


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    hogs = [subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


if __name__ == "__main__":
    main()
