"""The pages tell the truth: what is generated is up to date, links lead somewhere, commands exist, examples pass."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from duravip import events
from duravip.cli.check import check
from duravip.cli.main import COMMANDS, group
from duravip.config import schema
from duravip.config.codes import CODES
from duravip.plugin import hookspecs
from duravip.plugin.api import ConfigParser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "contrib" / "README.md", *DOCS.rglob("*.md")])
REFERENCE = DOCS / "reference"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


# --- generated ----------------------------------------------------------------------------------------------------


def test_generated_pages_are_what_the_code_gives() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert done.returncode == 0, f"run `python docs/generate.py`: {done.stdout}{done.stderr}"


def test_every_option_is_documented() -> None:
    page = (REFERENCE / "options.md").read_text()

    for scope, options in schema.SCOPES.items():
        for option in options:
            assert f"| `{option.name}` |" in page, f"{scope}.{option.name}"
            assert option.doc


def test_every_event_is_documented() -> None:
    page = (REFERENCE / "events.md").read_text()

    for event in events.event_classes():
        assert f"\n## {event.id}\n" in page


def test_every_diagnostic_code_is_documented() -> None:
    page = (REFERENCE / "diagnostics.md").read_text()

    for code in CODES:
        assert f"| [`{code}`](#{code.lower()}) |" in page
        assert f"\n### {code}\n" in page


def test_every_code_that_is_reported_has_a_meaning() -> None:
    used = set()
    for folder in ("duravip", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent.name == "codes":
                continue
            used |= set(re.findall(r'"(DV\d{3})"', path.read_text()))

    assert used == set(CODES)


def test_every_hook_is_documented() -> None:
    page = (REFERENCE / "hooks.md").read_text()

    for hook in vars(hookspecs):
        if hook.startswith("duravip_"):
            assert f"\n### {hook}()" in page


def test_every_command_is_documented_with_examples() -> None:
    page = (REFERENCE / "commands.md").read_text()

    for command in COMMANDS:
        assert f"\n## duravip {command}\n" in page


# --- links --------------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(path: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)]+)\)", without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        aim = (path.parent / file).resolve() if file else path
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](#one-two) [b](#three) [c](missing.md) [d](https://example.org)\n")

    assert list(broken_links(page)) == ["#three", "missing.md"]


def test_every_page_can_be_reached_from_the_index() -> None:
    reached: set[Path] = set()
    waiting = [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", without_code(page.read_text()))
        waiting += [(page.parent / target).resolve() for target in targets]

    assert set(DOCS.rglob("*.md")) <= reached


# --- commands -----------------------------------------------------------------------------------------------------


def commands_shown(text: str) -> Iterator[list[str]]:
    """Words of every `duravip ...` in shell blocks and in inline code."""
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    inline = re.findall(r"`([^`\n]+)`", without_code(text))
    for line in (*shell.splitlines(), *inline):
        for part in re.split(r"&&|\||;|<\(|\$\(", line):
            found = re.match(r"\s*(?:\S*/)?duravip (?P<rest>[a-z-].*)", part)
            if found:
                yield shlex.split(found["rest"].partition(" >")[0])


def complaint(words: list[str]) -> str:
    """What is wrong with a command line, or ""."""
    if words[0].startswith("--"):
        return "" if words[0] in ("--version", "--help") else f"no option {words[0]}"
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    command = group.get_command(click.Context(group), words[0])
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return ", ".join(f"{words[0]} has no {word}" for word in words if word.startswith("-") and word not in known)


NOT_YET = "What is not there yet"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_shown_exist(page: Path) -> None:
    text = re.sub(rf"## {NOT_YET}.*?(?=\n## |\Z)", "", page.read_text(), flags=re.DOTALL)

    assert [found for found in map(complaint, commands_shown(text)) if found] == []


def test_a_command_that_does_not_exist_is_found() -> None:
    text = "`duravip shew`\n```sh\ncd x && duravip show --wotch\n```\n`duravip --version`"

    assert [complaint(words) for words in commands_shown(text)] == ["show has no --wotch", "no command shew", ""]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    module = importlib.import_module(f"duravip.cli.{COMMANDS[command][0]}")

    assert module.command.help
    assert "  duravip " + command in (module.command.epilog or ""), "--help shows no example"


# --- configuration examples ---------------------------------------------------------------------------------------


def examples() -> Iterator[tuple[Path, str, str]]:
    """Page, words of the mark, and text of every configuration on it."""
    marked = re.compile(r"<!-- (?:check|file)(?:: (.*?))? -->\n```[a-z]*\n(.*?)```", re.DOTALL)
    for page in PAGES:
        for mark, text in marked.findall(page.read_text()):
            yield page, mark, text


def parsers() -> list[ConfigParser]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    modules = [importlib.import_module(target) for target in project["entry-points"]["duravip"].values()]
    return [one for module in modules for one in getattr(module, "duravip_config_parsers", tuple)()]


@pytest.mark.parametrize(("page", "mark", "text"), list(examples()))
def test_configurations_shown_pass_check(page: Path, mark: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / ("example.toml" if "toml" in mark else "example.conf")
    file.write_text(text)

    checked = check([str(file)], parsers=parsers(), plugin_options=_plugin_options(), plugin_kinds=_plugin_kinds())

    assert [found.message for found in checked.diagnostics] == []


KINDS = {"duravip_transports": "transport", "duravip_backends": "backend", "duravip_notifiers": "notifier"}


def _plugin_kinds() -> dict[str, str]:
    return {kind.name: word for word, kind in _offered()}


def _plugin_options() -> dict[str, tuple[schema.Option, ...]]:
    return {kind.name: tuple(kind.options) for _, kind in _offered()}


def _offered() -> Iterator[tuple[str, Any]]:
    """Every transport, backend and notifier of our own, with its kind."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for target in project["entry-points"]["duravip"].values():
        for hook, word in KINDS.items():
            for kind in getattr(importlib.import_module(target), hook, tuple)():
                yield word, kind


def test_the_example_of_a_missing_listener_is_unsafe_in_both_languages(tmp_path: Path) -> None:
    page = DOCS / "how-to" / "check.md"
    texts = {mark: text for where, mark, text in examples() if where == page}
    (tmp_path / "node1.conf").write_text(texts["node1"])
    (tmp_path / "node2.conf").write_text(texts["node2"])
    (tmp_path / "node1.toml").write_text(texts["node1 toml"])

    for first in ("node1.conf", "node1.toml"):
        checked = check([str(tmp_path / first), str(tmp_path / "node2.conf")], parsers=parsers(), plugin_options={})
        assert [vip["flags"] for vip in checked.as_json()["vips"]] == [["UNSAFE"]]
        assert "DV502" in {found.code for found in checked.diagnostics}


# --- files --------------------------------------------------------------------------------------------------------

ROOMS = ("contrib", "docs", "duravip", "plugins", "tests")
EXAMPLE = ROOT / "contrib" / "duravip-example"  # the tutorial names files as one sees them from there


def missing_files(text: str) -> Iterator[str]:
    """Paths of the repository that a page names, in backticks or not, and in backticks those of modules from `duravip/`
    on; a path may have a pattern in it."""
    named = re.findall(rf"(?<![\w./@:~-])((?:{'|'.join(ROOMS)})/[\w./*-]*)", text)
    named += re.findall(r"`([a-z]\w*/\w+\.py)`", text)
    for path in dict.fromkeys(path.rstrip(".") for path in named):
        if not any(any(base.glob(path.rstrip("/"))) for base in (ROOT, ROOT / "duravip", EXAMPLE)):
            yield path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_named_exist(page: Path) -> None:
    assert list(missing_files(page.read_text())) == []


def test_a_file_that_does_not_exist_is_found() -> None:
    missing = "See tests/docs/test_none.py, `tests/nowhere/`, `wire/none.py`"
    text = f"{missing}; `tests/sim`, docs/*.py, /run/duravip/x, `wire/seal.py`."

    assert list(missing_files(text)) == ["tests/docs/test_none.py", "tests/nowhere/", "wire/none.py"]
