"""`duravip undrain`: a drained node may own addresses again."""

from __future__ import annotations

import click

from duravip.cli.output import control_option
from duravip.cli.waiting import refuse_lone_timeout, wait_options, wait_until
from duravip.runtime.client import find_socket, request


@click.command(
    "undrain",
    epilog="""\b
Examples:
  duravip undrain
  duravip undrain node2 --wait
""",
)
@click.argument("node", required=False)
@wait_options
@control_option
def command(node: str | None, wait: bool, timeout_s: float | None, control: str | None) -> None:
    """End a node's drain: it may own addresses again. For root only.

    NODE is any node of the view; without it, the one whose daemon is asked. Addresses come back by preference and by
    balancing.

    --wait returns when the view knows that the node is not drained.
    """
    refuse_lone_timeout(wait, timeout_s)
    path = find_socket(control)
    request(path, {"command": "undrain", "node": node})
    if not wait:
        return
    name = node or request(path, {"command": "ping"})["node"]

    def look() -> tuple[bool, str]:
        rows = [one for one in request(path, {"command": "members"}) if one["name"] == name and one["online"]]
        if not rows:
            return False, f"{name} is not in the view"
        drained = rows[0]["drained"]
        return not drained, f"{name}: {'still drained' if drained else 'not drained any more'}"

    wait_until(look, timeout_s=timeout_s)
