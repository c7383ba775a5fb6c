"""What `@pytest.mark.netns` means: skipped where no namespaces can be made, except on CI, where that is a
failure."""

from __future__ import annotations

import functools
import os

import pytest

from duravip.testing import netns

_why_not = functools.cache(netns.why_not)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("netns") is None or not _why_not():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"on CI this test may not be skipped: {_why_not()}", pytrace=False)
    pytest.skip(_why_not())
