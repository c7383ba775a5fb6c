"""The catalogue of diagnostics: every code is explained, and every example is what it says it is."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from duravip.cli.check import check
from duravip.config import source
from duravip.config.codes import CODES, FAMILIES
from duravip.config.codes.code import Code
from duravip.config.options import Kind, Option
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

PARSERS = (MomentumParser(), TomlParser())
OPTIONS: dict[str, tuple[Option, ...]] = {
    "webhook": importlib.import_module("duravip_plugins.notify_webhook").OPTIONS,
    "multicast": importlib.import_module("duravip_plugins.transport_multicast").OPTIONS,
    "netlink": (),
}
KINDS = {"webhook": "notifier", "multicast": "transport", "netlink": "backend"}


def nothing(name: str) -> tuple[str, ...]:
    raise OSError("Name or service not known")


def found(arguments: list[str], **more: Any) -> list[tuple[str, str]]:
    told: dict[str, Any] = {"parsers": PARSERS, "plugin_options": OPTIONS, "plugin_kinds": KINDS, "resolve": nothing}
    checked = check(arguments, **(told | more))
    return [(one.code, one.severity.value) for one in checked.diagnostics]


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_code_says_what_why_and_how_to_mend_it(code: Code) -> None:
    assert code.code[:3] in FAMILIES
    for text in (code.what, code.why, code.mend):
        assert text.endswith((".", "`", "?"))


@pytest.mark.parametrize(
    "code", [one for one in CODES.values() if one.files() or one.arguments], ids=lambda one: one.code
)
def test_every_example_is_reported_with_its_code_and_severity(code: Code, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in code.files().items():
        Path(name).write_text(text)

    assert (code.code, code.severity.value) in found([*code.files(), *code.arguments])


class Fails:
    name, suffixes = "fails", (".conf",)

    def sniff(self, text: str) -> float:
        return 1.0

    def parse(self, text: str, *, file: str) -> Any:
        raise RuntimeError("no")


RENAMED = Option(name="target", kind=Kind.TEXT, doc="", former_names=("url",))

# What no page can show: the text, and how `check` is asked.
ELSEWHERE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "DV107": (b"a { " * 101, {}),
    "DV109": (b"} " * 101, {}),
    "DV203": (b" " * 101, {}),
    "DV204": (b'Binding "caf\xe9" { }', {}),
    "DV205": (b"", {"parsers": ()}),
    "DV207": (b"", {"parsers": (Fails(),)}),
    "DV437": (b"webhook { url = x }", {"plugin_options": OPTIONS | {"webhook": (RENAMED,)}}),
}


BY_OTHER_TESTS = {"DV209", "DV210", "DV447", "DV701", "DV702"}  # below, in test_include, _build and _translation
OF_MACHINES = {one for one in CODES if one.startswith("DV6")}  # test_against_host.py


@pytest.mark.parametrize("code", ELSEWHERE)
def test_what_no_page_can_show_is_reported_with_its_code_and_severity(code: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("duravip.config.source.MAX_BYTES", 100 if code == "DV203" else 10_000)
    text, asked = ELSEWHERE[code]
    (tmp_path / "x.conf").write_bytes(text)

    assert (code, CODES[code].severity.value) in found([str(tmp_path / "x.conf")], **asked)


def test_a_file_that_changes_while_it_is_read_is_reported(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "x.conf"
    file.write_text("")
    whole = source._whole

    def growing(*given: Any) -> bytes:
        data = whole(*given)
        file.write_bytes(data + b" ")
        return data

    monkeypatch.setattr(source, "_whole", growing)
    assert ("DV209", CODES["DV209"].severity.value) in found([str(file)])


def test_every_code_has_an_example_that_is_run() -> None:
    without = {one.code for one in CODES.values() if not one.example and not one.arguments}

    assert without == set(ELSEWHERE) | BY_OTHER_TESTS | OF_MACHINES
