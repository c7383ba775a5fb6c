"""What holds for all tests.

`@pytest.mark.netns`: skipped where no namespaces can be made. `@pytest.mark.needs("nft")`: skipped where the command is
missing. On CI (`CI=true`) nothing may be skipped: what would be is a failure. On `autojump_clock`, what is given to a
thread is done at once: a clock that jumps whenever all tasks wait would run ahead of a thread that is at work.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Generator
from typing import TypeVar

import hypothesis
import pytest
import trio
import trio.testing

from duravip.testing import netns

ON_CI = os.environ.get("CI") == "true"

PACKAGES = {  # Debian's
    "NetworkManager": "network-manager",
    "dbus-daemon": "dbus",
    "ifconfig": "net-tools",
    "networkctl": "systemd",
    "nft": "nftables",
    "rsyslogd": "rsyslog",
    "systemctl": "systemd",
    "unshare": "util-linux",
}
COMMAND_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_why_not = functools.cache(netns.why_not)

hypothesis.settings.register_profile(
    "duravip", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)  # a busy machine is no reason to fail
hypothesis.settings.load_profile("duravip")

T = TypeVar("T")


async def _at_once(work: Callable[..., T], *arguments: object, **options: object) -> T:
    """`trio.to_thread.run_sync` without a thread."""
    await trio.lowlevel.checkpoint()
    return work(*arguments)


@pytest.fixture
def autojump_clock(autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    monkeypatch.setattr(trio.to_thread, "run_sync", _at_once)
    return autojump_clock


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="write what is so now into tests/sim/scenarios/*.txt, layouts.txt"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("netns") is not None and _why_not():
        pytest.skip(_why_not())
    for marker in item.iter_markers("needs"):
        for command in marker.args:
            if shutil.which(command, path=COMMAND_PATH) is None:
                pytest.skip(f"this needs the command `{command}` (package {PACKAGES[command]})")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if ON_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"on CI no test may be skipped: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if ON_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"on CI no file may be skipped: {report.longrepr}"
    return report
