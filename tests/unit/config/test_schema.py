"""Options as they are declared, here and by plugins: complete, and with what to write now where that has changed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest

from duravip.config import schema
from duravip.config.options import Kind, Option

STANZAS = ("transport_multicast", "transport_unicast", "backend_ifconfig", "notify_syslog", "notify_webhook")
NUMBERS = (Kind.INTEGER, Kind.NUMBER, Kind.DURATION)


def declared() -> Iterator[tuple[str, Option]]:
    for scope, options in schema.SCOPES.items():
        yield from ((scope, option) for option in options)
    for name in STANZAS:
        yield from ((name, option) for option in importlib.import_module(f"duravip_plugins.{name}").OPTIONS)


@pytest.mark.parametrize(("scope", "option"), list(declared()), ids=lambda one: getattr(one, "name", one))
def test_every_option_has_a_sentence_a_version_and_every_number_a_lower_bound_and_a_price(scope, option) -> None:
    assert option.doc.endswith(".")
    assert option.since
    if option.kind in NUMBERS:
        assert option.low is not None
        assert option.trade_off.endswith(".") or not option.in_force, "what does going up or down cost?"
    if option.kind is Kind.DURATION:
        assert option.unit == "s"


def test_no_option_is_declared_twice_in_a_scope() -> None:
    for options in schema.SCOPES.values():
        names = [name for option in options for name in (option.name, *option.former_names)]
        assert len(names) == len(set(names))


RENAMED = Option(name="target", kind=Kind.TEXT, doc="Where to.", required=True, former_names=("url", "uri"))


def test_a_former_name_still_counts_with_a_warning_that_says_the_present_one(momentum) -> None:
    config = momentum('webhook { url = "https://x" }', plugins={"webhook": (RENAMED,)}, kinds={"webhook": "notifier"})
    assert config.errors() == ()
    assert config.local.notifiers[0].options == {"target": "https://x"}
    (warning,) = [found for found in config.diagnostics if found.code == "DV437"]
    assert (warning.severity.value, warning.origin.column) == ("warning", 11)
    assert warning.message == "url is now called target"
    assert warning.hint == "write target = ..."


def test_a_former_name_beside_the_present_one_must_say_the_same(momentum) -> None:
    config = momentum("webhook { url = a target = b }", plugins={"webhook": (RENAMED,)}, kinds={"webhook": "notifier"})
    assert [found.code for found in config.errors()] == ["DV407"]


def test_an_option_that_is_no_more_says_what_to_write_now(momentum) -> None:
    found = {
        one.message.split()[0]: one.hint
        for one in momentum("cluster { heartbeat_start_delay = 15 control_group = x }").diagnostics
        if one.code == "DV404"
    }
    assert "view_mature_time" in found["heartbeat_start_delay"]
    assert "control" in found["control_group"]


def test_what_is_in_force_has_nothing_that_should_be_written_instead() -> None:
    with pytest.raises(ValueError, match="in force"):
        Option(name="a", kind=Kind.TEXT, doc="", instead="b")
