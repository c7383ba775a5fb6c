"""`duravip info`: this node's daemon."""

from __future__ import annotations

import click

from duravip.cli.output import control_option, format_option, print_fields, print_json
from duravip.runtime.client import find_socket, request


@click.command(
    "info",
    epilog="""\b
Examples:
  duravip info
  duravip info --format json | jq .dropped
""",
)
@format_option
@control_option
def command(style: str, control: str | None) -> None:
    """Show this node's daemon: version, life, files, settings, and what it has counted."""
    info = request(find_socket(control), {"command": "info"})
    if style == "json":
        print_json(info)
    else:
        print_fields(info)
