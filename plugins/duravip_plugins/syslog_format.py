"""One event as one syslog message: bytes without framing, for any of syslog's ways to travel.

Rules of this file: no I/O, no clock. Every message is one line: control characters in texts become spaces, as receivers
would otherwise escape them each in its own way. A message has at most MESSAGE_BYTES (OLD_MESSAGE_BYTES in the old
format): what is longer is cut and ends with an ellipsis.

Source: RFC 5424 sections 6 to 6.4; RFC 3164 section 4.1.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any

from duravip.events import Stamped

MESSAGE_BYTES = 8_192  # what rsyslogd takes by default; RFC 5424 6.1 asks receivers for 2,048
OLD_MESSAGE_BYTES = 1_024  # RFC 3164 4.1
_VALUE_BYTES = 1_024
_MESSAGE_ID_LETTERS, _HOST_LETTERS = 32, 255  # RFC 5424 6
_ELLIPSIS = "…"
_BOM = b"\xef\xbb\xbf"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

APP_NAME = "duravip"
STRUCTURED_DATA_ID = "duravip@32473"
"""32473 is the enterprise number that RFC 5612 sets aside for documentation: this project has none of its own."""

FACILITIES: Mapping[str, int] = {
    **{
        name: number
        for number, name in enumerate(
            ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
        )
    },
    **{f"local{number}": 16 + number for number in range(8)},
}


class Severity(enum.IntEnum):
    """RFC 5424 6.2.1; those that an event may have."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


SEVERITIES: Mapping[str, Severity] = {
    "conflict.broken": Severity.CRITICAL,
    "conflict.duplicate": Severity.CRITICAL,
    "membership.name_taken": Severity.CRITICAL,
    "config.rejected": Severity.ERROR,
    "election.address_failed": Severity.ERROR,
    "election.disagreement": Severity.ERROR,
    "membership.expelled": Severity.ERROR,
    "membership.stalled": Severity.ERROR,
    "plugin.failed": Severity.ERROR,
    "config.disagreement": Severity.WARNING,
    "conflict.preference": Severity.WARNING,
    "conflict.unsafe": Severity.WARNING,
    "guard.replaced": Severity.WARNING,
    "interface.address_lost": Severity.WARNING,
    "interface.address_stray": Severity.WARNING,
    "interface.link_down": Severity.WARNING,
    "membership.node_left": Severity.WARNING,
    "membership.node_suspected": Severity.WARNING,
    "membership.path_lost": Severity.WARNING,
    "election.balanced": Severity.INFO,
    "membership.node_matured": Severity.INFO,
    "membership.view_matured": Severity.INFO,
}
"""By event id; ids that are not here are notices. `severity_of` knows two exceptions."""


def severity_of(event: Mapping[str, Any]) -> Severity:
    """`event` is `Stamped.to_json_object()`. A conflict that is over, and a node that left as planned, are notices."""
    if event.get("change") == "cleared" or event.get("cause") == "left":
        return Severity.NOTICE
    return SEVERITIES.get(event["id"], Severity.NOTICE)


def rfc5424(stamped: Stamped, *, facility: int, host: str, pid: int) -> bytes:
    """The id as MSGID; envelope and fields as parameters of one element of structured data; then a line for people."""
    event = stamped.to_json_object()
    priority = 8 * facility + severity_of(event)
    time = stamped.time.isoformat(timespec="milliseconds")
    name = _graphic(host)[:_HOST_LETTERS] or "-"
    message_id = _graphic(stamped.event.id)[:_MESSAGE_ID_LETTERS] or "-"
    parameters = "".join(
        f' {key}="{_escaped(_cut(_text(value), _VALUE_BYTES))}"'
        for key, value in event.items()
        if key not in ("id", "time")
    )
    head = f"<{priority}>1 {time} {name} {APP_NAME} {pid} {message_id} [{STRUCTURED_DATA_ID}{parameters}] ".encode()
    text = _cut(_line(stamped), MESSAGE_BYTES - len(head) - len(_BOM))
    return head + (b"" if text.isascii() else _BOM) + text.encode()


def rfc3164(stamped: Stamped, *, facility: int, host: str, pid: int) -> bytes:
    """Local time, without a year. `host` "": left out, as is the custom on this machine's own socket. The line for
    people has `node` and `seq` too, which have no other place here."""
    local = stamped.time.astimezone()
    clock = f"{_MONTHS[local.month - 1]} {local.day:2d} {local:%H:%M:%S}"
    priority = 8 * facility + severity_of(stamped.to_json_object())
    name = f"{_graphic(host)} " if host else ""
    head = f"<{priority}>{clock} {name}{APP_NAME}[{pid}]: "
    text = f"{_line(stamped)} node={_word(stamped.node)} seq={stamped.seq}"
    return _cut(head + text, OLD_MESSAGE_BYTES).encode()


def _line(stamped: Stamped) -> str:
    """The id and the event's own fields, `key=value`; a value that would not be one word is quoted."""
    fields = stamped.event.fields()
    return " ".join((stamped.event.id, *(f"{key}={_word(_text(value))}" for key, value in fields.items())))


def _word(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or '"' in text or "=" in text else text


def _text(value: object) -> str:
    """None is empty; lists of texts have commas; anything nested is JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else " " for letter in value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ",".join(_text(item) for item in value)
    return _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _graphic(text: str) -> str:
    """PRINTUSASCII of RFC 5424: what else is in a name becomes `?`."""
    return "".join(letter if "!" <= letter <= "~" else "?" for letter in text)


def _escaped(text: str) -> str:
    """A PARAM-VALUE (RFC 5424 6.3.3)."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _cut(text: str, limit_bytes: int) -> str:
    if len(text.encode()) <= limit_bytes:
        return text
    kept = text.encode()[: max(0, limit_bytes - len(_ELLIPSIS.encode()))]
    return kept.decode(errors="ignore") + _ELLIPSIS
