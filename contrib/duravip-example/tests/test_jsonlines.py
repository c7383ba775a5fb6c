import datetime
import json
from pathlib import Path

import trio

from duravip.events import PluginFailed, Stamped
from duravip.model import NodeName
from duravip_example.jsonlines import open_notifier


def stamped(seq: int) -> Stamped:
    return Stamped(
        event=PluginFailed(plugin="p", text="two\nlines"),
        node=NodeName("node1"),
        incarnation="1.a",
        seq=seq,
        time=datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC),
        view="",
    )


def test_each_event_is_a_line_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text('"before"\n')

    async def tell() -> None:
        notifier = open_notifier("all", {"path": str(path)})
        for seq in (1, 2):
            await notifier.notify(stamped(seq))

    trio.run(tell)
    before, *told = [json.loads(line) for line in path.read_text().splitlines()]
    assert before == "before"
    assert [(one["id"], one["seq"], one["text"]) for one in told] == [
        ("plugin.failed", 1, "two\nlines"),
        ("plugin.failed", 2, "two\nlines"),
    ]
