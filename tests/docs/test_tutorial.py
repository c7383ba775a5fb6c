"""The tutorial, run as it is written, on two machines.

    node1 ── eth0 ──┐
                    ├── bridge, no other host
    node2 ── eth0 ──┘

Each machine is a network namespace, with folders of its own in place of /etc/duravip, /var/lib/duravip and
/run/duravip. A comment before a block says what the test does with it; the `text` block after a command is what its
output must contain, line by line (`...` stands for anything), at once or after a while.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from duravip.testing.netns import Lan

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-cluster.md"
OWN_FOLDERS = ("/etc/duravip", "/var/lib/duravip", "/run/duravip")
PATIENCE_S = 20.0

_STEP = re.compile(
    r"^<!-- (?P<what>run|file|copy|background|stop|cut|mend): (?P<rest>[^>]*?) -->\n"
    r"(?:```[a-z]*\n(?P<text>.*?)\n```\n)?"
    r"(?:\n```text\n(?P<shown>.*?)\n```\n)?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Step:
    what: str
    words: tuple[str, ...]
    text: str
    shown: str


def steps_of(page: str) -> list[Step]:
    return [
        Step(found["what"], tuple(found["rest"].split()), found["text"] or "", found["shown"] or "")
        for found in _STEP.finditer(page)
    ]


def contains(output: str, expected: str) -> bool:
    """Every expected line is a line of the output, in this order; blanks are alike, `...` is anything."""
    pattern = ""
    for line in expected.splitlines():
        words = [r".*".join(re.escape(part) for part in word.split("...")) for word in line.split()]
        pattern += r"^[^\S\n]*" + r"[^\S\n]*".join(words) + r"[^\S\n]*$(?s:.*?)"
    return re.search(pattern, output, re.MULTILINE) is not None


class Machines:
    """Two hosts and what runs on them."""

    def __init__(self, lan: Lan, folder: Path) -> None:
        self._lan = lan
        self._folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in lan.hosts:
            for place in OWN_FOLDERS:
                self.place(name, place).mkdir(parents=True)

    def place(self, name: str, path: str) -> Path:
        """Where a path of that machine really is."""
        return self._folder / name / path.lstrip("/")

    def do(self, step: Step) -> None:
        match step.what:
            case "run":
                self._run(step)
            case "file":
                self.place(*step.words).write_text(step.text + "\n")
            case "copy":
                source, target, *paths = step.words
                shutil.copy2(self.place(source, paths[0]), self.place(target, paths[-1]))
            case "background":
                log = self._folder / f"{step.words[0]}.log"
                with log.open("ab") as stderr:
                    self._daemons[step.words[0]] = self._lan.popen(
                        step.words[0], *self._shell(step.words[0], f"exec {step.text}"), stderr=stderr
                    )
            case "stop":
                daemon = self._daemons.pop(step.words[0])
                daemon.send_signal(signal.SIGINT)
                assert daemon.wait(10) == 0
            case "cut":
                self._lan.link_down(*step.words)
            case "mend":
                self._lan.link_up(*step.words)

    def end(self) -> None:
        for daemon in self._daemons.values():
            daemon.terminate()
        for daemon in self._daemons.values():
            daemon.wait(10)

    def _shell(self, name: str, text: str) -> list[str]:
        """A shell on the machine, with its folders and the installed commands."""
        binds = [
            f"mkdir -p {place}; mount --bind {shlex.quote(str(self.place(name, place)))} {place}"
            for place in OWN_FOLDERS
        ]
        path = f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
        script = "\n".join(["set -e", *binds, f"export {path}", text])
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]

    def _run(self, step: Step) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done = self._lan.run(step.words[0], *self._shell(step.words[0], step.text), timeout_s=60)
            if not done.returncode and contains(done.stdout, step.shown):
                return
            if not step.shown or time.monotonic() > deadline:
                logs = "".join(path.read_text() for path in sorted(self._folder.glob("*.log")))
                pytest.fail(
                    f"{step.text}\nended with {done.returncode} and said\n{done.stdout}{done.stderr}\n"
                    f"expected\n{step.shown}\n{logs}"
                )
            time.sleep(0.1)


@pytest.fixture
def own_folders() -> Iterator[None]:
    """The machines' folders need mount points here; those that were not there before go away again."""
    missing = [Path(place) for place in OWN_FOLDERS if not Path(place).exists()]
    yield
    for place in missing:
        with contextlib.suppress(OSError):  # another run of this test may use it, or have removed it
            place.rmdir()


@pytest.mark.netns
@pytest.mark.needs("unshare")
def test_the_tutorial_works_as_it_is_written(tmp_path: Path, own_folders: None) -> None:
    with Lan(("node1", "node2"), prefix="dvdoc", network="10.1.1.0/24") as lan:
        machines = Machines(lan, tmp_path)
        try:
            for step in steps_of(PAGE.read_text()):
                machines.do(step)
        finally:
            machines.end()


def test_the_tutorial_marks_every_command_but_the_installation() -> None:
    lines = PAGE.read_text().splitlines()
    unmarked = [
        lines[at + 1] for at, line in enumerate(lines) if line == "```sh" and not lines[at - 1].startswith("<!--")
    ]

    assert len(unmarked) == 1
    assert "pip install" in unmarked[0]
    assert {step.what for step in steps_of(PAGE.read_text())} == {
        "run",
        "file",
        "copy",
        "background",
        "stop",
        "cut",
        "mend",
    }


@pytest.mark.parametrize(
    ("output", "expected", "verdict"),
    [
        ("a  b\nc d\n", "a b", True),
        ("a  b\nc d\n", "c d\na b", False),
        ("x 10.1.1.5 y\n", "x 10.1.1.51 y", False),
        ("view 1@a of b\n", "view ... of b", True),
        ("view 1@a of bc\n", "view ... of b", False),
        ("eth0@if7  UP  10.1.1.51/32 fe80::1\n", "eth0... 10.1.1.51/32 ...", True),
        ("eth0@if7  UP  10.1.1.1/24\n", "eth0... 10.1.1.51/32 ...", False),
    ],
)
def test_expected_output_is_told_from_other_output(output: str, expected: str, verdict: bool) -> None:
    assert contains(output, expected) is verdict
