"""The direction of imports: rooms import downwards, what decides does no I/O, plugins use the public face only.

Read from the source text with `ast`, imports inside functions included. Each rule has a fabricated module below that
breaks it, so that the rule is known to be able to fail.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VALUES = frozenset({"duravip", "model", "events", "errors"})

ROOMS: dict[str, frozenset[str]] = {
    "duravip": frozenset(),
    "errors": frozenset(),
    "model": frozenset(),
    "events": frozenset({"model"}),
    "bus": VALUES,
    "config": VALUES,
    "cluster": VALUES,
    "net": VALUES | {"stint", "threads"},
    "wire": VALUES | {"cluster"},
    "stint": frozenset(),
    "threads": frozenset(),
    "plugin": VALUES | {"config"},
    "sim": VALUES | {"cluster", "wire"},
    "runtime": VALUES | {"bus", "cluster", "config", "net", "plugin", "stint", "threads", "wire"},
    "testing": VALUES | {"bus", "cluster", "config", "net", "plugin", "runtime", "sim", "wire"},
    "cli": VALUES | {"bus", "cluster", "config", "net", "plugin", "runtime", "sim", "wire"},
}
"""Room (a package or module right under duravip/; `duravip` is the package's own `__init__`) -> the other rooms that
it may import from."""

DEMO_MAY_TEST = ("duravip.cli.demo", "testing")
"""Module prefix and room: the one command that plays with what tests play with."""

FOR_TYPES_ONLY = frozenset({("config", "duravip.plugin.api")})
"""Upward imports that are allowed under `if TYPE_CHECKING`: a Protocol is named, nothing is run."""

IO = frozenset({"asyncio", "selectors", "select", "signal", "socket", "ssl", "subprocess", "threading", "trio"})
CHANCE_AND_TIME = frozenset({"datetime", "logging", "os", "random", "secrets", "time", "uuid"})

FOREIGN: dict[str, frozenset[str]] = {
    "errors": IO | CHANCE_AND_TIME,
    "model": IO | CHANCE_AND_TIME,
    "events": IO | (CHANCE_AND_TIME - {"datetime"}),
    "cluster": IO | CHANCE_AND_TIME | {"cryptography", "pluggy", "pyroute2", "rich", "click"},
    "wire": IO | {"time", "random", "datetime", "pluggy", "pyroute2", "rich", "click"},
    "sim": IO | {"time", "datetime", "pluggy", "pyroute2"},
    "bus": IO - {"trio"},
    "config": IO - {"socket"},
    "plugin": IO,
}
"""Room -> what it may not import from outside. The simulator's chance is seeded, so it may have `random`. A `__main__`
is a command line and may do what those may."""

PUBLIC = frozenset(
    {
        "duravip",
        "duravip.config.diagnostics",
        "duravip.config.document",
        "duravip.config.options",
        "duravip.errors",
        "duravip.events",
        "duravip.model",
        "duravip.plugin.api",
        "duravip.stint",
        "duravip.threads",
    }
)
"""All that a plugin may know of duravip, our own plugins included."""


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    line: int
    for_types: bool


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every module that the text imports, by its full name."""
    tree = ast.parse(source)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in node.body
        for inner in ast.walk(child)
    }
    parts = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, node in for_types)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
            name = base if node.level else str(node.module)
            if name in ("duravip", "duravip.config", "duravip.plugin"):  # `from duravip import events` names a module
                for alias in node.names:
                    is_module = alias.name[0].islower() and not alias.name.startswith("_")
                    yield Import(f"{name}.{alias.name}" if is_module else name, node.lineno, node in for_types)
            else:
                yield Import(name, node.lineno, node in for_types)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def problems(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one module of duravip, duravip_plugins or contrib."""
    found: list[str] = []
    room = room_of(module)
    ours = module.split(".")[0] == "duravip"
    for imported in imports_of(source, module, is_package=is_package):
        top = imported.module.split(".")[0]
        where = f"{module}:{imported.line} imports {imported.module}"
        if top == "tests" or top == "conftest":
            found.append(f"{where}: nothing imports the tests")
        elif not ours:
            if top == "duravip" and imported.module not in PUBLIC:
                found.append(f"{where}: a plugin may import the public face only")
        elif top == "duravip_plugins":
            found.append(f"{where}: the core names no plugin")
        elif top == "duravip":
            target = room_of(imported.module)
            if target == room or target in ROOMS[room]:
                continue
            if imported.for_types and (room, imported.module) in FOR_TYPES_ONLY:
                continue
            if module.startswith(DEMO_MAY_TEST[0]) and target == DEMO_MAY_TEST[1]:
                continue
            found.append(f"{where}: {room} may not import {target}")
        elif top in FOREIGN.get(room, ()) and not module.endswith(".__main__"):
            found.append(f"{where}: {room} may not use {top}")
    return found


def modules(folder: Path, package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((folder / package).rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def every_module() -> list[tuple[str, Path]]:
    return [
        *modules(ROOT, "duravip"),
        *modules(ROOT / "plugins", "duravip_plugins"),
        *modules(ROOT / "contrib" / "duravip-example", "duravip_example"),
    ]


def test_every_room_is_in_the_plan() -> None:
    assert {room_of(module) for module, _ in every_module() if module.startswith("duravip.")} | {"duravip"} == set(
        ROOMS
    )


def test_the_plan_has_no_cycles() -> None:
    below: dict[str, int] = {}
    waiting = dict(ROOMS)
    while waiting:
        ready = [room for room, allowed in waiting.items() if all(one in below for one in allowed)]
        assert ready, f"a cycle among {sorted(waiting)}"
        below |= dict.fromkeys(ready, len(below))
        waiting = {room: allowed for room, allowed in waiting.items() if room not in below}


@pytest.mark.parametrize(("module", "path"), every_module(), ids=[module for module, _ in every_module()])
def test_a_module_imports_downwards_only(module: str, path: Path) -> None:
    assert not problems(module, path.read_text(), is_package=path.name == "__init__.py")


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("duravip.cluster.node", "import trio", "cluster may not use trio"),
        ("duravip.cluster.node", "import socket", "cluster may not use socket"),
        ("duravip.cluster.node", "def f():\n    import time", "cluster may not use time"),
        ("duravip.cluster.node", "import random", "cluster may not use random"),
        ("duravip.cluster.node", "import logging", "cluster may not use logging"),
        ("duravip.cluster.node", "from duravip.wire import codec", "cluster may not import wire"),
        ("duravip.cluster.node", "from duravip import wire", "cluster may not import wire"),
        ("duravip.cluster.node", "from ..wire import codec", "cluster may not import wire"),
        ("duravip.cluster.node", "from duravip.config import options", "cluster may not import config"),
        ("duravip.wire.codec", "from duravip.runtime.driver import Driver", "wire may not import runtime"),
        ("duravip.wire.link", "import trio", "wire may not use trio"),
        ("duravip.wire.link", "from socket import socket", "wire may not use socket"),
        ("duravip.model", "from duravip.events import Event", "model may not import events"),
        ("duravip.errors", "import duravip.model", "errors may not import model"),
        ("duravip.config.load", "from duravip.plugin.api import ConfigParser", "config may not import plugin"),
        ("duravip.config.load", "import trio", "config may not use trio"),
        ("duravip.plugin.api", "from duravip.cluster.node import Node", "plugin may not import cluster"),
        ("duravip.net.announce", "from duravip.plugin.api import Backend", "net may not import plugin"),
        ("duravip.bus", "from duravip.plugin.api import Notifier", "bus may not import plugin"),
        ("duravip.sim.world", "import trio", "sim may not use trio"),
        ("duravip.sim.world", "import time", "sim may not use time"),
        ("duravip.sim.host", "from duravip.runtime.driver import Driver", "sim may not import runtime"),
        ("duravip.sim.host", "from duravip.testing.netns import Lan", "sim may not import testing"),
        ("duravip.runtime.daemon", "from duravip.cli.common import x", "runtime may not import cli"),
        ("duravip.runtime.daemon", "from duravip.sim.world import World", "runtime may not import sim"),
        ("duravip.runtime.daemon", "from duravip.testing.fakes import x", "runtime may not import testing"),
        ("duravip.testing.fakes", "from duravip.cli.main import main", "testing may not import cli"),
        ("duravip.cli.show", "from duravip.testing.fakes import x", "cli may not import testing"),
        ("duravip.runtime.daemon", "import duravip_plugins.config_toml", "the core names no plugin"),
        ("duravip.cli.demo", "from tests.netns import tools", "nothing imports the tests"),
        ("duravip_plugins.config_toml", "from duravip.cluster.node import Node", "the public face only"),
        ("duravip_plugins.config_toml", "from duravip.config.schema import CLUSTER", "the public face only"),
        ("duravip_plugins.config_toml", "from duravip.config import schema", "the public face only"),
        ("duravip_plugins.backend_netlink", "from duravip.runtime.plumber import Plumber", "the public face only"),
    ],
)
def test_a_module_that_breaks_a_rule_is_found(module: str, source: str, complaint: str) -> None:
    found = problems(module, source)

    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "duravip.cluster.node",
            "import math\nfrom duravip import events\nfrom duravip.cluster import agreed",
        ),
        ("duravip.cli.demo", "from duravip.testing.netns import Lan"),
        ("duravip.config.load", "if TYPE_CHECKING:\n    from duravip.plugin.api import ConfigParser"),
        ("duravip_plugins.backend_netlink", "import pyroute2\nfrom duravip.plugin.api import Backend, hookimpl"),
        ("duravip_plugins.config_toml", "from duravip.config import document\nfrom duravip import __version__"),
        ("duravip.sim.network", "import random\nfrom duravip.wire.link import Link"),
    ],
)
def test_a_module_that_keeps_the_rules_is_not_complained_of(module: str, source: str) -> None:
    assert problems(module, source) == []
