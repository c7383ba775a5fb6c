"""`duravip release`: what it says and how it ends, on a backend in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from duravip.config.node_config import NodeConfig
from duravip.model import Address
from duravip.plugin import manager
from duravip.plugin.api import BackendKind, Plumbed, hookimpl
from duravip.plugin.manager import Found, PluginSet
from duravip.runtime import releasing
from duravip.runtime.releasing import Released
from duravip.runtime.state_dir import StateDir
from duravip.testing.fakes import MemoryBackend
from duravip_plugins import config_momentum

OWN, VIP, VIP6 = Address("192.0.2.1"), Address("192.0.2.51"), Address("fd77::51")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> MemoryBackend:
    """The only one that is installed, as `memory`."""
    made = MemoryBackend(
        own=[
            Plumbed(address=OWN, interface="eth0", prefix=24, ours=False),
            Plumbed(address=VIP, interface="eth0", prefix=32, ours=True),
            Plumbed(address=VIP6, interface="eth0", prefix=128, ours=True),
        ]
    )

    class Plugin:
        @hookimpl
        def duravip_backends(self) -> list[BackendKind]:
            return [BackendKind(name="memory", options=(), open=lambda options: made)]

    found = [
        Found(name="memory", distribution="test", version="0", module="", load=Plugin),
        Found(name="momentum", distribution="test", version="0", module="", load=lambda: config_momentum),
    ]
    monkeypatch.setattr(manager, "find_plugins", lambda: found)
    return made


@pytest.fixture
def file(tmp_path: Path, backend: MemoryBackend) -> Path:
    path = tmp_path / "node1.conf"
    path.write_text(
        f"""cluster {{
          nodename = "node1" insecure = true backend = "memory"
          state_dir = "{tmp_path}/state" control = "{tmp_path}/control"
        }}
        Binding "b" {{ Bind_Address = {OWN} Enable_Duravip = true }}
        """
    )
    return path


def test_a_line_for_each_address_then_that_there_was_nothing(duravip: Run, file: Path, backend: MemoryBackend) -> None:
    code, out, err = duravip("release", "--all", "-c", str(file))
    assert (code, out.splitlines()) == (0, [f"took off {VIP}", f"took off {VIP6}"])
    assert err == f"duravip: {OWN} is this machine's own address, on eth0: left there\n"
    assert set(backend.on) == {OWN}
    assert duravip("release", "--all", "-c", str(file))[:2] == (0, "There was nothing of ours to take off.\n")
    assert not (file.parent / "state").exists()


def test_json(duravip: Run, file: Path) -> None:
    code, out, _ = duravip("release", "--all", "-c", str(file), "--format", "json")
    assert code == 0
    assert json.loads(out) == {"released": [VIP, VIP6], "interfaces": []}
    assert json.loads(duravip("release", "--all", "-c", str(file), "--format", "json")[1])["released"] == []


def test_it_is_refused_while_a_daemon_runs_unless_forced(duravip: Run, file: Path, backend: MemoryBackend) -> None:
    with StateDir(file.parent / "state"):
        code, out, err = duravip("release", "--all", "-c", str(file))
        assert (code, out) == (1, "")
        assert err.startswith(f"duravip: a daemon (pid {os.getpid()}) is running with state_dir {file.parent}/state: ")
        assert len(err.splitlines()) == 1
        assert set(backend.on) == {OWN, VIP, VIP6}
        assert duravip("release", "--all", "-c", str(file), "--force")[0] == 0
    assert set(backend.on) == {OWN}


def test_what_the_kernel_refuses_is_one_sentence_and_the_rest_is_told(
    duravip: Run, file: Path, backend: MemoryBackend
) -> None:
    backend.refuse = {VIP: "device or resource busy"}
    code, out, err = duravip("release", "--all", "-c", str(file))
    assert (code, out) == (1, f"took off {VIP6}\n")
    assert err.splitlines()[1:] == [
        f"duravip: backend memory: {VIP} was left on eth0 and cannot be taken off: device or resource busy"
    ]


def test_a_file_with_errors_is_told_of_and_nothing_is_taken_off(
    duravip: Run, file: Path, backend: MemoryBackend
) -> None:
    file.write_text(file.read_text().replace("insecure = true", 'failure_timeout = "soon"'))
    code, out, err = duravip("release", "--all", "-c", str(file))
    assert (code, out) == (2, "")
    assert f"{file}:2:" in err
    assert "error DV" in err
    assert err.splitlines()[-1] == (
        f"duravip: nothing was taken off: {file} has errors; without -c it goes by the mark alone"
    )
    assert set(backend.on) == {OWN, VIP, VIP6}


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "say --all"), (["--force"], "say --all"), (["--all", "--node", "node1"], "--node goes with -c")],
)
def test_words_that_are_missing_are_one_sentence(
    duravip: Run, backend: MemoryBackend, words: list[str], said: str
) -> None:
    code, out, err = duravip("release", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert set(backend.on) == {OWN, VIP, VIP6}


@pytest.mark.parametrize(("words", "name"), [([], "node1"), (["--node", "node2"], "node2")])
def test_the_nodes_name_may_be_given(
    duravip: Run, file: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], name: str
) -> None:
    names: list[str] = []

    async def release(plugins: PluginSet, config: NodeConfig) -> Released:
        names.append(config.name)
        return Released()

    monkeypatch.setattr(releasing, "release", release)
    assert duravip("release", "--all", "-c", str(file), *words)[0] == 0
    assert names == [name]
