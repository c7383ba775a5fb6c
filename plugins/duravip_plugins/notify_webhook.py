"""The notifier `webhook`: what it is told, and who carries it out (`webhook_notifier`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from duravip.config.options import Kind, Option
from duravip.plugin.api import Notifier, NotifierKind, hookimpl

SIGNATURE_HEADER = "Duravip-Signature"

OPTIONS = (
    Option(
        name="url",
        kind=Kind.TEXT,
        required=True,
        doc="Where to: `https://...`, or `http://...` for receivers on this machine.",
    ),
    Option(
        name="events",
        kind=Kind.TEXTS,
        default=("*",),
        doc="Which events: globs over their ids.",
    ),
    Option(
        name="secret_file",
        kind=Kind.TEXT,
        doc=f"A file, mode 0600, with a secret shared with the receiver: every request is signed with it "
        f"(HMAC-SHA256, header `{SIGNATURE_HEADER}`).",
    ),
    Option(
        name="timeout",
        kind=Kind.DURATION,
        default=5.0,
        unit="s",
        low=0.1,
        high=60,
        doc="How long one attempt may take, from connecting to the end of the answer.",
        trade_off="Longer: slow receivers are waited for, and later events with them.",
    ),
    Option(
        name="give_up",
        kind=Kind.DURATION,
        default=60.0,
        unit="s",
        low=0,
        high=3600,
        doc="How long an event is tried again before it is given up.",
        trade_off="Longer: an outage of the receiver loses less, and one event that fails holds up later ones longer.",
    ),
    Option(
        name="ca_file",
        kind=Kind.TEXT,
        doc="PEM certificates of the authorities to trust. Default: the system's.",
    ),
)


def _open(name: str, options: Mapping[str, Any]) -> Notifier:
    from duravip_plugins.webhook_notifier import WebhookNotifier

    return WebhookNotifier(options)


@hookimpl
def duravip_notifiers() -> Sequence[NotifierKind]:
    return (NotifierKind(name="webhook", options=OPTIONS, open=_open),)
