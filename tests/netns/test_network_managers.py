"""The drop-ins of `contrib` under the real systemd-networkd and NetworkManager, with and without them.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┴─ br0      VIPs prefer node1, where somebody else manages eth0

What the manager is told to put on beside (`ADDED`) shows when it is done: it takes off first.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from duravip.model import Address
from duravip.testing.cluster import PATIENCE_S, Cluster

pytestmark = [pytest.mark.netns, pytest.mark.needs("dbus-daemon")]

CONTRIB = Path(__file__).parents[2] / "contrib"
VIPS = ("10.77.0.51", "fd77::51")
OTHERS = ("10.77.0.99", "fd77::99")
ADDED = Address("10.77.0.90")
AT_ONCE = 3  # losses within a minute that are made good without waiting
IF_DOWN_LIMIT_S = 4.0  # later ones wait so long
BACK_S = 1.0  # "milliseconds", on a busy machine
CARRIER_S = 8.0  # NetworkManager waits for six until it believes that the cable is pulled

OF_ITS_OWN = """
mount -t tmpfs none /run
mount -o remount,bind,ro /sys  # then it does not wait for udev
mkdir -p /run/dbus
dbus-daemon --system --fork --nopidfile --address=unix:path=/run/dbus/system_bus_socket
"""  # `ip netns exec` has given it mounts of its own
NETWORKD = """
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network: /run/systemd/netif
mount --bind "$1" /etc/systemd/network
exec /usr/lib/systemd/systemd-networkd
"""
NETWORK_MANAGER = """
mount -t tmpfs none /var/lib/NetworkManager
mount --bind "$1" /etc/NetworkManager
exec NetworkManager --no-daemon
"""
NETWORK_FILE = "[Match]\nName=eth0\n[Network]\nIPv6AcceptRA=no\nAddress=10.77.0.1/24\nAddress=fd77::1/64\n"
MANAGER_FILE = """
[main]
plugins=keyfile
dns=none
hostname-mode=none
[device-all]
match-device=interface-name:eth0
managed=1
"""
PROFILE = """
[connection]
id=lan
type=ethernet
interface-name=eth0
[ipv4]
method=manual
address1=10.77.0.1/24
[ipv6]
method=manual
address1=fd77::1/64
"""


class Manager:
    """One that runs on node1, and commands that reach it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def says(self, word: str, *argv: str) -> bool:
        """What is asked until it does."""
        assert self._process.poll() is None, self._log.read_text()
        return word in self.run(*argv).stdout

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        inside = ("nsenter", f"--target={self._process.pid}", "--mount", "--net", *argv)
        return subprocess.run(inside, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def do(self, *argv: str) -> None:
        done = self.run(*argv)
        assert not done.returncode, done.stderr


@contextlib.contextmanager
def managed(cluster: Cluster, script: str, folder: Path) -> Iterator[Manager]:
    """`folder`: its configuration. Stopping it changes nothing."""
    said = cluster.folder / "manager.log"
    with said.open("wb") as log:
        words = ("sh", "-euc", OF_ITS_OWN + script, "sh", str(folder))
        running = cluster.lan.popen("node1", *words, stdout=log, stderr=log)
    try:
        yield Manager(running, said)
        before = cluster.lan.addresses("node1")
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=PATIENCE_S)
        assert cluster.lan.addresses("node1") == before
    finally:
        running.kill()
        running.wait()


@contextlib.contextmanager
def networkd(cluster: Cluster, *, with_drop_in: bool) -> Iterator[tuple[Manager, Path]]:
    """And its file for eth0."""
    folder = cluster.folder / "network"
    file = folder / "10-lan.network"
    drop_ins = folder / f"{file.name}.d"
    drop_ins.mkdir(parents=True)
    folder.chmod(0o755)
    cluster.folder.chmod(0o755)  # networkd is not root
    file.write_text(NETWORK_FILE)
    if with_drop_in:
        drop_in = CONTRIB / "networkd" / "90-duravip-keep.conf"
        (drop_ins / drop_in.name).write_bytes(drop_in.read_bytes())
    cluster.lan.run("node1", "ip", "addr", "flush", "dev", "eth0", "scope", "global")  # it wants to put them on itself
    with managed(cluster, NETWORKD, folder) as manager:
        cluster.until(lambda: manager.says(" configured", "networkctl", "list", "eth0"), "networkd has begun")
        yield manager, file


@contextlib.contextmanager
def network_manager(cluster: Cluster, drop_in: str, state: str = "connected") -> Iterator[Manager]:
    """`state`: of eth0."""
    folder = cluster.folder / "NetworkManager"
    profile = folder / "system-connections" / "lan.nmconnection"
    profile.parent.mkdir(parents=True)
    profile.touch(0o600)
    profile.write_text(PROFILE)
    (folder / "NetworkManager.conf").write_text(MANAGER_FILE)
    (folder / "conf.d").mkdir()
    if drop_in:
        text = (CONTRIB / "networkmanager" / drop_in).read_text()
        (folder / "conf.d" / drop_in).write_text(text.replace("interface-name:eth1", "interface-name:eth0"))
    with managed(cluster, NETWORK_MANAGER, folder) as manager:
        asked = ("nmcli", "-g", "GENERAL.STATE", "device", "show", "eth0")
        cluster.until(lambda: manager.says(f"({state})", *asked), f"NetworkManager says {state}")
        yield manager


def boot(cluster: Cluster, *nodes: str) -> None:
    """And node1 has the VIPs."""
    for node in nodes:
        bindings = "\n".join(
            f'Binding "b{number}" {{ Bind_Address = "{vip}" Enable_Duravip = true Duravip_Preference = node1 }}'
            for number, vip in enumerate(VIPS)
        )
        cluster.configure(node, bindings)
    cluster.start(*nodes)
    assert cluster.settled() == dict.fromkeys(VIPS, "node1")


def taken_off(cluster: Cluster) -> list[str]:
    """From node1."""
    return [event["address"] for event in cluster.events("node1", "interface.address_lost")]


def is_on(cluster: Cluster, *addresses: str) -> bool:
    return set(addresses) <= set(cluster.lan.addresses("node1"))


@contextlib.contextmanager
def noted(cluster: Cluster) -> Iterator[list[tuple[str, float]]]:
    """Each time that a VIP was taken off node1 and put on again meanwhile: which, and how many seconds it was away."""
    away: list[tuple[str, float]] = []
    told = cluster.folder / "monitor.log"
    with told.open("wb") as output:
        monitor = cluster.lan.popen("node1", "ip", "-ts", "monitor", "address", stdout=output)
    try:
        yield away
    finally:
        monitor.terminate()
        monitor.wait()
    off: dict[str, datetime] = {}
    lines = re.findall(r"^\[(\S+)\] (Deleted )?\d+: eth0 +inet6? ([^/]+)", told.read_text(), re.MULTILINE)
    for stamp, deleted, address in lines:
        if deleted:
            off[address] = datetime.fromisoformat(stamp)
        elif address in off and address in VIPS:
            away.append((address, (datetime.fromisoformat(stamp) - off.pop(address)).total_seconds()))


@pytest.mark.needs("networkctl")
@pytest.mark.parametrize("with_drop_in", [False, True], ids=["without", "with the drop-in"])
def test_networkd_configures_the_interface_anew(cluster: Cluster, with_drop_in: bool) -> None:
    cluster.lan.own.add(ADDED)
    with networkd(cluster, with_drop_in=with_drop_in) as (manager, file):
        boot(cluster, "node1")
        with noted(cluster) as away:
            file.write_text(NETWORK_FILE + f"Address={ADDED}/24\n")
            manager.do("networkctl", "reload")
            cluster.until(lambda: is_on(cluster, ADDED, *VIPS), "networkd has done it, and all VIPs are on")
        assert sorted(taken_off(cluster)) == ([] if with_drop_in else sorted(VIPS))
        assert sorted(vip for vip, _ in away) == sorted(taken_off(cluster))
        assert all(seconds < BACK_S for _, seconds in away), away


@pytest.mark.needs("NetworkManager")
@pytest.mark.parametrize("drop_in", ["", "90-duravip-carrier.conf"])
def test_the_daemon_puts_back_what_network_manager_takes_off(cluster: Cluster, drop_in: str) -> None:
    """That of IPv6 it takes off several times each, and switches IPv6 off for a moment."""
    cluster.lan.own.add(ADDED)
    vip = VIPS[0]
    with network_manager(cluster, drop_in) as manager:
        boot(cluster, "node1", "node2")
        with noted(cluster) as away:
            manager.do("nmcli", "connection", "modify", "lan", "+ipv4.addresses", f"{ADDED}/24")
            for times, words in enumerate(("device reapply eth0", "connection up lan"), start=1):
                manager.do("nmcli", *words.split())
                cluster.until(lambda times=times: taken_off(cluster).count(vip) == times, "NetworkManager takes it off")
                cluster.until(lambda: is_on(cluster, ADDED, *VIPS), "NetworkManager has done it, and the VIPs are on")
        assert VIPS[1] in taken_off(cluster)
        for each in VIPS:
            times = [seconds for address, seconds in away if address == each]
            assert max(times[:AT_ONCE]) < BACK_S, away
            assert max(times) < IF_DOWN_LIMIT_S + BACK_S, away
        assert [address for address, _ in away].count(vip) == 2


@pytest.mark.needs("NetworkManager")
def test_network_manager_touches_nothing_that_it_does_not_manage(cluster: Cluster) -> None:
    with network_manager(cluster, "90-duravip-unmanaged.conf", "unmanaged") as manager:
        boot(cluster, "node1")
        for words in ("device reapply eth0", "connection up lan"):
            refused = manager.run("nmcli", *words.split())
            assert refused.returncode, f"nmcli {words}"
        assert is_on(cluster, *VIPS)
        assert not taken_off(cluster)


@pytest.mark.needs("NetworkManager")
@pytest.mark.parametrize("drop_in", ["", "90-duravip-carrier.conf"])
def test_network_manager_believes_that_the_cable_is_pulled(cluster: Cluster, drop_in: str) -> None:
    """No daemon: that lets go at once when the carrier is lost. It is about the machine's own address, and others'."""
    everything = ("10.77.0.1", "fd77::1", *OTHERS)
    cluster.lan.own.update(map(Address, OTHERS))
    with network_manager(cluster, drop_in):
        for address in OTHERS:
            mortal = ("valid_lft", "60", "preferred_lft", "60")
            done = cluster.lan.run("node1", "ip", "addr", "add", address, "dev", "eth0", *mortal)
            assert not done.returncode, done.stderr
        cluster.lan.unplug("node1")
        if drop_in:
            time.sleep(CARRIER_S)
            assert is_on(cluster, *everything)
        else:
            cluster.until(lambda: not any(is_on(cluster, address) for address in everything), "all are off")
