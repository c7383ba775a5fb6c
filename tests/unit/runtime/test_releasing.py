"""`duravip release`, on backends in memory; its refusals, on real locks and sockets."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from duravip.config.node_config import LocalSettings, NodeConfig, PluginStanza
from duravip.config.options import Kind, Option
from duravip.errors import BackendError, DuravipError, UsageError
from duravip.model import Address, NodeName, Table, VipEntry, make_table
from duravip.plugin.api import BackendKind, Plumbed, hookimpl
from duravip.plugin.manager import Found, PluginSet, load_plugins
from duravip.runtime.releasing import alone, release
from duravip.runtime.state_dir import StateDir
from duravip.testing.fakes import MemoryBackend

OWN, MARKED, PLAIN, OTHER = (Address(f"192.0.2.{number}") for number in (1, 51, 52, 99))
MARKED6 = Address("fd77::51")


def row(address: Address, *, ours: bool = False) -> Plumbed:
    return Plumbed(address=address, interface="eth0", prefix=128 if ":" in address else 24, ours=ours)


def machine() -> MemoryBackend:
    """Its own address first, then two that are marked, and two that are not."""
    marked = (row(MARKED, ours=True), row(MARKED6, ours=True))
    return MemoryBackend(own=(row(OWN), *marked, row(PLAIN), row(OTHER)))


class Without(MemoryBackend):
    """A backend that this machine lacks something for."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def __aenter__(self) -> Without:
        raise self.error


def plugins(backends: Mapping[str, MemoryBackend], opened: list[Mapping[str, Any]] | None = None) -> PluginSet:
    """One that offers these; each has an option `colour`, `red` by default."""

    def kind(name: str, backend: MemoryBackend) -> BackendKind:
        def opening(options: Mapping[str, Any]) -> MemoryBackend:
            if opened is not None:
                opened.append(options)
            return backend

        return BackendKind(
            name=name, options=(Option(name="colour", kind=Kind.TEXT, doc="", default="red"),), open=opening
        )

    class Plugin:
        @hookimpl
        def duravip_backends(self) -> list[BackendKind]:
            return [kind(name, backend) for name, backend in backends.items()]

    return load_plugins(found=[Found(name="p", distribution="test", version="0", module="", load=Plugin)])


def config(*vips: Address, **local: Any) -> NodeConfig:
    return NodeConfig(
        name=NodeName("node1"),
        file="node1.conf",
        table=make_table(VipEntry(address=one, interface="eth0") for one in vips) if vips else Table(),
        local=LocalSettings(backend=PluginStanza(plugin="kernel", name=None, options={"colour": "blue"}), **local),
    )


class Macvlans:
    """Takes the place of `net.macvlan.remove_left`."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[str | None] = []

    def __call__(self, cluster_group: str | None) -> Sequence[str]:
        self.asked.append(cluster_group)
        if not self.names:
            raise OSError(1, "Operation not permitted")
        return self.names


NONE_LEFT: Callable[[str | None], Sequence[str]] = lambda cluster_group: ()  # noqa: E731


# --- what is taken off --------------------------------------------------------------------------------------------


async def test_with_a_configuration_its_backend_takes_off_what_is_marked_or_in_its_table_and_nothing_else() -> None:
    backend, unused, opened = machine(), machine(), []
    released = await release(
        plugins({"kernel": backend, "other": unused}, opened), config(PLAIN, Address("192.0.2.77"))
    )
    assert sorted(released.addresses) == [MARKED, PLAIN, MARKED6]
    assert set(backend.on) == {OWN, OTHER}
    assert opened == [{"colour": "blue"}]
    assert not released.passed_over
    assert not released.failures


@pytest.mark.parametrize("nodeaddr", [None, OTHER])
async def test_the_machines_own_addresses_are_left_on_even_if_the_table_names_them(nodeaddr: str | None) -> None:
    backend = machine()
    released = await release(plugins({"kernel": backend}), config(OWN, PLAIN, OTHER, nodeaddr=nodeaddr))
    own = {OWN, OTHER} if nodeaddr else {OWN}
    assert set(backend.on) == own
    assert released.passed_over == [f"{one} is this machine's own address, on eth0: left there" for one in sorted(own)]
    assert not released.failures


async def test_without_a_configuration_every_backend_goes_by_its_mark_with_its_default_options() -> None:
    first, second, opened = machine(), machine(), []
    released = await release(plugins({"a": first, "b": second}, opened), None, remove_macvlans=NONE_LEFT)
    assert sorted(released.addresses) == sorted([MARKED, MARKED6] * 2)
    assert set(first.on) == set(second.on) == {OWN, PLAIN, OTHER}
    assert opened == [{"colour": "red"}] * 2


async def test_a_second_time_there_is_nothing_to_do_and_nothing_is_wrong() -> None:
    backend = machine()
    await release(plugins({"kernel": backend}), config())
    again = await release(plugins({"kernel": backend}), config())
    assert not again.addresses
    assert not again.failures
    assert [name for name, _ in backend.calls] == ["remove"]


async def test_a_backend_that_cannot_be_opened_here_is_passed_over_while_another_can() -> None:
    backend = machine()
    lacking = {"a": Without(BackendError("there is no tool")), "b": Without(ValueError("odd")), "c": backend}
    released = await release(plugins(lacking), None, remove_macvlans=NONE_LEFT)
    assert sorted(released.addresses) == [MARKED, MARKED6]
    first, second = released.passed_over
    assert first == "passed over backend a: there is no tool"
    assert second.startswith("passed over backend b: the backend b (test 0) cannot be opened: ValueError: odd (")
    assert not released.failures


async def test_a_plugin_that_cannot_be_loaded_or_opened_without_a_configuration_is_passed_over() -> None:
    class Needy:
        @hookimpl
        def duravip_backends(self) -> list[BackendKind]:
            needed = Option(name="colour", kind=Kind.TEXT, doc="", required=True)
            return [BackendKind(name="needy", options=(needed,), open=lambda options: pytest.fail("it was opened"))]

    installed = plugins({"kernel": machine()})
    for name, load in (("needy", Needy), ("broken", lambda: 1 / 0)):
        installed.add(Found(name=name, distribution=name, version="2", module="", load=load))
    released = await release(installed, None, remove_macvlans=NONE_LEFT)
    assert released.passed_over == [
        "passed over plugin broken, broken 2: ZeroDivisionError: division by zero",
        "passed over backend needy: it needs colour: name a configuration with -c",
    ]
    assert not released.failures


async def test_where_none_can_be_opened_that_is_a_failure() -> None:
    lacking = plugins({"kernel": Without(BackendError("run it as root"))})
    for given in (None, config(PLAIN)):
        released = await release(lacking, given, remove_macvlans=NONE_LEFT)
        assert released.failures == ["backend kernel: run it as root"]
        assert not released.passed_over
    released = await release(plugins({}), None, remove_macvlans=NONE_LEFT)
    assert released.failures == ["no plugin offers an interface backend; `duravip plugins` says why"]


async def test_what_the_kernel_refuses_is_a_failure_and_the_rest_is_taken_off_and_named() -> None:
    first, second = machine(), machine()
    first.refuse = {MARKED: "device or resource busy"}
    released = await release(plugins({"a": first, "b": second}), None, remove_macvlans=Macvlans("dv-0"))
    assert released.failures == [
        f"backend a: {MARKED} was left on eth0 and cannot be taken off: device or resource busy"
    ]
    assert set(first.on) == {OWN, MARKED, PLAIN, OTHER}
    assert set(second.on) == {OWN, PLAIN, OTHER}
    assert sorted(released.addresses) == [MARKED, MARKED6, MARKED6]
    assert released.interfaces == ["dv-0"]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (None, [None]),
        (config(cluster_group="g", macs=(("192.0.2.0/24", "virtual"),)), ["g"]),
        (config(cluster_group="g"), []),
    ],
)
async def test_macvlans_are_removed_of_the_cluster_group_if_there_may_be_some_and_of_all_without_a_configuration(
    given: NodeConfig | None, asked: list[str | None]
) -> None:
    macvlans = Macvlans("dv-0123456789ab")
    released = await release(plugins({"kernel": machine()}), given, remove_macvlans=macvlans)
    assert macvlans.asked == asked
    assert released.interfaces == ["dv-0123456789ab"] * len(asked)


async def test_macvlans_that_cannot_be_removed_are_a_failure() -> None:
    released = await release(plugins({"kernel": machine()}), None, remove_macvlans=Macvlans())
    assert released.failures == ["interfaces of virtual hardware addresses may be left: Operation not permitted"]
    assert sorted(released.addresses) == [MARKED, MARKED6]


# --- alone --------------------------------------------------------------------------------------------------------


def given(folder: Path) -> NodeConfig:
    return config(state_dir=str(folder / "states" / "node1"), control=str(folder / "run" / "node1.sock"))


def refusal(folder: Path, configuration: NodeConfig | None) -> str:
    """Exit status 1, and one sentence."""
    with (
        pytest.raises(DuravipError) as refused,
        alone(configuration, state_folder=str(folder / "states"), run_folder=str(folder / "run")),
    ):
        pass
    assert refused.value.exit_code == 1
    return str(refused.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.mark.parametrize("with_file", [True, False])
def test_it_is_refused_while_a_daemon_has_the_state_directory(folder: Path, with_file: bool) -> None:
    configuration = given(folder) if with_file else None
    with StateDir(folder / "states" / "node1"):
        said = refusal(folder, configuration)
    assert f"a daemon (pid {os.getpid()}) is running with state_dir {folder}/states/node1: stop it first" in said
    assert "--force" in said
    assert "puts back what it owns" in said
    with alone(configuration, state_folder=str(folder / "states"), run_folder=str(folder / "run")):
        pass


@pytest.mark.parametrize("with_file", [True, False])
def test_no_daemon_can_start_meanwhile_and_the_directory_stays_as_it_was(folder: Path, with_file: bool) -> None:
    path = folder / "states" / "node1"
    with StateDir(path) as state:
        state.next_incarnation(clock_ms=lambda: 5_000)
    before = sorted(one.name for one in path.iterdir())
    configuration = given(folder) if with_file else None
    with (
        alone(configuration, state_folder=str(folder / "states"), run_folder=str(folder / "run")),
        pytest.raises(UsageError, match=rf"another daemon \(pid {os.getpid()}\) is running"),
        StateDir(path),
    ):
        pass
    assert sorted(one.name for one in path.iterdir()) == before
    with StateDir(path) as state:
        assert state.next_incarnation().counter == 5_001


@pytest.mark.parametrize("with_file", [True, False])
def test_a_state_directory_that_does_not_exist_is_not_made(folder: Path, with_file: bool) -> None:
    configuration = given(folder) if with_file else None
    with alone(configuration, state_folder=str(folder / "states"), run_folder=str(folder / "run")):
        assert not (folder / "states").exists()


def test_with_a_configuration_other_nodes_daemons_do_not_matter(folder: Path) -> None:
    with StateDir(folder / "states" / "node2"):
        with alone(given(folder), state_folder=str(folder / "states"), run_folder=str(folder / "run")):
            pass
        assert "states/node2" in refusal(folder, None)


def test_the_guard_of_a_daemon_that_died_is_waited_for(folder: Path) -> None:
    with StateDir(folder / "states" / "node1") as state:
        inherited = os.dup(state.guard_lock)
    ending = threading.Timer(0.05, os.close, [inherited])
    ending.start()
    with alone(given(folder)):
        assert ending.finished.is_set()
    ending.join()


def test_a_guard_that_does_not_end_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.runtime.state_dir.GUARD_LIMIT_S", 0.01)
    with StateDir(folder / "states" / "node1") as state:
        inherited = os.dup(state.guard_lock)
        os.pwrite(inherited, b"4711\n", 0)
    try:
        assert "the guard (pid 4711) of a daemon that died still holds" in refusal(folder, given(folder))
    finally:
        os.close(inherited)


@pytest.mark.parametrize("with_file", [True, False])
def test_it_is_refused_while_somebody_answers_on_the_control_socket(folder: Path, with_file: bool) -> None:
    configuration = given(folder) if with_file else None
    path = folder / "run" / "node1.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        said = refusal(folder, configuration)
    assert f"a daemon (pid {os.getpid()}) answers on {path}: stop it first" in said
    assert path.exists()  # as a daemon leaves it that died
    with alone(configuration, state_folder=str(folder / "states"), run_folder=str(folder / "run")):
        pass


def test_a_state_directory_that_cannot_be_looked_into_is_one_sentence(folder: Path) -> None:
    path = folder / "states" / "node1"
    (path / "lock").mkdir(parents=True)
    for configuration in (given(folder), None):
        said = refusal(folder, configuration)
        assert f"whether a daemon runs with state_dir {path} cannot be told: Is a directory" in said
        assert "--force" in said


def test_a_state_directory_below_a_file_holds_nobody(folder: Path) -> None:
    (folder / "file").write_text("")
    local = replace(given(folder).local, state_dir=str(folder / "file" / "x"))
    assert "Not a directory" in refusal(folder, replace(given(folder), local=local))
