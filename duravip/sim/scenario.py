"""Scenarios: what happens to a small cluster, as a text, and what came of it.

A scenario file is a comment that says why, commands, a line of four hyphens, and the trace: what `play` gives for the
commands. It looks like this:

    # Why this is worth a file.
    nodes a b c
    vips 3
    start
    run 5
    crash c
    run until held
    ----
    ...

Rules of this file
- A command is a line: a verb and its words. `#` begins a comment. Times are virtual seconds.
- Nodes and VIPs are declared before anything happens. VIPs are called v1, v2, ...; v3 is 192.0.2.3.
- The trace follows from the commands and the seed alone. Each command is repeated in it after `>`; a broken promise
  is in it like everything else, as VIOLATION.

Commands

    nodes NAME... [OPTION=VALUE...]     heartbeat=0.1 timeout=0.35 mature=2 balance=1 set=0 lifetime=10 isolation=hold
    vips COUNT                          so many more VIPs, on all nodes
    vip NAME [on NODE...] [prefer NODE] [follow VIP] [binding NAME] [service NAME]
    seed NUMBER                         another one than 1
    start|crash|freeze|thaw|suspend|resume|leave|drain|undrain [NODE...]      all nodes, if none is named
    link NODE... up|down                the interface for the VIPs; heartbeats have a way of their own
    cut A B | C                         no link between the parts is left
    cut A > B                           what A says does not reach B any more
    heal                                all links are whole
    loss|duplicate|reorder|replay PERCENT       of all datagrams
    delay SECONDS                       of every datagram, about
    kernel calm|slow|failing            every node's
    steal VIP                           somebody takes it off, wherever it is
    move VIP NODE|auto                  asked for at the first node that runs
    edit NODE... vip ...                new words for a VIP in these nodes' files; `edit NODE... drop VIP` removes it
    reload [NODE...]                    the file is read
    switch NODE                         it is asked to have all read their files and switch together
    run SECONDS
    run until held|settled|VIP on NODE|view NODE...       for 60 s at most; held: each VIP on one host that runs
    show owners|views|flags
    judge                               at rest by now: L1 to L6 must hold
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from duravip import events
from duravip.events import Event
from duravip.model import Address, NodeName, Settings, Use, VipEntry, address_order, canonical_address, make_table
from duravip.sim.checker import Checker
from duravip.sim.host import Host
from duravip.sim.kernel import CALM, Temper
from duravip.sim.world import World

HORIZON_S: Final = 60.0  # of `run until`
STEP_S: Final = 0.001  # how often it looks
ONE_GO_S: Final = 0.05  # what a kernel does within so long is one line
NETWORK: Final = "192.0.2."
RULE: Final = "----"

OPTIONS = {
    "heartbeat": "0.1",
    "timeout": "0.35",
    "mature": "2",
    "balance": "1",
    "set": "0",
    "lifetime": "10",
    "isolation": "hold",
}
KERNELS = {"calm": CALM, "slow": Temper(usual_s=0.3), "failing": Temper(failure=0.3)}
TOLD = (
    events.NodeSuspected,
    events.NodeLeft,
    events.ViewInstalled,
    events.Stalled,
    events.Expelled,
    events.NameTaken,
    events.Balanced,
    events.ConfigRejected,
    events.AddressFailed,
    events.AddressLost,
)
"""Events that are worth a line of the trace."""


class ScenarioError(ValueError):
    """A command that cannot be understood; the message names the line."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A file's three parts, as lines."""

    comment: tuple[str, ...]
    commands: tuple[str, ...]
    trace: tuple[str, ...]

    def text(self) -> str:
        return "\n".join((*self.comment, "", *self.commands, RULE, *self.trace)) + "\n"


def parse(text: str) -> Scenario:
    """Raises ScenarioError when the comment that says why is missing."""
    lines = text.splitlines()
    at = lines.index(RULE) if RULE in lines else len(lines)
    head, trace = lines[:at], lines[at + 1 :]
    start = next((number for number, line in enumerate(head) if not line.startswith("#")), len(head))
    if not start:
        raise ScenarioError("line 1: a scenario begins with a comment that says why it is there")
    commands = "\n".join(head[start:]).strip("\n").splitlines()
    return Scenario(tuple(head[:start]), tuple(commands), tuple(trace))


def play(scenario: Scenario) -> Scenario:
    """The same scenario with the trace that it has now. Raises ScenarioError."""
    stage = Stage()
    for number, line in enumerate(scenario.commands, len(scenario.comment) + 2):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            stage.obey(words)
        except ScenarioError as error:
            raise ScenarioError(f"line {number}: {line.strip()}: {error}") from None
        except (KeyError, ValueError, IndexError) as wrong:
            raise ScenarioError(f"line {number}: cannot understand: {line.strip()} ({wrong})") from wrong
    return replace(scenario, trace=tuple(stage.finished()))


class Trace(Checker):
    """A checker that writes down, in a few words, what a reader wants to know. What one host's kernel does in one
    go is one line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._kernel: tuple[float, NodeName, bool, list[Address]] | None = None

    def command(self, words: Sequence[str]) -> None:
        self._settle()
        self.lines.append("> " + " ".join(words))

    def line(self, who: str, what: str) -> None:
        self._settle()
        self._write(self._clock.now, who, what)

    def shown(self, who: str, what: str) -> None:
        self._settle()
        self.lines.append(f"{'':11}{who}: {what}")

    def _write(self, at_s: float, who: str, what: str) -> None:
        self.lines.append(f"{at_s:8.3f} {who:>2} {what}")

    def _settle(self) -> None:
        if self._kernel is not None:
            at_s, name, present, addresses = self._kernel
            self._kernel = None
            sign = "+" if present else "-"
            self._write(at_s, name, " ".join(sign + called(address) for address in addresses))

    def _violated(self, rule: str, text: str) -> None:
        super()._violated(rule, text)
        self.line("", f"VIOLATION {rule}: {text}")

    def started(self, host: Host) -> None:
        self.line(host.name, "runs")
        super().started(host)

    def ended(self, host: Host, why: str) -> None:
        self.line(host.name, why)
        super().ended(host, why)

    def published(self, host: Host, event: Event) -> None:
        if isinstance(event, TOLD):
            self.line(host.name, _told(event))
        super().published(host, event)

    def plumbed(self, host: Host, address: Address, present: bool) -> None:
        now, kernel = self._clock.now, self._kernel
        if kernel is not None and kernel[1:3] == (host.name, present) and now - kernel[0] < ONE_GO_S:
            kernel[3].append(address)
        else:
            self._settle()
            self._kernel = (now, host.name, present, [address])
        super().plumbed(host, address, present)


def called(address: Address) -> str:
    return "v" + address.removeprefix(NETWORK) if address.startswith(NETWORK) else address


def address_of(name: str) -> Address:
    """Raises ValueError for what is no `v1`."""
    if not name.startswith("v"):
        raise ValueError(f"{name} is no VIP")
    return canonical_address(NETWORK + str(int(name[1:])))


def _told(event: Event) -> str:
    kind = event.id.partition(".")[2].replace("_", " ")
    if isinstance(event, events.ViewInstalled):
        return f"view: {' '.join(event.members)}"
    words = []
    for value in event.fields().values():
        if isinstance(value, float):
            words.append(f"{value:.3g}")
        elif isinstance(value, str) and value and value != "eth0":
            words.append(called(Address(value)))
        elif isinstance(value, int) and not isinstance(value, bool):
            words.append(str(value))
    return f"{kind}: {' '.join(words)}"


class Stage:
    """Where a scenario is played. The world is built by the first command that is no declaration."""

    def __init__(self) -> None:
        self._names: list[NodeName] = []
        self._options = dict(OPTIONS)
        self._vips: dict[Address, tuple[VipEntry, tuple[NodeName, ...]]] = {}
        self._seed = 1
        self._trace = Trace()
        self._world: World | None = None
        self._declarations: dict[str, Callable[[list[str]], None]] = {
            "nodes": self._nodes,
            "vips": self._more_vips,
            "vip": self._vip,
            "seed": self._set_seed,
        }
        self._verbs: dict[str, Callable[[list[str]], None]] = {
            **{verb: self._for_each(verb) for verb in EACH},
            "link": self._link,
            "cut": self._cut,
            "heal": lambda words: self.world.network.heal(),
            "loss": lambda words: self._weather(loss=_share(words)),
            "duplicate": lambda words: self._weather(duplicate=_share(words)),
            "reorder": lambda words: self._weather(straggle=_share(words)),
            "replay": lambda words: self._weather(ghost=_share(words)),
            "delay": lambda words: self._weather(delay_s=float(words[0])),
            "kernel": self._kernel,
            "steal": self._steal,
            "move": self._move,
            "edit": self._edit,
            "reload": self._reload,
            "switch": lambda words: self._host(words[0]).switch(),
            "run": self._run,
            "show": self._show,
            "judge": lambda words: self._trace.judge_rest(quiet_since_s=self.world.clock.now - 1.0),
        }

    def obey(self, words: list[str]) -> None:
        """One command. Raises ScenarioError, or ValueError, KeyError, IndexError for words that make no sense."""
        verb, rest = words[0], words[1:]
        if verb in self._declarations:
            if self._world is not None:
                raise ScenarioError("nodes and VIPs are declared before anything happens")
            self._declarations[verb](rest)
        elif verb in self._verbs:
            self.world  # noqa: B018 (builds it, before the trace can know the time)
            self._trace.command(words)
            self._verbs[verb](rest)
        else:
            raise ScenarioError(f"there is no command {verb}")

    def finished(self) -> list[str]:
        self._trace.command(["end"])
        return self._trace.lines[:-1]

    @property
    def world(self) -> World:
        if self._world is None:
            self._world = self._built()
        return self._world

    # --- declarations ---------------------------------------------------------------------------------------

    def _nodes(self, words: list[str]) -> None:
        for word in words:
            name, sign, value = word.partition("=")
            if not sign:
                self._names.append(NodeName(word))
            elif name in self._options:
                self._options[name] = value
            else:
                raise ScenarioError(f"there is no option {name}")

    def _more_vips(self, words: list[str]) -> None:
        for _ in range(int(words[0])):
            self._vip([f"v{len(self._vips) + 1}"])

    def _vip(self, words: list[str]) -> None:
        entry, members = _entry(words, self._names)
        self._vips[entry.address] = (entry, members)

    def _set_seed(self, words: list[str]) -> None:
        self._seed = int(words[0])

    def _built(self) -> World:
        if not self._names:
            raise ScenarioError("no nodes are declared")
        options = self._options
        world = World(self._seed, observer=self._trace)
        self._trace.watch(world)
        settings = Settings(
            view_mature_time=float(options["mature"]),
            view_balance_interval=float(options["balance"]),
            balance_set_size=int(options["set"]),
            address_lifetime=float(options["lifetime"]),
        )
        for name in self._names:
            vips = [entry for entry, members in self._vips.values() if name in members]
            world.add_host(
                name,
                make_table(vips, settings),
                heartbeat_interval_s=float(options["heartbeat"]),
                failure_timeout_s=float(options["timeout"]),
                on_isolation=options["isolation"],
            )
        return world

    # --- what happens ---------------------------------------------------------------------------------------

    def _host(self, name: str) -> Host:
        hosts = self.world.hosts
        if name not in hosts:
            raise ScenarioError(f"there is no node {name}")
        return hosts[NodeName(name)]

    def _hosts(self, words: Sequence[str]) -> list[Host]:
        return [self._host(word) for word in words or self._names]

    def _for_each(self, verb: str) -> Callable[[list[str]], None]:
        def act(words: list[str]) -> None:
            for host in self._hosts(words):
                EACH[verb](host)

        return act

    def _link(self, words: list[str]) -> None:
        up = {"up": True, "down": False}[words[-1]]
        for host in self._hosts(words[:-1]):
            host.set_link(up)

    def _cut(self, words: list[str]) -> None:
        network = self.world.network
        if ">" in words:
            at = words.index(">")
            sources, targets = self._hosts(words[:at]), self._hosts(words[at + 1 :])
            network.cut_all([(source.name, target.name) for source in sources for target in targets])
            return
        parts: list[list[NodeName]] = [[]]
        for word in words:
            if word == "|":
                parts.append([])
            else:
                parts[-1].append(self._host(word).name)
        if len(parts) < 2 or not all(parts):
            raise ScenarioError("a cut has two sides, with a | or a > between them")
        network.split(parts)

    def _weather(self, **conditions: float) -> None:
        network = self.world.network
        network.weather = replace(network.weather, **conditions)

    def _kernel(self, words: list[str]) -> None:
        self.world.set_conditions(self.world.network.weather, KERNELS[words[0]])

    def _steal(self, words: list[str]) -> None:
        for host in self.world.hosts.values():
            host.kernel.steal(address_of(words[0]))

    def _move(self, words: list[str]) -> None:
        asked = next(host for host in self.world.hosts.values() if host.process is not None)
        asked.move(address_of(words[0]), None if words[1] == "auto" else self._host(words[1]).name)

    def _edit(self, words: list[str]) -> None:
        verb = next(word for word in ("vip", "drop") if word in words)
        at = words.index(verb)
        for host in self._hosts(words[:at]):
            vips = {vip.address: vip for vip in host.table.vips}
            if verb == "drop":
                del vips[address_of(words[at + 1])]
            else:
                entry, _ = _entry(words[at + 1 :], self._names)
                vips[entry.address] = entry
            host.table = make_table(vips.values(), host.table.settings)

    def _reload(self, words: list[str]) -> None:
        for host in self._hosts(words):
            host.reload(host.table)

    def _run(self, words: list[str]) -> None:
        clock = self.world.clock
        if words[0] != "until":
            clock.run_until(clock.now + float(words[0]))
            return
        come, began = self._condition(words[1:]), clock.now
        while not come():
            if clock.now - began > HORIZON_S:
                raise ScenarioError(f"it did not come within {HORIZON_S:g} s")
            clock.run_until(clock.now + STEP_S)
        self._trace.line("", f"after {clock.now - began:.3f} s")

    def _condition(self, words: list[str]) -> Callable[[], bool]:
        match words:
            case ["held"]:
                return self._all_held
            case ["settled"]:
                return lambda: (
                    self._all_held()
                    and all(host.process is None or _holds_what_it_owns(host) for host in self.world.hosts.values())
                )
            case [vip, "on", name]:
                address, host = address_of(vip), self._host(name)
                return lambda: address in host.kernel.present
            case ["view", *names] if names:
                return lambda: all(_members(self._host(name)) == tuple(sorted(names)) for name in names)
        raise ScenarioError("until what? held, settled, VIP on NODE, or view NODE...")

    def _running(self) -> list[Host]:
        return [host for host in self.world.hosts.values() if host.process is not None and not host.process.frozen]

    def _all_held(self) -> bool:
        running = self._running()
        return all(sum(address in host.kernel.present for host in running) == 1 for address in self._vips)

    # --- what is shown --------------------------------------------------------------------------------------

    def _show(self, words: list[str]) -> None:
        match words:
            case ["owners"]:
                for address in sorted(self._vips, key=address_order):
                    holders = [host.name for host in self.world.hosts.values() if address in host.kernel.present]
                    self._trace.shown(called(address), " ".join(holders) or "nobody")
            case ["views"]:
                for host in self.world.hosts.values():
                    self._trace.shown(host.name, " ".join(_members(host)) or "no view")
            case ["flags"]:
                for host in self._running():
                    assert host.node is not None
                    raised = sorted(host.node.landscape.flags.items(), key=lambda item: address_order(item[0]))
                    said = [f"{called(address)} {' '.join(flag.value for flag in flags)}" for address, flags in raised]
                    self._trace.shown(host.name, ", ".join(said) or "all safe")
            case _:
                raise ScenarioError("show what? owners, views or flags")


EACH: dict[str, Callable[[Host], None]] = {
    "start": lambda host: host.start(),
    "crash": lambda host: host.crash(),
    "freeze": lambda host: host.freeze(),
    "thaw": lambda host: host.thaw(),
    "suspend": lambda host: host.suspend(),
    "resume": lambda host: host.resume(),
    "leave": lambda host: host.leave(),
    "drain": lambda host: host.drain(True),
    "undrain": lambda host: host.drain(False),
}


def _share(words: list[str]) -> float:
    return float(words[0].removesuffix("%")) / 100


def _members(host: Host) -> tuple[str, ...]:
    view = host.node.view if host.node is not None else None
    return view.names() if view is not None else ()


def _holds_what_it_owns(host: Host) -> bool:
    assert host.node is not None
    owned = {address for address, decision in host.node.owners().items() if decision.owner == host.name}
    return host.kernel.present == owned


def _entry(words: list[str], names: Sequence[NodeName]) -> tuple[VipEntry, tuple[NodeName, ...]]:
    """What `vip NAME ...` says, and on which nodes."""
    said: dict[str, list[str]] = {}
    keyword = ""
    for word in words[1:]:
        if word in ("on", "prefer", "follow", "binding", "service"):
            keyword = word
            said[word] = []
        elif not keyword:
            raise ScenarioError(f"{word} is no part of a VIP")
        else:
            said[keyword].append(word)
    follows = [Use(address_of(word)) for word in said.get("follow", [])]
    bindings = said.get("binding", [] if follows else [f"b-{words[0]}"])
    services = said.get("service", ["esmtp:25"] if follows else ["multivip"])
    entry = VipEntry(
        address=address_of(words[0]),
        services=tuple(Use(name) for name in sorted(services)),
        bindings=tuple(Use(name) for name in sorted(bindings)),
        preference=next((Use(name) for name in said.get("prefer", [])), None),
        follow=next(iter(follows), None),
        interface="eth0",
    )
    return entry, tuple(NodeName(name) for name in said.get("on", names))
