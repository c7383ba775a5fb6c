"""`duravip release` on a host whose daemon and guard were killed together: nobody else takes their addresses off there.

node1 ─┐
node2 ─┼─ br0      daemons on two nodes; node1 is silenced before it is killed, so that what it has left on is no
client ─┘          second holder that anybody hears

The addresses have no lifetime, so that nothing but the command takes them off.
"""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from duravip.model import Address
from duravip.net.macvlan import Macvlans, hardware_address, link_name
from duravip.testing.cluster import DURAVIP, Cluster

pytestmark = pytest.mark.netns

NODES = ("node1", "node2")
VIPS = (Address("10.77.0.51"), Address("10.77.0.52"), Address("fd77::51"))
BINDINGS = "\n".join(
    f'Binding "b{number}" {{ Bind_Address = "{vip}" Enable_Duravip = true Duravip_Preference = "node1" }}'
    for number, vip in enumerate(VIPS)
)
AS_UNIT = (
    "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && "
    'exec setpriv --no-new-privs --inh-caps -all --bounding-set -all,+net_admin,+net_raw "$@"'
)
"""For a shell that `unshare --mount` starts: runs the words that it is given with the systemd unit's capabilities, and
looks for daemons in folders of its own."""


def addresses(cluster: Cluster, node: str = "node1") -> str:
    """All of them, with where they are and their marks."""
    shown = json.loads(cluster.lan.run(node, "ip", "-json", "addr").stdout)
    return "\n".join(
        f"{link['ifname']} {one['local']}/{one['prefixlen']} {one.get('protocol', '')}"
        for link in shown
        for one in link["addr_info"]
    )


def release(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    done = cluster.lan.run("node1", DURAVIP, "release", "--all", *words)
    assert "Traceback" not in done.stderr
    return done


def left_on_node1(cluster: Cluster) -> bool:
    """Whether or not node2 has them too."""
    return all("node1" in cluster.watch.holders(vip) for vip in VIPS)


def start_and_kill(cluster: Cluster) -> None:
    """All VIPs are on node1, and no process is."""
    cluster.start(*NODES)
    assert cluster.settled(*NODES) == dict.fromkeys(VIPS, "node1")
    cluster.silence("node1")
    cluster.kill("node1")
    assert left_on_node1(cluster)


def test_it_takes_off_what_a_daemon_and_its_guard_left_that_were_killed_and_refuses_before(cluster: Cluster) -> None:
    for node in NODES:
        cluster.configure(node, BINDINGS, address_lifetime=0)
    file = cluster.files["node1"]
    own = addresses(cluster)
    by_hand = cluster.lan.run("node1", "ip", "addr", "add", "10.77.0.99/24", "dev", "eth0")
    assert not by_hand.returncode

    cluster.start(*NODES)
    assert cluster.settled(*NODES) == dict.fromkeys(VIPS, "node1")
    pid = cluster.info("node1")["pid"]
    for frozen in (False, True):
        if frozen:
            cluster.silence("node1")
            cluster.lan.signal_all("node1", signal.SIGSTOP)
        refused = release(cluster, "-c", str(file))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"a daemon (pid {pid}) is running with state_dir {cluster.folder}/state-node1" in refused.stderr
        assert "--force" in refused.stderr
        assert left_on_node1(cluster)
    incarnation = (cluster.folder / "state-node1" / "incarnation").read_text()
    cluster.kill("node1")
    assert left_on_node1(cluster)

    done = release(cluster, "-c", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(f"took off {vip}" for vip in VIPS)
    assert sorted(addresses(cluster).splitlines()) == sorted([*own.splitlines(), "eth0 10.77.0.99/24 "])
    assert release(cluster, "-c", str(file)).stdout == "There was nothing of ours to take off.\n"
    assert (cluster.folder / "state-node1" / "incarnation").read_text() == incarnation

    cluster.lan.run("node1", "ip", "addr", "del", "10.77.0.99/24", "dev", "eth0")
    cluster.heal()
    cluster.start("node1")
    assert cluster.settled(*NODES) == dict.fromkeys(VIPS, "node1")
    assert "which an earlier run had left" not in cluster.log("node1")

    forced = release(cluster, "-c", str(file), "--force")
    assert forced.returncode == 0
    assert f"took off {VIPS[0]}" in forced.stdout
    cluster.until(lambda: left_on_node1(cluster), "a daemon that runs puts back what it owns")


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("with_file", [True, False], ids=["-c FILE", "by the mark"])
def test_the_interfaces_of_virtual_hardware_addresses_go_too(cluster: Cluster, with_file: bool) -> None:
    """Those of the configuration's cluster group, or of any. What is somebody else's stays, whatever its alias says."""
    for node in NODES:
        file = cluster.configure(node, BINDINGS, address_lifetime=0)
        file.write_text(file.read_text().replace('4" { interface = "eth0"', '4" { mac = virtual interface = "eth0"'))
    lan = cluster.lan
    own = addresses(cluster)
    for words in (
        "add link eth0 name uplink type macvlan",
        "set dev uplink alias duravip-like",
        "add link eth0 name uplink2 type macvlan",
        "set dev uplink2 alias 'duravip uplink'",
    ):
        assert not lan.run("node1", "sh", "-c", f"ip link {words}").returncode
    with lan.inside("node1"), Macvlans("another") as macvlans:
        another = macvlans.switch_on(Address("10.77.0.60"), "eth0")
    start_and_kill(cluster)
    names = [link_name(hardware_address("ec_cluster", vip)) for vip in VIPS]
    assert all(f"{name} {vip}/" in addresses(cluster) for name, vip in zip(names, VIPS, strict=True))

    words = (
        DURAVIP,
        "release",
        "--all",
        "--format",
        "json",
        *(("-c", str(cluster.files["node1"])) if with_file else ()),
    )
    done = lan.run("node1", "unshare", "--mount", "sh", "-c", AS_UNIT, "sh", *words)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    assert sorted(found["released"]) == sorted(VIPS)
    assert sorted(found["interfaces"]) == sorted(names if with_file else [*names, another])
    assert addresses(cluster) == own
    links = {link["ifname"] for link in json.loads(lan.run("node1", "ip", "-json", "link").stdout)}
    assert links == {"lo", "eth0", "uplink", "uplink2", *([another] if with_file else [])}


def test_without_the_right_to_it_says_so_in_a_sentence(cluster: Cluster) -> None:
    file = cluster.configure("node1", BINDINGS)
    for words in ((), ("-c", str(file))):
        done = cluster.lan.run(
            "node1", "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin",
            DURAVIP, "release", "--all", "--force", *words,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert "needs the capability CAP_NET_ADMIN" in done.stderr
        assert all(line.startswith("duravip: ") for line in done.stderr.splitlines())
