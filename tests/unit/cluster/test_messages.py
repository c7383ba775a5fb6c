from __future__ import annotations

import msgspec
import pytest

from duravip.cluster.heartbeat import news_of
from duravip.cluster.messages import Heard, Heartbeat
from duravip.model import Incarnation, Member, NodeName, TableDigest, ViewId

SENDER = Member(NodeName("a"), Incarnation(1, 1))
HEARD = Heard(name=NodeName("b"), counter=1, nonce=2, beat=7, alive=True, in_view=True)
BEAT = Heartbeat(
    beat=5,
    view=ViewId(1, NodeName("a"), Incarnation(1, 1)),
    promised=1,
    number=3,
    state=b"state",
    table=TableDigest("0" * 32),
    complete=True,
    version="1",
    heard=(HEARD,),
    hardware=(b"123456",),
)
NEWS = news_of(SENDER, BEAT)
OTHER = {
    "view": None,
    "promised": 2,
    "number": 4,
    "state": b"other",
    "table": TableDigest("1" * 32),
    "complete": False,
    "version": "2",
    "heard": (),
    "hardware": (),
}
OTHER_HEARD = {"name": NodeName("c"), "counter": 2, "nonce": 3, "alive": False, "in_view": False}


PROGRESS = {"beat", "number", "state"}


def test_a_heartbeat_has_no_news_when_only_the_beats_have_grown() -> None:
    later = msgspec.structs.replace(BEAT, beat=6, heard=(msgspec.structs.replace(HEARD, beat=8),))
    assert news_of(SENDER, later) == NEWS


def test_a_heartbeat_has_no_news_when_its_sender_has_only_come_further_in_the_views_messages() -> None:
    assert news_of(SENDER, msgspec.structs.replace(BEAT, number=OTHER["number"], state=OTHER["state"])) == news_of(
        SENDER, BEAT
    )


@pytest.mark.parametrize("field", sorted(set(Heartbeat.__struct_fields__) - PROGRESS))
def test_a_heartbeat_that_says_anything_else_has_news(field: str) -> None:
    assert news_of(SENDER, msgspec.structs.replace(BEAT, **{field: OTHER[field]})) != NEWS


@pytest.mark.parametrize("field", sorted(set(Heard.__struct_fields__) - {"beat"}))
def test_a_heartbeat_that_says_anything_else_of_a_peer_has_news(field: str) -> None:
    heard = msgspec.structs.replace(HEARD, **{field: OTHER_HEARD[field]})
    assert news_of(SENDER, msgspec.structs.replace(BEAT, heard=(heard,))) != NEWS
