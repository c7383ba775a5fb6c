"""The kit accepts a notifier in memory, and finds each of several ways to break the contract."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
import trio
import trio.testing

from duravip.events import Stamped, event_classes
from duravip.testing.notifier_kit import Open, check_notifier, sample_events


class Memory:
    """What was told, by notifiers of whatever kind."""

    open_deaf: Open | None = None

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def told(self) -> Sequence[str]:
        return list(self.texts)


class Good:
    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.last: list[str] = []

    async def notify(self, stamped: Stamped) -> None:
        await trio.lowlevel.checkpoint()
        self.write(f"{stamped.event.id} {stamped.event.fields()}")

    def write(self, text: str) -> None:
        self.memory.texts.append(text)


class Reverses(Good):
    def write(self, text: str) -> None:
        if "dvkit" not in text:
            super().write(text)
            return
        self.last.append(text)
        if len(self.last) == 2:
            self.memory.texts += reversed(self.last)
            self.last.clear()


class Loses(Good):
    def write(self, text: str) -> None:
        if "link_up" not in text:
            super().write(text)


class Splits(Good):
    def write(self, text: str) -> None:
        self.memory.texts += text.split("\\n")


class LeavesOutTheId(Good):
    def write(self, text: str) -> None:
        super().write(text.partition(" ")[2])


class LeavesOutTheAddress(Good):
    def write(self, text: str) -> None:
        super().write(text.replace("192.0.2.51", "it"))


class Blocks(Good):
    async def notify(self, stamped: Stamped) -> None:
        self.write(f"{stamped.event.id} {stamped.event.fields()}")


class Refuses(Good):
    async def notify(self, stamped: Stamped) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0 if stamped.event.fields().get("interface") != "cancelled" else 5)
        await super().notify(stamped)


class WaitsInAThread(Good):
    async def notify(self, stamped: Stamped) -> None:
        if stamped.event.fields().get("interface") == "cancelled":
            await trio.to_thread.run_sync(threading.Event().wait, 30)
        await super().notify(stamped)


class Once(Good):
    """Cannot be entered twice."""

    entered = False

    async def __aenter__(self) -> Good:
        assert not self.entered, "this notifier cannot be entered a second time"
        self.entered = True
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_a_good_notifier_passes(autojump_clock: trio.testing.MockClock) -> None:
    memory = Memory()
    await check_notifier(lambda: Good(memory), memory)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Reverses, "in another place"),
        (Loses, r"of \d+ events \d+ arrived"),
        (Splits, "arrived as"),
        (LeavesOutTheId, "without its id"),
        (LeavesOutTheAddress, "without its address"),
        (Blocks, "it blocks the event loop"),
        (Refuses, "after it was cancelled"),
        (WaitsInAThread, "after it was cancelled"),
        (Once, "a second time"),
    ],
)
async def test_a_breach_is_found(
    kind: Callable[[Memory], Good], words: str, autojump_clock: trio.testing.MockClock
) -> None:
    memory = Memory()
    with pytest.raises(AssertionError, match=words):
        await check_notifier(lambda: kind(memory), memory)


def test_there_is_a_sample_of_every_event() -> None:
    samples = sample_events()
    assert [type(stamped.event) for stamped in samples] == list(event_classes())
    assert all(stamped.to_json_object()["id"] for stamped in samples)
