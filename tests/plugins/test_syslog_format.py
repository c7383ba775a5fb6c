from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from duravip.events import (
    BrokenBinding,
    ConfigRejected,
    Event,
    LinkUp,
    NodeLeft,
    OwnerElected,
    Stamped,
    UnsafeServices,
    event_classes,
)
from duravip.model import Address, Evidence, NodeName
from duravip.testing.notifier_kit import NASTY_TEXT, sample_events, stamp
from duravip_plugins.syslog_format import (
    FACILITIES,
    MESSAGE_BYTES,
    OLD_MESSAGE_BYTES,
    SEVERITIES,
    Severity,
    rfc3164,
    rfc5424,
    severity_of,
)

VIP = Address("192.0.2.51")
ELECTED = OwnerElected(address=VIP, owner=NodeName("n 2"), previous=None, reason='it is "next"')


def new(event: Event) -> str:
    return rfc5424(stamp(event, seq=7), facility=FACILITIES["daemon"], host="host.example", pid=42).decode()


def old(event: Event, host: str = "host") -> str:
    return rfc3164(stamp(event, seq=7), facility=FACILITIES["local7"], host=host, pid=42).decode()


def test_a_message_is_written_as_rfc_5424_has_it() -> None:
    assert new(ELECTED) == (
        "<29>1 2026-11-22T17:18:19.123+00:00 host.example duravip 42 election.owner_elected "
        '[duravip@32473 incarnation="7.1700000000" seq="7" node="node1" view="3.node1" '
        'address="192.0.2.51" owner="n 2" previous="" reason="it is \\"next\\""] '
        'election.owner_elected address=192.0.2.51 owner="n 2" previous="" reason="it is \\"next\\""'
    )


def test_a_message_is_written_as_rfc_3164_has_it() -> None:
    assert re.fullmatch(
        r"<189>Nov 2[123] \d\d:\d\d:19 host duravip\[42\]: interface\.link_up interface=eth0 node=node1 seq=7",
        old(LinkUp(interface="eth0")),
    )


def test_on_the_machines_own_socket_the_old_format_has_no_host() -> None:
    assert ":19 duravip[42]: " in old(LinkUp(interface="eth0"), host="")


def test_what_is_not_ascii_is_announced_by_a_byte_order_mark() -> None:
    assert "] \ufeffconfig.rejected text=é" in new(ConfigRejected(text="é"))
    assert "\ufeff" not in new(ConfigRejected(text="e"))


@pytest.mark.parametrize("write", [new, old])
def test_a_message_is_one_line_without_control_characters(write: Callable[[Event], str]) -> None:
    assert not re.search(r"[\x00-\x1f\x7f]", write(ConfigRejected(text=NASTY_TEXT)))


def test_quotes_backslashes_and_brackets_are_escaped_in_structured_data() -> None:
    assert r'text="a\\b \"c\" [d\]"' in new(ConfigRejected(text='a\\b "c" [d]'))


def test_a_long_text_is_cut_between_letters_and_the_structured_data_stays_whole() -> None:
    message = rfc5424(stamp(ConfigRejected(text="ü" * 9_000), seq=1), facility=3, host="h", pid=1)
    assert len(message) <= MESSAGE_BYTES
    assert 'üü…"] ' in message.decode()
    assert message.decode().endswith("üü…")
    assert (
        len(rfc3164(stamp(ConfigRejected(text="ü" * 9_000), seq=1), facility=3, host="h", pid=1)) <= OLD_MESSAGE_BYTES
    )


def test_evidence_is_told() -> None:
    evidence = Evidence(flag="UNSAFE", node=NodeName("node2"), text="node2 runs nothing")
    message = new(UnsafeServices(change="raised", address=VIP, evidence=(evidence,)))
    assert "node2 runs nothing" in message.partition("] ")[0]


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        (BrokenBinding(change="raised", address=VIP), Severity.CRITICAL),
        (BrokenBinding(change="changed", address=VIP), Severity.CRITICAL),
        (BrokenBinding(change="cleared", address=VIP), Severity.NOTICE),
        (UnsafeServices(change="raised", address=VIP), Severity.WARNING),
        (NodeLeft(name=NodeName("n"), cause="failed"), Severity.WARNING),
        (NodeLeft(name=NodeName("n"), cause="left"), Severity.NOTICE),
        (ELECTED, Severity.NOTICE),
    ],
)
def test_the_severity_follows_the_event(event: Event, severity: Severity) -> None:
    assert severity_of(stamp(event, seq=1).to_json_object()) == severity
    assert new(event).startswith(f"<{3 * 8 + severity}>1 ")


def test_severities_are_given_to_events_that_exist() -> None:
    assert set(SEVERITIES) <= {kind.id for kind in event_classes()}


@pytest.mark.parametrize("stamped", sample_events(), ids=lambda stamped: stamped.event.id)
def test_every_id_fits_into_a_message_id(stamped: Stamped) -> None:
    message = rfc5424(stamped, facility=3, host="h", pid=1).decode()
    assert message.split(" ")[5] == stamped.event.id
