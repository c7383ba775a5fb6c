from duravip.runtime.event_text import event_text


def test_an_event_is_one_line_of_its_id_and_its_own_fields() -> None:
    event = {
        "id": "election.owner_elected",
        "incarnation": "1.0",
        "seq": 3,
        "time": "now",
        "node": "node1",
        "view": "",
        "address": "192.0.2.1",
        "owner": None,
        "reason": 'no "eligible" member\nat all',
        "silent_s": 0.25,
        "members": ["a", "b"],
        "held": True,
        "nothing": [],
    }
    assert event_text(event) == (
        "election.owner_elected address=192.0.2.1 owner=- "
        'reason="no \\"eligible\\" member\\nat all" silent_s=0.25 members=a,b held=yes nothing=-'
    )


def test_evidence_is_its_sentences() -> None:
    evidence = [{"flag": "UNSAFE", "node": "a", "text": "a runs x"}, {"flag": "UNSAFE", "node": "b", "text": "b"}]
    assert event_text({"id": "conflict.unsafe", "evidence": evidence}) == 'conflict.unsafe evidence="a runs x",b'


def test_an_event_without_fields_is_its_id() -> None:
    assert event_text({"id": "membership.view_matured", "seq": 1}) == "membership.view_matured"
