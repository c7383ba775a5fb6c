"""How long the turns of the machine alone are with the largest tables: no sockets, kernel, log or other processes.

    python -m tests.bench.steps [--vips 10240] [--limit-ms 5] [--profile] [--upto SITUATION]
                                 [--format text|json]

Three nodes are driven in one process, under a clock of their own; what they say passes through codec and seal, what
the kernel and a thread would answer comes a moment later. Every node has its own table: half of the VIPs are on other
lines in each, and every sixteenth prefers a node. One after the other:

    boot        all start; the tables are exchanged, the view matures
    death       the coordinator is gone; the others take its VIPs over
    rejoin      it starts again
    reload      the second's table changes: VIPs on other lines, one less, another preference
    move        of one VIP to each node, one after the other
    drain       of the third, and back
    lie         the third names each of the worst tables that can be made up (`tests/crafted.py`)
    join        it goes by each of those that are tables

Every `Node.handle` is timed, by the clock and by what the thread got of the processor; the second counts, since the
first has what else the machine did meanwhile. Turns over the limit are printed with their input. `--profile` (of the
sources: of compiled functions nothing is seen) says what of each took the time.

Exit status 1 when a turn needed the limit or longer.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import heapq
import json
import pstats
import random
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import msgspec

from duravip.cluster.effects import Deliberate, Effect, ReleaseAddress, Send, TakeAddress
from duravip.cluster.inputs import (
    AddressAdded,
    AddressRemoved,
    Deliberated,
    DrainChanged,
    Input,
    KernelAnswer,
    KernelAnswered,
    MoveRequested,
    PacketHeard,
    TableLoaded,
    Ticked,
)
from duravip.cluster.messages import CHUNK_BYTES, AnyMessage, Heartbeat, TableChunk, TableWanted
from duravip.cluster.node import Node
from duravip.cluster.parameters import Parameters
from duravip.model import Address, Incarnation, Member, NodeName, Origin, Table, Use, VipEntry, digest_of, make_table
from duravip.runtime.garbage import THRESHOLDS
from duravip.sim.openings import open_link
from duravip.wire.link import Link
from duravip.wire.received import Received
from tests.crafted import crafted, well_made

NAMES = tuple(map(NodeName, ("node1", "node2", "node3")))
DELAY_S = 0.000_1
PIECE = 64  # answers of the kernel in one input
THINKING_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    situation: str
    node: str
    given: str
    cpu_ms: float
    wall_ms: float
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        line = f"{self.situation:<8} {self.node}: {self.cpu_ms:6.1f} ms ({self.wall_ms:.1f} by the clock) {self.given}"
        return "\n".join([line, *(f"             {part}" for part in self.parts)])


class Life:
    """One node between its start and its end."""

    def __init__(self, name: NodeName, table: Table, number: int, now: float) -> None:
        self.me = Member(name, Incarnation(number, 7 + number))
        self.node = Node(Parameters(name=name, incarnation=self.me.incarnation), table, now=now)
        self.link: Link = open_link(self.me)
        self.answers: list[KernelAnswer] = []
        self.alive = True


class Lie:
    """A node whose heartbeats name this as its table, and that has the pieces of it."""

    def __init__(self, node: NodeName, encoded: bytes) -> None:
        self.node = node
        self.digest = digest_of(encoded)
        packed = zlib.compress(encoded, 1)
        self._pieces = [packed[start : start + CHUNK_BYTES] for start in range(0, len(packed), CHUNK_BYTES)]

    def instead_of(self, message: AnyMessage) -> AnyMessage:
        return msgspec.structs.replace(message, table=self.digest) if isinstance(message, Heartbeat) else message

    def pieces(self, wanted: TableWanted) -> list[TableChunk]:
        count = len(self._pieces)
        return [
            TableChunk(digest=self.digest, index=index, count=count, data=self._pieces[index])
            for index in wanted.chunks
            if index < count
        ]


class Stage:
    """`turns` has those over the limit; `longest` the longest of each situation, ms of the processor."""

    def __init__(self, *, limit_ms: float, profile: bool) -> None:
        self.now = 1000.0
        self.situation = ""
        self.turns: list[Turn] = []
        self.longest: dict[str, float] = {}
        self.lives: dict[NodeName, Life] = {}
        self._limit_ms = limit_ms
        self._profile = profile
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self._starts = 0
        self.lie: Lie | None = None

    def start(self, name: NodeName, table: Table) -> None:
        self._starts += 1
        self.lives[name] = Life(name, table, self._starts, self.now)

    def stop(self, name: NodeName) -> None:
        self.lives.pop(name).alive = False

    def run(self, for_s: float) -> None:
        end = self.now + for_s
        while True:
            due = min(((life.node.next_deadline(), name) for name, life in self.lives.items()), default=(end, ""))
            upcoming = self._queue[0][0] if self._queue else end
            at = max(self.now, min(due[0], upcoming))
            if at >= end:
                self.now = end
                return
            self.now = at
            if upcoming <= due[0]:
                heapq.heappop(self._queue)[2]()
            else:
                self.feed(self.lives[NodeName(due[1])], Ticked())

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._planned, action))

    def feed(self, life: Life, given: Input) -> None:
        if not life.alive:
            return
        if self._profile:
            profile = cProfile.Profile()
            profile.enable()
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        effects = life.node.handle(given, now=self.now)
        cpu_ms, wall_ms = (time.thread_time_ns() - cpu) / 1e6, (time.perf_counter_ns() - wall) / 1e6
        if self._profile:
            profile.disable()
        self.longest[self.situation] = max(self.longest.get(self.situation, 0.0), cpu_ms)
        if cpu_ms >= self._limit_ms:
            parts = tuple(_parts(profile)) if self._profile else ()
            self.turns.append(
                Turn(
                    situation=self.situation,
                    node=life.me.name,
                    given=f"{_words(given)} -> {len(effects)} effects",
                    cpu_ms=round(cpu_ms, 2),
                    wall_ms=round(wall_ms, 2),
                    parts=parts,
                )
            )
        for effect in effects:
            self._carry_out(life, effect)

    def _say(self, sender: Life, messages: Iterable[AnyMessage]) -> None:
        lie = self.lie
        if lie is not None and sender.me.name == lie.node:
            messages = [lie.instead_of(message) for message in messages]
        for datagram in sender.link.pack(tuple(messages)):
            for name, life in self.lives.items():
                if name != sender.me.name:
                    self.later(DELAY_S, partial(self._open, life, datagram))
        for message in messages if lie is not None and lie.node in self.lives else ():
            if isinstance(message, TableWanted) and lie is not None and message.digest == lie.digest:
                self._say(self.lives[lie.node], lie.pieces(message))

    def _open(self, life: Life, datagram: bytes) -> None:
        opened = life.link.open(datagram)
        if isinstance(opened, Received):
            self.feed(life, PacketHeard(sender=opened.sender, messages=opened.messages, path="net"))

    def _carry_out(self, life: Life, effect: Effect) -> None:
        match effect:
            case Send():
                self._say(life, effect.messages)
            case TakeAddress() | ReleaseAddress():
                took = isinstance(effect, TakeAddress)
                answer = AddressAdded(address=effect.address) if took else AddressRemoved(address=effect.address)
                if not life.answers:
                    self.later(0.001, partial(self._answer, life))
                life.answers.append(answer)
            case Deliberate():
                answer_of = effect.question.answer
                self.later(
                    THINKING_S,
                    lambda: self.feed(life, Deliberated(view=effect.view, number=effect.number, answer=answer_of())),
                )
            case _:
                pass

    def _answer(self, life: Life) -> None:
        piece, life.answers = life.answers[:PIECE], life.answers[PIECE:]
        self.feed(life, KernelAnswered(answers=tuple(piece)))
        if life.answers:
            self.later(0.001, partial(self._answer, life))


def _words(given: Input) -> str:
    if not isinstance(given, PacketHeard):
        return type(given).__name__
    return f"PacketHeard of {given.sender.name}: {', '.join(_word(message) for message in given.messages)}"


def _word(message: AnyMessage) -> str:
    body = getattr(message, "body", None)
    return type(message).__name__ + (f"({type(body).__name__})" if body is not None else "")


def _parts(profile: cProfile.Profile) -> Iterator[str]:
    """The functions that took the most, with what they called."""
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, line, name), (_, calls, own_s, all_s, _) in sorted(found.items(), key=lambda item: -item[1][3])[:14]:
        where = f"{file.rpartition('/')[2]}:{line}"
        yield f"{all_s * 1e3:7.1f} ms, {own_s * 1e3:6.1f} of its own: {name} ({where}), {calls} calls"


def table_for(name: NodeName, vips: int, *, salt: int = 0) -> Table:
    """Half of the VIPs are on other lines than elsewhere; every sixteenth prefers a node."""
    chance = random.Random(f"{name}/{salt}")
    made = []
    for number in range(vips):
        line = number if number % 2 else number + chance.randrange(1000)
        address = Address(f"10.{76 + (number >> 16)}.{number >> 8 & 255}.{number & 255}")
        made.append(
            VipEntry(
                address=address,
                services=(Use("multivip", Origin("/etc/duravip/momentum.conf", line, 3)),),
                bindings=(Use(f"binding-{number}", Origin("/etc/duravip/momentum.conf", line, 3)),),
                preference=Use(NAMES[number // 16 % 3], Origin("/etc/duravip/momentum.conf", line, 9))
                if number % 16 == 0
                else None,
                interface="eth0",
                prefix=16,
                origin=Origin("/etc/duravip/momentum.conf", line, 1),
            )
        )
    return make_table(made)


def measure(vips: int, *, limit_ms: float, profile: bool, upto: str) -> Stage:
    stage = Stage(limit_ms=limit_ms, profile=profile)
    tables = {name: table_for(name, vips) for name in NAMES}
    gc.set_threshold(*THRESHOLDS)  # as the daemon does
    gc.freeze()
    for situation, act in situations(stage, tables, vips):
        stage.situation = situation
        act()
        print(f"{stage.situation}: {stage.longest.get(stage.situation, 0.0):.1f} ms", file=sys.stderr, flush=True)
        if stage.situation == upto:
            break
    return stage


def situations(stage: Stage, tables: dict[NodeName, Table], vips: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each with what begins it."""
    first, second, third = NAMES

    def boot() -> None:
        for name in NAMES:
            stage.start(name, tables[name])
        stage.run(12.0)
        held = sorted(len(life.node.held()) for life in stage.lives.values())
        assert sum(held) == vips, held

    def death() -> None:
        stage.stop(first)
        stage.run(8.0)
        assert sum(len(life.node.held()) for life in stage.lives.values()) == vips

    def rejoin() -> None:
        stage.start(first, tables[first])
        stage.run(20.0)

    def reload() -> None:
        changed = table_for(second, vips - 1, salt=1)
        stage.feed(stage.lives[second], TableLoaded(table=changed))
        stage.run(8.0)

    def move() -> None:
        for node in NAMES:
            wish = MoveRequested(address=tables[first].vips[5].address, node=node)
            stage.feed(stage.lives[first], wish)
            stage.run(1.0)

    def drain() -> None:
        for drained in (True, False):
            stage.feed(stage.lives[third], DrainChanged(drained=drained))
            stage.run(8.0)

    yield from (
        ("boot", boot),
        ("death", death),
        ("rejoin", rejoin),
        ("reload", reload),
        ("move", move),
        ("drain", drain),
    )
    for name, encoded in crafted():

        def lie(encoded: bytes = encoded) -> None:
            stage.lie = Lie(third, encoded)
            stage.run(6.0)
            stage.lie = None

        yield f"lie, {name}", lie
    for name, table in well_made().items():

        def join(table: Table = table) -> None:
            stage.feed(stage.lives[third], TableLoaded(table=table))
            stage.run(4.0)

        yield f"join, {name}", join


def main() -> None:
    options = argparse.ArgumentParser(description="How long the machine's turns are.", prog="tests.bench.steps")
    options.add_argument("--vips", type=int, default=10_240)
    options.add_argument("--limit-ms", type=float, default=5.0)
    options.add_argument("--profile", action="store_true")
    options.add_argument("--format", choices=("text", "json"), default="text")
    options.add_argument("--upto", default="", metavar="SITUATION", help="leave out those behind it")
    given = options.parse_args()
    stage = measure(given.vips, limit_ms=given.limit_ms, profile=given.profile, upto=given.upto)
    if given.format == "json":
        print(json.dumps({"longest_ms": stage.longest, "turns": [asdict(turn) for turn in stage.turns]}))
    else:
        for turn in stage.turns:
            print(turn)
        for situation, longest_ms in stage.longest.items():
            print(f"{situation}: the longest turn needed {longest_ms:.1f} ms")
    sys.exit(bool(stage.turns))


if __name__ == "__main__":
    main()
