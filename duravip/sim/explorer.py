"""Every order of events, not a random one: an exhaustive search over the real machines of three nodes.

    python -m duravip.sim.explorer --situation merge --horizon 2 --drops 1

Rules of this file
- The machines are `cluster.node.Node`, unchanged. What is left to choice is what a network, kernels and fate may do:
  which datagram arrives next, or is lost, or comes twice; which kernel acknowledges next; who crashes, who starts
  again, which link fails in which direction, and how long a datagram stays under way.
- Every state that can be reached within the bounds is visited once, and judged. Two states are the same when all that
  the machines remember, the kernels, the datagrams under way and what is left of the bounds are the same.
- A violation comes with the shortest list of choices that leads to it.

Theory of operation
    A global state is made of numbers: for each node that of a remembered machine (kept as bytes) or none, the addresses
    in its kernel and the orders that it has not acknowledged; the datagrams under way, the failed links, what is left
    of the bounds, and the time. What one machine does with one input at one time is worked out once and remembered:
    interleavings repeat it thousands of times. Time passes only when nothing is under way, to the next deadline of any
    machine; then all that are due tick. `late` allows it to pass so many times while something is.

What it does not show: more nodes, more faults than the bounds, clocks that differ, timers that ring late. The random
schedules (`sim.run`) have all of that, and prove nothing.

Source: Holzmann, The Model Checker SPIN (1997), for the method: explicit states, breadth first, hashed.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import hashlib
import math
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import msgspec

from duravip.cluster import is_compiled
from duravip.cluster.addresses import AddressSet
from duravip.cluster.effects import Left, Publish, ReleaseAddress, Send, TakeAddress
from duravip.cluster.holdings import HoldState
from duravip.cluster.inputs import (
    AddressAdded,
    AddressRemoved,
    Input,
    LeaveRequested,
    MoveRequested,
    PacketHeard,
    TableLoaded,
    Ticked,
)
from duravip.cluster.messages import AnyMessage
from duravip.cluster.node import Node
from duravip.cluster.parameters import Parameters
from duravip.events import Disagreement
from duravip.model import (
    Address,
    Flag,
    Incarnation,
    Member,
    NodeName,
    Settings,
    Table,
    Use,
    ViewId,
    VipEntry,
    make_table,
)
from duravip.sim.bugs import BUGS, NEEDS_SOURCES, planted
from duravip.wire.codec import encode_message

NAMES = (NodeName("a"), NodeName("b"), NodeName("c"))
VIPS = (Address("192.0.2.1"), Address("192.0.2.2"))
INTERVAL_S, TIMEOUT_S = 1.0, 2.5
SETTINGS = Settings(view_mature_time=1.0, view_balance_interval=1.0, address_lifetime=0.0)
NOBODY = -1  # in the place of a machine: the process is down

T = TypeVar("T")

Order = tuple[bool, Address]  # take, or take off
Datagram = tuple[int, int]  # to whom; number of what is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How often each fault may happen in one history; `late`: how often time may pass while something is under way."""

    crashes: int = 0
    restarts: int = 0
    drops: int = 0
    duplicates: int = 0
    cuts: int = 0
    late: int = 0

    def without(self, what: str) -> Bounds | None:
        left: int = getattr(self, what)
        return dataclasses.replace(self, **{what: left - 1}) if left else None


@dataclass(frozen=True, slots=True)
class State:
    now: float
    machines: tuple[int, ...]
    present: tuple[frozenset[Address], ...]
    orders: tuple[tuple[Order, ...], ...]
    under_way: tuple[Datagram, ...]
    cut: frozenset[tuple[int, int]]
    lives: tuple[int, ...]
    left: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is remembered of one node's machine in one state."""

    frozen: bytes
    deadline: float
    view: ViewId | None
    claimed: Mapping[Address, frozenset[NodeName]]
    wrong: str


@dataclass(frozen=True, slots=True)
class Done:
    """What one input has led to."""

    machine: int
    says: tuple[int, ...]
    orders: tuple[Order, ...]
    wrong: str
    left: bool


@dataclass(slots=True)
class Findings:
    states: int = 0
    transitions: int = 0
    depth: int = 0
    machines: int = 0
    steps: int = 0
    complete: bool = False
    violation: str = ""
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        extent = "all" if self.complete else "the first"
        return (
            f"{extent} {self.states} states, {self.transitions} transitions, at most {self.depth} choices deep; "
            f"{self.machines} states of single machines, {self.steps} steps of them: "
            f"{self.violation or 'no violation'}"
        )


def table(*, binding: str = "b", prefer: NodeName | None = None) -> Table:
    preference = Use(prefer) if prefer is not None else None
    return make_table(
        (
            VipEntry(
                address=one,
                services=(Use("multivip"),),
                bindings=(Use(f"{binding}{number}"),),
                interface="eth0",
                preference=preference if number == 0 else None,
            )
            for number, one in enumerate(VIPS)
        ),
        SETTINGS,
    )


class Explorer:
    """Of one situation and its bounds. `run` may be called once."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._machines: list[Machine] = []
        self._numbers: dict[bytes, int] = {}
        self._said: list[tuple[NodeName, tuple[AnyMessage, ...], Member]] = []
        self._said_numbers: dict[bytes, int] = {}
        self._steps: dict[tuple[int, object, float], Done] = {}
        self._table = table()

    # --- single machines -------------------------------------------------------------------------------------------

    def _remember(self, node: Node) -> int:
        name = _fingerprint(node)
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._machines)
            self._machines.append(
                Machine(
                    frozen=pickle.dumps(node, pickle.HIGHEST_PROTOCOL),
                    deadline=node.next_deadline(),
                    view=node.view.id if node.view is not None else None,
                    claimed=node.claims_at_install,
                    wrong=_judge_alone(node),
                )
            )
        return number

    def _say(self, sender: Member, messages: tuple[AnyMessage, ...]) -> int:
        key = repr(sender).encode() + b"".join(map(encode_message, messages))
        number = self._said_numbers.get(key)
        if number is None:
            number = self._said_numbers[key] = len(self._said)
            self._said.append((sender.name, messages, sender))
        return number

    def _step(self, machine: int, key: object, given: Input, now: float) -> Done:
        done = self._steps.get((machine, key, now))
        if done is None:
            done = self._steps[(machine, key, now)] = self._handle(machine, given, now)
        return done

    def _handle(self, machine: int, given: Input, now: float) -> Done:
        node: Node = pickle.loads(self._machines[machine].frozen)  # noqa: S301 (our own)
        try:
            effects = node.handle(given, now=now)
        except Exception as error:
            return Done(machine, (), (), f"{node.me.name} raised {error!r}", False)
        says: list[int] = []
        orders: list[Order] = []
        wrong, left = "", False
        for effect in effects:
            match effect:
                case Send():
                    says.append(self._say(node.me, effect.messages))
                case TakeAddress() | ReleaseAddress():
                    orders.append((isinstance(effect, TakeAddress), effect.address))
                case Publish(event=Disagreement()):
                    wrong = f"{node.me.name} disagrees: {effect.event}"
                case Left():
                    left = True
                case _:
                    pass
        return Done(self._remember(node), tuple(says), tuple(orders), wrong, left)

    # --- global states ---------------------------------------------------------------------------------------------

    def boot(self) -> State:
        """Three nodes that have just started and know nobody."""
        state = State(0.0, (NOBODY,) * 3, (frozenset(),) * 3, ((),) * 3, (), frozenset(), (0,) * 3, self._bounds)
        for place in range(3):
            state = self._start(state, place)
        return state

    def calm(self, state: State, until: float) -> State:
        """What follows when everything arrives at once, in order, and nothing fails: one of the many histories."""
        while True:
            if state.under_way:
                state, _ = self._deliver(state, state.under_way[0])
            elif any(state.orders):
                state, _ = self._acknowledge(state, next(at for at, some in enumerate(state.orders) if some))
            elif self._next_deadline(state) <= until:
                state, _ = self._pass_time(state)
            else:
                return state

    def feed(self, state: State, place: int, given: Input) -> State:
        return self._feed(state, place, given, given)[0]

    def cut(self, state: State, *links: tuple[int, int]) -> State:
        """These links, one-way, fail from now on; none: all are whole again."""
        return dataclasses.replace(state, cut=frozenset(links))

    def _start(self, state: State, place: int) -> State:
        life = state.lives[place] + 1
        parameters = Parameters(
            name=NAMES[place],
            incarnation=Incarnation(life, life),
            heartbeat_interval_s=INTERVAL_S,
            failure_timeout_s=TIMEOUT_S,
            renews=False,
        )
        machine = self._remember(Node(parameters, self._table, now=state.now))
        return dataclasses.replace(
            state,
            machines=_put(state.machines, place, machine),
            present=_put(state.present, place, frozenset()),
            orders=_put(state.orders, place, ()),
            lives=_put(state.lives, place, life),
        )

    def _crash(self, state: State, place: int) -> State:
        """The kernel keeps what it has, and carries out no more orders."""
        return dataclasses.replace(
            state,
            machines=_put(state.machines, place, NOBODY),
            orders=_put(state.orders, place, ()),
            under_way=tuple(one for one in state.under_way if one[0] != place),
        )

    def _next_deadline(self, state: State) -> float:
        return min((self._machines[one].deadline for one in state.machines if one != NOBODY), default=math.inf)

    def _pass_time(self, state: State) -> tuple[State, str]:
        state = dataclasses.replace(state, now=max(state.now, self._next_deadline(state)))
        wrong = ""
        for place, machine in enumerate(state.machines):
            if machine != NOBODY and self._machines[machine].deadline <= state.now:
                state, found = self._feed(state, place, None, Ticked())
                wrong = wrong or found
        return state, wrong

    def _deliver(self, state: State, datagram: Datagram, *, keep: bool = False) -> tuple[State, str]:
        place, number = datagram
        if not keep:
            state = dataclasses.replace(state, under_way=_without(state.under_way, datagram))
        _, messages, sender = self._said[number]
        return self._feed(state, place, number, PacketHeard(sender=sender, messages=messages))

    def _acknowledge(self, state: State, place: int) -> tuple[State, str]:
        (take, address), *rest = state.orders[place]
        present = state.present[place]
        state = dataclasses.replace(
            state,
            orders=_put(state.orders, place, tuple(rest)),
            present=_put(state.present, place, present | {address} if take else present - {address}),
        )
        wrong = self._judge(state)
        given = AddressAdded(address=address) if take else AddressRemoved(address=address)
        state, found = self._feed(state, place, (take, address), given)
        return state, wrong or found

    def _feed(self, state: State, place: int, key: object, given: Input) -> tuple[State, str]:
        """One input to one machine, which is up."""
        done = self._step(state.machines[place], key, given, state.now)
        taken = [address for take, address in done.orders if take]
        wrong = done.wrong or (self._judge_taken(state, place, done.machine, taken) if taken else "")
        under_way = state.under_way
        if done.says:
            others = [
                other
                for other, machine in enumerate(state.machines)
                if other != place and machine != NOBODY and (place, other) not in state.cut
            ]
            under_way = tuple(sorted((*under_way, *((other, said) for said in done.says for other in others))))
        state = dataclasses.replace(
            state,
            machines=_put(state.machines, place, done.machine),
            orders=_put(state.orders, place, (*state.orders[place], *done.orders)) if done.orders else state.orders,
            under_way=under_way,
        )
        return (self._crash(state, place) if done.left else state), wrong

    def _choices(self, state: State, until: float) -> Iterator[tuple[str, Callable[[], tuple[State, str]]]]:
        """What may happen next."""
        bounds = state.left
        for datagram in dict.fromkeys(state.under_way):
            yield f"arrives {self._text(datagram)}", partial(self._deliver, state, datagram)
            if (left := bounds.without("drops")) is not None:
                lost = dataclasses.replace(state, under_way=_without(state.under_way, datagram), left=left)
                yield f"lost {self._text(datagram)}", partial(_stay, lost)
            if (left := bounds.without("duplicates")) is not None:
                twice = dataclasses.replace(state, left=left)
                text = f"arrives, and is still under way {self._text(datagram)}"
                yield text, partial(self._deliver, twice, datagram, keep=True)
        for place, orders in enumerate(state.orders):
            if orders:
                yield f"kernel of {NAMES[place]}: {orders[0]}", partial(self._acknowledge, state, place)
        for place, machine in enumerate(state.machines):
            if machine != NOBODY and (left := bounds.without("crashes")) is not None:
                crashed = dataclasses.replace(self._crash(state, place), left=left)
                yield f"{NAMES[place]} crashes", partial(_stay, crashed)
            if machine == NOBODY and (left := bounds.without("restarts")) is not None:
                again = self._start(dataclasses.replace(state, left=left), place)
                yield f"{NAMES[place]} starts", partial(_stay, again)
        if (left := bounds.without("cuts")) is not None:
            for link in ((one, other) for one in range(3) for other in range(3) if one != other):
                cut = dataclasses.replace(state, cut=state.cut | {link}, left=left)
                yield f"{NAMES[link[0]]} -> {NAMES[link[1]]} fails", partial(_stay, cut)
        if state.cut:
            yield "all links are whole", partial(_stay, dataclasses.replace(state, cut=frozenset()))
        if self._next_deadline(state) <= until:
            if not state.under_way and not any(state.orders):
                yield f"time passes, {state.now:.4f}", partial(self._pass_time, state)
            elif (left := bounds.without("late")) is not None:
                late = dataclasses.replace(state, left=left)
                text = f"time passes, {state.now:.4f}, with something under way"
                yield text, partial(self._pass_time, late)

    def run(self, start: State, *, horizon_s: float, limit: int) -> Findings:
        """From `start` on, for `horizon_s` virtual seconds, `limit` states at most."""
        until = start.now + horizon_s
        found = Findings(complete=True)
        came_from: dict[int, tuple[int, str]] = {hash(start): (0, "")}
        waiting = deque([(start, 0)])
        while waiting and not found.violation:
            state, depth = waiting.popleft()
            found.states += 1
            found.depth = max(found.depth, depth)
            if found.states >= limit:
                found.complete = False
                break
            here = hash(state)
            for text, follow in self._choices(state, until):
                following, wrong = follow()
                found.transitions += 1
                name = hash(following)
                if name not in came_from:
                    came_from[name] = here, text
                    wrong = wrong or self._judge(following)
                    waiting.append((following, depth + 1))
                elif wrong:
                    came_from[name] = here, text
                if wrong:
                    found.violation, found.trace = wrong, _trace(came_from, name)
                    break
        found.machines, found.steps = len(self._machines), len(self._steps)
        return found

    # --- what must hold --------------------------------------------------------------------------------------------

    def _judge(self, state: State) -> str:
        """S1 in the kernels; and what each machine does alone."""
        for place, machine in enumerate(state.machines):
            if machine == NOBODY:
                continue
            mine = self._machines[machine]
            if mine.wrong:
                return mine.wrong
            for other in range(place + 1, 3):
                theirs = state.machines[other]
                if theirs == NOBODY or mine.view is None or self._machines[theirs].view != mine.view:
                    continue
                for address in state.present[place] & state.present[other]:
                    if not {NAMES[place], NAMES[other]} <= mine.claimed.get(address, frozenset()):
                        return f"S1: {address} on {NAMES[place]} and {NAMES[other]}, both in {mine.view}"
        return ""

    def _judge_taken(self, state: State, place: int, machine: int, taken: list[Address]) -> str:
        """S1: nobody takes what another one of its view has, or is about to have."""
        view = self._machines[machine].view
        for other, theirs in enumerate(state.machines):
            if other == place or theirs == NOBODY or self._machines[theirs].view != view:
                continue
            has = state.present[other] | {address for take, address in state.orders[other] if take}
            for address in taken:
                if address in has:
                    return f"S1: {NAMES[place]} takes {address} from {NAMES[other]}, both in {view}"
        return ""

    def _text(self, datagram: Datagram) -> str:
        sender, messages, _ = self._said[datagram[1]]
        kinds = " ".join(type(getattr(one, "body", one)).__name__ for one in messages)
        return f"{sender} -> {NAMES[datagram[0]]}: {kinds}"


def _judge_alone(node: Node) -> str:
    """S1, S2, S3 as far as one machine shows: what it holds, by its own agreed state."""
    name = node.me.name
    own = {vip.address for vip in node.table.vips} | set(node.landscape.entries.get(name, {}))
    for address in sorted(node.held()):
        if node.holding_state(address) is HoldState.RELEASING:
            continue
        decision = node.owners().get(address)
        if node.view is None:
            return f"S1: {name} has {address} without a view"
        if decision is not None and decision.owner != name:
            return f"S1: {name} keeps {address}, which {decision.owner} owns"
        if Flag.BROKEN in node.landscape.flags.get(address, ()):
            return f"S2: {name} keeps {address}, which is BROKEN"
        if address not in own:
            return f"S3: {name} keeps {address}, which is not in its table"
        if not node.mature:
            return f"S3: {name} keeps {address} while immature"
    return ""


def _stay(state: State) -> tuple[State, str]:
    return state, ""


def _put(places: tuple[T, ...], at: int, value: T) -> tuple[T, ...]:
    return (*places[:at], value, *places[at + 1 :])


def _without(some: tuple[Datagram, ...], one: Datagram) -> tuple[Datagram, ...]:
    at = some.index(one)
    return (*some[:at], *some[at + 1 :])


def _trace(came_from: Mapping[int, tuple[int, str]], end: int) -> list[str]:
    steps: list[str] = []
    while (text := came_from[end][1]) and len(steps) < 10_000:
        steps.append(text)
        end = came_from[end][0]
    return steps[::-1]


# --- when two machines are the same -----------------------------------------------------------------------------------


def _fingerprint(node: Node) -> bytes:
    """Of everything that the machine remembers, whatever order its dicts were filled in. What its parts call DERIVED
    follows from the rest."""
    seen: dict[int, int] = {}
    return hashlib.blake2b(repr(_plain(node, seen)).encode(), digest_size=16).digest()


def _plain(value: object, seen: dict[int, int]) -> object:
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case enum.Enum():
            return value.name
        case AddressSet():
            return tuple(value)
        case Table():
            return value.digest()
        case msgspec.Struct():
            return (type(value).__name__, *(_plain(getattr(value, name), seen) for name in value.__struct_fields__))
        case tuple() | list() | deque():
            return [_plain(one, seen) for one in value]
        case Mapping():
            return sorted(((_plain(key, seen), _plain(one, seen)) for key, one in value.items()), key=repr)
        case set() | frozenset():
            return sorted((_plain(one, seen) for one in value), key=repr)
    if callable(value) or isinstance(value, type):
        return getattr(value, "__qualname__", "")
    if id(value) in seen:
        return "seen", seen[id(value)]
    seen[id(value)] = len(seen)
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    names = {*getattr(value, "__dict__", ()), *(name for name in slots if hasattr(value, name))}
    state = sorted(names.difference(getattr(value, "DERIVED", ())))
    return (type(value).__name__, *((name, _plain(getattr(value, name), seen)) for name in state))


# --- where a search begins --------------------------------------------------------------------------------------------


def _at_boot(explorer: Explorer) -> State:
    """Three nodes start together."""
    return explorer.boot()


def _at_rest(explorer: Explorer) -> State:
    """Three mature nodes in one view, every VIP held."""
    return explorer.calm(explorer.boot(), 8.0)


def _at_a_merge(explorer: Explorer) -> State:
    """c was cut off, has all VIPs, as a and b together have; the links are whole again."""
    rest = _at_rest(explorer)
    parted = explorer.cut(rest, (0, 2), (2, 0), (1, 2), (2, 1))
    return explorer.cut(explorer.calm(parted, rest.now + 7.0))


def _at_a_move(explorer: Explorer) -> State:
    """An operator at b asks that c have the first VIP."""
    return explorer.feed(_at_rest(explorer), 1, MoveRequested(address=VIPS[0], node=NAMES[2]))


def _at_a_leave(explorer: Explorer) -> State:
    """a, the coordinator, has been told to leave."""
    return explorer.feed(_at_rest(explorer), 0, LeaveRequested())


def _at_a_break(explorer: Explorer) -> State:
    """b has read a configuration with other Binding names: every VIP is about to be BROKEN."""
    return explorer.feed(_at_rest(explorer), 1, TableLoaded(table=table(binding="other")))


SITUATIONS: Mapping[str, Callable[[Explorer], State]] = {
    "boot": _at_boot,
    "rest": _at_rest,
    "merge": _at_a_merge,
    "move": _at_a_move,
    "leave": _at_a_leave,
    "break": _at_a_break,
}


def explore(situation: str, bounds: Bounds, *, horizon_s: float, limit: int, bug: str | None = None) -> Findings:
    """`bug` names one of `sim.bugs`."""
    with planted(bug):
        explorer = Explorer(bounds)
        return explorer.run(SITUATIONS[situation](explorer), horizon_s=horizon_s, limit=limit)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m duravip.sim.explorer", description=__doc__.partition("\n")[0])
    parser.add_argument("--situation", choices=sorted(SITUATIONS), default="rest")
    parser.add_argument("--horizon", type=float, default=2.0, metavar="S", help="virtual seconds")
    parser.add_argument("--limit", type=int, default=10_000_000, help="states")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant a deliberate bug")
    for one in dataclasses.fields(Bounds):
        parser.add_argument(f"--{one.name}", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if is_compiled():
        parser.error(NEEDS_SOURCES)
    bounds = Bounds(**{one.name: getattr(options, one.name) for one in dataclasses.fields(Bounds)})
    found = explore(options.situation, bounds, horizon_s=options.horizon, limit=options.limit, bug=options.bug)
    print(*found.trace, f"{options.situation}, {options.horizon:g} s, {bounds}", found, sep="\n")
    return 1 if found.violation else 0


if __name__ == "__main__":
    sys.exit(main())
