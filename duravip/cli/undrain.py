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
  duravip undrain node1 --wait
""",
)
@click.argument("node", required=False)
@wait_options
@control_option
def command(node: str | None, wait: bool, timeout_s: float | None, control: str | None) -> None:
    """End this node's drain: it may own addresses again. For root only.

    NODE, if given, must be the name of the daemon that is asked. Addresses come back by preference and by balancing.

    --wait returns when the view knows that the node is not drained.
    """
    refuse_lone_timeout(wait, timeout_s)
    path = find_socket(control)
    request(path, {"command": "undrain", "node": node})
    if not wait:
        return
    me = request(path, {"command": "ping"})["node"]

    def look() -> tuple[bool, str]:
        [own] = (one for one in request(path, {"command": "members"}) if one["name"] == me)
        done = own["online"] and not own["drained"]
        return done, f"{me}: {'not drained any more' if done else 'still drained'}"

    wait_until(look, timeout_s=timeout_s)
