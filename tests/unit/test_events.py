"""What alerting hangs on stays as it is: ids, the envelope, and the fields of conflicts."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from duravip.events import Event, LinkUp, Stamped, event_classes
from duravip.model import NodeName

PROMISED = (
    *("membership.node_joined", "membership.node_left", "membership.node_suspected", "membership.view_installed"),
    *("election.owner_elected", "election.address_acquired", "election.address_released", "election.address_moved"),
    *("election.balanced", "election.disagreement"),
    *("conflict.preference", "conflict.unsafe", "conflict.broken", "conflict.duplicate"),
    *("interface.link_down", "interface.link_up", "interface.address_lost"),
    *("config.reloaded", "config.rejected", "config.disagreement", "plugin.failed"),
)
BY_ID = {event.id: event for event in event_classes()}


def field_names(event: type[Event]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(event)}


def test_every_promised_id_exists_and_is_of_one_class() -> None:
    assert set(PROMISED) <= set(BY_ID)
    assert len(BY_ID) == len(event_classes())


@pytest.mark.parametrize("event_id", [one for one in PROMISED if one.startswith("conflict.")])
def test_a_conflict_says_what_changed_of_which_address_and_why(event_id: str) -> None:
    assert {"change", "address", "evidence"} <= field_names(BY_ID[event_id])


@pytest.mark.parametrize("event", event_classes(), ids=lambda event: event.id)
def test_no_field_hides_one_of_the_envelope(event: type[Event]) -> None:
    assert not field_names(event) & {"id", "incarnation", "seq", "time", "node", "view"}


def test_an_event_is_one_object_with_its_envelope_first() -> None:
    stamped = Stamped(
        event=LinkUp(interface="eth0"),
        node=NodeName("node1"),
        incarnation="7.1",
        seq=3,
        time=datetime.datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=datetime.UTC),
        view="2@node1#7",
    )
    assert list(stamped.to_json_object().items()) == [
        ("id", "interface.link_up"),
        ("incarnation", "7.1"),
        ("seq", 3),
        ("time", "2026-01-02T03:04:05.678+00:00"),
        ("node", "node1"),
        ("view", "2@node1#7"),
        ("interface", "eth0"),
    ]
