"""What cannot work is refused with one clear sentence, before anything is changed on the machine.

node: 10.77.0.1 ── br0        `duravip run`, with one thing wrong each time; an address of ours is there already, as
                              an earlier run might have left it: if it is still there, nothing was touched
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from duravip.testing.cluster import DURAVIP, Cluster
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns

VIP = "10.77.0.51"
NODE = "node1"
FINE = f'Binding "b" {{ Bind_Address = {VIP} Enable_Duravip = true }}'


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with Lan((NODE,), prefix="dvrefuse") as built:
        put = built.run(NODE, "ip", "addr", "add", f"{VIP}/32", "dev", "eth0")
        assert not put.returncode, put.stderr
        yield built


@pytest.fixture
def node(lan: Lan, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(lan, tmp_path, nodes=[NODE]) as built:
        yield built


def refusal(node: Cluster, *wrapper: str, file: Path | None = None) -> tuple[int, str]:
    """Exit status, and what it said in its last line; AssertionError when more than that happened."""
    before = node.lan.run(NODE, "ip", "-o", "addr").stdout
    assert f"{VIP}/32" in before
    done = node.lan.run(NODE, *wrapper, DURAVIP, "run", "-c", str(file or node.files[NODE]))
    assert node.lan.run(NODE, "ip", "-o", "addr").stdout == before, "the machine was changed"
    assert "Traceback" not in done.stderr
    assert "bug in duravip" not in done.stderr
    assert not done.stdout
    assert not node.control(NODE).exists()
    return done.returncode, done.stderr.strip()


def assert_one_sentence(said: str, *words: str) -> None:
    assert said.startswith("duravip: "), said
    assert len(said.splitlines()) == 1, said
    for word in words:
        assert word in said


def test_an_interface_that_does_not_exist(node: Cluster) -> None:
    file = node.configure(NODE, FINE)
    text = file.read_text().replace(
        'Topology "10.77.0.0/24" { interface = "eth0" }', 'Topology "10.77.0.0/24" { interface = "eth7" }'
    )
    file.write_text(text)
    status, said = refusal(node)
    assert status == 2
    assert_one_sentence(said, f"{file}:", "there is no interface eth7", VIP)


def test_a_transport_on_an_interface_that_does_not_exist(node: Cluster) -> None:
    node.configure(NODE, FINE, transports='multicast { interface = "eth7" }')
    status, said = refusal(node)
    assert status in {1, 2}
    assert_one_sentence(said, "there is no interface eth7")


@pytest.mark.parametrize("own", ["10.77.0.1", "fd77::1"])
def test_a_vip_that_is_the_nodes_own_address(node: Cluster, own: str) -> None:
    file = node.configure(NODE, f'{FINE} Binding "mine" {{ Bind_Address = {own} Enable_Duravip = true }}')
    status, said = refusal(node)
    assert status == 2
    assert_one_sentence(said, f"{file}:", f"{own} is this machine's own address (on eth0)")


def test_a_vip_without_a_topology_in_a_network_that_is_not_here(node: Cluster) -> None:
    node.configure(NODE, f'{FINE} Binding "far" {{ Bind_Address = 192.0.2.1 Enable_Duravip = true }}')
    status, said = refusal(node)
    assert status == 2
    assert "192.0.2.1" in said.splitlines()[-1]


@pytest.mark.parametrize("missing", ["net_admin", "net_raw"])
def test_a_missing_capability(node: Cluster, missing: str) -> None:
    node.configure(NODE, FINE)
    status, said = refusal(node, "setpriv", f"--bounding-set=-{missing}", f"--inh-caps=-{missing}")
    assert status == 1
    assert_one_sentence(said, f"CAP_{missing.upper()}")


def test_a_port_in_use(node: Cluster) -> None:
    node.configure(NODE, FINE)
    with node.lan.inside(NODE):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with other:
        other.bind(("0.0.0.0", 4860))
        status, said = refusal(node)
    assert status == 1
    assert_one_sentence(said, "port 4860", "in use")


@pytest.mark.parametrize(
    ("vips", "line", "words"),
    [
        ("Binding b {\n  Bind_Address =\n}", 2, "Bind_Address"),
        (f"Binding b {{\n  Bind_Address = {VIP}\n  Enable_Duravip = true", 1, "Binding"),
        (f"Binding b {{\n  Bind_Address = {VIP}\n  Enable_Duravip = perhaps\n}}", 3, "perhaps"),
        (f"Binding b {{\n  Bind_Address = {VIP}\n  Enable_Duravip = true\n  duravip_preference = yes\n}}", 4, "name"),
        (
            f"Binding b {{\n  Bind_Address = {VIP}\n  Enable_Duravip = true\n  duravip_preference = node1\n}}\n"
            f'ESMTP_Listener {{\n Listen "{VIP}:25" {{\n  Enable_Duravip = true\n  duravip_preference = node2\n }}\n}}',
            9,
            "node1",
        ),
    ],
    ids=["no value", "left open", "no boolean", "a boolean as preference", "two preferences"],
)
def test_a_malformed_or_contradictory_file(node: Cluster, vips: str, line: int, words: str) -> None:
    file = node.configure(NODE, vips)
    first = file.read_text().count("\n") - vips.count("\n")
    status, said = refusal(node)
    assert status == 2
    error, *_, hint, last = said.splitlines()
    place, _, message = error.partition(": error ")
    assert place.startswith(f"{file}:{first + line - 1}:")
    assert int(place.rpartition(":")[2]) >= 1
    assert words in message
    assert hint.startswith("    hint: ")
    assert said.count(": error ") == 1
    assert_one_sentence(last, "not started", str(file))


def test_a_file_that_is_not_there_or_is_no_text(node: Cluster) -> None:
    missing = node.folder / "missing.conf"
    status, said = refusal(node, file=missing)
    assert status == 2
    assert str(missing) in said

    binary = node.folder / "binary.conf"
    binary.write_bytes(bytes(range(256)))
    status, said = refusal(node, file=binary)
    assert status == 2
    assert str(binary) in said


def test_no_key_and_no_wish_to_be_without(node: Cluster) -> None:
    node.configure(NODE, FINE, key_file=None)
    status, said = refusal(node)
    assert status == 2
    assert_one_sentence(said.splitlines()[-1], "keygen", "insecure = true")


def test_a_key_that_others_may_read(node: Cluster) -> None:
    node.configure(NODE, FINE)
    node.key.chmod(0o644)
    status, said = refusal(node)
    assert status == 2
    assert_one_sentence(said, str(node.key), "0644", f"chmod 600 {node.key}")


def test_a_key_file_that_is_not_there_or_holds_no_key(node: Cluster) -> None:
    node.configure(NODE, FINE)
    node.key.write_text("aGVsbG8=\n")
    status, said = refusal(node)
    assert status == 2
    assert_one_sentence(said, f"{node.key}:1:")

    node.key.unlink()
    status, said = refusal(node)
    assert status == 2
    assert_one_sentence(said, str(node.key))


def test_a_second_daemon_of_the_same_node_and_the_first_goes_on(tmp_path: Path) -> None:
    with Lan((NODE,), prefix="dvrefuse2") as lan, Cluster(lan, tmp_path, nodes=[NODE]) as node:
        node.configure(NODE, FINE)
        node.start(NODE)
        assert node.settled() == {VIP: NODE}
        same = second(node)
        assert same.returncode == 2
        assert_one_sentence(same.stderr.strip(), "another daemon", str(node.folder / "state-node1"), "pid")

        other_state = node.folder / "other.conf"
        other_state.write_text(node.files[NODE].read_text().replace("state-node1", "state-other"))
        same = second(node, str(other_state))
        assert same.returncode == 2
        assert_one_sentence(same.stderr.strip(), "another daemon", str(node.control(NODE)))

        same = second(node, str(other_state), "--control", str(node.folder / "other.sock"))
        assert same.returncode == 1
        assert_one_sentence(same.stderr.strip(), "port 4860")

        assert node.watch.holders(VIP) == (NODE,)
        assert node.settled() == {VIP: NODE}
        assert node.stop() == {NODE: 0}
        assert node.watch.held() == {}


def second(node: Cluster, file: str = "", *words: str) -> subprocess.CompletedProcess[str]:
    return node.lan.run(NODE, DURAVIP, "run", "-c", file or str(node.files[NODE]), *words)
