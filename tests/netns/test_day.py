"""A day in a cluster's life: one node tells exactly what docs/reference/a-day.md says, and syslog, web hooks and its
log have all of it, up to its leaving.

node1 ═╗          multicast over IPv4, unicast over IPv6; `duravip events --follow` on node1 is the witness
node2 ═╬═ br0
node3 ═╝          rsyslogd listens on a UNIX socket, the hook on node1's loopback
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from duravip.testing.cluster import DURAVIP, NODES, PATIENCE_S, Cluster
from duravip.testing.hook_receiver import HookReceiver
from duravip.testing.rsyslogd import Rsyslogd
from duravip.testing.story import Line, chapters, difference

pytestmark = [
    pytest.mark.netns,
    pytest.mark.needs("nft", "rsyslogd"),
    pytest.mark.parametrize("over", ["both"], indirect=True),
]

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "a-day.md").read_text()
BINDINGS = "\n".join(re.findall(r"^Binding .*$", PAGE, re.MULTILINE))
PREFERS_NODE3 = BINDINGS.replace('"node2"', '"node3"')
WITH_LISTENER = BINDINGS + '\nESMTP_Listener { Listen "10.77.0.53:25" { Enable_Duravip = true } }'
MISSPELT = BINDINGS.replace("gamma", "gama")
WITH_FOURTH = BINDINGS + '\nBinding "delta" { Bind_Address = 10.77.0.54 Enable_Duravip = true }'
NODE3_CUT = """\
add table inet cut
add chain inet cut in { type filter hook input priority 0; }
add rule inet cut in ip saddr 10.77.0.3 ip daddr 239.192.0.77 drop
"""
OF_ITS_OWN = {
    *("election.address_moved", "election.address_acquired", "election.address_released", "config.reloaded"),
    *("config.rejected", "membership.node_suspected", "membership.path_lost", "membership.path_restored"),
}
"""What the page says is told by one node, or by each of itself."""


class Day:
    """The cluster, what may be done to it, and what the witness has heard so far."""

    def __init__(self, cluster: Cluster, receivers: str) -> None:
        self.cluster = cluster
        self.receivers = receivers
        self.told: list[dict[str, Any]] = []
        for node in NODES:
            self.write(node, BINDINGS)

    def write(self, node: str, vips: str) -> None:
        self.cluster.configure(node, f"{vips}\n{self.receivers}" if node == "node1" else vips)

    def reload(self, node: str, vips: str) -> None:
        self.write(node, vips)
        self.cluster.ask(node, "reload", "--wait")

    def fail(self) -> None:
        self.cluster.silence("node2")
        self.cluster.settled("node1", "node3")

    def reload_others(self) -> None:
        for node in ("node2", "node3"):
            self.reload(node, WITH_FOURTH)
            self.cluster.settled()

    def refuse(self) -> None:
        self.write("node1", 'Binding "alpha" {')
        control = str(self.cluster.control("node1"))
        assert self.cluster.lan.run("node1", DURAVIP, "reload", "--control", control).returncode == 1

    def lose_path(self) -> None:
        nft = self.cluster.lan.command("node1", "nft", "-f", "-")
        subprocess.run(nft, input=NODE3_CUT, text=True, check=True)

    def mend_path(self) -> None:
        subprocess.run(self.cluster.lan.command("node1", "nft", "delete", "table", "inet", "cut"), check=True)

    def leave(self, node: str) -> None:
        assert self.cluster.stop(node) == {node: 0}

    def live(self, title: str, lines: Sequence[Line]) -> None:
        """Makes it happen, and waits until as much was told as the page says: no less, no more, nothing else."""
        before = len(self.told)
        HAPPENINGS[title](self)
        deadline = time.monotonic() + PATIENCE_S
        while len(self.told) < before + len(lines) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.cluster.check()
        differs = difference(lines, self.told[before:])
        assert not differs, f"{title}: {differs}"

    def compare_another(self, node: str, lines: Sequence[Line]) -> None:
        """What it told last is the same, but for what each node tells of itself."""
        common = [line for line in lines if line.id not in OF_ITS_OWN]

        def told() -> list[dict[str, Any]]:
            return [event for event in self.cluster.events(node) if event["id"] not in OF_ITS_OWN][-len(common) :]

        self.cluster.until(lambda: not difference(common, told()), f"{node} tells the same as the page")

    @contextmanager
    def witnessed(self) -> Iterator[None]:
        """By a process that follows node1's events from the first on, and ends when node1 does."""
        control = str(self.cluster.control("node1"))
        with subprocess.Popen(
            [DURAVIP, "events", "--follow", "--format", "json", "--control", control],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as witness:
            assert witness.stdout is not None
            lines = witness.stdout

            def listen() -> None:
                for line in lines:
                    self.told.append(json.loads(line))

            listening = threading.Thread(target=listen)
            listening.start()
            try:
                yield
                assert witness.wait(timeout=10) == 1, "it ends with the daemon"
            finally:
                witness.kill()
                listening.join()


HAPPENINGS: Mapping[str, Callable[[Day], object]] = {
    "node1 boots": lambda day: None,  # it has: the witness is there
    "node2 joins": lambda day: day.cluster.start("node2"),
    "node3 joins": lambda day: day.cluster.start("node3"),
    "node2 fails": Day.fail,
    "node2 returns": lambda day: day.cluster.heal(),
    "CONFLICT": lambda day: day.reload("node3", PREFERS_NODE3),
    "CONFLICT mended": lambda day: day.reload("node3", BINDINGS),
    "UNSAFE": lambda day: day.reload("node3", WITH_LISTENER),
    "UNSAFE mended": lambda day: day.reload("node3", BINDINGS),
    "BROKEN": lambda day: day.reload("node3", MISSPELT),
    "BROKEN mended": lambda day: day.reload("node3", BINDINGS),
    "A move": lambda day: day.cluster.ask("node2", "move", "10.77.0.51", "node3"),
    "The move ends": lambda day: day.cluster.ask("node2", "move", "10.77.0.51", "auto"),
    "node1 reloads": lambda day: day.reload("node1", WITH_FOURTH),
    "The others reload": Day.reload_others,
    "A reload is refused": Day.refuse,
    "A path is lost": Day.lose_path,
    "The path is back": Day.mend_path,
    "node2 leaves": lambda day: day.leave("node2"),
    "node1 leaves": lambda day: day.leave("node1"),
}
SEEN_BY_NODE3 = list(HAPPENINGS)[list(HAPPENINGS).index("node2 fails") : -1]


def test_a_day_is_told_as_the_page_says_and_arrives_complete_everywhere(cluster: Cluster, tmp_path: Path) -> None:
    """
    node1 ═╗
    node2 ═╬═ br0        see HAPPENINGS, and the page
    node3 ═╝
    """
    story = chapters(PAGE)
    assert list(story) == list(HAPPENINGS)
    folder = tmp_path / "syslog"
    folder.mkdir()
    with cluster.lan.inside("node1"):
        hook = HookReceiver()
    with hook, Rsyslogd(folder) as syslog:
        day = Day(
            cluster,
            f'syslog "ops" {{ target = "unix:{syslog.unix}" }}\n'
            f'webhook "pager" {{ url = "http://127.0.0.1:{hook.port}/all" }}\n'
            f'webhook "picky" {{ url = "http://127.0.0.1:{hook.port}/some" events = ( "election.address_*" ) }}',
        )
        cluster.start("node1")
        with day.witnessed():
            for title, lines in story.items():
                if title == "node1 leaves":
                    day.compare_another("node3", [line for title in SEEN_BY_NODE3 for line in story[title]])
                day.live(title, lines)
        assert len(day.told) == sum(map(len, story.values())), "nothing is told after the page's last event"
        cluster.until(lambda: len(syslog.messages()) >= len(day.told), "rsyslogd has written it all")

    assert [event["seq"] for event in day.told] == list(range(1, len(day.told) + 1))
    assert {event["node"] for event in day.told} == {"node1"}
    called = {path: [one.json()["data"] for one in hook.requests if one.path == path] for path in ("/all", "/some")}
    assert called["/all"] == day.told
    assert called["/some"] == [event for event in day.told if event["id"].startswith("election.address_")]
    logged = re.findall(r" INFO ((?:config|conflict|election|membership)\.\w+)", cluster.log("node1"))
    assert logged == [event["id"] for event in day.told]
    assert [understood(message) for message in syslog.messages()] == [
        {key: str(event.get(key, "")) for key in ("id", "incarnation", "seq", "view", "address")} for event in day.told
    ]


def understood(message: Mapping[str, str]) -> dict[str, str]:
    """What rsyslogd made of one."""
    fields = dict(re.findall(r' (\w+)="((?:[^"\\]|\\.)*)"', message["structured-data"]))
    return {"id": message["msgid"], **{key: fields.get(key, "") for key in ("incarnation", "seq", "view", "address")}}
