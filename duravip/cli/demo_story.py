"""What the two kinds of `duravip demo` share: the cast, and how their events are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from duravip.cli.output import plain_table, print_table

NODES = ("node1", "node2", "node3")
VIPS: Mapping[str, str] = {"10.77.0.101": "node1", "10.77.0.102": "node2", "10.77.0.103": "node3"}
"""VIP -> the node that it prefers."""
STAR = "10.77.0.101"
"""The VIP that a client uses."""
VICTIM = VIPS[STAR]
MATURE_S = 1.0  # instead of the default: nobody wants to watch a view age

_COLUMNS = ("ADDRESS", "OWNER", "FLAGS", "WHY")


class Narrator:
    """Tells events and what is done, as they come, from any thread: as lines for people, or the events alone as JSON
    lines. `monotonic`: seconds; the story begins when this is made."""

    def __init__(self, *, as_json: bool, monotonic: Callable[[], float]) -> None:
        self.as_json = as_json
        self.muted: frozenset[str] = frozenset()
        """Nodes that are cut off: people see no lines of theirs."""
        self._monotonic = monotonic
        self._began = monotonic()
        self._views: set[str] = set()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """For people only."""
        if not self.as_json:
            self._line("", text)

    def event(self, told: Mapping[str, Any]) -> None:
        """An object of contract.md section 2."""
        if self.as_json:
            with self._lock:
                click.echo(json.dumps(told))
        elif told["node"] not in self.muted and (text := self._in_words(told)):
            self._line(told["node"], text)

    def table(self, vips: Sequence[Mapping[str, Any]]) -> None:
        """`vips` as in `show --format json`. For people only."""
        if self.as_json:
            return
        rows = [
            (vip["address"], vip["owner"] or "nobody", ",".join(vip["flags"]) or "SAFE", vip["reason"]) for vip in vips
        ]
        with self._lock:
            click.echo()
            print_table(_COLUMNS, rows)
            click.echo()

    def lines(self, rows: Sequence[tuple[str, str]]) -> None:
        """Two aligned columns. For people only."""
        if not self.as_json:
            click.echo("".join(f"  {line}\n" for line in plain_table(rows[0], rows[1:]).splitlines()), nl=False)

    def _line(self, who: str, text: str) -> None:
        with self._lock:
            click.echo(f"{self._monotonic() - self._began:5.1f} s  {who:<5}  {text}")

    def _in_words(self, told: Mapping[str, Any]) -> str:
        """What a watcher should notice; "" for the rest."""
        match told["id"]:
            case "membership.view_installed":
                if told["view"] in self._views:
                    return ""
                self._views.add(told["view"])
                members = told["members"]
                return f"view of {', '.join(members)}" if len(members) > 1 else "alone in its view"
            case "membership.node_suspected":
                return f"suspects {told['name']}: silent for {told['silent_s'] * 1000:.0f} ms"
            case "election.address_acquired":
                return f"has {told['address']}"
            case "election.address_released":
                return f"has let {told['address']} go"
            case _:
                return ""
