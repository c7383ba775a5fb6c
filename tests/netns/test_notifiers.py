"""A live daemon tells everything to a real rsyslogd and to a real web hook, up to its leaving; and is not disturbed by
receivers that are dead.

node1 ── br0         rsyslogd listens on a UNIX socket, the hook on node1's loopback
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from duravip.testing.cluster import Cluster
from duravip.testing.hook_receiver import Behaviour, HookReceiver
from duravip.testing.rsyslogd import Rsyslogd

pytestmark = pytest.mark.netns

VIP = "10.77.0.51"
BINDING = f'Binding "example" {{ Bind_Address = {VIP} Enable_Duravip = true }}'


@pytest.mark.needs("rsyslogd")
def test_a_life_from_boot_to_leaving_arrives_complete_and_in_order(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "syslog"
    folder.mkdir()
    with cluster.lan.inside("node1"):
        hook = HookReceiver()
    with hook, Rsyslogd(folder) as syslog:
        cluster.configure(
            "node1",
            f"""{BINDING}
            syslog "ops" {{ target = "unix:{syslog.unix}" }}
            webhook "pager" {{ url = "http://127.0.0.1:{hook.port}/hook" }}
            webhook "picky" {{ url = "http://127.0.0.1:{hook.port}/picky" events = ( "election.address_*" ) }}""",
        )
        cluster.start("node1")
        cluster.settled()
        assert cluster.stop("node1") == {"node1": 0}
        told = [request.json()["data"] for request in hook.requests if request.path == "/hook"]
        cluster.until(lambda: len(syslog.messages()) >= len(told), "rsyslogd has written it all")
        messages = syslog.messages()

    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert [event["id"] for event in told if event["id"].startswith("election.address_")] == [
        "election.address_acquired",
        "election.address_released",
    ]
    picked = [request.json()["data"] for request in hook.requests if request.path == "/picky"]
    assert picked == [event for event in told if event["id"].startswith("election.address_")]
    assert [message["msgid"] for message in messages] == [event["id"] for event in told]
    seqs = [re.search(r' seq="(\d+)"', message["structured-data"]) for message in messages]
    assert [int(seq[1]) for seq in seqs if seq] == [event["seq"] for event in told]
    logged = re.findall(r" ((?:election|membership)\.\w+)", cluster.log("node1"))
    assert logged == [event["id"] for event in told if event["id"].startswith(("election.", "membership."))]


def test_dead_receivers_delay_nothing_and_are_told_of(cluster: Cluster) -> None:
    with cluster.lan.inside("node1"):
        hook = HookReceiver(*[Behaviour(what="hang")] * 100)
    with hook:
        cluster.configure(
            "node1",
            f"""{BINDING}
            syslog "ops" {{ target = "unix:/nonexistent/log" }}
            webhook "gone" {{ url = "http://127.0.0.1:9/" give_up = 0 }}
            webhook "hangs" {{ url = "http://127.0.0.1:{hook.port}/hook" timeout = 60 }}""",
        )
        cluster.start("node1")
        assert cluster.settled() == {VIP: "node1"}
        cluster.until(lambda: cluster.events("node1", "plugin.failed"), "the notifier's failure is an event")
        failed = cluster.events("node1", "plugin.failed")[0]
        assert failed["plugin"] == "webhook gone"
        assert "http://127.0.0.1:9" in failed["text"], json.dumps(failed)
        cluster.check()
        assert cluster.stop("node1") == {"node1": 0}
