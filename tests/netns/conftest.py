"""`cluster`: a little network with three nodes, a client and a stranger, and nothing running on it yet.

Whatever a test does, afterwards every daemon that still runs is asked to leave: each must end with 0 and leave
nothing on its host, no address may ever have been on two hosts that hear each other, and nobody may have logged a
traceback. When a test fails, the daemons' logs are part of its report.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from duravip.testing.cluster import NODES, Cluster
from duravip.testing.netns import Lan

_LOG_LINES = 70
_LINE_LETTERS = 260
_RUN_LINES = 12


@pytest.fixture
def over(request: pytest.FixtureRequest) -> str:
    """How the nodes reach one another: one of `TRANSPORTS`, by indirect parametrisation."""
    chosen: str = getattr(request, "param", "multicast")
    return chosen


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest, over: str) -> Iterator[Cluster]:
    with Lan((*NODES, "client", "stranger"), prefix="dve2e") as lan, Cluster(lan, tmp_path, over=over) as built:
        request.node.stash[_cluster] = built
        yield built
        statuses = built.stop()
        built.check()
        assert set(statuses.values()) <= {0}, f"exit statuses: {statuses}"
        assert not built.watch.held(), f"left on the hosts: {built.watch.held()}"
        assert built.watch.looks > 10
        for node in built.files:
            if built.log_file(node).exists():
                assert "Traceback" not in built.log(node)
                assert "bug in duravip" not in built.log(node)


_cluster = pytest.StashKey[Cluster]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    built = item.stash.get(_cluster, None)
    if built is not None and report.failed:
        for node in built.files:
            if built.log_file(node).exists():
                report.sections.append((f"log of {node} ({report.when})", shortened(built.log(node))))
    return report


def shortened(log: str) -> str:
    """Its last lines, and of a long run of events of elections only the first."""
    lines: list[str] = []
    left_out = 0
    same = 0
    before = ""
    for line in log.splitlines():
        kind = next((word for word in line.split() if word.startswith("election.")), line)
        same = same + 1 if kind.startswith("election.") and before.startswith("election.") else 0
        before = kind
        if same < _RUN_LINES:
            if left_out:
                lines.append(f"    ({left_out} more election events)")
            left_out = 0
            lines.append(line[:_LINE_LETTERS])
        else:
            left_out += 1
    return "\n".join(lines[-_LOG_LINES:])
