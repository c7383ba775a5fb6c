import json
from collections.abc import Sequence
from pathlib import Path

import trio

from duravip.testing import check_notifier
from duravip.testing.notifier_kit import sample_events
from duravip_example.jsonlines import open_notifier


class File:
    """What stands in the file, an event a line; a file is never deaf."""

    open_deaf = None

    def __init__(self, path: Path) -> None:
        self._path = path

    async def told(self) -> Sequence[str]:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [json.dumps(json.loads(line)) for line in lines]


def test_it_does_what_every_notifier_must(tmp_path: Path) -> None:
    path = tmp_path / "events"
    trio.run(check_notifier, lambda: open_notifier("all", {"path": str(path)}), File(path))


def test_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text('"before"\n')
    notifier = open_notifier("all", {"path": str(path)})
    for stamped in sample_events():
        trio.run(notifier.notify, stamped)
    before, *told = map(json.loads, path.read_text().splitlines())
    assert before == "before"
    assert [one["seq"] for one in told] == [stamped.seq for stamped in sample_events()]
