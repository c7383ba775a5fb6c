"""Real daemons on the hosts of a little network: for measurements, end-to-end tests and `duravip demo`.

Each node is `duravip run` in a process of its own, with its configuration, key, control socket, state and log in one
folder. Processes are stopped when the block ends, whatever ended it.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from duravip.errors import ControlError, DuravipError
from duravip.runtime import client
from duravip.testing.netns import Lan
from duravip.wire.seal import KEY_BYTES

COMMAND = (sys.executable, "-P", "-c", "from duravip.cli.main import main; main()")
"""`duravip`, also where no script of that name is on the path."""

_ASK_EVERY_S = 0.02
_STOP_LIMIT_S = 8.0


class DaemonsError(DuravipError):
    """A daemon did not do in time what it was expected to."""


class Daemons:
    """A context manager; entering starts all `nodes` (hosts of the Lan). `vips`: address -> the node that prefers it,
    or None. `settings`: more lines for `cluster { }`, name -> value as written in Momentum. `transport`: multicast or
    unicast. `stanzas`: more of them, in Momentum."""

    def __init__(
        self,
        lan: Lan,
        folder: Path,
        nodes: Sequence[str],
        vips: Mapping[str, str | None],
        *,
        settings: Mapping[str, str] | None = None,
        transport: str = "multicast",
        stanzas: str = "",
    ) -> None:
        self._stanzas = stanzas
        self._transport = transport
        self.lan = lan
        self.folder = folder
        self.nodes = tuple(nodes)
        self.vips = dict(vips)
        self._settings = dict(settings or {})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __repr__(self) -> str:
        return f"<Daemons {' '.join(self._processes)} in {self.folder}>"

    def __enter__(self) -> Self:
        key = self.folder / "cluster.key"
        key.touch(0o600)
        key.write_text(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
        try:
            for node in self.nodes:
                self.config(node).write_text(self.configuration(node))
                self.start(node)
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()

    # --- processes ---

    def start(self, node: str) -> None:
        """Returns at once; `wait_ready` waits."""
        with self.log(node).open("ab") as log:
            self._processes[node] = self.lan.popen(
                node,
                *(*self.command(node), "run", "-c", str(self.config(node))),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def command(self, node: str) -> tuple[str, ...]:
        """What starts `duravip` there."""
        return COMMAND

    def pid(self, node: str) -> int:
        return self._processes[node].pid

    def signal(self, node: str, number: int = signal.SIGTERM) -> None:
        self._processes[node].send_signal(number)

    def wait_ended(self, node: str, *, limit_s: float = _STOP_LIMIT_S) -> int:
        """Its exit status. Raises DaemonsError when it still runs after `limit_s`."""
        try:
            return self._processes[node].wait(limit_s)
        except subprocess.TimeoutExpired:
            raise DaemonsError(f"{node} still runs {limit_s:g} s after it should have ended") from None

    def stop_all(self) -> None:
        """Asks all to leave, together; kills who does not."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_LIMIT_S
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()
        self._processes.clear()

    # --- questions ---

    def ask(self, node: str, command: str, /, **rest: object) -> Any:
        """What the node's control socket answers. Raises ControlError."""
        return client.request(str(self.control(node)), {"command": command, **rest})

    def wait_until(self, what: str, true: Callable[[], bool], *, limit_s: float = 20.0) -> None:
        """Asks again and again; a node that does not answer is a no. Raises DaemonsError; at once, with the last line
        of its log, when a daemon has ended."""
        deadline = time.monotonic() + limit_s
        while True:
            with contextlib.suppress(ControlError):
                if true():
                    return
            if ended := self._obituaries():
                raise DaemonsError(ended)
            if time.monotonic() >= deadline:
                raise DaemonsError(f"waited {limit_s:g} s in vain: {what}")
            time.sleep(_ASK_EVERY_S)

    def wait_ready(self, *, limit_s: float = 20.0) -> None:
        self.wait_until("all nodes ready", lambda: all(self.ask(node, "ping") for node in self.nodes), limit_s=limit_s)

    def wait_settled(self, *, limit_s: float = 20.0) -> None:
        """Until every node is in one mature view of all, and each VIP is on the host that all say owns it."""
        self.wait_until("one mature view of all nodes, every VIP with its owner", self._settled, limit_s=limit_s)

    def owners(self, node: str) -> dict[str, str | None]:
        """VIP -> owner, as that node sees it."""
        return {vip["address"]: vip["owner"] for vip in self.ask(node, "show")["vips"]}

    def _settled(self) -> bool:
        shown = {node: self.ask(node, "show") for node in self.nodes}
        for node, answer in shown.items():
            if not answer["view"]["mature"] or sorted(answer["view"]["members"]) != sorted(self.nodes):
                return False
            for vip in answer["vips"]:
                if vip["owner"] is None or vip["held_here"] != (vip["owner"] == node):
                    return False
                if vip["owner"] != (self.vips[vip["address"]] or vip["owner"]):
                    return False
        return True

    def _obituaries(self) -> str:
        return "\n".join(
            f"{node} has ended with status {process.returncode}: {_last_line(self.log(node))}"
            for node, process in self._processes.items()
            if process.poll() is not None
        )

    # --- files ---

    def config(self, node: str) -> Path:
        return self.folder / f"{node}.conf"

    def control(self, node: str) -> Path:
        return self.folder / f"{node}.sock"

    def log(self, node: str) -> Path:
        return self.folder / f"{node}.log"

    def configuration(self, node: str) -> str:
        """The node's file, in Momentum syntax."""
        settings = {
            "nodename": f'"{node}"',
            "key_file": f'"{self.folder / "cluster.key"}"',
            "control": f'"{self.control(node)}"',
            "state_dir": f'"{self.folder / node}"',
            **self._settings,
        }
        host = self.lan[node]
        network = f"{host.address.rpartition('.')[0]}.0/{host.prefix}"
        lines = [
            "cluster {",
            *(f"  {name} = {value}" for name, value in settings.items()),
            f'  Topology "{network}" {{ interface = "{host.interface}" }}',
            "}",
            self._transport_stanza(host.interface),
            self._stanzas,
        ]
        for number, (address, preferred) in enumerate(self.vips.items(), start=1):
            lines += [f'binding "vip{number}" {{', f"  bind_address = {address}", "  enable_duravip = true"]
            lines += [f'  duravip_preference = "{preferred}"'] if preferred else []
            lines += ["}"]
        return "\n".join(lines) + "\n"

    def _transport_stanza(self, interface: str) -> str:
        if self._transport == "multicast":
            return f'multicast {{ interface = "{interface}" }}'
        peers = " ".join(f'"{self.lan[node].address}"' for node in self.nodes)
        return f"{self._transport} {{ peers = ( {peers} ) }}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "(its log is empty)"
