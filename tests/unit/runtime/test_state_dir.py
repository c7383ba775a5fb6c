import os
import threading
from pathlib import Path

import pytest

from duravip.errors import UsageError
from duravip.runtime.state_dir import StateDir


def test_every_life_counts_one_higher_and_has_another_nonce(tmp_path: Path) -> None:
    with StateDir(tmp_path / "made" / "on the way") as state:
        first = state.next_incarnation(clock_ms=lambda: 5_000)
    with StateDir(tmp_path / "made" / "on the way") as state:
        second = state.next_incarnation(clock_ms=lambda: 9_000)
    assert (first.counter, second.counter) == (5_000, 5_001)
    assert first.nonce != second.nonce


@pytest.mark.parametrize("content", [b"", b"-4\n", b"many\n", b"\xff\xfe", b"9" * 30, b"0"])
def test_a_counter_that_cannot_be_read_is_replaced_by_the_clock(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "incarnation").write_bytes(content)
    with StateDir(tmp_path) as state:
        assert state.next_incarnation(clock_ms=lambda: 1_234).counter == 1_234
    assert (tmp_path / "incarnation").read_bytes() == b"1234\n"


def test_two_daemons_cannot_share_a_state_dir(tmp_path: Path) -> None:
    with (
        StateDir(tmp_path),
        pytest.raises(UsageError, match=r"another daemon \(pid \d+\)"),
        StateDir(tmp_path),
    ):
        pass
    with StateDir(tmp_path):
        pass  # the lock went with its holder


def test_a_daemon_waits_for_the_guard_of_one_that_died(tmp_path: Path) -> None:
    with StateDir(tmp_path) as state:
        inherited = os.dup(state.guard_lock)
    ending = threading.Timer(0.05, os.close, [inherited])
    ending.start()
    with StateDir(tmp_path) as state:
        assert not ending.is_alive() or ending.finished.is_set()
        assert state.guard_lock >= 0
    ending.join()


def test_a_guard_that_does_not_end_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.runtime.state_dir.GUARD_LIMIT_S", 0.01)
    with StateDir(tmp_path) as state:
        inherited = os.dup(state.guard_lock)
        os.pwrite(inherited, b"4711\n", 0)
    try:
        with pytest.raises(UsageError, match=r"the guard \(pid 4711\) of a daemon that died"), StateDir(tmp_path):
            pass
    finally:
        os.close(inherited)
    with StateDir(tmp_path):
        pass


def test_a_state_dir_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match=r"state_dir .*/file/x cannot be used"),
        StateDir(tmp_path / "file" / "x"),
    ):
        pass


def test_being_drained_survives(tmp_path: Path) -> None:
    with StateDir(tmp_path) as state:
        assert not state.drained
        state.set_drained(True)
    with StateDir(tmp_path) as state:
        assert state.drained
        state.set_drained(False)
        assert not state.drained


def test_nothing_is_written_without_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="without its lock"):
        StateDir(tmp_path).next_incarnation()
