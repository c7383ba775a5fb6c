"""Real daemons on the hosts of a little network: configured, started, asked, cut off, killed, and watched all the
while.

Everything goes the way an administrator's does: files, `duravip run`, signals, and the commands' JSON. Only who
holds an address is looked up in the kernels (`testing.watch`).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from duravip.runtime.client import request
from duravip.testing.netns import Lan
from duravip.testing.watch import Watch

DURAVIP = str(Path(sys.executable).with_name("duravip"))
"""The console script beside this Python."""

NODES = ("node1", "node2", "node3")
MATURE_S = 1.0
TIMES: Mapping[str, float] = {
    "heartbeat_interval": 0.3,  # longer than the default: these tests share a busy machine
    "failure_timeout": 1.2,
    "view_mature_time": MATURE_S,
    "view_balance_interval": 1.0,
}
PATIENCE_S = 20.0  # for whatever should come about by itself
LOG_PAUSE_S = 0.05  # ten times runtime.log.GATHERING_S
MERGE_LIMIT_S = 8.0
Stanzas = Mapping[str, Mapping[str, object]]
_MULTICAST: Stanzas = {"multicast": {"interface": "eth0"}}
_UNICAST6: Stanzas = {"unicast": {"listen": "[%s]:4860", "peers": ("fd77::1", "fd77::2", "[fd77::3]:4860")}}
TRANSPORTS: Mapping[str, Stanzas] = {
    "multicast": _MULTICAST,
    "multicast-v6": {"multicast": {"interface": "eth0", "group": "ff02::4d77"}},
    "unicast": {"unicast": {"peers": ("10.77.0.1", "10.77.0.2", "10.77.0.3")}},
    "unicast-v6": _UNICAST6,
    "both": {**_MULTICAST, **_UNICAST6},
}
"""Ways in which three nodes may reach one another: stanzas with their options. `%s` is the node's own IPv6 address."""
_ASK_EVERY_S = 0.02


class Cluster:
    """A context manager. `nodes`: the hosts of the network that are to be watched for VIPs; any host may run a daemon.
    `over`: how they reach one another, of `TRANSPORTS`."""

    def __init__(self, lan: Lan, folder: Path, *, nodes: Sequence[str] = NODES, over: str = "multicast") -> None:
        self.lan = lan
        self.folder = folder
        self.over = over
        self.nodes = tuple(nodes)
        self.key = folder / "cluster.key"
        self.files: dict[str, Path] = {}
        self.watch = Watch(lan, self.nodes)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._opened = ExitStack()

    def __repr__(self) -> str:
        return f"<Cluster of {', '.join(self._daemons)}>"

    def __enter__(self) -> Self:
        if not self.key.exists():
            duravip("keygen", str(self.key))
        self._opened.enter_context(self.watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in self._daemons.values():
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()
        self._opened.close()

    # --- configurations and daemons ---

    def configure(self, node: str, vips: str, *, transports: str | None = None, **options: object) -> Path:
        """Writes the node's file in Momentum's syntax: `transports` (their stanzas, if not the usual ones) and `vips`
        after what every node here needs. `options` of the stanza `cluster` beside, or instead of, the usual ones."""
        lines = [f"    {name} = {_word(value)}" for name, value in self._options(node, options).items()]
        text = "\n".join(
            (
                "cluster {",
                *lines,
                "}",
                self._stanzas(node, "{} {{\n{}\n}}", _word) if transports is None else transports,
                'Topology "10.77.0.0/24" { interface = "eth0" }',
                'Topology "fd77::/64" { interface = "eth0" }',
                vips,
            )
        )
        return self._write(node, text, ".conf")

    def configure_toml(self, node: str, vips: str, **options: object) -> Path:
        """The same in TOML."""
        lines = [f"{name} = {json.dumps(value)}" for name, value in self._options(node, options).items()]
        text = "\n".join(
            (
                "[cluster]",
                *lines,
                self._stanzas(node, "[{}]\n{}", json.dumps),
                '[[topology]]\nnetwork = "10.77.0.0/24"\ninterface = "eth0"',
                '[[topology]]\nnetwork = "fd77::/64"\ninterface = "eth0"',
                vips,
            )
        )
        return self._write(node, text, ".toml")

    def start(self, *nodes: str, words: Sequence[str] = ()) -> None:
        """All at once; returns when all are ready."""
        for node in nodes:
            with self.log_file(node).open("ab") as log:
                self._daemons[node] = self.lan.popen(
                    node, DURAVIP, "run", "-c", str(self.files[node]), *words, stderr=log, stdout=log
                )
        for node in nodes:
            self.ask(node, "wait", "--timeout", f"{PATIENCE_S:g}")

    def signal(self, node: str, number: signal.Signals) -> None:
        self._daemons[node].send_signal(number)

    def stop(self, *nodes: str) -> dict[str, int]:
        """Asks them all to leave, and gives their exit statuses. All that run, if none is named."""
        leaving = nodes or tuple(node for node, daemon in self._daemons.items() if daemon.poll() is None)
        for node in leaving:
            self.signal(node, signal.SIGTERM)
        return {node: self._daemons.pop(node).wait(timeout=PATIENCE_S) for node in leaving}

    def kill(self, node: str) -> None:
        """SIGKILL for every process on the host, daemon and guard alike: neither does anything about the other."""
        self.lan.kill_all(node)
        self._daemons.pop(node).wait(timeout=PATIENCE_S)

    def crash(self, node: str, number: int) -> None:
        """The daemon alone dies of that signal; its guard lives."""
        self._daemons[node].send_signal(number)
        self._daemons.pop(node).wait(timeout=PATIENCE_S)

    # --- faults ---

    def silence(self, node: str) -> None:
        self._part(node)
        self.lan.silence(node)

    def cut(self, node: str) -> None:
        self._part(node)
        self.lan.link_down(node)

    def partition(self, *groups: Sequence[str]) -> None:
        """Every watched host, and clients, in one of the groups."""
        self.watch.parted(*([host for host in group if host in self.nodes] for group in groups))
        self.lan.partition(*groups)

    def heal(self) -> None:
        self.watch.merged(within_s=MERGE_LIMIT_S)
        self.lan.heal()

    # --- questions ---

    def ask(self, node: str, *words: str) -> str:
        return duravip(*words, "--control", str(self.control(node)))

    def show(self, node: str) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.ask(node, "show", "--format", "json"))
        return shown

    def vip(self, node: str, address: str) -> dict[str, Any]:
        """One of `show`, without the command."""
        [shown] = self._request(node, "show", address=address)["vips"]
        found: dict[str, Any] = shown
        return found

    def info(self, node: str) -> dict[str, Any]:
        info: dict[str, Any] = self._request(node, "info")
        return info

    def events(self, node: str, *globs: str) -> list[dict[str, Any]]:
        """Those the node remembers, oldest first."""
        events: list[dict[str, Any]] = self._request(node, "events", filters=globs or ("*",))
        return events

    def owners(self, node: str) -> dict[str, str | None]:
        """What the node says."""
        return {vip["address"]: vip["owner"] for vip in self._request(node, "show")["vips"]}

    def log(self, node: str) -> str:
        """All that had been said when it was asked for: a daemon's lines are written a moment after."""
        time.sleep(LOG_PAUSE_S)
        return self.log_file(node).read_text(errors="replace")

    def log_file(self, node: str) -> Path:
        return self.folder / f"{node}.log"

    def control(self, node: str) -> Path:
        return self.folder / f"{node}.sock"

    # --- waiting and checking ---

    def until(self, condition: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> None:
        """Returns as soon as it is true. AssertionError when it does not, or when an address is on
        two hosts meanwhile."""
        began = time.monotonic()
        while not condition():
            self.check()
            waited = time.monotonic() - began
            assert waited < within_s, f"waited {waited:.1f} s in vain: {what}; on the hosts: {self.watch.held()}"
            time.sleep(_ASK_EVERY_S)
        self.check()

    def check(self) -> None:
        """AssertionError when an address was on two hosts, or a daemon has ended that was not asked to."""
        assert not self.watch.violations, "; ".join(self.watch.violations)
        ended = {node: daemon.poll() for node, daemon in self._daemons.items() if daemon.poll() is not None}
        assert not ended, f"ended unasked, with exit status: {ended}"

    def settled(self, *nodes: str, mature: bool = True) -> dict[str, str]:
        """Waits until these nodes (all that run, if none is named) are one view, all say the same, and among their
        hosts every VIP is on its owner's alone. Address -> owner, of those that have one."""
        members = sorted(nodes or self._daemons)
        found: dict[str, str] = {}

        def agree() -> bool:
            shown = [self._request(node, "show") for node in members]
            first = {vip["address"]: vip["owner"] for vip in shown[0]["vips"]}
            found.clear()
            found.update({address: owner for address, owner in first.items() if owner})
            held = {
                address: tuple(host for host in hosts if host in members)
                for address, hosts in self.watch.held().items()
                if address in first
            }
            return (
                all(each["view"]["members"] == members and (each["view"]["mature"] or not mature) for each in shown)
                and all({vip["address"]: vip["owner"] for vip in each["vips"]} == first for each in shown)
                and {address: hosts for address, hosts in held.items() if hosts}
                == {address: (owner,) for address, owner in found.items()}
            )

        self.until(agree, f"{', '.join(members)} in one view, agreed about owners, and so on the hosts")
        return dict(found)

    # --- inside ---

    def _request(self, node: str, command: str, **words: object) -> Any:
        """What the commands ask and print, without the half second that a process takes on a busy machine."""
        return request(str(self.control(node)), {"command": command, **words})

    def _part(self, node: str) -> None:
        self.watch.parted([other for other in self.nodes if other != node])

    def _options(self, node: str, options: Mapping[str, object]) -> dict[str, object]:
        usual = {
            "nodename": node,
            "key_file": str(self.key),
            "control": str(self.control(node)),
            "state_dir": str(self.folder / f"state-{node}"),
            **TIMES,
        }
        return {name: value for name, value in {**usual, **options}.items() if value is not None}

    def _stanzas(self, node: str, shape: str, word: Callable[[object], str]) -> str:
        """The usual transports, each in a stanza of that shape (name, options)."""
        return "\n".join(
            shape.format(name, "\n".join(f"{option} = {word(value)}" for option, value in options.items()))
            for name, options in TRANSPORTS[self.over].items()
        ).replace("%s", self.lan[node].address6)

    def _write(self, node: str, text: str, suffix: str) -> Path:
        self.files[node] = self.folder / f"{node}{suffix}"
        self.files[node].write_text(text + "\n")
        return self.files[node]


def duravip(*words: str) -> str:
    """Runs a command to its end and gives its output. AssertionError, with what it said, when it fails."""
    done = subprocess.run(  # noqa: S603
        [DURAVIP, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"duravip {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}"
    return done.stdout


def _word(value: object) -> str:
    """As Momentum writes it."""
    if isinstance(value, tuple):
        return f"( {' '.join(map(_word, value))} )"
    return json.dumps(value) if isinstance(value, str) else str(value).lower()
