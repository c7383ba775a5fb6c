"""The JSON Schema for editors says of values by themselves what `check` says of them."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import tomli

from duravip.config import schema
from duravip.config.json_schema import json_schema
from duravip.config.options import Kind, Option

jsonschema = pytest.importorskip("jsonschema")

MODULES = {"multicast": "transport_multicast", "unicast": "transport_unicast", "webhook": "notify_webhook"}
PLUGINS: dict[str, tuple[Option, ...]] = {
    stanza: importlib.import_module(f"duravip_plugins.{module}").OPTIONS for stanza, module in MODULES.items()
} | {"netlink": ()}
KINDS = {"multicast": "transport", "unicast": "transport", "webhook": "notifier", "netlink": "backend"}

VALIDATOR = jsonschema.Draft7Validator(json_schema(PLUGINS))


def complaints(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(tomli.loads(text))]


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema(PLUGINS))


RIGHT = [
    "",
    'bind_address = "10.1.1.5"',
    '[cluster]\nnodename = "node1"\nview_mature_time = "250ms"\nduravip_balance_set_size = "auto"',
    '[cluster]\ninsecure = "on"\narp_all_hosts = 0\nheartbeat_interval = 1\ntransports = ["unicast"]'
    '\n[unicast]\npeers = "10.1.1.2"',
    '[[cluster.topology]]\nnetwork = "10.1.1.0/24"\ninterface = "eth1"',
    '[topology."10.1.1.0/24"]\ninterface = "eth1"',
    '[binding.mail]\nbind_address = "10.1.1.5"\nenable_duravip = true',
    '[[binding]]\nname = "mail"\nbind_address = "10.1.1.5"\nduravip_preference = "node1"\nweight = 2',
    '[[binding_group]]\nname = "g"\nenable_duravip = true\n[[binding_group.binding]]\nname = "a"\n'
    'bind_address = "10.1.1.5"',
    '[[listener]]\nkind = "esmtp"\nlisten = "10.1.1.5:25"\nenable_duravip = true',
    '[webhook.pager]\nurl = "https://x"\n[webhook.other]\nurl = "https://y"\ntimeout = "2s"',
    '[[webhook]]\nname = "pager"\nurl = "https://x"',
    '[security]\nuser = "mail"',
]

WRONG = [
    "[cluster]\nnodename = 7",
    '[cluster]\nnodnaem = "a"',
    '[cluster]\nprofile = "slow"',
    '[cluster]\non_isolation = "hold-if-lucky"',
    '[cluster]\nview_mature_time = "soon"',
    "[cluster]\nif_flap_limit = 0",
    '[cluster]\ninsecure = "maybe"',
    '[[topology]]\ninterface = "eth1"',
    '[[binding]]\nbind_address = "10.1.1.5"',
    '[[binding]]\nname = "a"\nbind_address = "10.1.1.5"\nenable_duravip = true\nduravip_preference = "true"',
    '[[listener]]\nkind = "esmtp"',
    "[webhook.pager]\ntimeout = 1",
    'enable_duravip = true\n[[binding]]\nname = "a"',
]


@pytest.mark.parametrize("text", RIGHT)
def test_what_check_accepts_is_valid(toml, text) -> None:
    assert toml(text, plugins=PLUGINS, kinds=KINDS).errors() == ()
    assert complaints(text) == []


@pytest.mark.parametrize("text", WRONG)
def test_what_check_refuses_is_marked(toml, text) -> None:
    assert toml(text, plugins=PLUGINS, kinds=KINDS).errors()
    assert complaints(text)


def values() -> list[tuple[Option, Any]]:
    """Every option of `cluster` with values in and around its range, and of other kinds."""
    found = []
    for option in schema.CLUSTER:
        bounds = [bound for bound in (option.low, option.high) if bound is not None]
        numbers = [*bounds, *(bound - 1 for bound in bounds), *(bound + 1 for bound in bounds)]
        whole = [int(number) for number in numbers if float(number).is_integer()]
        words = [*option.choices, *option.words, "word", "10.1.1.1", "12", "5s", "on", ""]
        found += [(option, value) for value in [*whole, *numbers, *words, True, ["a"], [1], []]]
    return found


def test_every_option_of_the_cluster_is_judged_alike(toml) -> None:
    """Of one value by itself; DV421, DV427, DV301 for an empty list and the like are about more than that."""
    alone = {"DV301", "DV302", "DV303", "DV304", "DV405"}
    for option, value in values():
        written = "true" if value is True else repr(value).replace("'", '"')
        text = f"[cluster]\n{option.name} = {written}"
        refused = {found.code for found in toml(text).errors()} & alone
        if option.kind is Kind.ADDRESS or (option.name, value) == ("transports", []):
            continue
        assert bool(refused) == bool(complaints(text)), text
