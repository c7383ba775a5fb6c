"""How soon the addresses of a daemon that dies are off its host, and answered by another.

    python -m tests.bench.death [--runs 20] [--faults daemon,both,frozen] [--vips 1] [--format text|json]

Three real daemons on hosts of their own with default settings, save that views mature after one second (which only
shortens the pauses between runs), and a client that asks one of the VIPs for an echo every millisecond. Each run faults
another node, at a random moment.

    daemon    SIGKILL of the daemon alone: its guard does the rest
    both      SIGKILL of daemon and guard together: the addresses' lifetime in the kernel does
    frozen    SIGSTOP of both: the same; SIGCONT when they are off

`--vips`: how many prefer each node. "Let go" is when the kernel has removed the last of them, by its own notification;
"answered" when the client has an answer from another host (its target is for one VIP); both from right before the
fault. Exit status 1 when a median misses its target, or the worst its limit, or the guard is larger than it may be.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from duravip.model import Settings
from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan, why_not
from duravip.testing.probe import Probe
from tests.bench.outage import HEARTBEAT_INTERVAL_S, NODES, QUIET_S, rss_mb

NETWORK = "10.77.0.0/20"
GUARD_RSS_MB = 12.0
MOST_VIPS = 1_000
_RTMGRP_IPV4_IFADDR, _RTM_DELADDR, _IFA_LOCAL = 0x10, 21, 2
_MESSAGE, _ADDRESS_BYTES, _ATTRIBUTE = struct.Struct("=IHHII"), 8, struct.Struct("=HH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is done, for how long it is watched, what brings the node back, and what is wanted: of the median, and at
    worst."""

    do: Callable[[Lan, Daemons, str], None]
    after_s: float
    undo: Callable[[Lan, Daemons, str], None]
    let_go_ms: float
    let_go_limit_ms: float | None = None
    answered_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The runs of one kind of fault, in their order; times in milliseconds."""

    fault: str
    let_go_ms: list[float]
    let_go_median_ms: float
    let_go_worst_ms: float
    let_go_target_ms: float
    let_go_limit_ms: float | None
    answered_ms: list[float]
    answered_median_ms: float
    answered_worst_ms: float
    answered_target_ms: float | None
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Resident memory of each node's guard, with its share of the VIPs."""

    rss_mb: dict[str, float]
    target_mb: float
    met: bool


def kill_daemon(_: Lan, daemons: Daemons, victim: str) -> None:
    daemons.signal(victim, signal.SIGKILL)


def kill_both(lan: Lan, _: Daemons, victim: str) -> None:
    lan.kill_all(victim)


def freeze(lan: Lan, _: Daemons, victim: str) -> None:
    lan.signal_all(victim, signal.SIGSTOP)


def thaw(lan: Lan, _: Daemons, victim: str) -> None:
    lan.signal_all(victim, signal.SIGCONT)


def start_again(_: Lan, daemons: Daemons, victim: str) -> None:
    daemons.wait_ended(victim)
    daemons.start(victim)


LIFETIME_S = Settings().address_lifetime
SLACK_MS, MOST_SLACK_MS = 500.0, 2500.0  # the kernel looks at lifetimes now and then
LATE = Fault(
    do=kill_both,
    after_s=LIFETIME_S + MOST_SLACK_MS / 1000 + 0.5,
    undo=start_again,
    let_go_ms=LIFETIME_S * 1000 + SLACK_MS,
    let_go_limit_ms=LIFETIME_S * 1000 + MOST_SLACK_MS,
)
FAULTS: Mapping[str, Fault] = {
    "daemon": Fault(do=kill_daemon, after_s=0.5, undo=start_again, let_go_ms=20.0, answered_ms=40.0),
    "both": LATE,
    "frozen": replace(LATE, do=freeze, undo=thaw),
}


def main() -> None:
    options = argparse.ArgumentParser(
        description="How soon a dead daemon's addresses are off.", prog="tests.bench.death"
    )
    options.add_argument("--runs", type=int, default=20, help="of each kind of fault (20)")
    options.add_argument("--faults", default=",".join(FAULTS), help=f"which kinds ({','.join(FAULTS)})")
    options.add_argument("--vips", type=int, default=1, help="that prefer each node (1)")
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.add_argument("--keep-logs", metavar="FOLDER", type=Path, help="leave configurations and logs there")
    given = options.parse_args()
    if refusal := why_not():
        sys.exit(f"this measurement needs network namespaces: {refusal}")
    if not 1 <= given.vips <= MOST_VIPS:
        sys.exit(f"--vips: 1 to {MOST_VIPS}")
    with tempfile.TemporaryDirectory(prefix="dvbench-") as made:
        folder = given.keep_logs or Path(made)
        folder.mkdir(exist_ok=True)
        text = given.format == "text"
        guards, kinds = measure(
            given.runs, given.faults.split(","), given.vips, folder, say=print if text else lambda _line: None
        )
    if not text:
        print(json.dumps({"vips": given.vips, "guards": asdict(guards), "faults": [asdict(kind) for kind in kinds]}))
    sys.exit(not (guards.met and all(kind.met for kind in kinds)))


def measure(
    runs: int, faults: list[str], count: int, folder: Path, *, say: Callable[[str], None]
) -> tuple[Guards, list[Kind]]:
    vips = {
        f"10.77.{4 + 4 * place + number // 250}.{1 + number % 250}": node
        for place, node in enumerate(NODES[:3])
        for number in range(count)
    }
    kinds = []
    with (
        Lan((*NODES, "client"), prefix="dvbench", network=NETWORK) as lan,
        Daemons(lan, folder, NODES, vips, settings={"view_mature_time": "1"}) as daemons,
    ):
        daemons.wait_settled(limit_s=60)
        guards = look_at_guards(daemons)
        for node, size in guards.rss_mb.items():
            say(f"guard    {node:<8} {size:6.1f} MB resident   at most {guards.target_mb:g}")
        for fault in faults:
            let_go, answered = [], []
            for run in range(runs):
                victim = NODES[run % len(NODES)]
                held = {vip for vip, preferred in vips.items() if preferred == victim}
                gone_ms, answer_ms = one_run(lan, daemons, FAULTS[fault], victim, held)
                let_go.append(gone_ms)
                answered.append(answer_ms)
                say(f"{fault:<8} {victim:<8} let go {gone_ms:7.1f} ms   answered {answer_ms:7.1f} ms")
            kinds.append(judged(fault, let_go, answered, FAULTS[fault].answered_ms if count == 1 else None))
            for line in lines(kinds[-1]):
                say(line)
    return guards, kinds


def judged(fault: str, let_go: list[float], answered: list[float], answered_target_ms: float | None) -> Kind:
    target_ms, limit_ms = FAULTS[fault].let_go_ms, FAULTS[fault].let_go_limit_ms
    gone_ms, answer_ms = statistics.median(let_go), statistics.median(answered)
    return Kind(
        fault=fault,
        let_go_ms=let_go,
        let_go_median_ms=gone_ms,
        let_go_worst_ms=max(let_go),
        let_go_target_ms=target_ms,
        let_go_limit_ms=limit_ms,
        answered_ms=answered,
        answered_median_ms=answer_ms,
        answered_worst_ms=max(answered),
        answered_target_ms=answered_target_ms,
        met=_met(gone_ms, target_ms) and _met(max(let_go), limit_ms) and _met(answer_ms, answered_target_ms),
    )


def lines(kind: Kind) -> list[str]:
    return [
        f"{kind.fault:<8} {what:<8} median {_judged(median, target)}   worst {_judged(worst, limit)}"
        for what, median, target, worst, limit in (
            ("let go", kind.let_go_median_ms, kind.let_go_target_ms, kind.let_go_worst_ms, kind.let_go_limit_ms),
            ("answered", kind.answered_median_ms, kind.answered_target_ms, kind.answered_worst_ms, None),
        )
    ]


def _met(measured: float, target: float | None) -> bool:
    return target is None or measured <= target


def _judged(measured: float, target: float | None) -> str:
    verdict = "met" if _met(measured, target) else "MISSED"
    return f"{measured:7.1f} ms" if target is None else f"{measured:7.1f} ms (target {target:g} ms: {verdict})"


def one_run(lan: Lan, daemons: Daemons, fault: Fault, victim: str, held: set[str]) -> tuple[float, float]:
    """When the last was off, and when another answered, in milliseconds; infinite if not at all. Leaves the cluster as
    it was."""
    daemons.wait_settled(limit_s=60)
    with Probe(lan, "client", min(held)) as probe, Removals(lan, victim) as removals:
        time.sleep(QUIET_S + random.random() * HEARTBEAT_INTERVAL_S)
        began_s = time.monotonic()
        fault.do(lan, daemons, victim)
        time.sleep(fault.after_s)
    missing = held - set(removals.at_s)
    gone_s = max(removals.at_s[address] for address in held) if not missing else float("inf")
    others = [
        answer.answered_s
        for answer in probe.answers()
        if answer.answered_s > began_s and answer.hardware_address != lan[victim].hardware_address
    ]
    fault.undo(lan, daemons, victim)
    return round((gone_s - began_s) * 1000, 2), round((min(others, default=float("inf")) - began_s) * 1000, 2)


class Removals:
    """A context manager: writes down when the kernel of that host tells of an IPv4 address that it has removed."""

    def __init__(self, lan: Lan, host: str) -> None:
        with lan.inside(host):
            self._told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._told.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._told.settimeout(0.1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="removals", daemon=True)
        self.at_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._told.bind((0, _RTMGRP_IPV4_IFADDR))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._told.close()

    def _listen(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -20)  # this thread alone: it must not look late
        while not self._over.is_set():
            try:
                heard = self._told.recv(1 << 16)
            except TimeoutError:
                continue
            now = time.monotonic()
            at = 0
            while at < len(heard):
                size, kind, *_ = _MESSAGE.unpack_from(heard, at)
                if kind == _RTM_DELADDR:
                    self.at_s.update(
                        dict.fromkeys(_locals(heard[at + _MESSAGE.size + _ADDRESS_BYTES : at + size]), now)
                    )
                at += (size + 3) & ~3


def _locals(attributes: bytes) -> list[str]:
    found, at = [], 0
    while at < len(attributes):
        size, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if kind == _IFA_LOCAL:
            found.append(str(ip_address(attributes[at + _ATTRIBUTE.size : at + size])))
        at += (size + 3) & ~3
    return found


def look_at_guards(daemons: Daemons) -> Guards:
    sizes = {node: round(rss_mb(int(daemons.ask(node, "info")["guard_pid"])), 1) for node in NODES}
    return Guards(rss_mb=sizes, target_mb=GUARD_RSS_MB, met=max(sizes.values()) <= GUARD_RSS_MB)


if __name__ == "__main__":
    main()
