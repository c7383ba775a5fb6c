"""What the machine says of its own interfaces, in a network namespace that only the test's thread is in."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable

import pytest

from duravip.net import listening
from duravip.net.listening import find_hardware_addresses, hardware_addresses
from duravip.testing.netns import Lan

pytestmark = pytest.mark.netns


def add_link(words: str) -> None:
    subprocess.run(["ip", "link", "add", *words.split()], check=True)


async def test_the_hardware_addresses_are_found_in_a_thread_as_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    inner = listening._hardware_addresses

    def noted(*given: object) -> tuple[bytes, ...]:
        threads.append(threading.current_thread())
        return inner(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(listening, "_hardware_addresses", noted)
    with Lan(("host", "far"), prefix="dvhl") as lan, lan.inside("host"):
        for words in ("eth1 type veth peer name eth2", "link eth0 name dv-0 type macvlan", "a.b type bridge"):
            add_link(words)
        first: Iterable[str]
        for first in ((), ("eth2", "none")):
            assert await find_hardware_addresses(first) == hardware_addresses(first)
        found = await find_hardware_addresses(["eth0"])
        assert found[0].hex(":") == lan["host"].hardware_address
    assert len(found) == 4
    assert threading.main_thread() not in threads[::2]
