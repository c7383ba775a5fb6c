"""A large cluster in the simulated world. `python -m tests.bench.cluster_size` has larger ones, and what they cost."""

import pytest

from tests.bench.cluster_size import Crowd

pytestmark = pytest.mark.long


def test_64_nodes_boot_to_one_view_and_ten_that_die_together_are_one_new_view() -> None:
    crowd = Crowd(64, interval_s=1.0)
    crowd.boot()
    assert set(crowd.seen.views.values()) == {1}
    assert len(crowd.seen.views) == 64
    crowd.run(1.0)
    assert crowd.lose(10) < 3.5
    crowd.run(1.0)
    assert len(crowd.seen.views) == 54
    assert set(crowd.seen.views.values()) == {1}
