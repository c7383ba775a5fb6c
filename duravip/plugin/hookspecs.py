"""The hooks: the contract between the core and every plugin, built-in or not."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from duravip.model import NodeName
from duravip.plugin.api import BackendKind, ConfigParser, NotifierKind, TransportKind

hookspec = pluggy.HookspecMarker("duravip")


@hookspec
def duravip_config_parsers() -> Sequence[ConfigParser]:  # type: ignore[empty-body]
    """Configuration languages.

    Called when: at start, once, when the plugin has been imported. May block: no.
    Order: by the plugins' names, the first that fits reads. Raising: the plugin is of no use; fatal only if the
    configuration names it. Since: 0.1.
    """


@hookspec
def duravip_transports() -> Sequence[TransportKind]:  # type: ignore[empty-body]
    """Ways to reach the other members.

    Called when: at start, once, when the plugin has been imported. May block: no.
    Order: of two that offer one name, the second is refused: what `--plugin` names comes first, then duravip's own,
    then by the plugins' names. Raising: the plugin is of no use; fatal only if the configuration names it. Since: 0.1.
    """


@hookspec
def duravip_backends() -> Sequence[BackendKind]:  # type: ignore[empty-body]
    """Ways to put addresses on interfaces.

    Called when: at start, once, when the plugin has been imported. May block: no.
    Order: of two that offer one name, the second is refused: what `--plugin` names comes first, then duravip's own,
    then by the plugins' names. Raising: the plugin is of no use; fatal only if the configuration names it. Since: 0.1.
    """


@hookspec
def duravip_notifiers() -> Sequence[NotifierKind]:  # type: ignore[empty-body]
    """Ways to tell people and machines what happened.

    Called when: at start, once, when the plugin has been imported. May block: no.
    Order: of two that offer one name, the second is refused: what `--plugin` names comes first, then duravip's own,
    then by the plugins' names. Raising: the plugin is of no use; fatal only if the configuration names it. Since: 0.1.
    """


@hookspec(firstresult=True)
def duravip_nodename() -> NodeName | None:
    """This node's name, when neither the configuration nor EC_NODE_NAME gives it.

    Called when: at start and at each reload, before the configuration is read. May block: no. Order: by the plugins'
    names, the first answer counts. Raising, and what is no text: a warning, and the plugin is passed over. Since: 0.1.
    """
