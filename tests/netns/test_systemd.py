"""The unit of `contrib` under a real systemd, which is process 1 on node1. node2's daemon is started as ever.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┴─ br0      every VIP prefers node1
"""

from __future__ import annotations

import pytest

from duravip.testing.cluster import Cluster
from tests.netns.real_systemd import Systemd

pytestmark = [pytest.mark.netns, pytest.mark.needs("systemctl", "unshare")]

NODES = ("node1", "node2")
VIPS = ("10.77.0.51", "fd77::51")
ONE_MORE = "10.77.0.52"
ON_NODE1 = dict.fromkeys(VIPS, "node1")
ONLY_TWO_CAPABILITIES = f"{1 << 12 | 1 << 13:016x}"  # CAP_NET_ADMIN, CAP_NET_RAW (linux/capability.h)
WATCHDOG_S = 2  # in place of 10: what hangs is ended sooner
BACK_S = 8.0  # a restart, and until the node may own again


def configure(cluster: Cluster, *vips: str) -> None:
    """node1's file is as on a machine of its own: state and control socket are in the folders that the unit makes."""
    bindings = "\n".join(
        f'Binding "b{number}" {{ Bind_Address = "{vip}" Enable_Duravip = true Duravip_Preference = node1 }}'
        for number, vip in enumerate(vips)
    )
    cluster.configure("node1", bindings, control=None, state_dir=None, key_file="/mnt/cluster.key")
    cluster.configure("node2", bindings)


def boot(cluster: Cluster, systemd: Systemd) -> None:
    """Both daemons run, and node1 has the VIPs."""
    cluster.start("node2")
    systemd.systemctl("start", "duravip")
    assert cluster.settled(*NODES) == ON_NODE1


def is_off(cluster: Cluster) -> bool:
    return all("node1" not in hosts for hosts in cluster.watch.held().values())


def was_restarted(systemd: Systemd) -> bool:
    return (systemd.shown("NRestarts"), systemd.shown("ActiveState")) == ("1", "active")


def why_left(cluster: Cluster) -> str:
    """As node2 has seen node1 go."""
    cluster.until(lambda: cluster.events("node2", "membership.node_left"), "node2 misses node1")
    [left] = cluster.events("node2", "membership.node_left")
    assert left["name"] == "node1"
    return str(left["cause"])


def test_start_returns_when_it_is_ready_reload_reads_the_file_again_and_stop_hands_over(cluster: Cluster) -> None:
    configure(cluster, *VIPS)
    with Systemd(cluster, "node1") as systemd:
        cluster.start("node2")
        systemd.systemctl("start", "duravip")
        info = cluster.info("node1")
        assert str(info["pid"]) == systemd.shown("MainPID")
        for pid in (info["pid"], info["guard_pid"]):
            status = systemd.run("cat", f"/proc/{pid}/status").stdout
            assert f"CapEff:\t{ONLY_TWO_CAPABILITIES}\n" in status
            assert f"CapBnd:\t{ONLY_TWO_CAPABILITIES}\n" in status
        assert cluster.settled(*NODES) == ON_NODE1

        configure(cluster, *VIPS, ONE_MORE)
        systemd.systemctl("reload", "duravip")
        cluster.ask("node2", "reload")
        cluster.until(lambda: cluster.owners("node1").get(ONE_MORE) == "node1", "the file has been read")
        file = cluster.files["node1"]
        file.write_text(file.read_text() + "nonsense {\n")
        systemd.systemctl("reload", "duravip")
        cluster.until(lambda: cluster.events("node1", "config.rejected"), "a file with an error is refused")
        assert cluster.settled(*NODES) == {**ON_NODE1, ONE_MORE: "node1"}

        systemd.systemctl("stop", "duravip")
        assert is_off(cluster)
        assert why_left(cluster) == "left"
        assert (systemd.shown("Result"), systemd.shown("ExecMainStatus")) == ("success", "0")
        assert "There was nothing of ours to take off." in cluster.log("node1")


@pytest.mark.parametrize(
    ("signals", "whom", "said", "cause"),
    [
        (["KILL"], "main", "guard: the daemon has died: 2 addresses taken off, the other nodes told", "left"),
        (["STOP", "KILL"], "all", f"took off {VIPS[0]}\ntook off {VIPS[1]}\n", "failed"),  # by ExecStopPost
        (["STOP"], "main", "guard: the daemon has died: 2 addresses taken off", "failed"),
        (["STOP"], "all", "guard: the daemon has died: 2 addresses taken off", "failed"),
    ],
    ids=["killed", "killed with its guard", "frozen", "frozen with its guard"],
)
def test_whatever_becomes_of_the_daemon_its_addresses_go_and_it_is_back(
    cluster: Cluster, signals: list[str], whom: str, said: str, cause: str
) -> None:
    """Both are frozen before they are killed together: neither sees the other die."""
    configure(cluster, *VIPS)
    with Systemd(cluster, "node1") as systemd:
        systemd.drop_in(f"WatchdogSec={WATCHDOG_S}")
        boot(cluster, systemd)
        if "STOP" in signals:
            cluster.watch.parted(["node1"], ["node2"])  # who is frozen hears nothing
        for signal in signals:
            systemd.systemctl("kill", f"--signal={signal}", f"--kill-who={whom}", "duravip")
        cluster.until(lambda: is_off(cluster), "node1 has let go")
        cluster.until(lambda: was_restarted(systemd), "it is started again")
        assert said in cluster.log("node1")
        assert why_left(cluster) == cause
        cluster.watch.merged(within_s=BACK_S)
        cluster.until(lambda: cluster.settled(*NODES) == ON_NODE1, "node1 has them again")
        assert "which an earlier run had left" not in cluster.log("node1")
        systemd.systemctl("stop", "duravip")


@pytest.mark.parametrize("mode", ["control-group", "mixed", "process"])
def test_what_the_kill_mode_does_to_a_guard_that_is_late(cluster: Cluster, mode: str) -> None:
    """It is frozen when the daemon dies: so late that systemd always comes first."""
    configure(cluster, *VIPS)
    with Systemd(cluster, "node1") as systemd:
        systemd.drop_in(f"KillMode={mode}")
        boot(cluster, systemd)
        guard = str(cluster.info("node1")["guard_pid"])
        cluster.watch.parted(["node1"], ["node2"])
        systemd.run("kill", "-STOP", guard)
        systemd.systemctl("kill", "--signal=KILL", "--kill-who=main", "duravip")
        if mode == "process":
            assert why_left(cluster) == "failed"
            assert not is_off(cluster)
            systemd.run("kill", "-CONT", guard)
        cluster.until(lambda: is_off(cluster), "node1 has let go")
        assert why_left(cluster) == ("left" if mode == "control-group" else "failed")
        log = cluster.log("node1")
        assert ("guard: the daemon has died" in log) == (mode != "mixed")
        assert (f"took off {VIPS[0]}" in log) == (mode == "mixed")
        systemd.systemctl("stop", "duravip")
