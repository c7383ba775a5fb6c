"""Finds the installed plugins, loads them one by one, and asks each what it offers.

Rules of this file: no plugin is named here, and no plugin can harm another: whatever goes wrong while one is
found, imported, registered or asked is written into its record, and the rest go on. A plugin whose failure
matters is one that the configuration names: that is decided when it is asked for (`PluginSet.transport` and
friends).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint
from typing import Any, Protocol, TypeVar

import pluggy

from duravip.config import schema
from duravip.config.options import Option
from duravip.errors import PluginError
from duravip.model import NodeName
from duravip.plugin import hookspecs
from duravip.plugin.api import BackendKind, ConfigParser, NotifierKind, TransportKind

GROUP = "duravip"
COMMAND_LINE = "--plugin"  # in place of a distribution, of a plugin that the command line names
OWN = "duravip"  # the distribution whose plugins come first: no other takes a name from them

log = logging.getLogger("duravip")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """One installed plugin. `name` is its entry point's; `kind` lists what it offers (`transport`, ...; ""
    when it could not be loaded or offers nothing); `file` "" when unknown; `error` "" exactly when
    `loaded`."""

    name: str
    kind: str
    distribution: str
    version: str
    file: str
    loaded: bool
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry point of our group, before anything of it is imported. `error`: why it cannot even be read."""

    name: str
    distribution: str
    version: str
    module: str
    load: Callable[[], object]
    error: str = ""


class _Kind(Protocol):
    @property
    def name(self) -> str: ...


K = TypeVar("K", bound=_Kind)


class PluginSet:
    """The plugins that could be loaded, by what they offer, and a record of every one that was found."""

    def __init__(self) -> None:
        self._pluggy = pluggy.PluginManager("duravip")
        self._pluggy.add_hookspecs(hookspecs)
        self._records: dict[str, PluginRecord] = {}
        self._disabled: set[str] = set()
        self._parsers: list[ConfigParser] = []
        self._transports: dict[str, TransportKind] = {}
        self._backends: dict[str, BackendKind] = {}
        self._notifiers: dict[str, NotifierKind] = {}
        self._namers: list[str] = []  # the plugins that may name the node
        self._providers: dict[str, str] = {}  # transport, backend or notifier -> the plugin that offers it

    def __repr__(self) -> str:
        return f"<PluginSet {sorted(self._records)}>"

    # --- what there is

    def parsers(self) -> tuple[ConfigParser, ...]:
        return tuple(self._parsers)

    def transports(self) -> Mapping[str, TransportKind]:
        return dict(self._transports)

    def backends(self) -> Mapping[str, BackendKind]:
        return dict(self._backends)

    def notifiers(self) -> Mapping[str, NotifierKind]:
        return dict(self._notifiers)

    def plugin_options(self) -> Mapping[str, tuple[Option, ...]]:
        """Stanza name -> its options, for every kind that is configured by a stanza."""
        return {
            name: kind.options
            for kinds in (self._transports, self._backends, self._notifiers)
            for name, kind in kinds.items()
        }

    def plugin_kinds(self) -> Mapping[str, str]:
        """The same names -> transport, backend or notifier."""
        return {
            **dict.fromkeys(self._transports, "transport"),
            **dict.fromkeys(self._backends, "backend"),
            **dict.fromkeys(self._notifiers, "notifier"),
        }

    def records(self) -> tuple[PluginRecord, ...]:
        """Sorted by name."""
        return tuple(self._records[name] for name in sorted(self._records))

    def failures(self) -> Mapping[str, str]:
        """Plugins that are installed, wanted, and of no use -> distribution, version and why."""
        return {
            name: f"{record.distribution} {record.version}: {record.error}"
            for name, record in self._records.items()
            if not record.loaded and name not in self._disabled
        }

    def require(self, name: str) -> None:
        """Raises PluginError when this plugin was found and is of no use."""
        record = self._records[name]
        if not record.loaded:
            raise PluginError(
                f"the plugin {name!r} ({record.distribution} {record.version}) cannot be used: {record.error}",
                plugin=name,
                distribution=record.distribution,
                version=record.version,
            )

    def nodename(self) -> NodeName | None:
        """The first plugin's answer. A plugin that has none, or raises, is passed over; the log says so."""
        for name, answer in self._answers("duravip_nodename"):
            if isinstance(answer, str) and answer:
                return NodeName(answer)
            if answer is not None:
                self._fail(name, f"duravip_nodename returned {answer!r}, which is no name")
        for name in self._namers:
            if error := self._records[name].error:
                log.warning("the plugin %s does not name this node: %s", name, error)
        return None

    # --- what the configuration names

    def transport(self, name: str) -> TransportKind:
        return self._named(name, self._transports, "transport")

    def backend(self, name: str) -> BackendKind:
        return self._named(name, self._backends, "interface backend")

    def notifier(self, name: str) -> NotifierKind:
        return self._named(name, self._notifiers, "notifier")

    def provider(self, name: str) -> PluginRecord:
        """Of the plugin that offers the transport, backend or notifier of this name."""
        return self._records[self._providers[name]]

    def _named(self, name: str, kinds: Mapping[str, K], word: str) -> K:
        if name in kinds:
            return kinds[name]
        record = self._records.get(name)
        if record is not None and not record.loaded:
            raise PluginError(
                f"the configuration needs the plugin {name!r} ({record.distribution} {record.version}), "
                f"which could not be loaded: {record.error}",
                plugin=name,
                distribution=record.distribution,
                version=record.version,
            )
        offered = ", ".join(sorted(kinds)) or "none"
        raise PluginError(f"no plugin offers the {word} {name!r} (installed: {offered})", plugin=name)

    # --- loading

    def add(self, found: Found) -> None:
        """Load one plugin. Raises nothing that the plugin caused."""
        record = PluginRecord(
            name=found.name,
            kind="",
            distribution=found.distribution,
            version=found.version,
            file="",
            loaded=False,
            error=found.error,
        )
        self._records.setdefault(found.name, record)
        if self._records[found.name] is not record:
            first = self._records[found.name]
            self._records[f"{found.name} ({found.distribution})"] = replace(
                record, error=f"the name is taken by {first.distribution} {first.version}"
            )
            return
        if found.error:
            return
        try:
            plugin = found.load()
        except (Exception, SystemExit) as error:  # whatever a module does at import
            self._records[found.name] = replace(record, error=_words(error), file=_origin(found.module))
            if found.distribution == COMMAND_LINE:
                log.exception("the plugin %s cannot be imported", found.name)
            return
        record = replace(record, file=getattr(plugin, "__file__", None) or _origin(found.module), loaded=True)
        self._records[found.name] = record
        try:
            self._pluggy.register(plugin, name=found.name)
            self._pluggy.check_pending()
        except Exception as error:
            self._fail(found.name, _words(error))
            return
        self._ask(found.name)

    def note_disabled(self, found: Found) -> None:
        self._disabled.add(found.name)
        self._records[found.name] = PluginRecord(
            name=found.name,
            kind="",
            distribution=found.distribution,
            version=found.version,
            file="",
            loaded=False,
            error="disabled by disable_plugins",
        )

    def _ask(self, name: str) -> None:
        kinds: list[str] = []
        parsers = self._offered(name, "duravip_config_parsers", "parse", "suffixes")
        transports = self._offered(name, "duravip_transports", "open", "options")
        backends = self._offered(name, "duravip_backends", "open", "options")
        notifiers = self._offered(name, "duravip_notifiers", "open", "options")
        namers = [one for one in self._pluggy.hook.duravip_nodename.get_hookimpls() if one.plugin_name == name]
        if not self._records[name].loaded:
            return
        for word, offered in (
            ("configuration language", parsers),
            ("transport", transports),
            ("backend", backends),
            ("notifier", notifiers),
            ("node name", namers),
        ):
            if offered:
                kinds.append(word)
        taken = {*self._transports, *self._backends, *self._notifiers}
        for kind in (*transports, *backends, *notifiers):
            if kind.name in taken:
                first = self._records[self._providers.get(kind.name, name)]
                self._fail(name, f"offers {kind.name!r}, which {first.distribution} {first.version} offers already")
                return
            taken.add(kind.name)
        self._providers |= dict.fromkeys((kind.name for kind in (*transports, *backends, *notifiers)), name)
        self._namers += [name] if namers else []
        self._parsers += parsers
        self._transports |= {kind.name: kind for kind in transports}
        self._backends |= {kind.name: kind for kind in backends}
        self._notifiers |= {kind.name: kind for kind in notifiers}
        self._records[name] = replace(self._records[name], kind=", ".join(kinds))

    # A hook's result comes from foreign code: it is looked at before it is believed, hence no static type
    # here.
    def _offered(self, name: str, hook: str, *needed: str):  # type: ignore[no-untyped-def]
        offered: list[object] = []
        for plugin, answer in self._answers(hook, only=name):
            if not isinstance(answer, Sequence) or isinstance(answer, str):
                self._fail(plugin, f"{hook} returned {answer!r}, not a list")
                continue
            for item in answer:
                missing = [attribute for attribute in ("name", *needed) if not hasattr(item, attribute)]
                if missing:
                    self._fail(plugin, f"{hook} returned {item!r}, which lacks {', '.join(missing)}")
                elif mistake := _mistake(item):
                    self._fail(plugin, f"{hook} returned {item!r}: {mistake}")
                else:
                    offered.append(item)
        return offered

    def _answers(self, hook: str, *, only: str = "") -> Iterator[tuple[str, object]]:
        for implementation in getattr(self._pluggy.hook, hook).get_hookimpls():
            name = implementation.plugin_name
            if only and name != only:
                continue
            try:
                answer = implementation.function()
            except (Exception, SystemExit) as error:
                self._fail(name, f"{hook} failed: {_words(error)}")
                continue
            if hasattr(answer, "close") and hasattr(answer, "send"):  # a coroutine that nobody would ever await
                answer.close()
                self._fail(name, f"{hook} must not be an `async def`")
                continue
            yield name, answer

    def _fail(self, name: str, error: str) -> None:
        self._records[name] = replace(self._records[name], loaded=False, error=error, kind="")
        if self._pluggy.has_plugin(name):
            self._pluggy.unregister(name=name)


def load_plugins(disabled: Iterable[str] = (), *, found: Iterable[Found] | None = None) -> PluginSet:
    """Load every installed plugin that is not in `disabled` (entry-point names). `found` replaces the
    search."""
    plugins = PluginSet()
    unwanted = frozenset(disabled)
    for one in find_plugins() if found is None else found:
        if one.name in unwanted:
            plugins.note_disabled(one)
        else:
            plugins.add(one)
    return plugins


def plugin_at(place: str) -> Found:
    """What stands at `module` or `module:object`, as if it were installed under that name: for `--plugin`."""
    point = EntryPoint(name=place, value=place, group=GROUP)
    return Found(name=place, distribution=COMMAND_LINE, version=place, module=place.partition(":")[0], load=point.load)


def find_plugins(distributions: Iterable[Distribution] | None = None) -> tuple[Found, ...]:
    """Every entry point of our group: duravip's own, then the others, each sorted by name. A distribution whose
    metadata cannot be read is passed over with a record of its own; one that is shadowed by an earlier one of the same
    name on sys.path does not count."""
    seen: set[str] = set()
    found: list[Found] = []
    for distribution in importlib.metadata.distributions() if distributions is None else distributions:
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except Exception:  # noqa: S112 (an unreadable file of a stranger, who may have nothing to do with us)
            continue
        if f"[{GROUP}]" not in text.replace(" ", ""):
            continue
        name, version = _identity(distribution)
        if name in seen:
            continue
        seen.add(name)
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception as error:
            found.append(_unreadable(name, version, error))
            continue
        found += [_found(point, name, version) for point in points]
    return tuple(sorted(found, key=lambda one: (one.distribution != OWN, one.name, one.distribution)))


def _found(point: EntryPoint, distribution: str, version: str) -> Found:
    return Found(name=point.name, distribution=distribution, version=version, module=_module(point), load=point.load)


def _unreadable(name: str, version: str, error: Exception) -> Found:
    return Found(
        name=name,
        distribution=name,
        version=version,
        module="",
        load=object,
        error=f"its entry points cannot be read: {_words(error)}",
    )


def _identity(distribution: Distribution) -> tuple[str, str]:
    try:
        return distribution.metadata["Name"] or "?", distribution.version or "?"
    except Exception:
        return "?", "?"


def _mistake(item: Any) -> str:
    """What is wrong with the parts of something that a plugin offers; "" when nothing is."""
    if not isinstance(item.name, str) or not item.name:
        return "its name is no text"
    if hasattr(item, "suffixes") and not (
        isinstance(item.suffixes, tuple) and all(isinstance(one, str) for one in item.suffixes)
    ):
        return "its suffixes are no tuple of texts"
    if hasattr(item, "options") and not (
        isinstance(item.options, tuple) and all(isinstance(one, Option) for one in item.options)
    ):
        return "its options are no tuple of Option"
    if hasattr(item, "options") and (item.name in schema.STANZAS or item.name.endswith("_listener")):
        return f"the stanza {item.name} has a meaning already"
    return ""


def _module(point: EntryPoint) -> str:
    return point.value.split(":", 1)[0].strip()


def _origin(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module) if module else None
    except Exception:
        return ""
    return (spec.origin or "") if spec else ""


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
