from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from duravip.config.options import Kind, Option
from duravip.errors import PluginError
from duravip.plugin.api import BackendKind, TransportKind, hookimpl
from duravip.plugin.manager import Found, PluginSet, find_plugins, load_plugins, plugin_at

PORT = Option(name="port", kind=Kind.INTEGER, doc="Where to listen.")


class Transport:
    """A plugin as an object; a module looks the same to pluggy."""

    def __init__(self, name: str = "pigeons") -> None:
        self.kind = TransportKind(name=name, options=(PORT,), open=lambda context: None)

    @hookimpl
    def duravip_transports(self) -> list[TransportKind]:
        return [self.kind]


class Backend:
    @hookimpl
    def duravip_backends(self) -> list[BackendKind]:
        return [BackendKind(name="abacus", options=(), open=lambda options: None)]


class Misspelt:
    @hookimpl
    def duravip_transporters(self) -> list[TransportKind]:
        return []


class Raising:
    @hookimpl
    def duravip_transports(self) -> list[TransportKind]:
        raise OSError("no pigeons here")


class Asynchronous:
    @hookimpl
    async def duravip_transports(self) -> list[TransportKind]:
        return []


class Wrong:
    @hookimpl
    def duravip_transports(self) -> list[object]:
        return [SimpleNamespace(name="half")]


class Offering:
    """Anything at all as a transport."""

    def __init__(self, *offered: object) -> None:
        self._offered = offered

    @hookimpl
    def duravip_transports(self) -> list[object]:
        return [*self._offered]


class Leaving:
    @hookimpl
    def duravip_transports(self) -> list[TransportKind]:
        raise SystemExit(4)


class Listing:
    name = "list"
    suffixes = [".list"]  # noqa: RUF012 (the mistake that is tested)

    def parse(self) -> None: ...

    @hookimpl
    def duravip_config_parsers(self) -> list[object]:
        return [self]


class Namer:
    @hookimpl
    def duravip_nodename(self) -> str:
        return "from-the-cloud"


def found(name: str, plugin: object) -> Found:
    def load() -> object:
        if isinstance(plugin, BaseException):
            raise plugin
        return plugin

    return Found(name=name, distribution=f"{name}-dist", version="1.2", module="", load=load)


def load(**plugins: object) -> PluginSet:
    return load_plugins(found=[found(name, plugin) for name, plugin in plugins.items()])


def test_a_plugin_is_offered_under_the_name_of_its_stanza_with_its_options() -> None:
    plugins = load(pigeons=Transport(), abacus=Backend())
    assert plugins.transport("pigeons").options == (PORT,)
    assert plugins.backend("abacus").name == "abacus"
    assert plugins.plugin_options() == {"pigeons": (PORT,), "abacus": ()}
    assert plugins.plugin_kinds() == {"pigeons": "transport", "abacus": "backend"}
    assert [(r.name, r.kind, r.distribution, r.version, r.loaded, r.error) for r in plugins.records()] == [
        ("abacus", "backend", "abacus-dist", "1.2", True, ""),
        ("pigeons", "transport", "pigeons-dist", "1.2", True, ""),
    ]


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (ImportError("no module named coop"), "ImportError: no module named coop"),
        (SystemExit(3), "SystemExit: 3"),
        (Misspelt(), "unknown hook 'duravip_transporters'"),
        (Raising(), "OSError: no pigeons here"),
        (Asynchronous(), "must not be an `async def`"),
        (Wrong(), "lacks open, options"),
        (Leaving(), "duravip_transports failed: SystemExit: 4"),
        (Offering(SimpleNamespace(name=7, options=(), open=None)), "its name is no text"),
        (Offering(SimpleNamespace(name="x", options=[PORT], open=None)), "its options are no tuple of Option"),
        (Offering(SimpleNamespace(name="x", options=("port",), open=None)), "its options are no tuple of Option"),
        (Offering(Transport("binding").kind), "the stanza binding has a meaning already"),
        (Offering(Transport("smtp_listener").kind), "the stanza smtp_listener has a meaning already"),
        (
            Offering(Transport("twice").kind, Transport("twice").kind),
            "offers 'twice', which broken-dist 1.2 offers already",
        ),
        (Listing(), "its suffixes are no tuple of texts"),
    ],
)
def test_one_broken_plugin_harms_nobody_and_its_record_says_why(broken: object, error: str) -> None:
    plugins = load(before=Transport("before"), broken=broken, later=Transport("later"))
    assert sorted(plugins.transports()) == ["before", "later"]
    record = plugins.records()[1]
    assert (record.name, record.loaded) == ("broken", False)
    assert error in record.error


def test_a_broken_plugin_that_the_configuration_names_is_fatal_by_name_distribution_and_version() -> None:
    plugins = load(pigeons=ImportError("no module named coop"))
    with pytest.raises(PluginError, match=r"'pigeons' \(pigeons-dist 1\.2\).*no module named coop") as caught:
        plugins.transport("pigeons")
    assert (caught.value.plugin, caught.value.distribution, caught.value.version) == (
        "pigeons",
        "pigeons-dist",
        "1.2",
    )
    assert caught.value.exit_code == 2


def test_a_plugin_that_nobody_installed_is_refused_with_what_there_is() -> None:
    with pytest.raises(PluginError, match=r"no plugin offers the transport 'owls' \(installed: pigeons\)"):
        load(pigeons=Transport()).transport("owls")


def test_a_disabled_plugin_is_not_even_imported() -> None:
    imported: list[str] = []
    one = Found(
        name="pigeons",
        distribution="d",
        version="1",
        module="",
        load=lambda: imported.append("!") or Transport(),
    )
    plugins = load_plugins(["pigeons"], found=[one])
    assert (imported, plugins.transports()) == ([], {})
    assert plugins.records()[0].error == "disabled by disable_plugins"


def test_failures_are_the_plugins_that_are_wanted_and_of_no_use() -> None:
    plugins = load_plugins(
        ["off"],
        found=[
            found("off", Transport()),
            found("good", Transport()),
            found("bad", ImportError("no module named coop")),
        ],
    )
    assert plugins.failures() == {"bad": "bad-dist 1.2: ImportError: no module named coop"}
    plugins.require("good")
    with pytest.raises(PluginError, match=r"'bad' \(bad-dist 1\.2\) cannot be used: ImportError"):
        plugins.require("bad")


def test_a_plugin_can_be_named_by_module_and_object(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pigeon_post")
    module.plugin = Transport()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pigeon_post", module)
    plugins = load_plugins(found=[plugin_at("pigeon_post:plugin"), plugin_at("pigeon_post:none")])
    assert plugins.transport("pigeons").options == (PORT,)
    assert list(plugins.failures()) == ["pigeon_post:none"]


def test_of_two_plugins_that_offer_one_name_the_second_is_refused() -> None:
    plugins = load(first=Transport("pigeons"), second=Transport("pigeons"))
    assert plugins.records()[1].error == "offers 'pigeons', which first-dist 1.2 offers already"
    assert list(plugins.transports()) == ["pigeons"]


def test_of_two_distributions_with_one_entry_point_name_the_second_is_refused() -> None:
    one, other = found("pigeons", Transport()), found("pigeons", Backend())
    plugins = load_plugins(found=[one, other])
    assert [record.loaded for record in plugins.records()] == [True, False]
    assert "the name is taken by pigeons-dist 1.2" in plugins.records()[1].error


def test_a_plugin_may_name_the_node() -> None:
    assert load(cloud=Namer()).nodename() == "from-the-cloud"
    assert load().nodename() is None
    assert [record.kind for record in load(cloud=Namer()).records()] == ["node name"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [(42, "duravip_nodename returned 42, which is no name"), (None, "duravip_nodename failed: OSError: no such file")],
)
def test_that_a_plugin_could_not_name_the_node_is_logged(
    answer: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails:
        @hookimpl
        def duravip_nodename(self) -> object:
            if answer is None:
                raise OSError("no such file")
            return answer

    assert load(cloud=Fails(), later=Namer()).nodename() == "from-the-cloud"
    assert not caplog.text
    assert load(cloud=Fails()).nodename() is None
    assert f"the plugin cloud does not name this node: {why}" in caplog.text


def distribution(folder: Path, name: str, entry_points: bytes) -> None:
    info = folder / f"{name}-3.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.1\n")
    (info / "entry_points.txt").write_bytes(entry_points)


def test_installed_distributions_are_searched_one_by_one(tmp_path: Path) -> None:
    from importlib.metadata import distributions

    distribution(tmp_path, "good", b"[duravip]\npigeons = json\n")
    distribution(tmp_path, "foreign", b"[console_scripts]\nx = y:z\n")
    distribution(tmp_path, "binary", b"\xff\xfe[duravip]")
    distribution(tmp_path / "later", "good", b"[duravip]\nshadowed = json\n")
    where = [str(tmp_path), str(tmp_path / "later")]
    assert [(one.name, one.distribution, one.version) for one in find_plugins(distributions(path=where))] == [
        ("pigeons", "good", "3.1")
    ]


def test_nobody_takes_a_name_from_duravips_own_plugins(tmp_path: Path) -> None:
    from importlib.metadata import distributions

    distribution(tmp_path, "another", b"[duravip]\na_syslog = json\n")
    distribution(tmp_path, "duravip", b"[duravip]\nsyslog = json\n")
    points = find_plugins(distributions(path=[str(tmp_path)]))
    assert [one.distribution for one in points] == ["duravip", "another"]


def test_a_distribution_that_cannot_be_imported_is_recorded_with_its_file(tmp_path: Path) -> None:
    from importlib.metadata import distributions

    distribution(tmp_path, "absent", b"[duravip]\npigeons = duravip_no_such_module\n")
    plugins = load_plugins(found=find_plugins(distributions(path=[str(tmp_path)])))
    record = plugins.records()[0]
    assert "No module named 'duravip_no_such_module'" in record.error
    assert (record.distribution, record.version, record.file) == ("absent", "3.1", "")
