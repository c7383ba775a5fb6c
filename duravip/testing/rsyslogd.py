"""A real rsyslogd with a configuration of its own, for tests: it listens where it is told, and what it understood of
each message can be read back.

    with Rsyslogd(folder) as receiver:
        ...  # send to receiver.unix, or to receiver.udp and receiver.tcp on 127.0.0.1
        receiver.messages()
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from duravip.errors import DuravipError

_START_LIMIT_S = 15.0
_ASK_EVERY_S = 0.02
_CONFIGURATION = """\
global(workDirectory="{folder}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{unix}" UseSpecialParser="off" RateLimit.Interval="0")
input(type="imuxsock" Socket="{dev_log}" RateLimit.Interval="0")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="{udp}")
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
template(name="whole" type="list") {{ property(name="jsonmesg") constant(value="\\n") }}
action(type="omfile" file="{output}" template="whole")
"""


class RsyslogdError(DuravipError):
    """It cannot be started here."""


class Rsyslogd:
    """A context manager; entering returns when it listens. `restart` and `stop` while it runs are for tests of what a
    sender does. `unix` is a path, and so is `dev_log`, which is read as rsyslogd reads `/dev/log` by default; `udp` and
    `tcp` are ports of 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unix, self.dev_log = folder / "log", folder / "dev-log"
        self.udp, self.tcp = _free_port(socket.SOCK_DGRAM), _free_port(socket.SOCK_STREAM)
        self._output = folder / "messages"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        (self.folder / "rsyslog.conf").write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                unix=self.unix,
                dev_log=self.dev_log,
                udp=self.udp,
                tcp=self.tcp,
                output=self._output,
            )
        )
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it listens. Raises RsyslogdError."""
        errors = self.folder / "errors"
        with errors.open("wb") as file:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    _command() or "rsyslogd",
                    *("-n", "-f", str(self.folder / "rsyslog.conf"), "-i", str(self.folder / "pid")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        deadline = time.monotonic() + _START_LIMIT_S
        while not (self.unix.exists() and self.dev_log.exists() and self._listens()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RsyslogdError(f"rsyslogd does not start: {errors.read_text().strip()}")
            time.sleep(_ASK_EVERY_S)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None

    def messages(self) -> list[Mapping[str, str]]:
        """What it wrote so far, oldest first: `msg`, `pri`, `hostname`, `app-name`, `procid`, `msgid`,
        `structured-data`, `timereported`, `inputname`, ... (rsyslog's `jsonmesg`)."""
        text = self._output.read_text() if self._output.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.tcp)) == 0


def _command() -> str | None:
    return shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port(kind: int) -> int:
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
