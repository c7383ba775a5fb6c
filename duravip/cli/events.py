"""`duravip events`: what has happened, and what happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from duravip.cli.output import control_option, format_option
from duravip.errors import ControlError
from duravip.runtime.client import find_socket, request, stream
from duravip.runtime.event_text import event_text


@click.command(
    "events",
    epilog="""\b
Examples:
  duravip events
  duravip events --follow --filter 'conflict.*' --filter 'election.address_*'
  duravip events --follow --new --format json >> events.jsonl
""",
)
@click.option("--follow", is_flag=True, help="Go on with what happens, until interrupted.")
@click.option("--new", is_flag=True, help="With --follow: only what happens from now on.")
@click.option(
    "--filter", "filters", metavar="GLOB", multiple=True, help="Only these ids (conflict.*). May be repeated."
)
@format_option
@control_option
def command(follow: bool, new: bool, filters: tuple[str, ...], style: str, control: str | None) -> None:
    """Print this node's last events, oldest first; with --follow, then the next ones as they come.

    JSON is one object a line.
    """
    if new and not follow:
        raise click.UsageError("--new goes with --follow")
    path = find_socket(control)
    question: dict[str, Any] = {"command": "events", "filters": list(filters) or ["*"]}
    if not follow:
        for event in request(path, question):
            _print(event, style)
        return
    try:
        for line in stream(path, {**question, "follow": True, "past": not new}):
            if "event" in line:
                _print(line["event"], style)
            else:
                click.echo(f"duravip: {line['lost']} events were lost here: they came too fast", err=True)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return
    raise ControlError(f"the daemon on {path} has ended")


def _print(event: Mapping[str, Any], style: str) -> None:
    if style == "json":
        click.echo(json.dumps(event))
    else:
        click.echo(f"{event['time']} {event['node']} {event_text(event)}")
