"""A daemon for commands to talk to, as far as they can tell: a socket with canned answers, in a thread."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest


class CannedDaemon:
    """`answers`: command -> the result, or an Exception to refuse with; after the answer to `events` with `follow`
    come `stream`'s objects, then the end. `asked` is what commands asked."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.answers: dict[str, Any] = {}
        self.stream: Sequence[Any] = ()
        self.asked: list[dict[str, Any]] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                question = json.loads(file.readline())
                self.asked.append(question)
                answer = self.answers[question["command"]]
                if isinstance(answer, Exception):
                    said = {"ok": False, "error": str(answer), "code": 1}
                else:
                    said = {"ok": True, "result": answer}
                lines = [said, *self.stream] if question.get("follow") else [said]
                file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CannedDaemon]:
    canned = CannedDaemon(tmp_path / "control")
    monkeypatch.setenv("DURAVIP_CONTROL", canned.path)
    yield canned
    canned.close()


@pytest.fixture
def duravip(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line; gives exit status, stdout, stderr."""
    from duravip.cli.main import main

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    return run
