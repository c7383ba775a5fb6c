"""What a check of this machine costs. What it refuses is in test_daemon.py."""

from __future__ import annotations

from duravip.config.node_config import LocalSettings, NodeConfig
from duravip.model import Address, NodeName, VipEntry, make_table
from duravip.runtime.machine import refuse_impossible


def test_the_kernel_is_asked_for_each_interface_once() -> None:
    """A thousand times would be 5 ms, in the event loop."""
    vips = [VipEntry(address=Address(f"192.0.2.{number}"), interface=f"eth{number % 2}") for number in range(100)]
    config = NodeConfig(name=NodeName("a"), file="", table=make_table(vips), local=LocalSettings())
    asked: list[str] = []

    def has_interface(name: str) -> bool:
        asked.append(name)
        return True

    refuse_impossible(config, (), has_interface=has_interface)
    assert sorted(asked) == ["eth0", "eth1"]
