"""What every notifier must do, as checks that need no test framework.

    await check_notifier(open_notifier, receiver)

raises AssertionError with a sentence when the notifier breaks its contract (`duravip.plugin.api.Notifier`).
`open_notifier` gives a new notifier, not entered yet. The receiver is the real thing, or something that behaves as it
does, on this machine.
"""

from __future__ import annotations

import datetime
import threading
import typing
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import msgspec
import trio

from duravip.events import ConfigRejected, Event, LinkUp, Stamped, event_classes
from duravip.model import Evidence, NodeName
from duravip.plugin.api import Notifier

Open = Callable[[], Notifier]

_ARRIVAL_LIMIT_S = 5.0
_NOTIFY_LIMIT_S = 30.0
_CANCEL_LIMIT_S = 2.0
_PATIENCES_S = (0.0, 0.2)  # a cancellation that comes before the first wait, and one during it
_ASK_EVERY_S = 0.01
_MANY_EVENTS = 100
_LONG_TEXT_LETTERS = 2_000

NASTY_TEXT = 'two\nlines, a "quote", [brackets], a back\\slash, ünïcödé, <1>, a null \0 and an end\r\n'


class Receiver(Protocol):
    """Who is told. `open_deaf`, if not None, opens the notifier on a receiver that takes the connection and then never
    answers and never reads."""

    open_deaf: Open | None

    async def told(self) -> Sequence[str]:
        """Everything that arrived up to now, oldest first, one text for each event, as the receiver understood it."""
        ...


async def check_notifier(open_notifier: Open, receiver: Receiver) -> None:
    """All checks, each with a notifier of its own."""
    for check in (
        check_every_event_is_told,
        check_the_order_is_kept,
        check_any_text_is_one_message,
        check_it_can_be_left_and_entered_again,
        check_other_tasks_run_meanwhile,
        check_it_can_be_cancelled,
    ):
        await check(open_notifier, receiver)


async def check_every_event_is_told(open_notifier: Open, receiver: Receiver) -> None:
    samples = sample_events()
    for stamped, text in zip(samples, await _tell(open_notifier, receiver, samples), strict=True):
        assert stamped.event.id in text, f"{stamped.event.id} arrived without its id: {text!r}"
        address = stamped.event.fields().get("address")
        assert not address or address in text, f"{stamped.event.id} arrived without its address: {text!r}"


async def check_the_order_is_kept(open_notifier: Open, receiver: Receiver) -> None:
    sent = [stamp(LinkUp(interface=f"dvkit{number}x"), seq=number) for number in range(_MANY_EVENTS)]
    for number, text in enumerate(await _tell(open_notifier, receiver, sent)):
        assert f"dvkit{number}x" in text, f"event {number} of {_MANY_EVENTS} arrived in another place: {text!r}"


async def check_any_text_is_one_message(open_notifier: Open, receiver: Receiver) -> None:
    texts = (NASTY_TEXT, "", "x" * _LONG_TEXT_LETTERS, "after")
    sent = [stamp(ConfigRejected(text=text), seq=number) for number, text in enumerate(texts)]
    for stamped, text in zip(sent, await _tell(open_notifier, receiver, sent), strict=True):
        assert stamped.event.id in text, f"an event with an unusual text arrived without its id: {text!r}"


async def check_it_can_be_left_and_entered_again(open_notifier: Open, receiver: Receiver) -> None:
    """As the runtime does after a failure."""
    notifier = open_notifier()
    for number in range(2):
        [text] = await _tell(lambda: notifier, receiver, [stamp(LinkUp(interface="again"), seq=number)])
        assert "again" in text


async def check_other_tasks_run_meanwhile(open_notifier: Open, receiver: Receiver) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    sent = [stamp(LinkUp(interface="eth0"), seq=number) for number in range(_MANY_EVENTS)]
    before = len(await receiver.told())
    async with _entered(open_notifier()) as notifier, trio.open_nursery() as nursery:
        nursery.start_soon(count)
        for stamped in sent:
            await _notify(notifier, stamped)
        turns_meanwhile = turns
        nursery.cancel_scope.cancel()
    assert turns_meanwhile, f"no other task ran while {_MANY_EVENTS} events were told: it blocks the event loop"
    await _arrived(receiver, before + len(sent))


async def check_it_can_be_cancelled(open_notifier: Open, receiver: Receiver) -> None:
    """A daemon that stops, or a limit that has passed, waits for no receiver. In an event loop of its own, which can be
    left behind: what waits in a thread, and was not told that it may be abandoned, would keep this one for ever."""
    for opened in (open_notifier, *([receiver.open_deaf] if receiver.open_deaf is not None else [])):
        await _ends_when_cancelled(opened)


async def _ends_when_cancelled(opened: Open) -> None:
    failures: list[BaseException] = []
    ended = threading.Event()

    def run() -> None:
        try:
            trio.run(_cancelled, opened)
        except BaseException as error:  # handed to whoever waits
            failures.append(error)
        ended.set()

    threading.Thread(target=run, name="duravip-kit", daemon=True).start()
    await trio.to_thread.run_sync(ended.wait, sum(_PATIENCES_S) + _CANCEL_LIMIT_S)
    assert ended.is_set(), f"it went on for {_CANCEL_LIMIT_S:g} s after it was cancelled, or longer"
    if failures:
        raise failures[0]


async def _cancelled(opened: Open) -> None:
    async with _entered(opened()) as notifier:
        for patience_s in _PATIENCES_S:
            with trio.move_on_after(patience_s):
                while True:
                    await notifier.notify(stamp(LinkUp(interface="cancelled"), seq=1))
                    await trio.sleep(_ASK_EVERY_S)


def sample_events() -> list[Stamped]:
    """One of each kind of event, with something in every field."""
    return [stamp(_sample(kind), seq=number) for number, kind in enumerate(event_classes(), 1)]


def stamp(event: Event, *, seq: int) -> Stamped:
    return Stamped(
        event=event,
        node=NodeName("node1"),
        incarnation="7.1700000000",
        seq=seq,
        time=datetime.datetime(2026, 11, 22, 17, 18, 19, 123_000, tzinfo=datetime.UTC),
        view="3.node1",
    )


def _sample(kind: type[Event]) -> Event:
    hints = typing.get_type_hints(kind)
    return kind(**{field.name: _value(field.name, hints[field.name]) for field in msgspec.structs.fields(kind)})


def _value(name: str, hint: Any) -> Any:
    if name == "address":
        return "192.0.2.51"
    if name == "evidence":
        return (Evidence(flag="UNSAFE", node=NodeName("node1"), text='node1 runs "esmtp:25", node2 does not'),)
    choices = typing.get_args(hint)
    if hint is float:
        return 1.25
    if hint is int:
        return 3
    if hint is bool:
        return True
    if typing.get_origin(hint) is tuple:
        return (_value("", choices[0]), _value("", choices[0]))
    return f"some {name}" if name in ("text", "reason", "error") else name or "node1"


async def _tell(open_notifier: Open, receiver: Receiver, sent: Sequence[Stamped]) -> Sequence[str]:
    """What arrived of it."""
    before = len(await receiver.told())
    async with _entered(open_notifier()) as notifier:
        for stamped in sent:
            await _notify(notifier, stamped)
        return (await _arrived(receiver, before + len(sent)))[before:]


async def _notify(notifier: Notifier, stamped: Stamped) -> None:
    with trio.move_on_after(getattr(notifier, "limit_s", _NOTIFY_LIMIT_S)) as patience:
        await notifier.notify(stamped)
    assert not patience.cancelled_caught, f"{stamped.event.id} was not told in {patience.deadline:g} s"


async def _arrived(receiver: Receiver, count: int) -> Sequence[str]:
    told = await receiver.told()
    with trio.move_on_after(_ARRIVAL_LIMIT_S):
        while len(told) < count:
            await trio.sleep(_ASK_EVERY_S)
            told = await receiver.told()
    assert len(told) >= count, f"of {count} events {len(told)} arrived"
    assert len(told) == count, f"{count} events arrived as {len(told)} messages: {list(told[-3:])}"
    return told


@asynccontextmanager
async def _entered(notifier: Notifier) -> AsyncIterator[Notifier]:
    if isinstance(notifier, AbstractAsyncContextManager):
        async with notifier:
            yield notifier
    else:
        yield notifier
