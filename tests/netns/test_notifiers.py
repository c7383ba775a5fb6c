"""A live daemon is not disturbed by receivers that are dead. What those hear that live: tests/netns/test_day.py.

node1 ── br0         the hook is on node1's loopback
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

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


STUCK = """
import time
import trio
from duravip.plugin.api import NotifierKind, hookimpl

class Stuck:
    limit_s = 0.1
    async def notify(self, stamped):
        await trio.to_thread.run_sync(time.sleep, 3600)

@hookimpl
def duravip_notifiers():
    return [NotifierKind(name="stuck", options=(), open=lambda name, options: Stuck())]
"""


@pytest.mark.parametrize("signals", [1, 2], ids=["it hands over", "it is ended at once"])
def test_a_notifier_that_waits_in_a_thread_for_ever_keeps_no_daemon_from_ending(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: int
) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    cluster.configure("node1", f'{BINDING}\nstuck "ops" {{ }}')
    cluster.start("node1", words=("--plugin", "stuck"))
    assert cluster.settled() == {VIP: "node1"}
    cluster.until(lambda: cluster.events("node1", "plugin.failed"), "that it hangs is an event")
    assert "it does not end" in cluster.events("node1", "plugin.failed")[0]["text"]
    began_s = time.monotonic()
    if signals == 2:
        cluster.signal("node1", signal.SIGTERM)
        cluster.until(lambda: "leaving" in cluster.log("node1"), "the first signal is obeyed")
    assert cluster.stop("node1") == {"node1": 0}
    assert time.monotonic() - began_s < 10
    assert "the notifier stuck ops does not end" in cluster.log("node1")
    assert cluster.watch.held() == {}
