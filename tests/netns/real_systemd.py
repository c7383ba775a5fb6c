"""systemd as process 1 on a host of a cluster, with the unit of `contrib` as it is: `boot_systemd.sh` says how."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from duravip.testing.cluster import PATIENCE_S, Cluster

SOURCES = Path(__file__).parents[2]
UNIT = SOURCES / "contrib" / "systemd" / "duravip.service"
TARGETS = {
    "sysinit": "",
    "basic": "Requires=sysinit.target\nAfter=sysinit.target\n",
    "network-online": "",
    "shutdown": "",
}
LOG = "[Service]\nStandardOutput=append:/mnt/{node}.log\nStandardError=append:/mnt/{node}.log\n"
NO_REAL_TIME = "[Service]\nCPUSchedulingPolicy=other\nNice=-20\n"  # as docs/how-to/systemd.md has it
BOOT_S = 10.0


class Systemd:
    """A context manager, entered when it has booted; nothing is started yet. `Cluster`, which has made the node's file,
    finds the log and the control socket of the service's daemon where those of its own daemons are."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._cluster = cluster
        self._node = node
        self._folder = cluster.folder
        self._units = cluster.folder / "units"
        self._pid1 = 0

    def __repr__(self) -> str:
        return f"<Systemd of {self._node}, pid {self._pid1}>"

    def __enter__(self) -> Self:
        self._units.mkdir()
        for name, more in TARGETS.items():
            (self._units / f"{name}.target").write_text(f"[Unit]\nDefaultDependencies=no\n{more}")
        (self._units / UNIT.name).write_bytes(UNIT.read_bytes())
        self._write_drop_in("log", LOG.format(node=self._node))
        if subprocess.run(["chrt", "--rr", "1", "true"], capture_output=True, check=False).returncode:
            self._write_drop_in("no-real-time", NO_REAL_TIME)
        (self._folder / "duravip.conf").symlink_to(f"{self._node}.conf")
        script = Path(__file__).with_name("boot_systemd.sh")
        packages = sysconfig.get_path("purelib")
        arguments = (str(self._folder), str(SOURCES), packages, sys.base_prefix)
        with (self._folder / "boot.log").open("wb") as log:
            self._booted = self._cluster.lan.popen(self._node, "sh", str(script), *arguments, stdout=log, stderr=log)
        try:
            self._wait_booted()
        except BaseException:
            self._end()
            raise
        socket = f"/proc/{self._pid1}/root/run/duravip/{self._node}.sock"
        self._cluster.control(self._node).symlink_to(socket)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def drop_in(self, settings: str) -> None:
        """What else the unit's section `[Service]` is to say."""
        self._write_drop_in("test", f"[Service]\n{settings}\n")
        self.systemctl("daemon-reload")

    def systemctl(self, *words: str) -> str:
        """AssertionError, with what it said, when it fails."""
        done = self.run("systemctl", *words)
        assert done.returncode == 0, f"systemctl {' '.join(words)}: {done.stderr.strip()}"
        return done.stdout

    def shown(self, name: str) -> str:
        """A property of the service."""
        return self.systemctl("show", "--value", f"--property={name}", UNIT.name).strip()

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """In all its namespaces."""
        inside = ("nsenter", f"--target={self._pid1}", "--all", "--root", "--wd", *argv)
        return subprocess.run(inside, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def _write_drop_in(self, name: str, text: str) -> None:
        folder = self._units / f"{UNIT.name}.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.conf").write_text(text)

    def _wait_booted(self) -> None:
        written = self._folder / "pid1"
        deadline = time.monotonic() + BOOT_S
        while not (written.exists() and self.run("systemctl", "is-system-running").stdout == "running\n"):
            said = (self._folder / "boot.log").read_text()
            assert self._booted.poll() is None, f"systemd does not boot: {said}"
            assert time.monotonic() < deadline, f"systemd has not booted within {BOOT_S:g} s: {said}"
            time.sleep(0.05)
            if written.exists():
                self._pid1 = int(written.read_text() or 0)

    def _end(self) -> None:
        """The kernel ends all that run with its process 1."""
        if self._pid1:
            subprocess.run(["kill", "-KILL", str(self._pid1)], check=False)
        else:
            self._booted.kill()
        self._booted.wait(timeout=PATIENCE_S)
