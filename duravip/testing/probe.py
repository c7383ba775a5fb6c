"""A client that asks an address for an echo every millisecond and tells afterwards when it was answered, and
by whom."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from duravip.testing.netns import Lan, LanError

_PROCESS = Path(__file__).with_name("_probe_process.py")
_START_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoAnswer:
    """Times are CLOCK_MONOTONIC seconds, comparable between all processes of the machine."""

    sent_s: float
    answered_s: float
    hardware_address: str


def longest_gap_ms(answers: Sequence[EchoAnswer], *, since_s: float = -math.inf, until_s: float = math.inf) -> float:
    """The longest time without an answer, in milliseconds, between answers that came from `since_s` to
    `until_s`. Infinite with fewer than two.

    By the time of the answer, not of the question: a client that has lost the hardware address queues its
    questions, and they are all answered when it is found again; counted by question there would have been no
    outage.
    """
    times = sorted(each.answered_s for each in answers if since_s <= each.answered_s <= until_s)
    gaps = [(after - before) * 1000 for before, after in itertools.pairwise(times)]
    return max(gaps, default=math.inf)


class Probe:
    """A context manager: probing from entering to leaving (or `stop`). `answers()` and the rest are known
    then. Answers are looked for on `interface`."""

    def __init__(
        self, lan: Lan, host: str, address: str, *, interval_s: float = 0.001, interface: str = "eth0"
    ) -> None:
        self._lan, self._host, self._address, self._interval_s = lan, host, address, interval_s
        self._interface = interface
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: tuple[EchoAnswer, ...] = ()
        self.sent = 0

    def __enter__(self) -> Self:
        self._process = self._lan.popen(
            self._host,
            *(sys.executable, "-I", "-S", str(_PROCESS), self._address, str(self._interval_s), self._interface),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self._end()
            raise LanError(f"the probe for {self._address} on {self._host} did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> tuple[EchoAnswer, ...]:
        """Ends the probing, once; the answers, in the order of the questions."""
        if self._process is not None:
            lines = self._end().decode().splitlines()
            found = [line.split() for line in lines]
            self._answers = tuple(
                EchoAnswer(sent_s=float(sent), answered_s=float(at), hardware_address=hardware)
                for sent, at, hardware in (words for words in found if len(words) == 3)
            )
            self.sent = next((int(words[1]) for words in found if words[0] == "sent"), 0)
        return self._answers

    def answers(self) -> tuple[EchoAnswer, ...]:
        return self._answers

    def longest_gap_ms(self, *, since_s: float = -math.inf, until_s: float = math.inf) -> float:
        return longest_gap_ms(self._answers, since_s=since_s, until_s=until_s)

    def answered_by(self) -> tuple[str, ...]:
        """The hardware addresses that answered, each time it changed, in the order of the answers."""
        ordered = sorted(self._answers, key=lambda each: each.answered_s)
        return tuple(hardware for hardware, _ in itertools.groupby(each.hardware_address for each in ordered))

    def _end(self) -> bytes:
        process, self._process = self._process, None
        assert process is not None
        try:
            output, _ = process.communicate(timeout=_START_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        return output
