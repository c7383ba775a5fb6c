"""Plugins that go wrong when they are opened, or while they are at work: each ends in one sentence with its name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest
import trio
import trio.testing

from duravip.config.node_config import PluginStanza
from duravip.errors import BackendError, PluginError, TransportError, leaves
from duravip.model import NodeName
from duravip.plugin.api import BackendKind, NotifierKind, TransportContext, TransportKind, hookimpl
from duravip.plugin.manager import Found, PluginSet, load_plugins
from duravip.runtime.daemon import _farewells
from duravip.runtime.opening import blaming, open_backend, open_notifier, open_transport
from duravip.testing.fakes import MemoryNetwork

Memory = Any  # of conftest.py
Open = Callable[..., Any]
STANZA = PluginStanza(plugin="pigeons", name="home", options={})
CONTEXT = TransportContext(node=NodeName("node1"), options={})
HERE = Path(__file__).name


class Plugin:
    def __init__(self, open: Open) -> None:
        self._open = open

    @hookimpl
    def duravip_transports(self) -> list[TransportKind]:
        return [TransportKind(name="pigeons", options=(), open=self._open)]


class BackendPlugin(Plugin):
    duravip_transports = None  # type: ignore[assignment]

    @hookimpl
    def duravip_backends(self) -> list[BackendKind]:
        return [BackendKind(name="pigeons", options=(), open=self._open)]


class NotifierPlugin(Plugin):
    duravip_transports = None  # type: ignore[assignment]

    @hookimpl
    def duravip_notifiers(self) -> list[NotifierKind]:
        return [NotifierKind(name="pigeons", options=(), open=self._open)]


def plugins(plugin: object, *, distribution: str = "coop", version: str = "1.2") -> PluginSet:
    return load_plugins(
        found=[Found(name="loft", distribution=distribution, version=version, module="", load=lambda: plugin)]
    )


class Transport:
    mtu_bytes = 1000

    def __init__(
        self, *, entering: BaseException | None = None, source: object = "192.0.2.1", leaving: Exception | None = None
    ) -> None:
        self._entering, self._source, self._leaving = entering, source, leaving

    async def __aenter__(self) -> Transport:
        if self._entering is not None:
            raise self._entering
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leaving is not None:
            raise self._leaving

    async def send(self, payload: bytes, to: NodeName | None = None) -> None: ...

    async def receive(self) -> bytes:
        await trio.sleep_forever()

    def source_address(self) -> Any:
        return self._source


async def unwanted(*given: object) -> None: ...


def failing(*given: object) -> None:
    raise KeyError("path")


async def opened(plugin: Plugin) -> None:
    async with open_transport(plugins(plugin), STANZA, CONTEXT):
        pass


@pytest.mark.parametrize(
    ("open", "says"),
    [
        (failing, f"KeyError: 'path' ({HERE}, line "),
        (lambda: None, "TypeError: "),  # takes no context
        (unwanted, "TypeError: `open` must not be an `async def`"),
        (lambda context: None, "TypeError: NoneType has no __aenter__, __aexit__"),
        (lambda context: Transport(entering=OSError("no pigeons")), f"OSError: no pigeons ({HERE}, line "),
        (lambda context: Transport(entering=ExceptionGroup("", [OSError("far")])), "OSError: far"),
        (lambda context: Transport(source="the loft"), "ValueError: 'the loft' does not appear to be an IPv4"),
    ],
)
async def test_a_transport_that_cannot_be_opened_is_named(open: Open, says: str) -> None:
    with pytest.raises(PluginError) as caught:
        await opened(Plugin(open))
    said = str(caught.value)
    assert said.startswith("the transport pigeons home (coop 1.2) cannot be opened: ")
    assert says in said
    assert len(said.splitlines()) == 1
    assert (caught.value.exit_code, caught.value.plugin, caught.value.distribution) == (2, "loft", "coop")


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: ExceptionGroup("", [error])])
async def test_a_plugins_own_sentence_goes_through(wrap: Callable[[Exception], Exception]) -> None:
    own = TransportError("pigeons: the loft is on fire")
    with pytest.raises((TransportError, ExceptionGroup)) as caught:
        await opened(Plugin(lambda context: Transport(entering=wrap(own))))
    assert list(leaves(caught.value)) == [own]


async def test_a_transport_that_fails_when_it_is_left_is_named() -> None:
    with pytest.raises(PluginError, match=r"^the transport pigeons home \(coop 1\.2\) failed: OSError: lost"):
        await opened(Plugin(lambda context: Transport(leaving=OSError("lost"))))


async def test_what_fails_inside_is_not_the_plugins_doing() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_transport(plugins(Plugin(lambda context: Transport())), STANZA, CONTEXT):
            raise ZeroDivisionError


async def test_backends_and_notifiers_too() -> None:
    with pytest.raises(
        PluginError, match=r"^the backend pigeons home \(coop 1\.2\) cannot be opened: KeyError: 'path'"
    ):
        async with open_backend(plugins(BackendPlugin(failing)), STANZA):
            pass
    with pytest.raises(PluginError, match=r"the backend pigeons home .* TypeError: Transport has no list, add, remove"):
        async with open_backend(plugins(BackendPlugin(lambda options: Transport())), STANZA):
            pass
    with pytest.raises(
        PluginError, match=r"^the notifier pigeons home \(coop 1\.2\) cannot be opened: KeyError: 'path'"
    ):
        open_notifier(plugins(NotifierPlugin(failing)), STANZA)
    with pytest.raises(PluginError, match=r"the notifier pigeons home .* TypeError: SimpleNamespace has no notify"):
        open_notifier(plugins(NotifierPlugin(lambda name, options: SimpleNamespace())), STANZA)


def test_the_traceback_is_for_who_named_the_plugin_on_the_command_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for distribution, expected in (("coop", []), ("--plugin", [KeyError])):
        with pytest.raises(PluginError):
            open_notifier(plugins(NotifierPlugin(failing), distribution=distribution), STANZA)
        assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == expected


def test_blaming_leaves_sentences_alone() -> None:
    record = plugins(Plugin(failing)).provider("pigeons")
    with pytest.raises(BackendError, match=r"^no permission$"), blaming(record, "the backend", "fails"):
        raise BackendError("no permission")


class Deaf(MemoryNetwork):
    """Its transports fail after a while."""

    def transport(self, node: NodeName) -> Any:
        made = super().transport(node)

        async def receive() -> bytes:
            await trio.sleep(0.5)
            raise ValueError("an owl")

        made.receive = receive  # type: ignore[method-assign]
        return made


async def test_a_transport_that_fails_at_work_ends_the_daemon_by_name_and_nothing_stays_on(
    memory: Memory, autojump_clock: trio.testing.MockClock
) -> None:
    memory.network = Deaf()
    with pytest.raises(BaseExceptionGroup) as caught:
        await memory.daemon("node1").run()
    (found,) = leaves(caught.value)
    assert isinstance(found, PluginError)
    assert str(found).startswith(f"the transport memory failed while receiving: ValueError: an owl ({HERE}, line ")
    assert memory.holders() == {}


async def test_a_transport_whose_farewell_fails_ends_the_daemon_by_name(memory: Memory) -> None:
    transport = memory.network.transport(NodeName("node1"))
    transport.farewell = lambda: [][0]
    with pytest.raises(PluginError, match=r"^the transport post:a failed while telling .* farewell: IndexError"):
        _farewells({"post:a": transport})


async def test_a_backend_that_cannot_list_ends_the_start_by_name(memory: Memory) -> None:
    memory.config("node1")

    async def broken() -> None:
        raise ValueError("an abacus with no beads")

    memory.backends["node1"].list = broken
    told = pytest.RaisesExc(PluginError, match=r"^the backend memory-kernel \(test 0\) cannot list .*no beads")
    with pytest.RaisesGroup(told):
        await memory.daemon("node1").run()
