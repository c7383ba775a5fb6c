"""A reload whose file changes what the running daemon stands on: its plugins, and the addresses that it sends from.

node1: 10.77.0.1, 10.77.0.201 ── br0        unicast from the second address
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from duravip.testing.cluster import Cluster
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

NODE = "node1"
VIP, LISTEN, NODEADDR = "10.77.0.51", "10.77.0.201", "10.77.0.202"
UNICAST = f'unicast "backup" {{ listen = "{LISTEN}" peers = ( "{LISTEN}" "10.77.0.2" ) }}'


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Cluster]:
    with Lan((NODE,), prefix="dvreload") as lan, Cluster(lan, tmp_path, nodes=[NODE]) as built:
        added = lan.run(NODE, "ip", "addr", "add", f"{LISTEN}/24", "dev", "eth0")
        assert not added.returncode, added.stderr
        yield built
        assert built.stop() == {NODE: 0}
        assert "Traceback" not in built.log(NODE)


def binding(address: str) -> str:
    return f'Binding "b{address}" {{ Bind_Address = {address} Enable_Duravip = true }}\n'


def test_what_is_refused_and_what_takes_effect_at_the_next_start(node: Cluster) -> None:
    def write(*addresses: str, transports: str = UNICAST, more: str = "", **options: object) -> None:
        vips = "".join(map(binding, addresses)) + more
        node.configure(NODE, vips, transports=transports, **{"nodeaddr": NODEADDR, **options})

    def hang_up() -> str:
        """What a reload by signal adds to the log."""
        before, told = len(node.log(NODE)), len(node.events(NODE, "config.*"))
        node.signal(NODE, signal.SIGHUP)
        node.until(lambda: len(node.events(NODE, "config.*")) > told, "the file is read again")
        last = str(node.events(NODE, "config.*")[-1]["id"])
        node.until(lambda: last in node.log(NODE)[before:], "the log says so")
        return node.log(NODE)[before:]

    write(VIP)
    node.start(NODE)
    owned = {VIP: NODE}
    assert node.settled() == owned

    elsewhere = {"transports": "multicast { }\n", "nodeaddr": None}
    for addresses, options, why in (
        ([VIP], {"backend": "pigeons"}, "the backend `pigeons` is not installed"),
        ([VIP, LISTEN], elsewhere, f"{LISTEN} is this node's own address (the transport unicast:backup sends from it)"),
        ([VIP, NODEADDR], {"nodeaddr": None}, f"{NODEADDR} is this node's own address (it is the nodeaddr)"),
    ):
        write(*addresses, **options)
        said = hang_up()
        assert "config.rejected" in said
        assert why in said
        assert why in node.show(NODE)["config"]["error"]
        assert node.settled() == owned

    write(
        VIP,
        transports=UNICAST.replace("10.77.0.2", "10.77.0.3"),
        more='syslog "box" { target = "udp:10.77.0.9:514" }\nwebhok "pager" { }\n',
        backend="ifconfig",
    )
    said = hang_up()
    assert "takes effect at the next start: unicast backup, backend, syslog box" in said
    node.until(lambda: "warning DV403: the stanza `webhok` is not known" in node.log(NODE), "the warning is logged")
    assert node.ask(NODE, "reload") == "at the next start only: unicast backup, backend, syslog box\n"
    assert node.info(NODE)["backend"] == "netlink"
    assert node.settled() == owned
