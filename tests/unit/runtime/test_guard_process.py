"""What the guard's process hears on its stream and asks of the kernel; the process itself is in test_guard.py."""

from __future__ import annotations

import errno
import itertools
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip.runtime._guard_process import CHUNK, TRIES, Orders, take_off

STREAM = (
    b"leave 0a0b 0c\npaths 7,239.192.0.77,4860 9,fd77::2,4861\non 192.0.2.50 ff\non fd77::51 00ee\noff 192.0.2.50\n"
)


def heard(*parts: bytes) -> Orders:
    orders = Orders()
    for part in parts:
        orders.heed(part)
    return orders


@given(st.lists(st.integers(0, len(STREAM))))
def test_the_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    orders = heard(*(STREAM[start:end] for start, end in itertools.pairwise(ends)))
    assert orders.leave == (b"\x0a\x0b", b"\x0c")
    assert orders.paths == ((7, "239.192.0.77", 4860), (9, "fd77::2", 4861))
    assert orders.known == {b"fd77::51": b"\x00\xee"}
    assert not orders.dismissed


def test_a_line_that_was_not_finished_was_not_said() -> None:
    assert heard(b"on 192.0.2.50 ff\noff 192.0.2.50").known == {b"192.0.2.50": b"\xff"}
    assert heard(b"on 192.0.2.50 ff").known == {}
    assert not heard(b"go").dismissed


def test_new_paths_replace_the_old_ones_and_an_address_is_known_by_its_last_request() -> None:
    orders = heard(b"paths 7,a,1\npaths \n", b"on x 01\non x 02\non y \n")
    assert orders.paths == ()
    assert orders.known == {b"x": b"\x02", b"y": b""}


class Kernel:
    """Takes what is sent, and answers each request once, as `answer` says: an errno, or None to lose the answer.
    Sending wakes nobody: answers are there at once."""

    def __init__(self, **refused: int | None) -> None:
        self.refused = refused
        self.sizes: list[int] = []
        self.asked: list[bytes] = []
        self._answers: list[bytes] = []

    def send(self, batch: bytes) -> int:
        size, at = 0, 0
        while at < len(batch):
            length, _, _, sequence, _ = struct.unpack_from("=IHHII", batch, at)
            name = batch[at + 16 : at + length].rstrip(b"\0").decode()
            self.asked.append(batch[at + 16 : at + length])
            code = self.refused.get(name, 0)
            if code is not None:
                self._answers.append(struct.pack("=IHHIIi", 20, 2, 0, sequence, 0, -code) + bytes(16))
            at += length
            size += 1
        self.sizes.append(size)
        return len(batch)

    def recv(self, size: int) -> bytes:
        if not self._answers:
            raise BlockingIOError
        return self._answers.pop(0)[:size]


def request(name: str) -> bytes:
    body = name.encode() + bytes(-len(name) % 4)
    return struct.pack("=IHHII", 16 + len(body), 21, 5, 0, 0) + body


def left(kernel: Kernel, *names: str) -> list[str]:
    return [each.decode() for each in take_off(kernel, {name.encode(): request(name) for name in names})]  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.runtime._guard_process.RETRY_S", 0.0)


def test_everything_is_asked_once_in_chunks() -> None:
    kernel = Kernel()
    names = [f"a{number:03}" for number in range(2 * CHUNK + 1)]
    assert left(kernel, *names) == []
    assert kernel.sizes == [CHUNK, CHUNK, 1]
    assert kernel.asked == [name.encode() for name in names]


@pytest.mark.parametrize("code", [errno.ENODEV, errno.EADDRNOTAVAIL])
def test_what_is_not_there_is_off(code: int) -> None:
    kernel = Kernel(gone=code)
    assert left(kernel, "here", "gone") == []
    assert len(kernel.asked) == 2


def test_what_is_refused_is_tried_again_and_told() -> None:
    kernel = Kernel(kept=errno.EPERM)
    assert left(kernel, "here", "kept", "too") == ["kept"]
    assert kernel.sizes == [3] + [1] * (TRIES - 1)


def test_a_lost_answer_is_asked_for_again() -> None:
    kernel = Kernel(lost=None)
    assert left(kernel, "lost", "here") == ["lost"]
    kernel.refused = {"lost": errno.EADDRNOTAVAIL}
    assert left(kernel, "lost") == []


def test_an_address_without_a_request_cannot_be_taken_off() -> None:
    assert take_off(Kernel(), {b"192.0.2.50": b""}) == {b"192.0.2.50": b""}  # type: ignore[arg-type]


def test_the_numbers_are_in_the_machines_byte_order() -> None:
    sent: list[bytes] = []

    class Listening(Kernel):
        def send(self, batch: bytes) -> int:
            sent.append(batch)
            return super().send(batch)

    left(Listening(), "a", "b")
    assert [int.from_bytes(sent[0][at + 8 : at + 12], sys.byteorder) for at in (0, 20)] == [0, 1]
