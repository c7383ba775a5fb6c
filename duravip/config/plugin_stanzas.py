"""Stanzas that configure plugins, validated by the options that each plugin declares, and which plugins are
used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from duravip.config import schema
from duravip.config.diagnostics import shown
from duravip.config.document import Stanza
from duravip.config.node_config import PluginStanza
from duravip.config.options import Option
from duravip.config.scope import Reader, Scope
from duravip.config.spelling import suggestion
from duravip.model import Origin

PluginOptions = Mapping[str, tuple[Option, ...]]

TRANSPORT, BACKEND, NOTIFIER = "transport", "backend", "notifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenPlugins:
    transports: tuple[PluginStanza, ...]
    backend: PluginStanza
    notifiers: tuple[PluginStanza, ...]


def choose_plugins(
    reader: Reader,
    root: Stanza,
    cluster: Scope,
    options: PluginOptions,
    kinds: Mapping[str, str],
    failed: Mapping[str, str],
) -> ChosenPlugins:
    """`failed` are plugins that are installed and cannot be used, and why. `kinds` says what a plugin is (TRANSPORT,
    ...); without an entry it is what `transports` and `backend` or their defaults make of it, else a notifier."""
    disabled = frozenset(cluster.get("disable_plugins"))
    _refuse_failed(reader, root, cluster, {name: why for name, why in failed.items() if name not in disabled})
    stanzas = _read(reader, root, {name: own for name, own in options.items() if name not in disabled})
    wanted: tuple[str, ...] | None = cluster.get("transports")
    backend_name: str = cluster.get("backend")
    kind_of = {
        **dict.fromkeys(options, NOTIFIER),
        **dict.fromkeys((*(wanted or ()), schema.DEFAULT_TRANSPORT), TRANSPORT),
        **dict.fromkeys((backend_name, schema.DEFAULT_BACKEND), BACKEND),
        **kinds,
    }
    present = list(dict.fromkeys(stanza.plugin for stanza in stanzas))
    if wanted is None:
        wanted = tuple(name for name in present if kind_of[name] == TRANSPORT) or (schema.DEFAULT_TRANSPORT,)
    elif not wanted:
        reader.findings.error(
            "DV301",
            "transports is empty: the nodes could not talk",
            cluster.where("transports"),
            "name at least one",
        )
    transports: list[PluginStanza] = []
    for name in dict.fromkeys(wanted):
        if name not in failed and _usable(
            reader, name, TRANSPORT, kind_of, options, disabled, cluster.where("transports")
        ):
            own = [stanza for stanza in stanzas if stanza.plugin == name]
            transports += own or [_with_defaults(reader, name, options, cluster.where("transports"))]
    backend = PluginStanza(plugin=backend_name, name=None, options={})
    if backend_name not in failed and _usable(
        reader, backend_name, BACKEND, kind_of, options, disabled, cluster.where("backend")
    ):
        own = [stanza for stanza in stanzas if stanza.plugin == backend_name]
        backend = own[0] if own else _with_defaults(reader, backend_name, options, cluster.where("backend"))
    return ChosenPlugins(
        transports=tuple(transports),
        backend=backend,
        notifiers=tuple(stanza for stanza in stanzas if kind_of[stanza.plugin] == NOTIFIER),
    )


def _refuse_failed(reader: Reader, root: Stanza, cluster: Scope, failed: Mapping[str, str]) -> None:
    """Once for each that the configuration names, by a stanza, in `transports` or as the backend."""
    named = {word: stanzas[0].origin for word, stanzas in reader.keywords().items()}
    named |= {cluster.get("backend"): cluster.where("backend")}
    named |= dict.fromkeys(cluster.get("transports") or (), cluster.where("transports"))
    for name in sorted(named.keys() & failed.keys()):
        reader.findings.error(
            "DV426",
            f"the plugin {shown(name)} cannot be used: {failed[name]}",
            named[name],
            "mend or remove its distribution, or put its name into disable_plugins",
        )


def _with_defaults(reader: Reader, name: str, options: PluginOptions, origin: Origin) -> PluginStanza:
    """Of a plugin that is named at `origin` and has no stanza."""
    own = options.get(name, ())
    for option in own:
        reader.missing(name, option, origin)
    return PluginStanza(plugin=name, name=None, options={option.name: option.default for option in own})


def _usable(
    reader: Reader,
    name: str,
    kind: str,
    kind_of: Mapping[str, str],
    options: PluginOptions,
    disabled: frozenset[str],
    origin: Origin,
) -> bool:
    """Whether the plugin can be what it is named for. A default that is not installed is the daemon's
    business: a configuration can be checked on a machine that has no plugins."""
    if name in disabled:
        problem = "is disabled by disable_plugins"
    elif name in options and kind_of[name] != kind:
        problem = f"is no {kind}, but a {kind_of[name]}"
    elif name not in options and name not in (schema.DEFAULT_TRANSPORT, schema.DEFAULT_BACKEND):
        problem = "is not installed"
    else:
        return True
    offered = sorted(one for one in options if kind_of.get(one) == kind and one not in disabled)
    near = suggestion(name, offered)
    hint = f"did you mean {near}?" if near else f"there is: {', '.join(offered) or 'none'}"
    reader.findings.error("DV426", f"the {kind} {shown(name)} {problem}", origin, hint)
    return False


def _read(reader: Reader, root: Stanza, options: PluginOptions) -> list[PluginStanza]:
    """In the order of the text; stanzas with the same keyword and name count as one."""
    pieces: dict[tuple[str, str | None], list[Stanza]] = {}
    for stanza in root.stanzas() if reader.keywords().keys() & options.keys() else ():
        word = reader.word(stanza.keyword)
        if word in options:
            pieces.setdefault((word, stanza.name), []).append(stanza)
    found: list[PluginStanza] = []
    for (plugin, name), same in pieces.items():
        title = plugin + (f" {shown(name)}" if name is not None else "")
        scope = reader.scope(title, same, options[plugin])
        found.append(PluginStanza(plugin=plugin, name=name, options=scope.all(), origin=scope.origin))
    return found
