"""`duravip members`: who is there."""

from __future__ import annotations

import click

from duravip.cli.output import control_option, format_option, print_json, print_table, yes
from duravip.runtime.client import find_socket, request

_COLUMNS = ("NAME", "ONLINE", "MATURE", "ELIGIBLE", "DRAINED", "PENALTY", "PATHS", "VERSION", "INCARNATION")


@click.command(
    "members",
    epilog="""\b
Examples:
  duravip members
  duravip members --format json | jq -r '.[] | select(.online) | .name'
""",
)
@format_option
@control_option
def command(style: str, control: str | None) -> None:
    """Show the nodes that this node shares a view with (online), or hears."""
    members = request(find_socket(control), {"command": "members"})
    if style == "json":
        print_json(members)
        return
    print_table(
        _COLUMNS,
        [
            (
                one["name"],
                yes(one["online"]),
                yes(one["mature"]),
                yes(one["eligible"]),
                yes(one["drained"]),
                f"{one['penalty']:g}",
                ",".join(one["paths"]) or "-",
                one["version"] or "-",
                one["incarnation"],
            )
            for one in members
        ],
    )
