from __future__ import annotations

from typing import Any

import pytest

from duravip.testing.story import chapters, difference

PAGE = """# Title

## Without events

## One

Words.

```events
membership.node_left name=n2 cause=failed
~ election.address_acquired address=10.0.0.1 interface=eth0
~ election.address_acquired address=10.0.0.2 interface=eth0
election.owner_elected address=10.0.0.1 owner=- previous=n1 reason="it is so = so"
membership.view_matured
```

## Two

```events
membership.node_joined name=n2
```
"""

LEFT = {"id": "membership.node_left", "name": "n2", "cause": "failed"}
ACQUIRED1 = {"id": "election.address_acquired", "address": "10.0.0.1", "interface": "eth0"}
ACQUIRED2 = ACQUIRED1 | {"address": "10.0.0.2"}
ELECTED = {
    "id": "election.owner_elected",
    "address": "10.0.0.1",
    "owner": None,
    "previous": "n1",
    "reason": "it is so = so",
}
MATURED = {"id": "membership.view_matured"}


def test_the_chapters_are_those_with_events_in_order() -> None:
    found = chapters(PAGE)
    assert list(found) == ["One", "Two"]
    assert found["One"][0].id == "membership.node_left"


@pytest.mark.parametrize(
    "told",
    [
        [LEFT, ACQUIRED1, ACQUIRED2, ELECTED, MATURED],
        [LEFT, ACQUIRED2, ACQUIRED1, ELECTED, MATURED],
        [LEFT, ACQUIRED1, ELECTED, MATURED, ACQUIRED2],
    ],
)
def test_what_is_told_as_the_page_says_or_later_where_it_may_differs_not(told: list[dict[str, Any]]) -> None:
    envelope = {"seq": 1, "incarnation": "1.1", "node": "n1", "view": "", "time": ""}
    assert difference(chapters(PAGE)["One"], [event | envelope for event in told]) == ""


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([LEFT, ACQUIRED1, ACQUIRED2, ELECTED], "'membership.view_matured' was not told"),
        ([ACQUIRED1, LEFT, ACQUIRED2, ELECTED, MATURED], "'election.address_acquired address=10.0.0.1 interface=eth0'"),
        ([LEFT, ELECTED, ACQUIRED1, ACQUIRED2, MATURED], "'election.owner_elected address=10.0.0.1"),
        ([LEFT, LEFT, ACQUIRED1, ACQUIRED2, ELECTED, MATURED], "'membership.node_left name=n2 cause=failed' is not"),
        ([LEFT | {"cause": "left"}, ACQUIRED1], "'membership.node_left name=n2 cause=left' is not"),
        ([LEFT | {"more": 1}, ACQUIRED1], "more=1' is not told here"),
    ],
)
def test_what_is_missing_double_early_or_other_is_a_difference(told: list[dict[str, Any]], words: str) -> None:
    assert words in difference(chapters(PAGE)["One"], told)


def test_a_field_that_nobody_can_foresee_need_not_be_told() -> None:
    joined = {"id": "membership.node_joined", "name": "n2", "node_incarnation": "17.1"}
    assert difference(chapters(PAGE)["Two"], [joined]) == ""
