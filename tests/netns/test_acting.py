"""What operators ask for while the cluster runs: moving, draining, reloading, announcing.

node1: 10.77.0.1 ─┐
node2: 10.77.0.2 ─┼─ br0      daemons on the three nodes, a client that probes
node3: 10.77.0.3 ─┤
client           ─┘
"""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from duravip.net.schedule import OFFSETS_S
from duravip.testing.cluster import DURAVIP, NODES, Cluster
from duravip.testing.probe import Probe

pytestmark = pytest.mark.netns

VIPS = tuple(f"10.77.0.{number}" for number in range(51, 57))


def bindings(*addresses: str) -> str:
    return "\n".join(
        f'Binding "b{address}" {{ Bind_Address = {address} Enable_Duravip = true }}' for address in addresses
    )


def boot(cluster: Cluster, *addresses: str, **options: object) -> dict[str, str]:
    """Three nodes with these addresses; who owns what."""
    for node in NODES:
        cluster.configure(node, bindings(*addresses), **options)
    cluster.start(*NODES)
    return cluster.settled()


def refused(cluster: Cluster, node: str, *words: str) -> str:
    """What a command says that ends with status 1."""
    done = subprocess.run(
        [DURAVIP, *words, "--control", str(cluster.control(node))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stderr


def test_a_move_pins_the_address_and_costs_its_client_little(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client        .51 goes to the node that comes next, and stays there
    node3 ─┘
    """
    owners = boot(cluster, *VIPS[:3])
    vip, source = VIPS[0], owners[VIPS[0]]
    target = NODES[(NODES.index(source) + 1) % 3]

    with Probe(cluster.lan, "client", vip) as probe:
        cluster.until(lambda: cluster.lan.neighbour("client", vip), "the client has found the owner")
        said = cluster.ask("node3", "move", vip, target, "--wait")
        cluster.until(
            lambda: cluster.lan.neighbour("client", vip) == cluster.lan[target].hardware_address,
            "the client has found the new owner",
        )
    assert said.splitlines()[-1] == f"{vip}: owned by {target}, pinned"
    assert probe.answered_by() == (cluster.lan[source].hardware_address, cluster.lan[target].hardware_address)
    assert probe.longest_gap_ms() < 100
    for node in NODES:
        cluster.until(lambda node=node: cluster.vip(node, vip)["pinned"], f"{node} shows the pin")
    assert "pinned" in cluster.ask("node1", "show", vip)
    assert not cluster.vip("node1", VIPS[1])["pinned"]

    assert "node4 is no member of the view" in refused(cluster, "node1", "move", vip, "node4")
    assert "nobody's table" in refused(cluster, "node1", "move", "10.77.0.99", "node1")
    assert cluster.settled()[vip] == target

    assert cluster.ask("node1", "move", vip, "auto", "--wait") == f"{vip}: owned by {target}\n"
    assert not cluster.vip("node1", vip)["pinned"]


def test_a_reload_that_adds_and_removes_addresses_costs_the_others_no_probe(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client        .51 .52 .53 stay; .54 goes; .55 and .56 come
    node3 ─┘
    """
    stay, go, come = VIPS[:3], VIPS[3], VIPS[4:]
    before = boot(cluster, *stay, go)

    with ExitStack() as stack:
        probes = [stack.enter_context(Probe(cluster.lan, "client", vip)) for vip in stay]
        for vip in stay:
            cluster.until(lambda vip=vip: cluster.lan.neighbour("client", vip), f"the client has found {vip}")
        for node in NODES:
            cluster.configure(node, bindings(*stay, *come))
            tried = json.loads(cluster.ask(node, "reload", "--dry-run", "--format", "json"))
            assert (tried["added"], tried["removed"], tried["changed"]) == (list(come), [go], {})
        assert cluster.settled() == before, "a dry run changes nothing"
        for node in NODES:
            said = cluster.ask(node, "reload", "--wait")
            assert said.splitlines()[:3] == [*(f"+ {vip}" for vip in come), f"- {go}"]
            assert said.rstrip().endswith("is in force")
        cluster.until(lambda: set(cluster.watch.held()) == {*stay, *come}, "the new ones are owned, the old one is off")
        after = cluster.settled()
    assert set(after) == {*stay, *come}
    for vip, probe in zip(stay, probes, strict=True):
        assert after[vip] == before[vip]
        assert probe.answered_by() == (cluster.lan[before[vip]].hardware_address,)
        lost = probe.sent - len(probe.answers())
        assert lost <= 1, f"{vip}: {lost} of {probe.sent} lost"  # the last one may be on its way at the end


def test_an_invalid_file_keeps_the_old_configuration_which_is_shown_as_stale(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0        node1 reads a file without end, then a good one
    node3 ─┘
    """
    before = boot(cluster, *VIPS[:3])
    assert cluster.show("node1")["config"] == {"stale": False, "error": None}

    file = cluster.configure("node1", bindings(*VIPS) + '\nBinding "bad" { Bind_Address = ')
    place = f"{file}:{len(file.read_text().splitlines())}:"
    assert place in refused(cluster, "node1", "reload", "--dry-run")
    assert not cluster.show("node1")["config"]["stale"], "a dry run changes nothing"
    assert place in refused(cluster, "node1", "reload")
    for shown in (cluster.show("node1")["config"], cluster.info("node1")["config"]):
        assert shown["stale"]
        assert place in shown["error"]
    assert "STALE" in cluster.ask("node1", "show")
    assert "stale=yes" in cluster.ask("node1", "info")
    assert not cluster.show("node2")["config"]["stale"]
    assert cluster.settled() == before

    cluster.configure("node1", bindings(*VIPS[:3]))
    assert cluster.ask("node1", "reload", "--wait").startswith("no difference")
    assert not cluster.show("node1")["config"]["stale"]
    assert cluster.settled() == before


def test_a_drained_node_owns_nothing_restarts_included_until_it_is_undrained(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0        node2 is drained by others, restarted, undrained; then node1 and node2 are drained, not node3
    node3 ─┘
    """
    vips = VIPS[:3]
    assert "node2" in boot(cluster, *vips).values()

    assert "node9 is no member of the view" in refused(cluster, "node2", "drain", "node9")
    said = cluster.ask("node1", "drain", "node2", "--wait").splitlines()
    assert said[-1] == "node2: drained, has 0 addresses"
    assert "node2" not in cluster.settled().values()
    [drained] = [one for one in json.loads(cluster.ask("node1", "members", "--format", "json")) if one["drained"]]
    assert (drained["name"], drained["online"]) == ("node2", True)
    assert "node2 drained" in refused(cluster, "node1", "move", vips[0], "node2")

    cluster.stop("node2")
    cluster.start("node2")
    assert set(cluster.settled().values()) == {"node1", "node3"}

    assert cluster.ask("node3", "undrain", "node2", "--wait").splitlines()[-1] == "node2: not drained any more"
    cluster.until(lambda: "node2" in cluster.settled().values(), "node2 has an address again, by balancing")

    cluster.ask("node1", "drain", "--wait")
    cluster.ask("node2", "drain", "--wait")
    assert "node3 is the last eligible node" in refused(cluster, "node3", "drain")
    assert set(cluster.settled().values()) == {"node3"}
    cluster.ask("node3", "drain", "--force", "--wait")
    assert cluster.watch.held() == {}
    assert Path(cluster.folder / "state-node3" / "drained").exists()


def test_owners_announce_again_when_they_are_asked_to(cluster: Cluster) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client        the client believes that .51, .52 and .53 are the stranger
    node3 ─┘
    """
    owners = boot(cluster, *VIPS[:3], announce_refresh=0, address_lifetime=0)
    cluster.until(
        lambda: all(vip["since_s"] > OFFSETS_S[-1] + 0.5 for node in NODES for vip in cluster.show(node)["vips"]),
        "all announcements that belong to the elections have been made",
    )
    mine = next(vip for vip, owner in owners.items() if owner == "node1")

    def mislead() -> None:
        for vip in owners:
            cluster.lan.run(
                "client",
                *("ip", "neigh", "replace", vip, "lladdr", cluster.lan["stranger"].hardware_address),
                *("dev", cluster.lan["client"].interface, "nud", "reachable"),
            )

    def believed() -> set[str]:
        """The addresses of which the client knows the owner."""
        return {
            vip for vip, owner in owners.items()
            if cluster.lan.neighbour("client", vip) == cluster.lan[owner].hardware_address
        }  # fmt: skip

    mislead()
    assert believed() == set()
    cluster.ask("node1", "announce", "arp")
    cluster.until(lambda: mine in believed(), "the client knows node1's address again")
    assert believed() == {mine}

    mislead()
    cluster.ask("node1", "announce", "view")
    cluster.until(lambda: believed() == set(owners), "the client knows all of them again")


def test_a_binding_is_renamed_on_all_nodes_at_once_and_node_by_node_it_is_broken_and_says_how_to_mend_it(
    cluster: Cluster,
) -> None:
    """
    node1 ─┐
    node2 ─┼─ br0 ── client        .51's Binding gets another name: first with --cluster, then without
    node3 ─┘
    """
    vip, other = VIPS[:2]
    before = boot(cluster, vip, other)
    with Probe(cluster.lan, "client", vip) as probe:
        cluster.until(lambda: cluster.lan.neighbour("client", vip), "the client has found the owner")
        for node in NODES:
            cluster.configure(node, bindings(vip, other).replace(f'"b{vip}"', '"renamed"'))
        said = cluster.ask("node2", "reload", "--cluster")
        for node in NODES:
            cluster.until(lambda node=node: cluster.vip(node, vip)["bindings"] == ["renamed"], f"{node} has the name")
    assert said == f"~ {vip} (bindings)\nin force on node1, node2, node3\n"
    assert probe.sent - len(probe.answers()) <= 1
    assert cluster.settled() == before
    assert [cluster.events(node, "conflict.*") for node in NODES] == [[], [], []]
    assert [len(cluster.events(node, "config.reloaded")) for node in NODES] == [1, 1, 1]

    cluster.configure("node3", bindings(vip, other) + " }")
    assert "node3: " in refused(cluster, "node1", "reload", "--cluster")
    assert [cluster.show(node)["config"]["stale"] for node in NODES] == [True] * 3
    assert cluster.settled() == before

    for node in NODES:
        cluster.configure(node, bindings(vip, other))
    cluster.ask("node1", "reload")
    cluster.until(lambda: "BROKEN" in cluster.vip("node2", vip)["flags"], "the names do not match")
    cluster.until(lambda: vip not in cluster.watch.held(), "nobody has it")
    assert "duravip reload --cluster" in cluster.vip("node2", vip)["reason"]
    cluster.ask("node2", "reload", "--cluster")
    cluster.until(lambda: cluster.settled() == before, "it is back where it was")
    assert [len(cluster.events(node, "conflict.broken")) for node in NODES] == [2, 2, 2]
