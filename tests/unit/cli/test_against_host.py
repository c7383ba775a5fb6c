"""`duravip check --against-host`, on machines that are folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from duravip.cli.against_host import Machine, compare_with
from duravip.config.codes import CODES
from duravip.config.node_config import LocalSettings, NodeConfig, PluginStanza
from duravip.model import Address, NodeName, Origin, Use, VipEntry, make_table
from duravip.plugin.api import Plumbed

VIP = VipEntry(
    address=Address("192.0.2.50"), services=(Use("multivip"),), interface="eth0", prefix=32, origin=Origin("f", 3, 4)
)


def config(vip: VipEntry = VIP, *transports: PluginStanza) -> NodeConfig:
    return NodeConfig(
        name=NodeName("node1"), file="f", table=make_table([vip]), local=LocalSettings(transports=transports)
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which all is well: eth0 up, 192.0.2.1/24 on it."""
    put(tmp_path, "sys/class/net/eth0/operstate", "up")
    put(tmp_path, "proc/self/status", "Name:\tx\nCapBnd:\t000001ffffffffff\n")
    for name in ("all", "eth0"):
        put(tmp_path, f"proc/sys/net/ipv4/conf/{name}/promote_secondaries", "0")
        put(tmp_path, f"proc/sys/net/ipv4/conf/{name}/arp_ignore", "0")
    put(tmp_path, "proc/sys/net/ipv4/ip_nonlocal_bind", "0")
    put(tmp_path, "proc/sys/net/ipv6/ip_nonlocal_bind", "0")
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text + "\n")


def row(address: str, interface: str = "eth0", prefix: int = 24, ours: bool = False) -> Plumbed:
    return Plumbed(address=Address(address), interface=interface, prefix=prefix, ours=ours)


def told(root: Path, node: NodeConfig, *rows: Plumbed, **more: Any) -> list[str]:
    machine = Machine(**({"root": root, "plumbed": (row("192.0.2.1"), *rows)} | more))
    found = compare_with(machine, node)
    assert all(one.severity is CODES[one.code].severity for one in found)
    assert all(one.hint for one in found if one.code != "DV607")
    return [one.code for one in found]


def test_nothing_is_wrong_with_a_machine_on_which_all_is_well(root: Path) -> None:
    assert told(root, config()) == []


def test_an_interface_that_is_not_there_is_an_error_for_vips_and_for_transports(root: Path) -> None:
    assert told(root, config(replace_vip(interface="eth7"))) == ["DV601"]
    stanza = PluginStanza(plugin="multicast", name=None, options={"interface": "eth7"})
    assert told(root, config(VIP, stanza)) == ["DV601"]
    assert told(root, config(VIP, replace(stanza, options={"interface": None}))) == []


def replace_vip(**changes: Any) -> VipEntry:
    return VipEntry(**({name: getattr(VIP, name) for name in VipEntry.__struct_fields__} | changes))


def test_an_interface_that_is_down_is_a_warning(root: Path) -> None:
    put(root, "sys/class/net/eth0/operstate", "down")
    assert told(root, config()) == ["DV602"]


@pytest.mark.parametrize(
    ("path", "route", "codes"),
    [
        ("proc/net/route", "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0", []),
        ("proc/net/route", "eth1\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0", ["DV609"]),
        ("proc/net/route", "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0", ["DV609"]),
        ("proc/net/ipv6_route", f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}1 00000400 00000001 00000000 3 eth0", []),
        ("proc/net/ipv6_route", f"fd77{'0' * 28} 40 {'0' * 32} 00 {'0' * 32} 00000100 00000001 0 1 eth0", ["DV609"]),
    ],
)
def test_an_interface_without_a_default_gateway_is_a_warning_for_a_node_that_would_ask_it(
    root: Path, path: str, route: str, codes: list[str]
) -> None:
    put(root, "proc/net/route", "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT")
    put(root, path, (root / path).read_text() + route if (root / path).exists() else route)
    assert told(root, config()) == []
    asks = replace(config(), local=LocalSettings(on_isolation="hold-if-gateway"))
    assert told(root, asks) == codes


def test_a_vip_among_the_machines_own_addresses_is_an_error_and_one_that_duravip_put_on_is_not(root: Path) -> None:
    assert told(root, config(), row("192.0.2.50")) == ["DV603"]
    assert told(root, config(), row("192.0.2.50", prefix=32, ours=True)) == []


def test_capabilities_that_nobody_can_have_are_an_error(root: Path) -> None:
    put(root, "proc/self/status", "CapBnd:\t00000000a80425fb")  # docker's default has cap_net_raw only
    assert told(root, config()) == ["DV604"]


def test_kernel_settings_that_work_against_it_are_warnings(root: Path) -> None:
    assert told(root, config(replace_vip(prefix=24))) == ["DV605"]
    put(root, "proc/sys/net/ipv4/conf/all/promote_secondaries", "1")
    assert told(root, config(replace_vip(prefix=24))) == []
    beside = row("192.0.2.2", "eth1")
    assert told(root, config(), beside) == ["DV605"]
    put(root, "proc/sys/net/ipv4/conf/eth0/arp_ignore", "1")
    assert told(root, config(), beside) == []
    put(root, "proc/sys/net/ipv4/conf/eth0/arp_ignore", "8")
    assert told(root, config()) == ["DV605"]


@pytest.mark.parametrize(("address", "version"), [("192.0.2.50", 4), ("2001:db8::50", 6)])
def test_a_listener_that_cannot_be_bound_before_it_is_owned_is_an_information(root: Path, address, version) -> None:
    vip = replace_vip(address=Address(address), services=(Use("esmtp:25"),))
    assert told(root, config(vip)) == ["DV606"]
    put(root, f"proc/sys/net/ipv{version}/ip_nonlocal_bind", "1")
    assert told(root, config(vip)) == []


def test_what_was_not_looked_at_is_said(root: Path) -> None:
    assert told(root, config(), plumbed=None, unasked="needs CAP_NET_ADMIN") == ["DV607"]


@pytest.mark.parametrize(
    ("running", "drop_in"),
    [
        ("run/NetworkManager/pid", "etc/NetworkManager/conf.d/90-duravip-unmanaged.conf"),
        ("run/systemd/netif/state", "etc/systemd/network/eth0.network.d/90-duravip-keep.conf"),
    ],
)
def test_a_network_manager_without_our_drop_in_is_a_warning(root: Path, running, drop_in) -> None:
    put(root, running, "")
    assert told(root, config()) == ["DV608"]
    put(root, drop_in, "")
    assert told(root, config()) == []


def test_the_command_looks_at_this_machine(duravip, tmp_path: Path) -> None:
    file = tmp_path / "node1.conf"
    file.write_text(
        'cluster { insecure = true Topology "192.0.2.0/24" { interface = no-such-if } }\n'
        "Binding a { Bind_Address = 192.0.2.50 Enable_Duravip = true }\n"
    )
    status, out, _ = duravip("check", str(file), "--against-host", "--format", "json")
    assert status == 2
    missing = [one for one in json.loads(out)["diagnostics"] if one["code"] == "DV601"]
    assert [(one["line"], "lo" in one["hint"]) for one in missing] == [(2, True)]
    assert duravip("check", str(file), str(file), "--against-host")[0] == 2
