"""`duravip explain`: why an address has the owner it has, who else could have it, and what was before."""

from __future__ import annotations

from typing import Any

import click

from duravip.cli.output import control_option, format_option, ip_address, print_json, print_table
from duravip.runtime.client import find_socket, request


@click.command(
    "explain",
    epilog="""\b
Examples:
  duravip explain 192.168.0.51
  duravip explain 192.168.0.51 --format json | jq .if_down
""",
)
@click.argument("address", type=ip_address)
@format_option
@control_option
def command(address: str, style: str, control: str | None) -> None:
    """Explain who owns ADDRESS: why this node, why none of the others, who would if a node went, and what was before.

    The reason is in the words of `show` and `plan`. The history is what the daemon that is asked has seen since it
    began.
    """
    told = request(find_socket(control), {"command": "explain", "address": address})
    if style == "json":
        print_json(told)
    else:
        _print(told)


def _print(told: dict[str, Any]) -> None:
    click.echo(f"{told['address']}: owned by {told['owner'] or 'nobody'}: {told['reason']}")
    click.echo()
    rows = [
        (("* " if one["node"] == told["owner"] else "  ") + one["node"], "yes" if one["eligible"] else "no", one["why"])
        for one in told["candidates"]
    ]
    print_table(("  NODE", "ELIGIBLE", "WHY"), rows)
    click.echo()
    for node, owner in told["if_down"].items():
        same = ", as now" if owner is not None and owner == told["owner"] else ""
        click.echo(f"if {node} goes down: {owner or 'nobody'}{same}")
    if told["history"]:
        click.echo()
    for change in told["history"]:
        was, now = change["from"] or "nobody", change["to"] or "nobody"
        click.echo(f"{change['time']}  {was} -> {now}: {change['cause']}")
