"""A live daemon is not disturbed by receivers that are dead. What those hear that live: tests/netns/test_day.py.

node1 ── br0         the hook is on node1's loopback
"""

from __future__ import annotations

import json

import pytest

from duravip.testing.cluster import Cluster
from duravip.testing.hook_receiver import Behaviour, HookReceiver

pytestmark = pytest.mark.netns

VIP = "10.77.0.51"
BINDING = f'Binding "example" {{ Bind_Address = {VIP} Enable_Duravip = true }}'


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
