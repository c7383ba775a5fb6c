"""Every row of domain.md section 2, and our own options of contract.md section 3, through a real document."""

from __future__ import annotations

import pytest

from duravip.config import schema
from duravip.config.options import Kind
from duravip.model import Settings


def codes(config) -> list[str]:
    """Without what every small example lacks: a key and a Topology."""
    return [found.code for found in config.diagnostics if found.code not in ("DV410", "DV420")]


def vip(config, address="192.0.2.1"):
    return {entry.address: entry for entry in config.table.vips}[address]


BINDING = 'Binding "b" { Bind_Address = 192.0.2.1 Enable_Duravip = true %s }'


def test_enable_duravip_is_false_by_default(momentum) -> None:
    assert momentum('Binding "b" { Bind_Address = 192.0.2.1 }').table.vips == ()
    assert vip(momentum(BINDING % "")).service_names() == ("multivip",)


@pytest.mark.parametrize("word", ["true", "on", "enabled", "1", "TRUE", "Enabled"])
@pytest.mark.parametrize("written", ["{}", '"{}"'])
def test_booleans_that_are_true(momentum, word, written) -> None:
    text = f"Binding b {{ Bind_Address = 192.0.2.1 Enable_Duravip = {written.format(word)} }}"
    assert len(momentum(text).table.vips) == 1


@pytest.mark.parametrize("word", ["false", "off", "disabled", "0"])
def test_booleans_that_are_false(momentum, word) -> None:
    config = momentum(f"Binding b {{ Bind_Address = 192.0.2.1 Enable_Duravip = {word} }}")
    assert config.table.vips == ()
    assert config.errors() == ()


def test_another_word_is_no_boolean(momentum) -> None:
    config = momentum("Binding b { Bind_Address = 192.0.2.1 Enable_Duravip = maybe }")
    (found,) = config.errors()
    assert (found.code, found.origin.line, found.origin.column) == ("DV301", 1, 55)


def test_duravip_preference_is_a_name(momentum) -> None:
    entry = vip(momentum(BINDING % "Duravip_Preference = node7"))
    assert entry.preference.value == "node7"
    assert vip(momentum(BINDING % "")).preference is None


def test_duravip_preference_may_be_a_list_the_best_first(momentum, toml) -> None:
    text = '[[binding]]\nname = "b"\nbind_address = "192.0.2.1"\nenable_duravip = true\nduravip_preference = '
    for config in (momentum(BINDING % 'Duravip_Preference = ( "n2" n1 n2 )'), toml(text + '["n2", "n1", "n2"]')):
        assert config.errors() == ()
        assert [use.value for use in vip(config).preferences()] == ["n2", "n1"]


@pytest.mark.parametrize("written", ['( "n1" true )', "( n1 yes )"])
def test_a_boolean_in_a_list_of_preferences_says_why_it_is_a_name(momentum, written) -> None:
    assert [found.code for found in momentum(BINDING % f"Duravip_Preference = {written}").errors()] == ["DV306"]


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "enabled", "False", "no", "off", "0", '"true"'])
def test_a_preference_that_is_a_boolean_says_why_it_is_a_name(momentum, word) -> None:
    config = momentum(BINDING % f"Duravip_Preference = {word}")
    (found,) = config.errors()
    assert found.code == "DV306"
    assert "copied between machines" in found.message
    assert vip(config).preference is None


def test_a_preference_that_is_a_toml_boolean_says_it_too(toml) -> None:
    text = '[[binding]]\nname = "b"\nbind_address = "192.0.2.1"\nenable_duravip = true\nduravip_preference = true'
    assert [found.code for found in toml(text).errors()] == ["DV306"]


def test_duravip_follow_names_what_a_listen_moves_with(momentum) -> None:
    config = momentum(BINDING % "" + ' E_Listener { Listen "192.0.2.2:25" { Duravip_Follow = b } }')
    assert vip(config, "192.0.2.2").follow.value == "192.0.2.1"


def test_bind_address_is_any_by_default(momentum) -> None:
    config = momentum("Binding b { Enable_Duravip = true }")
    assert [found.code for found in config.errors()] == ["DV422"]
    assert momentum("Binding b { }").errors() == ()


def test_bind_address_may_be_a_host_name_with_exactly_one_address(momentum) -> None:
    text = "Binding b { Enable_Duravip = true Bind_Address = %s }"
    assert vip(momentum(text % "mail.example.com"), "192.0.2.9")
    for name, words in [("two.example.com", "2 addresses"), ("gone.example.com", "no such host")]:
        (found,) = momentum(text % name).errors()
        assert found.code == "DV305"
        assert words in found.message


def test_a_host_name_is_asked_for_once_in_a_load(momentum) -> None:
    asked: list[str] = []

    def resolve(name: str) -> tuple[str, ...]:
        asked.append(name)
        return ("192.0.2.9",)

    momentum("Binding a { Bind_Address = h.x } Binding b { Bind_Address = h.x }", resolve=resolve)
    assert asked == ["h.x"]


@pytest.mark.parametrize("inside", [True, False])
def test_topology_says_where_a_vip_goes_and_the_longest_prefix_wins(momentum, inside) -> None:
    topologies = """
        Topology "192.0.0.0/8" { interface = far }
        Topology "192.0.2.0/24" { interface = near cidrmask = 24 }
        Topology "192.0.3.0/24" { interface = other }
        Topology "2001:db8::/32" { interface = six }
    """
    text = f"cluster {{ {topologies} }}" if inside else topologies
    config = momentum(text + BINDING % "" + "Binding c { Bind_Address = 2001:db8::1 Enable_Duravip = 1 }")
    assert (vip(config).interface, vip(config).prefix) == ("near", 24)
    assert (vip(config, "2001:db8::1").interface, vip(config, "2001:db8::1").prefix) == ("six", 128)
    assert "DV410" not in [found.code for found in config.diagnostics]


def test_cidrmask_is_32_by_default(momentum) -> None:
    config = momentum(BINDING % "" + 'Topology "192.0.2.0/24" { interface = e }')
    assert vip(config).prefix == 32


def test_a_cidrmask_longer_than_the_address_is_an_error(momentum) -> None:
    config = momentum('Topology "192.0.2.0/24" { cidrmask = 64 }')
    assert [found.code for found in config.errors()] == ["DV302"]


def test_a_topology_must_be_named_by_a_network(momentum) -> None:
    config = momentum('Topology "eth0" { } Topology { }')
    assert [found.code for found in config.errors()] == ["DV309", "DV425"]


def test_nodename_says_who_this_node_is(momentum) -> None:
    text = "cluster { nodename = Node.One }"
    assert momentum(text).name == "Node.One"
    assert momentum(text, name="given").name == "given"
    assert momentum("", environ={"EC_NODE_NAME": "from-env"}).name == "from-env"
    assert momentum(text, environ={"EC_NODE_NAME": "from-env"}).name == "Node.One"
    assert momentum("").name == "host"


@pytest.mark.parametrize("name", ['""', '"two words"', '"a/b"', '".."', f'"{"x" * 256}"'])
def test_a_name_that_cannot_be_one_is_an_error(momentum, name) -> None:
    assert [found.code for found in momentum(f"cluster {{ nodename = {name} }}").errors()] == ["DV308"]


def test_nodeaddr_is_the_nodes_own_address_and_no_vip(momentum) -> None:
    config = momentum("cluster { nodeaddr = 192.0.2.1 }" + BINDING % "")
    assert config.local.nodeaddr == "192.0.2.1"
    assert [found.code for found in config.errors()] == ["DV423"]
    assert momentum("").local.nodeaddr is None


def test_cluster_group_and_control_group(momentum) -> None:
    assert momentum("").local.cluster_group == "ec_cluster"
    config = momentum("cluster { cluster_group = mine control_group = ec_console }")
    assert config.local.cluster_group == "mine"
    assert codes(config) == ["DV404"]


def test_heartbeats_per_sec_sets_the_interval_and_the_timeout_follows(momentum) -> None:
    local = momentum("cluster { heartbeats_per_sec = 2 }").local
    assert (local.heartbeat_interval, local.failure_timeout) == (0.5, 1.75)


def test_heartbeats_per_sec_unset_means_the_profile(momentum) -> None:
    local = momentum("").local
    assert (local.heartbeat_interval, local.failure_timeout) == (0.1, 0.35)


def test_heartbeat_start_delay_is_read_and_ignored_with_an_info(momentum) -> None:
    config = momentum("cluster { heartbeat_start_delay = 15 }")
    assert codes(config) == ["DV404"]
    assert config.errors() == ()


@pytest.mark.parametrize(
    ("option", "field", "default", "written", "value"),
    [
        ("view_mature_time", "view_mature_time", 5.0, "2m", 120.0),
        ("view_balance_interval", "view_balance_interval", 10.0, '"250ms"', 0.25),
        ("duravip_balance_set_size", "balance_set_size", 0, "7", 7),
        ("duravip_balance_set_size", "balance_set_size", 0, "auto", 0),
        ("address_lifetime", "address_lifetime", 10.0, "0", 0.0),
        ("members", "members", (), "( b a )", ("a", "b")),
        ("tie_breaker", "tie_breaker", None, "a", "a"),
        ("ownership", "ownership", "available", "available", "available"),
        ("fail_back", "fail_back", "when-mature", "When-Mature", "when-mature"),
    ],
)
def test_settings_that_all_members_share(momentum, option, field, default, written, value) -> None:
    assert getattr(momentum("").table.settings, field) == default
    config = momentum(f"cluster {{ {option} = {written} }}")
    assert config.errors() == ()
    assert getattr(config.table.settings, field) == value


def test_the_schemas_defaults_are_those_of_the_model(momentum) -> None:
    assert momentum("").table.settings == Settings()


@pytest.mark.parametrize("size", ["0", "-1", "1.5", "many"])
def test_the_balance_set_size_is_at_least_one(momentum, size) -> None:
    assert len(momentum(f"cluster {{ duravip_balance_set_size = {size} }}").errors()) == 1


@pytest.mark.parametrize(
    "written",
    [
        "view_broadcast_interval = 5",
        "control_group = x",
    ],
)
def test_what_has_no_effect_yet_is_said_when_it_is_written(momentum, written) -> None:
    config = momentum(f"cluster {{ {written} }}")
    assert codes(config) == ["DV404"]
    assert config.errors() == ()


def test_groups_of_vips_are_named_on_a_service_and_once_for_an_address(momentum) -> None:
    entry = vip(momentum(BINDING % "Anti_Affinity = web Together = shop"))
    assert (entry.anti_affinity, entry.together) == ("web", "shop")
    assert (vip(momentum(BINDING % "")).anti_affinity, vip(momentum(BINDING % "")).together) == ("", "")
    twice = BINDING % "Together = a" + ' E_Listener { Listen "192.0.2.1:25" { Together = b } }'
    assert codes(momentum(twice)) == ["DV438"]


def test_a_seal_that_is_received_only_is_a_warning_with_and_without_a_key(momentum) -> None:
    for also, mode in (("key_file = k", "k"), ("insecure = true", None)):
        config = momentum(f"cluster {{ {also} seal = receive-only }}")
        assert codes(config) == ["DV445"]
        assert (config.local.seal, config.local.key_file) == ("receive-only", mode)


def test_a_virtual_mac_needs_an_interface_and_the_whole_address(momentum) -> None:
    for options in ("", "interface = eth0 cidrmask = 24"):
        config = momentum(f'Topology "192.0.2.0/24" {{ mac = virtual {options} }}')
        assert [found.code for found in config.errors()] == ["DV436"]
    assert codes(momentum('Topology "192.0.2.0/24" { mac = virtual interface = eth0 }')) == []


def test_the_macs_of_all_topologies_are_kept_the_longest_first_and_only_when_one_is_virtual(momentum) -> None:
    real = 'Topology "192.0.2.0/24" { interface = eth0 }'
    assert momentum(real).local.macs == ()
    nested = real + 'Topology "192.0.0.0/16" { interface = eth0 mac = virtual }'
    assert momentum(nested).local.macs == (("192.0.2.0/24", "real"), ("192.0.0.0/16", "virtual"))


@pytest.mark.parametrize(
    "written",
    [
        "arp_all_hosts = true",
        "arp_all_hosts = false",
        "ownership = available",
        "fail_back = when-mature",
        "on_isolation = hold",
        "seal = enforce",
    ],
)
def test_the_behaviour_that_there_is_may_be_written(momentum, written) -> None:
    assert codes(momentum(f"cluster {{ {written} }}")) == []


def test_defaults_never_trigger_anything(momentum) -> None:
    assert codes(momentum("")) == []


def test_use_iflist_cache_is_accepted_and_ignored(momentum) -> None:
    assert codes(momentum("use_iflist_cache = 1")) == []


def test_security_is_read_and_privileges_are_ignored(momentum) -> None:
    config = momentum(
        'Security { user = "ec" group = "ec" Capabilities = "cap_net_admin+ep cap_net_raw+ep" Privileges = "x" }'
    )
    assert codes(config) == ["DV404", "DV404", "DV404"]


def test_the_cluster_listener_is_no_service_of_a_vip(momentum) -> None:
    config = momentum(BINDING % "" + 'ECCluster_Listener { Listen "*:4802" { } Listen "192.0.2.1:4802" { } }')
    assert vip(config).service_names() == ("multivip",)
    assert codes(config) == []


# --- our own


@pytest.mark.parametrize(
    ("written", "field", "default", "value"),
    [
        ("on_isolation = release", "on_isolation", "hold", "release"),
        ("weight = 2.5", "weight", 1.0, 2.5),
        ("announce_refresh = 0", "announce_refresh", 60.0, 0.0),
        ("announce_rate = 500", "announce_rate", 10_000, 500),
        ("arp_all_hosts = off", "arp_all_hosts", True, False),
        ("if_check_interval = 5s", "if_check_interval", 30.0, 5.0),
        ('key_file = "/k"', "key_file", None, "/k"),
        ("insecure = true", "insecure", False, True),
        ("disable_plugins = ( webhook )", "disable_plugins", (), ("webhook",)),
        ('control = "/c"', "control", "/run/duravip/host.sock", "/c"),
        ('state_dir = "/s"', "state_dir", "/var/lib/duravip/host", "/s"),
    ],
)
def test_settings_of_one_daemon(momentum, written, field, default, value) -> None:
    assert getattr(momentum("").local, field) == default
    config = momentum(f"cluster {{ {written} }}")
    assert config.errors() == ()
    assert getattr(config.local, field) == value


@pytest.mark.parametrize(
    ("written", "interval", "timeout"),
    [
        ("profile = lan", 0.1, 0.35),
        ("profile = fast", 0.01, 0.03),
        ("profile = wan", 1.0, 5.0),
        ("profile = wan heartbeat_interval = 0.2", 0.2, 0.7),
        ("profile = wan heartbeat_interval = 1", 1.0, 3.5),
        ("profile = wan failure_timeout = 4", 1.0, 4.0),
        ("heartbeat_interval = 0.1 failure_timeout = 0.25", 0.1, 0.25),
        ("heartbeat_interval = 500ms heartbeats_per_sec = 2", 0.5, 1.75),
    ],
)
def test_explicit_values_beat_the_profile(momentum, written, interval, timeout) -> None:
    config = momentum(f"cluster {{ {written} }}")
    assert codes(config) == []
    assert config.local.heartbeat_interval == pytest.approx(interval)
    assert config.local.failure_timeout == pytest.approx(timeout)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("failure_timeout = 0.24", "DV421"),
        ("heartbeat_interval = 0.2 heartbeats_per_sec = 2", "DV433"),
        ("profile = slow", "DV303"),
        ("heartbeat_interval = -1", "DV302"),
        ("heartbeat_interval = 1e999", "DV302"),
        ("heartbeat_interval = nan", "DV301"),
        ("heartbeats_per_sec = 0", "DV302"),
        ("weight = 0", "DV302"),
        ("nodeaddr = 10.0.0.0/8", "DV304"),
        ("view_mature_time = ( 1 2 )", "DV301"),
        ("transports = ( )", "DV301"),
    ],
)
def test_impossible_values_are_errors(momentum, written, code) -> None:
    assert [found.code for found in momentum(f"cluster {{ {written} }}").errors()] == [code]


def test_a_value_with_a_semicolon_is_explained(momentum) -> None:
    (found,) = momentum("cluster { weight = 2; }").errors()
    assert ";" in found.hint


def test_neither_key_nor_insecure_is_a_warning(momentum) -> None:
    assert [found.code for found in momentum("cluster { }").diagnostics] == ["DV420"]
    assert momentum("cluster { insecure = true }").diagnostics == ()


def test_a_key_beats_insecure(momentum) -> None:
    config = momentum("cluster { insecure = true key_file = k }")
    assert codes(config) == ["DV434"]
    assert (config.local.key_file, config.local.insecure) == ("k", False)


def test_the_weight_of_a_vip(momentum) -> None:
    assert vip(momentum(BINDING % "weight = 3")).weight == 3.0
    assert vip(momentum(BINDING % "")).weight == 1.0


# --- the schema itself


def test_every_option_says_what_it_does_and_its_default_is_allowed() -> None:
    for scope, options in schema.SCOPES.items():
        names = [option.name for option in options]
        assert len(set(names)) == len(names), scope
        for option in options:
            assert option.doc.endswith("."), option.name
            assert option.name == option.name.lower()
            if option.kind is Kind.CHOICE:
                assert option.default in option.choices
            if isinstance(option.default, int | float) and option.low is not None:
                assert option.low <= option.default


STRICT = "nodename = a ownership = strict address_lifetime = 2 "


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (STRICT, ["DV441"]),
        (STRICT + "members = ( a b c )", []),
        (STRICT + "members = ( a b c ) tie_breaker = d", ["DV442"]),
        (STRICT + "members = ( b c d )", ["DV443"]),
        (STRICT + "members = ( a b )", ["DV444"]),
        (STRICT + "members = ( a b ) tie_breaker = b", []),
        ("nodename = a ownership = strict members = ( a b c ) address_lifetime = 0", ["DV446"]),
        ("nodename = a ownership = strict members = ( a b c ) address_lifetime = 1", ["DV446"]),
        ("nodename = a ownership = strict members = ( a b c ) profile = wan", ["DV446"]),
        ("nodename = a ownership = available members = ( b c )", []),
    ],
)
def test_what_strict_ownership_needs_is_said_where_it_is_not_there(momentum, written, found) -> None:
    """contract.md section 3: `"strict"`, which needs: members = ["node1", "node2", "node3"], tie_breaker = "node1"."""
    assert [code for code in codes(momentum(f"cluster {{ {written} }}")) if code.startswith("DV44")] == found
