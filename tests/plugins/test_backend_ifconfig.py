"""The ifconfig backend against the real ifconfig and the kernel, in namespaces of its own.

host: eth0 (10.77.0.1/24, fd77::1/64) and eth1 (no IPv4), a veth pair of its own; far: only a neighbour
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duravip.errors import BackendError
from duravip.model import Address
from duravip.plugin.api import Answer, Placement
from duravip.testing.backend_kit import Place, check_backend
from duravip.testing.netns import Lan
from duravip_plugins import ifconfig_work
from duravip_plugins.backend_ifconfig import duravip_backends
from duravip_plugins.ifconfig_backend import IfconfigBackend

pytestmark = [
    pytest.mark.netns,
    pytest.mark.needs("ifconfig"),
]

VIP = Address("10.77.0.51")
VIP6 = Address("fd77::51")
PLACE = Place(
    interface="eth0",
    other_interface="eth1",
    connected=(VIP, Address("10.77.0.52"), Address("10.77.0.53")),
    connected6=(VIP6,),
    unconnected=(Address("192.0.2.1"), Address("192.0.2.2"), Address("192.0.2.3")),
)

Open = Callable[[], IfconfigBackend]


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(("host", "far"), prefix="dvbi") as built, built.inside("host"):
        ip("link add eth1 type veth peer name eth1far")
        ip("link set eth1far up")
        ip("link set eth1 up")
        yield built


@pytest.fixture
def opened(lan: Lan, tmp_path: Path) -> Open:
    return lambda: IfconfigBackend(marks=str(tmp_path / "marks"))


def ip(arguments: str) -> str:
    return subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True).stdout


def on(address: str, interface: str | None = "eth0", prefix: int | None = None) -> Placement:
    single = 128 if ":" in address else 32
    return Placement(address=Address(address), interface=interface, prefix=single if prefix is None else prefix)


def setting(path: str) -> Path:
    return Path("/proc/sys/net") / path


async def test_it_does_what_every_backend_must(opened: Open) -> None:
    await check_backend(opened, PLACE)


async def test_it_keeps_siblings_of_short_prefixes_where_the_kernel_promotes_them(opened: Open) -> None:
    async with opened() as backend:
        (refused,) = await backend.add([on("192.0.2.1", prefix=24)])
        assert "promote_secondaries = 1" in refused.error
    setting("ipv4/conf/eth0/promote_secondaries").write_text("1")
    await check_backend(opened, PLACE)
    async with opened() as backend:
        await backend.add([on("192.0.2.1", prefix=24), on("192.0.2.2", prefix=24)])
        assert {(row.address, row.prefix) for row in await backend.list() if row.ours} == {
            ("192.0.2.1", 24),
            ("192.0.2.2", 24),
        }


async def test_the_hook_names_it_and_opens_one(lan: Lan, tmp_path: Path) -> None:
    (kind,) = duravip_backends()
    assert kind.name == "ifconfig"
    async with kind.open({"marks": str(tmp_path)}) as backend:
        assert [row.address for row in await backend.list() if row.interface == "eth0"][:1] == ["10.77.0.1"]


async def test_the_kernel_shows_a_label_a_single_host_and_no_broadcast(opened: Open) -> None:
    async with opened() as backend:
        await backend.add([on(VIP), on(VIP6)])
    shown = ip("addr show dev eth0")
    assert f"inet {VIP}/32 scope global eth0:dv0" in shown
    assert f"inet6 {VIP6}/128 scope global" in shown
    assert "10.0.0.0/8" not in ip("route show")
    assert "10.255.255.255" not in ip("route show table local")


async def test_an_ipv6_address_can_be_used_at_once_and_detection_is_on_again_afterwards(opened: Open) -> None:
    setting("ipv6/conf/eth0/accept_dad").write_text("1")
    ip("addr add fd77::99/128 dev eth0")
    async with opened() as backend:
        await backend.add([on(VIP6)])
        shown = ip("-6 addr show dev eth0").splitlines()
    assert "tentative" in next(line for line in shown if "fd77::99" in line)
    assert "tentative" not in next(line for line in shown if VIP6 in line)
    assert setting("ipv6/conf/eth0/accept_dad").read_text().strip() == "1"


async def test_at_start_it_says_that_addresses_outlive_a_killed_daemon(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "duravip"):
        async with opened():
            pass
    (line,) = caplog.messages
    assert "no lifetime in the kernel" in line


async def test_the_mark_of_an_ipv6_address_holds_for_this_namespace_and_goes_with_the_address(
    opened: Open, tmp_path: Path
) -> None:
    async with opened() as backend:
        await backend.add([on(VIP6)])
        (mark,) = (tmp_path / "marks").iterdir()
        namespace, interface, address = mark.name.split(" ")
        assert (interface, address) == ("eth0", VIP6)
        mark.rename(mark.with_name(f"{int(namespace) + 1} {interface} {address}"))
        assert not [row for row in await backend.list() if row.ours]
        await backend.add([on(VIP6)])
        assert [row.address for row in await backend.list() if row.ours] == [VIP6]
        await backend.remove([on(VIP6)])
    assert [left.name.split(" ")[0] for left in (tmp_path / "marks").iterdir()] == [str(int(namespace) + 1)]


async def test_an_administrators_label_for_the_address_gives_way_to_ours(opened: Open) -> None:
    ip(f"addr add {VIP}/24 dev eth0 label eth0:web")
    async with opened() as backend:
        assert [row.ours for row in await backend.list() if row.address == VIP] == [False]
        assert await backend.add([on(VIP)]) == (Answer(address=VIP, interface="eth0"),)
        assert [(row.ours, row.prefix) for row in await backend.list() if row.address == VIP] == [(True, 32)]


async def test_an_address_that_ifconfig_cannot_see_is_an_error_that_says_what_to_do(opened: Open) -> None:
    ip(f"addr add {VIP}/32 dev eth0")
    async with opened() as backend:
        (answer,) = await backend.add([on(VIP)])
    assert "`ip addr del`" in answer.error


async def test_the_interfaces_own_address_is_neither_replaced_nor_removed(opened: Open) -> None:
    async with opened() as backend:
        (added,) = await backend.add([on("10.77.0.1")])
        (removed,) = await backend.remove([on("10.77.0.1")])
        assert "own address of eth0" in added.error
        assert "own address" in removed.error
        assert "10.77.0.1" in [row.address for row in await backend.list()]


async def test_a_name_that_leaves_no_room_for_a_label_is_refused(opened: Open) -> None:
    ip("link set eth1 down")
    ip("link set eth1 name eth1-long-name")
    async with opened() as backend:
        (answer,) = await backend.add([on(VIP, "eth1-long-name")])
    assert "no room for another label" in answer.error


async def test_ipv6_that_is_switched_off_is_an_error_in_ifconfigs_words(opened: Open) -> None:
    setting("ipv6/conf/eth1/disable_ipv6").write_text("1")
    async with opened() as backend:
        (answer,) = await backend.add([on(VIP6, "eth1")])
    assert answer.error.startswith(f"cannot add {VIP6} to eth1: ")
    assert "Permission denied" in answer.error


async def test_sixty_addresses_come_and_go(opened: Open) -> None:
    many = [on(f"10.77.1.{number}") for number in range(60)]
    async with opened() as backend:
        assert {answer.error for answer in await backend.add(many)} == {""}
        assert sum(row.ours for row in await backend.list()) == 60
        assert {answer.error for answer in await backend.remove(many)} == {""}
        assert not any(row.ours for row in await backend.list())


async def test_without_ifconfig_entering_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(BackendError, match="install net-tools"):
        async with IfconfigBackend():
            pass


async def test_a_command_that_hangs_is_an_error_for_every_address(
    lan: Lan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "ifconfig"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    backend = IfconfigBackend(marks=str(tmp_path / "marks"), path=str(hanging))
    monkeypatch.setattr(backend, "_command", ifconfig_work.Command(path=str(hanging), limit_s=0.05))
    async with backend:
        answers = await backend.add([on(VIP), on(VIP6)])
        assert [answer.address for answer in answers] == [VIP, VIP6]
        assert all("`ifconfig -a` has not ended within 0.05 s" in answer.error for answer in answers)
        with pytest.raises(BackendError, match="has not ended"):
            await backend.list()
