"""Which plugins are imported: what files disable is not, what the command line names is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from duravip.cli.with_plugins import plugins_for
from duravip.errors import PluginError
from duravip.plugin import manager
from duravip.plugin.manager import Found, PluginSet

PIGEONS = """
from duravip.plugin.api import TransportKind, hookimpl

@hookimpl
def duravip_transports():
    return [TransportKind(name="pigeons", options=(), open=print)]
"""

Given = Callable[..., PluginSet]


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was imported of four installed plugins: both languages, owls, pigeons."""
    names: list[str] = []

    def installed(name: str, module: str) -> Found:
        def load() -> object:
            names.append(name)
            return importlib.import_module(module)

        return Found(name=name, distribution=f"{name}-dist", version="1.2", module=module, load=load)

    found = (
        installed("config_momentum", "duravip_plugins.config_momentum"),
        installed("config_toml", "duravip_plugins.config_toml"),
        installed("owls", "duravip_no_such_module"),
        installed("pigeons", "json"),
    )
    monkeypatch.setattr(manager, "find_plugins", lambda: found)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return names


@pytest.fixture
def given(tmp_path: Path, imported: list[str]) -> Given:
    def load(*texts: str, suffix: str = ".conf") -> PluginSet:
        files = []
        for number, text in enumerate(texts):
            files.append(tmp_path / f"{number}{suffix}")
            files[-1].write_text(text)
        return plugins_for([str(file) for file in files])

    return load


def errors(plugins: PluginSet) -> dict[str, str]:
    return {record.name: record.error for record in plugins.records()}


LANGUAGES = ["config_momentum", "config_toml"]


def test_without_the_word_everything_is_imported(given: Given, imported: list[str]) -> None:
    given("cluster { nodename = a }")
    assert imported == [*LANGUAGES, "owls", "pigeons"]


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("cluster { Disable_Plugins = ( owls ) }", ".conf"),
        ('[cluster]\ndisable_plugins = ["owls"]', ".toml"),
    ],
)
def test_what_the_file_disables_is_not_imported(text: str, suffix: str, given: Given, imported: list[str]) -> None:
    plugins = given(text, suffix=suffix)
    assert imported == [*LANGUAGES, "pigeons"]
    assert errors(plugins)["owls"] == "disabled by disable_plugins"
    assert plugins.failures() == {}


def test_what_is_mentioned_beside_it_is_imported_later(given: Given, imported: list[str]) -> None:
    given("# not pigeons\ncluster { disable_plugins = ( owls ) }")
    assert imported == [*LANGUAGES, "pigeons"]


@pytest.mark.parametrize(
    ("text", "suffix", "included"),
    [
        ("include more.conf", ".conf", "cluster { disable_plugins = owls }"),
        ('include = ["more.conf"]', ".toml", "[cluster]\ndisable_plugins = ['owls']"),
        ("readonly_include d", ".conf", ""),
    ],
)
def test_what_an_included_file_disables_is_not_imported(
    text: str, suffix: str, included: str, given: Given, imported: list[str], tmp_path: Path
) -> None:
    (tmp_path / "more.conf").write_text(included)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "last").write_text("cluster { disable_plugins = owls }")
    plugins = given(text, suffix=suffix)
    assert "owls" not in imported
    assert errors(plugins)["owls"] == "disabled by disable_plugins"


def test_a_comment_disables_nothing(given: Given, imported: list[str]) -> None:
    plugins = given("# disable_plugins = owls\ncluster { nodename = a }")
    assert imported == [*LANGUAGES, "pigeons", "owls"]
    assert "No module named" in plugins.failures()["owls"]


def test_of_several_files_all_must_disable_a_plugin(given: Given, imported: list[str]) -> None:
    given("cluster { disable_plugins = ( owls pigeons ) }", "cluster { disable_plugins = pigeons }")
    assert imported == [*LANGUAGES, "owls"]


def test_a_plugin_that_the_command_line_names_is_found_where_one_stands_and_counts_first(
    imported: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pigeons_in_work.py").write_text(PIGEONS)
    monkeypatch.chdir(tmp_path)
    plugins = plugins_for([], ["pigeons_in_work"])
    assert list(plugins.transports()) == ["pigeons"]
    assert [record.distribution for record in plugins.records() if record.kind == "transport"] == ["--plugin"]


def test_a_named_plugin_that_is_of_no_use_is_fatal(imported: list[str]) -> None:
    with pytest.raises(PluginError, match=r"'no_pigeons:at_all' .* No module named 'no_pigeons'"):
        plugins_for([], ["no_pigeons:at_all"])


def test_run_refuses_a_configuration_that_names_a_plugin_that_failed(
    imported: list[str], tmp_path: Path, duravip: Callable[..., tuple[int, str, str]]
) -> None:
    file = tmp_path / "node.conf"
    file.write_text('cluster { insecure = true }\nowls "a" { }\n')
    for command in (("run", "-c", str(file)), ("check", str(file))):
        code, _, err = duravip(*command)
        assert code == 2
        assert "the plugin `owls` cannot be used: owls-dist 1.2: ModuleNotFoundError" in " ".join(err.split())
