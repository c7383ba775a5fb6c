"""The notifier `syslog`: what it is told, and who carries it out (`syslog_notifier`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duravip.config.options import Kind, Option
from duravip.plugin.api import Notifier, NotifierKind, hookimpl
from duravip_plugins.syslog_format import FACILITIES

OWN_SOCKET = "/dev/log"

OPTIONS = (
    Option(
        name="target",
        kind=Kind.TEXT,
        default=f"unix:{OWN_SOCKET}",
        doc='Where to: `"unix:PATH"`, `"udp:HOST:PORT"` (514) or `"tcp:HOST:PORT"` (601); an IPv6 address in brackets.',
        trade_off="UDP loses messages and nobody knows; TCP and UNIX sockets notice that the receiver is away.",
    ),
    Option(
        name="format",
        kind=Kind.CHOICE,
        choices=("rfc5424", "rfc3164"),
        doc="`rfc5424` has the event's fields as structured data; `rfc3164` is for receivers that do not know it, "
        "such as journald, and rsyslogd on its `/dev/log`. Default: `rfc3164` for `unix:/dev/log`, else `rfc5424`.",
    ),
    Option(
        name="facility",
        kind=Kind.CHOICE,
        choices=tuple(FACILITIES),
        default="daemon",
        doc="The facility of every message. The severity depends on the event.",
    ),
    Option(
        name="events",
        kind=Kind.TEXTS,
        default=("*",),
        doc="Which events: globs over their ids.",
    ),
)


def _open(name: str, options: Mapping[str, Any]) -> Notifier:
    from duravip_plugins.syslog_notifier import SyslogNotifier

    return SyslogNotifier(options)


@hookimpl
def duravip_notifiers() -> Sequence[NotifierKind]:
    return (NotifierKind(name="syslog", options=OPTIONS, open=_open),)
