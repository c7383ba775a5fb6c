"""Both languages say the same: there and back gives the same table, settings and plugins' options."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duravip.config.build import build
from duravip.config.diagnostics import Severity
from duravip.config.difference import Difference, difference
from duravip.config.document import Document
from duravip.config.load import load_document
from duravip.config.node_config import NodeConfig
from duravip.config.options import Kind, Option
from duravip.config.translation import translate
from duravip.errors import UnsayableError
from duravip.model import Origin
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

CORPUS = Path(__file__).parents[2] / "corpus"
MOMENTUM, TOML = MomentumParser(), TomlParser()
PLUGINS: dict[str, tuple[Option, ...]] = {
    "multicast": importlib.import_module("duravip_plugins.transport_multicast").OPTIONS,
    "unicast": importlib.import_module("duravip_plugins.transport_unicast").OPTIONS,
    "webhook": importlib.import_module("duravip_plugins.notify_webhook").OPTIONS,
    "syslog": importlib.import_module("duravip_plugins.notify_syslog").OPTIONS,
    "netlink": (),
}
KINDS = {"multicast": "transport", "unicast": "transport", "netlink": "backend"}


def built(document: Document) -> NodeConfig:
    return build(
        document,
        plugin_options=PLUGINS,
        plugin_kinds=KINDS,
        name=None,
        environ={},
        host_name="host",
        resolve=lambda name: ("192.0.2.77",),
    )


def there_and_back(text: str, source: MomentumParser | TomlParser = MOMENTUM) -> tuple[str, str]:
    """The translation into the other language, and back; all three must mean the same."""
    other: MomentumParser | TomlParser = TOML if source is MOMENTUM else MOMENTUM
    document = source.parse(text, file="f")
    first = built(document)
    assert first.errors() == (), text
    there = other.write(translate(document, PLUGINS).document)
    back = source.write(translate(other.parse(there, file="f"), PLUGINS).document)
    for parser, translated in ((other, there), (source, back)):
        config = built(parser.parse(translated, file="f"))
        assert config.errors() == (), translated
        assert difference(first, config) == Difference(), translated
        assert [address for address, _ in config.mentioned] == [address for address, _ in first.mentioned]
        assert config.name == first.name
        assert not translate(parser.parse(translated, file="f"), PLUGINS).left_behind
    return there, back


# --- by hand ------------------------------------------------------------------------------------------------------


def test_every_configuration_of_the_corpus_without_errors_says_the_same_in_both_languages() -> None:
    said = 0
    for file in sorted((*CORPUS.rglob("*.conf"), *CORPUS.rglob("*.toml"))):
        document = load_document(file, parsers=(MOMENTUM, TOML), environ={}, host_name="host")
        first = built(document)
        if first.errors():
            continue
        for parser in (MOMENTUM, TOML):
            config = built(parser.parse(parser.write(translate(document, PLUGINS).document), file="f"))
            assert config.errors() == (), file
            assert difference(first, config) == Difference(), file
        said += 1
    assert said >= 2, "at least the founding document's"


def test_it_reads_like_what_a_person_would_write() -> None:
    there, _ = there_and_back(
        'cluster { nodename = "node1" Topology "10.1.1.0/24" { interface = eth0 } }\n'
        "Binding mail { Bind_Address = 10.1.1.51 Enable_Duravip = on }\n"
        'ESMTP_Listener { Listen "10.1.1.51:25" { } }\n'
    )

    assert there == (
        '[cluster]\nnodename = "node1"\n\n'
        '[[cluster.topology]]\nnetwork = "10.1.1.0/24"\ninterface = "eth0"\n\n'
        '[[binding]]\nname = "mail"\nbind_address = "10.1.1.51"\nenable_duravip = true\n\n'
        '[[listener]]\nkind = "esmtp"\nlisten = "10.1.1.51:25"\n'
    )
    assert MOMENTUM.write(translate(TOML.parse(there, file="f"), PLUGINS).document) == (
        'cluster {\n  nodename = "node1"\n  Topology "10.1.1.0/24" {\n    interface = "eth0"\n  }\n}\n'
        'Binding "mail" {\n  bind_address = "10.1.1.51"\n  enable_duravip = true\n}\n'
        'ESMTP_Listener {\n  Listen "10.1.1.51:25" { }\n}\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bind_address = 10.1.1.9  Binding a { enable_duravip = true }",
        'Binding a { enable_duravip = true } Binding a { bind_address = "2001:db8::1" }',
        'binding_group "g" { enable_duravip = 1 Binding a { bind_address = 10.1.1.1 } } Binding a { weight = 2.5 }',
        'ESMTP_Listener { enable = false Listen "10.1.1.1:25" { enable = true enable_duravip = true } }',
        'ESMTP_Listener "in" { enable = false Listen "10.1.1.1:25" { enable_duravip = true } }\n'
        'ESMTP_Listener "out" { Listen "10.1.1.1:25" { enable_duravip = true } }',
        'ESMTP_Listener a { Listen "10.1.1.1:25" { enable_duravip = true } }'
        'ESMTP_Listener b { Listen "10.1.1.1:25" { enable_duravip = false } }',
        'ESMTP_Listener { Listen "/var/run/x" { } Listen ":25" { } Listen "[*]:26" { } }',
        'webhook { url = "https://a" } webhook "b" { url = "https://b" } webhook "" { url = "https://c" }',
        "syslog { } syslog b { target = x } syslog c { events = ( ) }",
        "unicast { peers = ( a b ) } unicast second { peers = ( c ) }",
        'webhook w { url = "a\\d\\"b" secret_file = "x\ty\nz" } webhook v { url = c:\\ }',
        'Binding "ä" { Bind_Address = 10.1.1.1 Enable_Duravip = 1 }',
        "Security { user = mail capabilities = ( cap_net_admin+ep ) }",
        "cluster { heartbeats_per_sec = 2 failure_timeout = 250s address_lifetime = 1e2 members = ( ) nodename = a }",
        "cluster { Topology 10.0.0.0/8 { interface = a } } Topology 10.1.0.0/16 { interface = b mac = virtual }",
        "Binding a { bind_address = host.example.com enable_duravip = true }",
    ],
)
def test_everything_that_momentum_can_say_toml_can_say(text: str) -> None:
    there_and_back(text)


@pytest.mark.parametrize(
    "text",
    [
        '[binding.a]\nbind_address = "10.1.1.1"\nenable_duravip = true\n[topology."10.0.0.0/8"]\ninterface = "e"',
        '[[binding_group]]\nname = "g"\nenable_duravip = "on"\n[[binding_group.binding]]\nname = "a"\n'
        'bind_address = "::1:2"',
        '[[listener]]\nkind = "HTTP"\nlisten = "10.1.1.1:80"\nenable_duravip = true\nname = "in"',
        '[[listener]]\nkind = "xclient_2"\nlisten = "10.1.1.1:80"\nenable = false\nenable_duravip = true',
        "[webhook.w]\nurl = 'https://x'\n[[syslog]]\nname = \"s\"\n[[syslog]]",
        '[cluster]\nview_mature_time = "250ms"\nduravip_balance_set_size = "auto"\nweight = 3\ninsecure = "on"',
    ],
)
def test_everything_that_toml_can_say_momentum_can_say(text: str) -> None:
    there_and_back(text, TOML)


@pytest.mark.parametrize("text", ["ends with \\", 'a \\"quote', 'a \\\\\\"quote'])
def test_what_no_quoting_in_momentum_keeps_is_refused_and_not_changed(text: str) -> None:
    document = TOML.parse(f"[cluster]\nkey_file = '{text}'", file="f")
    assert built(document).local.key_file == text

    with pytest.raises(UnsayableError, match="backslash"):
        MOMENTUM.write(translate(document, PLUGINS).document)


def test_a_list_in_a_list_is_nothing_that_momentum_can_say() -> None:
    with pytest.raises(UnsayableError, match="list inside a list"):
        MOMENTUM.write(TOML.parse("a = [[1]]", file="f"))


def test_dictionaries_are_written_too_though_no_option_of_ours_takes_one() -> None:
    document = MOMENTUM.parse('a { b = [ c=d "e f"=g ] }', file="f")
    assert MOMENTUM.write(document) == 'a {\n  b = [ c="d" "e f"="g" ]\n}\n'
    assert TOML.write(document) == '[a]\nb = { c = "d", "e f" = "g" }\n'


# --- what is left behind ------------------------------------------------------------------------------------------


def test_what_is_none_of_ours_is_named_once_for_each_kind_with_its_first_place() -> None:
    text = "Relay { a = 1 }\ncluster {\n logs = 1\n replicate r { }\n}\nRelay { b = 2 }\nBinding a { c = 3 }\nd = 4"
    translation = translate(MOMENTUM.parse(text, file="f"), PLUGINS)

    assert [(one.code, one.severity, one.message, one.origin.line) for one in translation.left_behind] == [
        ("DV701", Severity.INFO, "the option `d` is not carried over", 8),
        ("DV701", Severity.INFO, "the stanza `Relay` is not carried over (2 times, here first)", 1),
        ("DV701", Severity.INFO, "the option `logs` in cluster is not carried over", 3),
        ("DV701", Severity.INFO, "the stanza `replicate` in cluster is not carried over", 4),
        ("DV701", Severity.INFO, "the option `c` in binding is not carried over", 7),
    ]


def test_comments_are_counted() -> None:
    origins = (Origin("f", 3, 1), Origin("f", 9, 5))
    (one,) = translate(MOMENTUM.parse("", file="f"), PLUGINS, origins).left_behind
    assert (one.code, one.severity, one.message, one.origin) == (
        "DV702",
        Severity.INFO,
        "2 comments are not carried over",
        origins[0],
    )


@pytest.mark.parametrize(
    ("parser", "text", "found"),
    [
        (MOMENTUM, 'a = "#no" # yes\nb = c/*no /* yes */ # yes', ["# yes", "/* yes */", "# yes"]),
        (MOMENTUM, "a = x#yes\n/* a\n# b */\nuri = digest:///x", ["#yes", "/* a\n# b */"]),
        (TOML, 'a = "#no" # yes\nb = \'#no\'\nc = """\n#no\n""" #yes', ["# yes", "#yes"]),
        (TOML, "a = 'it' # \"yes\"\nb = '''\n#no'''", ['# "yes"']),
    ],
)
def test_comments_are_found_where_they_are_some(parser, text: str, found: list[str]) -> None:
    at = parser.comments(text)
    assert len(at) == len(found)
    assert [text[offset : offset + len(one)] for offset, one in zip(at, found, strict=True)] == found


# --- whatever there is --------------------------------------------------------------------------------------------

ADDRESSES = ("10.1.1.1", "10.1.1.2", "192.0.2.5", "2001:db8::5")
CLUSTER = {
    "nodename": ("a", '"B.example"'),
    "view_mature_time": ("5", "250ms", "0.1", '"1h"', "1e1"),
    "duravip_balance_set_size": ("auto", "AUTO", "3"),
    "arp_all_hosts": ("on", "0", "Enabled", "false"),
    "key_file": ("k", '"a b"', "/etc/x", "c:\\x"),
    "profile": ("LAN", "wan"),
    "transports": ("( multicast )", "multicast", "( multicast unicast )"),
    "members": ("( a b )", "( )"),
    "weight": ("2", "2.5", ".5"),
    "heartbeat_start_delay": ("3",),
}
words = st.sampled_from


@st.composite
def options(draw: st.DrawFn, known: dict[str, tuple[str, ...]]) -> str:
    chosen = draw(st.lists(words(sorted(known)), unique=True, max_size=4))
    return " ".join(
        f"{draw(words([name, name.title(), name.upper()]))} = {draw(words(known[name]))}" for name in chosen
    )


def service(number: int) -> dict[str, tuple[str, ...]]:
    """What may be said beside an address: always the same of the same address, or it would contradict itself."""
    return {
        "enable_duravip": ("true", "1", '"on"'),
        "duravip_preference": (("a", '"a"'), ("B", "( B )"), ("( c.d a )",), ("a",))[number],
        "weight": (("2", "2.0"), ("0.5",), ("1",), ("3",))[number],
        "enable": ("true", "on"),
    }


@st.composite
def bindings(draw: st.DrawFn) -> str:
    number = draw(st.integers(0, 3))
    name = f"{draw(words(['x', 'x-2', 'ö']))}{number}"
    binding = f'Binding "{name}" {{ Bind_Address = {ADDRESSES[number]} {draw(options(service(number)))} }}'
    if not name.startswith("x-") or draw(st.booleans()):  # else one Binding could stand in two groups
        return binding
    group = draw(options({"enable_duravip": ("true",), "enable": ("1", "0")}))
    return f"binding_group g{number} {{ {group} {binding} }}"


@st.composite
def listeners(draw: st.DrawFn) -> str:
    number = draw(st.integers(0, 3))
    address = f"[{ADDRESSES[number]}]" if number == 3 else ADDRESSES[number]
    listen = f'Listen "{address}:{draw(words([25, 80]))}" {{ {draw(options(service(number)))} }}'
    head = draw(words(["ESMTP_Listener", "http_listener", 'HTTP_Listener "in"', "esmtp_listener out"]))
    return f"{head} {{ {draw(options({'enable': ('false', 'true')}))} {listen} unknown = 3 }}"


@st.composite
def topologies(draw: st.DrawFn) -> str:
    place = draw(options({"interface": ("eth0",), "cidrmask": ("24", "32")}))
    topology = f'Topology "10.1.1.0/{draw(words([8, 16, 24]))}" {{ {place} }}'
    return draw(words([topology, f"cluster {{ {topology} }}"]))


OTHERS = ("multicast { port = 4861 }", "unicast { peers = b }", "syslog s { }", "Relay { x { } }")
pieces = st.one_of(
    bindings(), listeners(), topologies(), words(OTHERS), options(CLUSTER).map(lambda said: f"cluster {{ {said} }}")
)
momentum_texts = st.builds(str.join, words(["\n", " ", "\n# comment\n"]), st.lists(pieces, max_size=12))


@settings(max_examples=80, deadline=None)
@given(momentum_texts)
def test_there_and_back_gives_the_same_whatever_the_configuration(text: str) -> None:
    document = MOMENTUM.parse(text, file="f")
    if not built(document).errors():  # pieces may contradict each other
        there_and_back(text)


scalars = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12),
    st.sampled_from(['a"b', "\\", "\\\\", '\\"', "x\\", "/*", "#", "a b", "\t\n\r", "", "'", "{}"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(scalars, max_size=3), scalars)
def test_any_text_arrives_as_it_was_or_is_refused(listed: list[str], name: str) -> None:
    from duravip.config.document import Assignment, Stanza, Value

    here = Origin("f", 1, 1)
    values = tuple(Value(text, here, True) for text in listed)
    inner = Stanza("binding", name, here, [Assignment("a", Value(values, here), here)])
    document = Document(file="f", root=Stanza("", None, here, [inner]))
    for parser in (MOMENTUM, TOML):
        try:
            written = parser.write(document)
        except UnsayableError:
            assert parser is MOMENTUM
            continue
        read = parser.parse(written, file="f")
        assert read.diagnostics == []
        (stanza,) = read.root.stanzas()
        assert stanza.name == name
        (assignment,) = stanza.assignments()
        assert [item.content for item in assignment.value.content] == listed  # type: ignore[union-attr]


def test_renamed_options_are_written_with_their_present_name() -> None:
    renamed = {"webhook": (Option(name="target", kind=Kind.TEXT, doc="", former_names=("url",)),)}
    translation = translate(MOMENTUM.parse("webhook { url = x }", file="f"), renamed)
    assert TOML.write(translation.document) == '[webhook]\ntarget = "x"\n'
    assert translation.left_behind == ()
