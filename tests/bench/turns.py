"""How long the turns of a daemon's event loop are when very much happens at once.

    python -m tests.bench.turns [--vips 1000] [--runs 3] [--format text|json]

Two real daemons on hosts of their own with default settings, save that views mature after one second. All VIPs are the
first node's, which coordinates. One after the other, with what follows in the second after it:

    boot            both start
    takeover        the first is cut off; these are the turns of the second
    rejoin          the first comes back, and gets its VIPs back; its turns since it was cut off
    drain, undrain  of the first
    move, back      of every VIP to the second, and wherever it belongs: each asked once the one before is answered
    reload          one VIP is taken out of the first's configuration, and all others are on other lines; then the same
                    with the second's
    stop            the first is told to stop; its turns until it was heard last

A turn is what follows from one input, up to the handing over of its effects; `duravip info` counts the long ones. All
of it is done several times (`tests/bench/repeated.py` says why), with daemons of their own.

Exit status 1 when a turn took 5 ms or longer in any of them.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from duravip.errors import ControlError
from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan
from tests.bench.repeated import LIMIT_MS, Situation, run_repeatedly

FIRST, SECOND = NODES = "node1", "node2"
FIRST_VIP = IPv4Address("10.76.4.0")
SETTLE_LIMIT_S = 60.0
AFTERWARDS_S = 1.5  # what follows from all being settled: the view matures, assignments are verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """`slow` turns of an event loop took LIMIT_MS or more; all took less than `under_ms`, a whole number."""

    slow: int
    under_ms: int

    def __str__(self) -> str:
        return f"turns under {self.under_ms} ms, {self.slow} slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned(Situation):
    """`turns`: of each node that was there."""

    turns: dict[str, Turns]

    def lines(self) -> list[str]:
        return [f"{self.run} {self.name:<8} {node}: {turns}" for node, turns in self.turns.items()]


def main() -> None:
    options = argparse.ArgumentParser(description="How long turns are.", prog="tests.bench.turns")
    options.add_argument("--vips", type=int, default=1000)
    run_repeatedly(options, measure, what="turn")


def measure(run: int, given: argparse.Namespace, folder: Path) -> Iterator[Turned]:
    addresses = [str(FIRST_VIP + number) for number in range(given.vips)]
    with (
        Lan(NODES, prefix="dvturns", network="10.76.0.0/16") as lan,
        Daemons(lan, folder, NODES, dict.fromkeys(addresses, FIRST), settings={"view_mature_time": "1"}) as daemons,
    ):
        crowd = Crowd(daemons, run)
        crowd.settle(FIRST)
        yield crowd.situation("boot")
        lan.silence(FIRST)
        crowd.settle(SECOND, heard=SECOND)
        yield crowd.situation("takeover", SECOND)
        lan.heal()
        crowd.settle(FIRST)
        yield crowd.situation("rejoin")
        daemons.ask(FIRST, "drain")
        crowd.settle(SECOND)
        yield crowd.situation("drain")
        daemons.ask(FIRST, "undrain")
        crowd.settle(FIRST)
        yield crowd.situation("undrain")
        for target in (SECOND, None):
            for address in addresses:
                daemons.ask(FIRST, "move", address=address, node=target)
            crowd.settle(target or FIRST)
            yield crowd.situation("move" if target else "back")
        del daemons.vips[addresses[-1]]
        for node in NODES:
            daemons.config(node).write_text("# so all are on other lines\n" + daemons.configuration(node))
            daemons.ask(node, "reload")
            time.sleep(AFTERWARDS_S)
        yield crowd.situation("reload")
        daemons.signal(FIRST)
        yield crowd.situation("stop", *NODES, last_of=FIRST)


class Crowd:
    """The daemons and their VIPs. Each `situation` is of the time since the one before."""

    def __init__(self, daemons: Daemons, run: int) -> None:
        self._daemons = daemons
        self._run = run
        self._before: dict[str, list[int]] = {}

    def settle(self, owner: str, *, heard: str | None = None) -> None:
        """Until the owner has all of them, as itself and the others (or only `heard`) say, and a moment longer."""
        daemons, asked = self._daemons, NODES if heard is None else (heard,)

        def settled() -> bool:
            shown = {node: daemons.ask(node, "show") for node in asked}
            return all(
                answer["view"]["mature"]
                and len(answer["view"]["members"]) == len(asked)
                and all(vip["owner"] == owner and vip["held_here"] == (node == owner) for vip in answer["vips"])
                for node, answer in shown.items()
            )

        daemons.wait_until(f"all VIPs on {owner}", settled, limit_s=SETTLE_LIMIT_S)
        time.sleep(AFTERWARDS_S)

    def situation(self, name: str, *nodes: str, last_of: str = "") -> Turned:
        """`last_of`: this node is ending; what it said last counts."""
        after: dict[str, list[int]] = {}
        with contextlib.suppress(ControlError):
            while last_of:
                after[last_of] = turns_of(self._daemons, last_of)
        if last_of:
            time.sleep(AFTERWARDS_S)
        for node in nodes or NODES:
            if node != last_of:
                after[node] = turns_of(self._daemons, node)
        turns = {node: turns_between(self._before.get(node, []), after[node]) for node in sorted(after)}
        self._before.update(after)
        return Turned(run=self._run, name=name, turns=turns, missed=sum(one.slow for one in turns.values()))


def turns_of(daemons: Daemons, node: str) -> list[int]:
    """How many turns of 1 to 2 ms there were since the start, of 2 to 3, and so on."""
    counted: list[int] = daemons.ask(node, "info")["counters"]["long_turns"]
    return counted


def turns_between(before: list[int], after: list[int]) -> Turns:
    """`before` empty: since the start."""
    counts = [late - early for late, early in zip(after, before or [0] * len(after), strict=True)]
    longest = max((number for number, count in enumerate(counts, 2) if count), default=1)
    return Turns(slow=sum(counts[LIMIT_MS - 1 :]), under_ms=longest)


if __name__ == "__main__":
    main()
