"""From a document to a table: the rules within one configuration, domain.md sections 3 to 5 and 7."""

from __future__ import annotations

import time

import pytest

from duravip.config.diagnostics import Severity
from duravip.config.node_config import PluginStanza
from duravip.config.options import Kind, Option

A = "192.0.2.1"
B = "192.0.2.2"
C = "192.0.2.3"
ENABLED = "Enable_Duravip = true"


def codes(config) -> list[str]:
    return [found.code for found in config.diagnostics if found.code not in ("DV410", "DV420")]


def errors(config) -> list[str]:
    return [found.code for found in config.errors()]


def vips(config):
    return {entry.address: entry for entry in config.table.vips}


def binding(name: str, address: str, more: str = "") -> str:
    return f'Binding "{name}" {{ Bind_Address = {address} {more} }}\n'


def listen(address: str, more: str = "", kind: str = "ESMTP", port: int = 25) -> str:
    return f'{kind}_Listener {{ Listen "{address}:{port}" {{ {more} }} }}\n'


# --- the upgrade: "automatically upgraded to DuraVIP on all services"


def test_an_address_enabled_on_a_binding_is_one_on_its_listens(momentum) -> None:
    config = momentum(listen(A) + binding("b", A, ENABLED) + listen(A, kind="HTTP", port=80))
    assert vips(config)[A].service_names() == ("esmtp:25", "http:80", "multivip")


def test_an_address_enabled_on_a_listen_is_one_on_its_bindings(momentum) -> None:
    config = momentum(binding("b", A) + binding("c", A) + listen(A, ENABLED))
    assert vips(config)[A].service_names() == ("esmtp:25", "multivip")
    assert vips(config)[A].binding_names() == ("b", "c")


def test_an_address_that_nothing_enables_is_only_mentioned(momentum) -> None:
    config = momentum(binding("b", A) + binding("c", B, ENABLED) + listen(A))
    assert list(vips(config)) == [B]
    assert [(address, origin.line) for address, origin in config.mentioned] == [(A, 1)]


def test_a_use_knows_where_it_stands_and_the_vip_where_it_is_enabled(momentum) -> None:
    entry = vips(momentum("\n" + listen(A) + binding("b", A, ENABLED)))[A]
    assert [(use.value, use.origin.line) for use in entry.services] == [("esmtp:25", 2), ("multivip", 3)]
    assert entry.origin.line == 3


def test_both_languages_give_the_same_vips(momentum, toml) -> None:
    ours = momentum(
        'cluster { Topology "192.0.2.0/24" { interface = eth1 } }'
        + binding("b", A, ENABLED + " Duravip_Preference = n1")
        + listen(A)
        + listen(B, "Duravip_Follow = b")
    )
    theirs = toml(
        f"""
        [[topology]]
        network = "192.0.2.0/24"
        interface = "eth1"
        [[binding]]
        name = "b"
        bind_address = "{A}"
        enable_duravip = true
        duravip_preference = "n1"
        [[listener]]
        kind = "esmtp"
        listen = "{A}:25"
        [[listener]]
        kind = "esmtp"
        listen = "{B}:25"
        duravip_follow = "b"
        """
    )

    def told(config) -> list[object]:
        return [
            (
                entry.address,
                entry.service_names(),
                entry.binding_names(),
                entry.preference and entry.preference.value,
                entry.follow and entry.follow.value,
                entry.interface,
                entry.prefix,
            )
            for entry in config.table.vips
        ]

    assert codes(ours) == codes(theirs) == []
    assert told(ours) == told(theirs)
    assert told(ours)[1] == (B, ("esmtp:25",), (), None, A, "eth1", 32)


# --- names, case, pieces


def test_keywords_and_options_are_case_insensitive_and_binding_names_are_not(momentum) -> None:
    text = f'BINDING "b" {{ BIND_ADDRESS = {A} eNABLE_dURAVIP = ON }}' + binding("B", A)
    assert vips(momentum(text))[A].binding_names() == ("B", "b")


def test_repeated_stanzas_merge(momentum) -> None:
    config = momentum(f'binding "x" {{ {ENABLED} }}' + f'Binding "x" {{ Bind_Address = {A} }}')
    assert vips(config)[A].binding_names() == ("x",)
    assert codes(config) == []


def test_repeated_listens_and_clusters_merge_too(momentum) -> None:
    config = momentum(listen(A) + listen(A, ENABLED) + "cluster { nodename = n } CLUSTER { weight = 2 }")
    assert (list(vips(config)), config.name, config.local.weight) == ([A], "n", 2.0)


def test_pieces_that_contradict_each_other_are_an_error_at_the_second(momentum) -> None:
    config = momentum(binding("x", A, ENABLED) + binding("x", B))
    (found,) = config.errors()
    assert (found.code, found.origin.line) == ("DV407", 2)
    assert momentum(binding("x", A, ENABLED) + binding("x", A)).errors() == ()


@pytest.mark.parametrize("name", ["a b", "a:b", ""])
def test_a_bindings_name_has_no_space_and_no_colon(momentum, name) -> None:
    assert errors(momentum(binding(name, A, ENABLED))) == ["DV308"]


def test_stanzas_that_need_a_name_say_so(momentum) -> None:
    assert errors(momentum("Binding { }\nbinding_group { }\nE_Listener { Listen { } }")) == ["DV425"] * 3


# --- fallback


def test_a_binding_falls_back_to_its_group(momentum) -> None:
    config = momentum(
        f'binding_group "g" {{ {ENABLED} Duravip_Preference = n1 Bind_Address = {A}'
        f' Binding "x" {{ }} Binding "y" {{ Bind_Address = {B} Duravip_Preference = n2 }}'
        f' Binding "z" {{ Bind_Address = {C} Enable_Duravip = false }} }}'
    )
    found = vips(config)
    assert list(found) == [A, B]
    assert (found[A].binding_names(), found[A].preference.value) == (("x",), "n1")
    assert (found[B].binding_names(), found[B].preference.value) == (("y",), "n2")


def test_bind_address_alone_falls_back_to_the_global_scope(momentum) -> None:
    config = momentum(f'Bind_Address = {A} Binding "x" {{ {ENABLED} }}')
    assert list(vips(config)) == [A]


@pytest.mark.parametrize("option", ["enable_duravip = true", "duravip_preference = n1"])
def test_the_others_in_the_global_scope_are_errors_not_silence(momentum, option) -> None:
    assert errors(momentum(option)) == ["DV408"]
    assert errors(momentum(f"ESMTP_Listener {{ {option} }}")) == ["DV408"]


def test_a_binding_in_two_groups_is_an_error(momentum) -> None:
    text = 'binding_group "g" { Binding "x" { } } binding_group "h" { Binding "x" { } }'
    assert errors(momentum(text)) == ["DV429"]


@pytest.mark.parametrize(
    "text",
    [
        binding("b", A, ENABLED + " Enable = false"),
        listen(A, ENABLED + " Enable = off"),
        f'ESMTP_Listener {{ Enable = 0 Listen "{A}:25" {{ {ENABLED} }} }}',
        f'binding_group "g" {{ Enable = disabled Binding "x" {{ Bind_Address = {A} {ENABLED} }} }}',
    ],
)
def test_what_is_switched_off_is_as_if_not_written(momentum, text) -> None:
    config = momentum(text)
    assert (config.table.vips, config.mentioned, codes(config)) == ((), (), [])


# --- addresses


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("2001:db8:0::1", "2001:db8::1"),
        ('"[2001:DB8::1]"', "2001:db8::1"),
        ('"::ffff:192.0.2.1"', A),
        (f'"{A}"', A),
    ],
)
def test_bind_address_has_many_forms(momentum, written, address) -> None:
    assert list(vips(momentum(binding("b", written, ENABLED)))) == [address]


@pytest.mark.parametrize("wildcard", ["*", "0.0.0.0", "::", '"[::]"', '""'])
def test_a_wildcard_cannot_be_enabled(momentum, wildcard) -> None:
    assert errors(momentum(binding("b", wildcard, ENABLED))) == ["DV422"]
    assert codes(momentum(binding("b", wildcard))) == []


@pytest.mark.parametrize("address", ["192.0.2.1:25", "192.0.2.0/24", "192.0.2.256", "fe80::1%eth0", "a/b", "1.2.3"])
def test_what_is_no_address_is_an_error(momentum, address) -> None:
    assert errors(momentum(binding("b", f'"{address}"'))) == ["DV304"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "224.0.0.1", "ff02::1", "255.255.255.255"])
def test_some_addresses_can_never_be_vips(momentum, address) -> None:
    assert errors(momentum(binding("b", address, ENABLED))) == ["DV430"]
    assert codes(momentum(binding("b", address))) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [(f"{A}:25", "esmtp:25"), ("[2001:db8::1]:587", "esmtp:587"), (f"[{A}]:2525", "esmtp:2525")],
)
def test_listens_on_an_address(momentum, text, name) -> None:
    (entry,) = momentum(f'ESMTP_Listener {{ Listen "{text}" {{ {ENABLED} }} }}').table.vips
    assert entry.service_names() == (name,)


@pytest.mark.parametrize("text", ["*:25", ":25", "[*]:25", "[::]:25", "0.0.0.0:25", "/var/run/sock", "25"])
def test_listens_without_a_vip(momentum, text) -> None:
    config = momentum(f'X_Listener {{ Listen "{text}" {{ }} }}')
    assert (config.table.vips, config.mentioned, codes(config)) == ((), (), [])
    assert errors(momentum(f'X_Listener {{ Listen "{text}" {{ {ENABLED} }} }}')) == ["DV422"]


@pytest.mark.parametrize("text", [A, f"{A}:0", f"{A}:70000", f"{A}:smtp", "2001:db8::1:25", "a b:25", ""])
def test_listens_that_are_no_address_and_port(momentum, text) -> None:
    assert errors(momentum(f'X_Listener {{ Listen "{text}" {{ }} }}')) == ["DV307"]


def test_a_host_name_in_a_listen_is_no_vip_and_an_error_only_where_one_is_asked_for(momentum) -> None:
    found, _no_key = momentum('X_Listener { Listen "localhost:25" { } }').diagnostics
    assert (found.code, found.severity) == ("DV307", Severity.WARNING)
    assert errors(momentum(f'X_Listener {{ Listen "localhost:25" {{ {ENABLED} }} }}')) == ["DV307"]


def test_the_kind_of_a_listener_is_in_small_letters(momentum) -> None:
    (entry,) = momentum(listen(A, ENABLED, kind="ECStream", port=1)).table.vips
    assert entry.service_names() == ("ecstream:1",)


# --- topology


def test_no_topology_is_a_warning_and_no_interface(momentum) -> None:
    config = momentum(binding("b", A, ENABLED) + 'Topology "10.0.0.0/8" { interface = e }')
    assert vips(config)[A].interface is None
    (found,) = [found for found in config.diagnostics if found.code == "DV410"]
    assert (found.severity, A in found.message) == (Severity.WARNING, True)


@pytest.mark.parametrize("second", ["10.0.0.0/8", "10.1.2.3/8"])
def test_two_topologies_of_equal_length_that_match_are_an_error(momentum, second) -> None:
    config = momentum(f'Topology "10.0.0.0/8" {{ interface = a }}\nTopology "{second}" {{ interface = b }}')
    (found,) = config.errors()
    assert found.code in ("DV411", "DV407")
    assert found.origin.line == 2


# --- preference


def test_two_preferences_for_one_address_are_an_error(momentum) -> None:
    config = momentum(binding("b", A, ENABLED + " Duravip_Preference = n1") + listen(A, "Duravip_Preference = n2"))
    (found,) = config.errors()
    assert (found.code, found.origin.line) == ("DV412", 2)
    assert "n1" in found.message
    assert "n2" in found.message


def test_two_weights_for_one_address_are_an_error(momentum) -> None:
    assert errors(momentum(binding("b", A, ENABLED + " weight = 2") + listen(A, "weight = 3"))) == ["DV435"]


def test_an_empty_preference_is_none_even_beside_a_fallback(momentum) -> None:
    config = momentum(
        f'binding_group "g" {{ Duravip_Preference = n1 Binding "x" {{ Bind_Address = {A} {ENABLED}'
        ' Duravip_Preference = "" } }'
    )
    assert vips(config)[A].preference is None


def test_a_preference_without_a_vip_is_a_warning(momentum) -> None:
    assert codes(momentum(binding("b", A, "Duravip_Preference = n1"))) == ["DV431"]


# --- following


@pytest.mark.parametrize("target", ["b", A, f'"[{A}]"'])
def test_a_listen_follows_a_binding_by_name_or_address(momentum, target) -> None:
    config = momentum(binding("b", A, ENABLED) + listen(B, f"Duravip_Follow = {target}"))
    assert codes(config) == []
    assert vips(config)[B].follow.value == A


def test_a_listen_follows_another_vip_and_chains_are_fine(momentum) -> None:
    config = momentum(listen(A, ENABLED) + listen(B, f"Duravip_Follow = {A}") + listen(C, f"Duravip_Follow = {B}"))
    assert codes(config) == []
    assert vips(config)[C].follow.value == B


def test_a_follower_upgrades_the_bindings_on_its_address(momentum) -> None:
    config = momentum(binding("b", A, ENABLED) + binding("c", B) + listen(B, "Duravip_Follow = b"))
    assert vips(config)[B].binding_names() == ("c",)


def test_only_a_listen_may_follow(momentum) -> None:
    assert errors(momentum(binding("b", A, ENABLED) + binding("c", B, "Duravip_Follow = b"))) == ["DV418"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (listen(B, "Duravip_Follow = gone"), "DV416"),
        (listen(B, "Duravip_Follow = *"), "DV416"),
        (binding("b", A) + listen(B, "Duravip_Follow = b"), "DV416"),
        (listen(B, f"Duravip_Follow = {A}"), "DV416"),
        (listen(B, f"Duravip_Follow = {B}"), "DV417"),
        (listen("*", "Duravip_Follow = b"), "DV422"),
        (binding("b", A, ENABLED) + listen(B, "Duravip_Follow = b Duravip_Preference = n"), "DV419"),
        (binding("b", A, ENABLED) + listen(B, "Duravip_Follow = b") + binding("c", B, ENABLED), "DV414"),
        (
            binding("b", A, ENABLED)
            + binding("c", C, ENABLED)
            + listen(B, "Duravip_Follow = b")
            + listen(B, "Duravip_Follow = c", port=26),
            "DV413",
        ),
        (
            binding("b", A, ENABLED) + listen(B, "Duravip_Follow = b") + listen(B, "Duravip_Preference = n", port=26),
            "DV419",
        ),
    ],
)
def test_follows_that_cannot_be(momentum, text, code) -> None:
    assert errors(momentum(text)) == [code]


def test_a_listen_that_follows_and_is_enabled_is_an_error(momentum) -> None:
    assert "DV414" in errors(momentum(binding("b", A, ENABLED) + listen(B, "Duravip_Follow = b " + ENABLED)))
    assert errors(momentum(binding("b", A, ENABLED) + listen(B, "Duravip_Follow = b Enable_Duravip = no"))) == ["DV301"]


def test_the_same_target_by_name_and_by_address_is_no_difference(momentum) -> None:
    config = momentum(
        binding("b", A, ENABLED) + listen(B, "Duravip_Follow = b") + listen(B, f"Duravip_Follow = {A}", port=26)
    )
    assert codes(config) == []


def test_a_loop_is_an_error_for_all_on_it(momentum) -> None:
    config = momentum(
        listen(A, f"Duravip_Follow = {B}") + listen(B, f"Duravip_Follow = {A}") + listen(C, f"Duravip_Follow = {A}")
    )
    assert [(found.code, found.origin.line) for found in config.errors()] == [("DV415", 1), ("DV415", 2)]


# --- unknown words


def test_unknown_stanzas_and_options_of_momentum_are_normal(momentum) -> None:
    text = 'Syslogger "x" { a = 1 } Max_Sockets = 5 ESMTP_Listener { Tls = no Rule { x = y } } scheduler { }'
    assert codes(momentum(text)) == []


def test_what_the_originals_cluster_has_for_others_is_ignored(momentum) -> None:
    text = """cluster { logs = [ a = b ] Replicate x { } log_group = a log_active_interval = 1 log_idle_interval = 1
        unconditional_rebind = 1 subcluster = x mbus_daemon = x cluster_listener = x debug_level = 1 enable = true }"""
    assert codes(momentum(text)) == []


def test_another_unknown_option_in_a_scope_of_ours_is_a_warning(momentum) -> None:
    config = momentum("cluster {\n  color = blue }")
    (found,) = [found for found in config.diagnostics if found.code == "DV401"]
    assert (found.severity, found.origin.line, found.origin.column) == (Severity.WARNING, 2, 3)


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("cluster { nodname = n }", "nodename"),
        (binding("b", A, "Enable_Duravp = true"), "enable_duravip"),
        (binding("b", A, "Enable_Druavip = true"), "enable_duravip"),
        (listen(A, "Duravip_Folow = b"), "duravip_follow"),
        ("Bind_Adress = 192.0.2.1", "bind_address"),
        ("multicast { prot = 1 }", "port"),
    ],
)
def test_an_option_within_two_letters_of_ours_is_an_error_with_a_suggestion(momentum, text, suggested) -> None:
    (found,) = momentum(text).errors()
    assert (found.code, suggested in found.hint) == ("DV402", True)


@pytest.mark.parametrize(
    "text",
    [
        "color = 1",
        "[cluster]\ncolor = 1",
        '[[binding]]\nname = "x"\ncolor = 1',
        "[cluster]\nNodename = 'n'",
        "[multicast]\ncolor = 1",
    ],
)
def test_in_toml_an_unknown_option_is_always_an_error(toml, text) -> None:
    assert errors(toml(text)) == ["DV402"]


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("webhok { }", "webhook"),
        ('Bindings "x" { }', "binding"),
        ("clustr { }", "cluster"),
        ("ESMTP_Listner { }", "esmtp_listener"),
        ("cluster { Toplogy 10.0.0.0/8 { } }", "topology"),
        ('ESMTP_Listener { Listn "a:25" { } }', "listen"),
    ],
)
def test_a_stanza_within_two_letters_of_ours_is_a_warning(momentum, text, suggested) -> None:
    (found,) = [found for found in momentum(text).diagnostics if found.code == "DV403"]
    assert (found.severity, suggested in found.hint) == (Severity.WARNING, True)


def test_a_toml_table_of_no_plugin_is_a_warning(toml) -> None:
    assert codes(toml("[pigeons]\ncolor = 'white'")) == ["DV409"]


# --- plugins


def test_without_a_stanza_multicast_is_used_with_its_defaults(momentum) -> None:
    local = momentum("").local
    assert local.transports == (PluginStanza(plugin="multicast", name=None, options={"port": 4860}),)
    assert local.backend == PluginStanza(plugin="netlink", name=None, options={})
    assert local.notifiers == ()


def test_every_transport_that_has_a_stanza_is_used(momentum) -> None:
    config = momentum('unicast { listen = "x" peers = "p" } multicast "a" { port = 1 } multicast "b" { }')
    told = [(one.plugin, one.name, one.options) for one in config.local.transports]
    assert told == [
        ("unicast", None, {"listen": "x", "peers": ("p",)}),
        ("multicast", "a", {"port": 1}),
        ("multicast", "b", {"port": 4860}),
    ]


def test_transports_chooses_and_a_missing_stanza_means_defaults(momentum) -> None:
    config = momentum("cluster { transports = ( multicast ) } unicast { peers = p }")
    assert [one.plugin for one in config.local.transports] == ["multicast"]
    assert codes(config) == []


def test_notifiers_are_the_stanzas_of_the_other_plugins(momentum) -> None:
    config = momentum('webhook "pager" { url = "u" events = ( "conflict.*" ) } webhook "log" { url = "v" }')
    assert [(one.name, one.options) for one in config.local.notifiers] == [
        ("pager", {"url": "u", "events": ("conflict.*",)}),
        ("log", {"url": "v", "events": ("*",)}),
    ]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("transports = multcast", "did you mean multicast?"),
        ("transports = webhook", "there is: multicast, unicast"),
        ("backend = multicast", "there is: netlink"),
        ("disable_plugins = unicast transports = unicast", "there is: multicast"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_an_error(momentum, written, words) -> None:
    (found,) = momentum(f"cluster {{ {written} }}").errors()
    assert (found.code, words in found.hint) == ("DV426", True)


def test_a_plugins_option_is_checked_at_its_place(momentum) -> None:
    (found,) = momentum("multicast {\n port = 99999 }").errors()
    assert (found.code, found.origin.line, found.origin.column) == ("DV302", 2, 9)


@pytest.mark.parametrize(
    ("written", "message", "hint", "line"),
    [
        ('\nwebhook "a" { }', "webhook `a` cannot be used: url is missing", "Where to.", 2),
        ('webhook "a" {\n url = "" }', "webhook `a` cannot be used: url is empty", "Where to.", 2),
        ("unicast {\n peers = ( ) }", "unicast cannot be used: peers is empty", "The members.", 2),
        ("cluster {\n transports = unicast }", "unicast cannot be used: peers is missing", "The members.", 2),
    ],
)
def test_a_stanza_without_an_option_that_its_plugin_requires_is_an_error(
    momentum, written, message, hint, line
) -> None:
    (found,) = momentum(written).errors()
    assert (found.code, found.message, found.hint, found.origin.line) == ("DV427", message, hint, line)


@pytest.mark.parametrize(
    "torn",
    [
        "Binding a {\n Bind_Address =\n Enable_Duravip = true }",
        "Binding a {\n Bind_Address 192.0.2.1\n Enable_Duravip = true }",
        "webhook {\n url https://x }",
    ],
)
def test_what_is_missing_where_something_could_not_be_read_is_no_news(momentum, torn) -> None:
    other = "\nBinding b {\n Enable_Duravip = true }"
    found = [(one.code, one.origin.line) for one in momentum(torn + other).errors()]
    assert found == [(found[0][0], 2), ("DV422", len(torn.splitlines()) + 2)]
    assert found[0][0] in ("DV104", "DV105")


def test_what_is_missing_before_a_mistake_is_told_beside_it(momentum) -> None:
    found = momentum("Binding a {\n Enable_Duravip = true }\nBinding b {\n Bind_Address =\n }").errors()
    assert [(one.code, one.origin.line) for one in found] == [("DV422", 2), ("DV104", 4)]


def test_a_required_option_that_is_written_in_another_piece_or_badly_is_not_missing_as_well(momentum) -> None:
    assert codes(momentum('webhook "a" { events = ( "*" ) } webhook "a" { url = "u" }')) == []
    assert codes(momentum('webhook "a" { url = ( "u" "v" ) }')) == ["DV301"]


def test_what_is_required_of_plugins_that_are_not_used_is_not_missing(momentum) -> None:
    assert codes(momentum('cluster { disable_plugins = webhook } webhook "a" { }')) == []


def test_a_required_option_with_a_default_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="option url: what is required has no default"):
        Option(name="url", kind=Kind.TEXT, doc="", default="u", required=True)


@pytest.mark.parametrize(
    "written",
    [
        'webhook "a" { }',
        'webhook "a" { } webhook "b" { }',
        "cluster { transports = webhook }",
        "cluster { backend = webhook }",
    ],
)
def test_a_plugin_that_failed_and_is_named_is_an_error_with_its_distribution_and_version(momentum, written) -> None:
    (found,) = momentum(written, plugins={}, kinds={}, failed={"webhook": "hooks 1.2: no httpx", "other": "x"}).errors()
    assert (found.code, found.message) == ("DV426", "the plugin `webhook` cannot be used: hooks 1.2: no httpx")


def test_a_plugin_that_failed_and_is_not_named_or_is_disabled_harms_nobody(toml) -> None:
    text = '[cluster]\ndisable_plugins = ["webhook"]\n[webhook.a]\ncolor = 1'
    assert codes(toml(text, plugins={}, kinds={}, failed={"webhook": "x", "other": "y"})) == []


def test_a_disabled_plugins_stanza_is_not_used(momentum) -> None:
    config = momentum('cluster { disable_plugins = webhook } webhook "a" { color = 1 }')
    assert config.local.notifiers == ()
    assert codes(config) == []


def test_a_disabled_plugin_that_was_not_even_loaded_is_no_unknown_stanza(toml) -> None:
    config = toml('[cluster]\ndisable_plugins = ["webhook"]\n[webhook.a]\ncolor = 1', plugins={}, kinds={})
    assert codes(config) == []


# --- everything at once


def test_errors_do_not_stop_at_the_first(momentum) -> None:
    config = momentum(
        "cluster {\n weight = x\n profile = y }\n"
        + binding("b", "1.2.3", "Duravip_Preference = true")
        + listen("no where")
        + "oops"
    )
    assert errors(config) == ["DV301", "DV303", "DV304", "DV306", "DV307", "DV105"]
    assert [found.origin.line for found in config.errors()] == [2, 3, 4, 4, 5, 6]


def test_ten_thousand_vips_are_read_in_a_table_sorted_by_address(momentum) -> None:
    text = "".join(binding(f"b{n}", f"10.0.{n // 250}.{n % 250 + 1}", ENABLED) for n in range(10_000))
    config = momentum(text + 'Topology "10.0.0.0/8" { interface = e }')
    addresses = [entry.address for entry in config.table.vips]
    assert len(addresses) == 10_000
    assert addresses == sorted(addresses)


# --- how nodes reach each other


INTERFACE = Option(name="interface", kind=Kind.TEXT, doc="")


@pytest.mark.parametrize(
    ("transports", "warned"),
    [
        ("multicast { interface = eth0 }", True),
        ("multicast { interface = eth0 } multicast second { interface = eth1 }", False),
        ("multicast { interface = eth1 }", False),
        ("multicast { }", False),
        ("", False),
    ],
)
def test_no_transport_on_the_interface_of_a_vip_is_a_warning_if_it_is_sure(momentum, transports, warned) -> None:
    text = transports + 'Topology "192.0.2.0/24" { interface = eth1 }' + binding("a", A, ENABLED)
    found = momentum(text, plugins={"multicast": (INTERFACE,)}, kinds={"multicast": "transport"})
    assert [one.code for one in found.diagnostics if one.code == "DV439"] == ["DV439"] * warned


def test_of_many_transports_few_are_pointed_at_for_each_interface(momentum) -> None:
    many = "".join(f"multicast m{number} {{ interface = eth{number} }} " for number in range(50))
    text = many + 'Topology "192.0.2.0/24" { interface = other }' + binding("a", A, ENABLED)
    found = momentum(text, plugins={"multicast": (INTERFACE,)}, kinds={"multicast": "transport"})
    (one,) = [one for one in found.diagnostics if one.code == "DV439"]
    assert len(one.related) == 4


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('syslog "x" {\n Binding "a" {\n  Enable_Duravip = true } }', 3, "`Binding` enables DuraVIP inside `syslog`"),
        ('Binding "a" {\n Binding "b" { enable_duravip = true } }', 2, "inside `Binding`"),
        ('foo { bar {\n Listen "10.1.1.1:25" { ENABLE_DURAVIP = on } } }', 2, "inside `bar`"),
        ('esmtp_listener { Listen "10.1.1.1:25" { y { x { \nenable_duravip = on } } } }', 2, "`x` enables DuraVIP"),
    ],
)
def test_what_enables_duravip_where_nobody_reads_it_is_a_warning(momentum, text, line, words) -> None:
    (found,) = [found for found in momentum(text).diagnostics if found.code == "DV440"]
    assert found.origin.line == line
    assert words in found.message


def test_what_enables_duravip_in_its_place_is_no_warning(momentum) -> None:
    text = """binding_group "g" { Binding "a" { enable_duravip = true bind_address = 10.1.1.1 } }
    esmtp_listener { Listen "10.1.1.2:25" { enable_duravip = true } }
    foo { Binding "b" { bind_address = 10.1.1.3 } }"""
    assert not [found for found in momentum(text).diagnostics if found.code == "DV440"]


# --- hostile input


@pytest.mark.parametrize(
    ("begin", "piece", "end"),
    [
        ("", "Binding b{0} {{ Enable_Duravip = true }}\n", "x ="),
        ("", "webhook w{0} {{ }}\n", "x ="),
        ("cluster {", "topolog n{0} {{ Binding c{0} {{ Enable_Duravip = true }} }}\n", "}"),
        ("x_listener {", 'liste "192.0.2.1:{0}" {{ Enable_Duravip = true }}\n', "}"),
        ("", "multicast m{0} {{ }} Topology 10.{0}.0.0/16 {{ interface = e{0} }}\n", ""),
        ("cluster {", "view_mature_tim{0} = 1\n", "}"),
    ],
)
def test_eight_times_the_items_take_about_eight_times_as_long(momentum, begin, piece, end) -> None:
    """The margin is wide: what is quadratic would need 64 times as long."""

    def seconds(count: int) -> float:
        text = begin + "".join(piece.format(number) for number in range(count)) + end
        before = time.process_time()
        momentum(text)
        return time.process_time() - before

    short = min(seconds(250) for _ in range(3))
    assert min(seconds(2_000) for _ in range(3)) < 24 * short + 0.05


# --- how many


def test_more_vips_than_members_would_accept_are_refused(momentum, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.config.build.MAX_VIPS", 2)
    two, three = (binding("b", A, ENABLED) + binding("c", B, ENABLED), binding("d", C, ENABLED))
    assert "DV447" not in errors(momentum(two))
    assert "DV447" in errors(momentum(two + three))


def test_more_services_and_bindings_than_members_would_accept_are_refused(
    momentum, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, three = (binding("b", A, ENABLED) + binding("c", B, ENABLED), binding("d", C, ENABLED))
    monkeypatch.setattr("duravip.config.build.MAX_USES", 4)
    assert "DV447" not in errors(momentum(two))
    assert "DV447" in errors(momentum(two + three))
