"""Opens what plugins offer, at a start: whatever a plugin does wrong there is one sentence with its name.

Rules of this file: a `DuravipError` is the plugin's own sentence and goes through as it is. Everything else that a
plugin raises becomes a `PluginError`, and so does an object that lacks a part of its contract. The traceback is for who
writes the plugin: it is logged when the plugin was named on the command line.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import TypeVar

from duravip.config.node_config import PluginStanza
from duravip.errors import DuravipError, PluginError, leaves
from duravip.model import canonical_address
from duravip.plugin.api import Backend, Notifier, Transport, TransportContext
from duravip.plugin.manager import COMMAND_LINE, PluginRecord, PluginSet
from duravip.runtime.foreign import in_words

log = logging.getLogger("duravip")

T = TypeVar("T")


def open_notifier(plugins: PluginSet, stanza: PluginStanza) -> Notifier:
    """Not entered: the runtime enters it, and enters it again when it has failed."""
    kind = plugins.notifier(stanza.plugin)
    record = plugins.provider(stanza.plugin)
    with blaming(record, f"the notifier {stanza.title}", "cannot be opened"):
        notifier = kind.open(stanza.name or "", stanza.options)
        _complete(notifier, "notify")
    return notifier


def open_backend(plugins: PluginSet, stanza: PluginStanza) -> AbstractAsyncContextManager[Backend]:
    """Entered by the caller."""
    kind = plugins.backend(stanza.plugin)
    return _opened(
        plugins.provider(stanza.plugin),
        f"the backend {stanza.title}",
        lambda: kind.open(stanza.options),
        lambda backend: _complete(backend, "list", "add", "remove", "watch", "has_lifetimes"),
    )


def open_transport(
    plugins: PluginSet, stanza: PluginStanza, context: TransportContext
) -> AbstractAsyncContextManager[Transport]:
    """Entered by the caller."""
    kind = plugins.transport(stanza.plugin)
    return _opened(
        plugins.provider(stanza.plugin),
        f"the transport {stanza.title}",
        lambda: kind.open(context),
        _check_transport,
    )


@contextmanager
def blaming(record: PluginRecord, who: str, what: str) -> Iterator[None]:
    """Whatever is raised inside is the plugin's doing. `who` it is, and `what` is the matter with it, begin the
    sentence."""
    try:
        yield
    except Exception as error:
        own = _own(error)
        if own is None:
            raise
        raise _failure(record, who, what, own) from error


@asynccontextmanager
async def _opened(
    record: PluginRecord, who: str, make: Callable[[], AbstractAsyncContextManager[T]], check: Callable[[T], None]
) -> AsyncIterator[T]:
    """What a plugin has in the background may fail at any time: that ends the context, and is the plugin's doing."""
    inside: frozenset[int] = frozenset()
    try:
        async with AsyncExitStack() as stack:
            with blaming(record, who, "cannot be opened"):
                context = make()
                _complete(context, "__aenter__", "__aexit__")
                entered = await stack.enter_async_context(context)
                check(entered)
            try:
                yield entered
            except BaseException as error:
                inside = frozenset(map(id, leaves(error)))
                raise
    except BaseException as error:
        own = _own(error, but=inside)
        if own is None:
            raise
        raise _failure(record, who, "failed", own) from error


def _own(error: BaseException, *, but: frozenset[int] = frozenset()) -> Exception | None:
    """What is no sentence for people yet, of all that went wrong; `but` are the ids of what is somebody else's."""
    strange = [leaf for leaf in leaves(error) if isinstance(leaf, Exception) and id(leaf) not in but]
    return next((leaf for leaf in strange if not isinstance(leaf, DuravipError)), None)


def _check_transport(transport: Transport) -> None:
    _complete(transport, "send", "receive", "source_address", "mtu_bytes")
    canonical_address(transport.source_address())


def _complete(offered: object, *needed: str) -> None:
    missing = [name for name in needed if not hasattr(offered, name)]
    if missing:
        if hasattr(offered, "close") and hasattr(offered, "cr_await"):  # a coroutine that nobody would ever await
            offered.close()
            raise TypeError("`open` must not be an `async def`")
        raise TypeError(f"{type(offered).__name__} has no {', '.join(missing)}")


def _failure(record: PluginRecord, who: str, what: str, error: Exception) -> PluginError:
    if record.distribution == COMMAND_LINE:
        log.error("%s %s", who, what, exc_info=error)
    return PluginError(
        f"{who} ({record.distribution} {record.version}) {what}: {in_words(error)}",
        plugin=record.name,
        distribution=record.distribution,
        version=record.version,
    )
