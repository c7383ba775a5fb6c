"""`duravip check --explain`."""

from __future__ import annotations

import pytest

from duravip.cli.explaining import explain
from duravip.config.options import Kind, Option
from duravip.errors import UsageError

PLUGINS = {"webhook": (Option(name="url", kind=Kind.TEXT, doc="Where to.", former_names=("uri",), required=True),)}


def test_an_option_is_explained_with_unit_range_default_price_and_version() -> None:
    said = explain("View_Mature_Time", PLUGINS)

    assert said.splitlines()[0] == "view_mature_time (in cluster)"
    assert "Longer: fewer moves while nodes come up" in said
    assert "takes    duration, 0 to 3600 s" in said
    assert "default  5 s" in said
    assert "since    0.1" in said


def test_an_option_that_means_different_things_in_two_scopes_is_explained_twice() -> None:
    said = explain("weight", PLUGINS)

    assert "weight (in cluster)" in said
    assert "weight (in binding, listen)" in said
    assert "cluster" not in explain("listen.weight", PLUGINS)


def test_a_plugins_option_is_explained_by_its_present_or_its_former_name() -> None:
    for word in ("url", "webhook.url", "uri"):
        said = explain(word, PLUGINS)
        assert "url (in webhook)" in said
        assert "required" in said
        assert "Formerly uri." in said


def test_a_code_is_explained_with_an_example() -> None:
    said = explain("dv412", PLUGINS)

    assert said.startswith("DV412 (error): One address is given two different preferences.")
    assert "node1.conf:" in said


@pytest.mark.parametrize(("word", "near"), [("view_mature_tiem", "view_mature_time"), ("DV999", "DV"), ("x" * 30, "")])
def test_what_there_is_not_is_refused_with_the_nearest(word: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"there is no such option or code.*{near}"):
        explain(word, PLUGINS)


def test_it_needs_no_file(duravip) -> None:
    status, out, err = duravip("check", "--explain", "nodename")
    assert (status, err) == (0, "")
    assert out.startswith("nodename")
    assert duravip("check")[0] == 2


def test_the_schema_is_json_and_has_every_installed_plugins_stanza(duravip) -> None:
    import json

    status, out, err = duravip("schema")
    assert (status, err) == (0, "")
    assert {"cluster", "binding", "listener", "webhook", "multicast"} <= set(json.loads(out)["properties"])
