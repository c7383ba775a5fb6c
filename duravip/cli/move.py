"""`duravip move`: an operator's choice of owner."""

from __future__ import annotations

import click

from duravip.cli.output import control_option, ip_address
from duravip.cli.waiting import refuse_lone_timeout, wait_options, wait_until
from duravip.runtime.client import find_socket, request

AUTO = "auto"


@click.command(
    "move",
    epilog="""\b
Examples:
  duravip move 192.168.0.51 node2 --wait
  duravip move 192.168.0.51 auto
""",
)
@click.argument("address", type=ip_address)
@click.argument("node", metavar="NODE|auto")
@wait_options
@control_option
def command(address: str, node: str, wait: bool, timeout_s: float | None, control: str | None) -> None:
    """Move ADDRESS to NODE and pin it there; with `auto`, end the pin. For root only.

    A pin counts more than a preference or the present owner. It ends when NODE is drained, leaves the view, or loses
    the address from its table. Exit status 1, with the reason, when NODE cannot own the address now.

    --wait returns when the whole view has agreed upon the owner and, as far as the node that is asked can tell, the
    address is on the owner's interface: it is on here if the owner is this node, and off here if not.
    """
    refuse_lone_timeout(wait, timeout_s)
    path = find_socket(control)
    target = None if node == AUTO else node
    request(path, {"command": "move", "address": address, "node": target})
    if not wait:
        return

    def look() -> tuple[bool, str]:
        shown = request(path, {"command": "show", "address": address})
        [vip] = shown["vips"]
        granted = vip["owner"] == target and vip["pinned"] if target else not vip["pinned"]
        settled = vip["holding"] == ("held" if vip["owner"] == shown["node"] else None)
        owned = f"{vip['address']}: owned by {vip['owner'] or 'nobody'}"
        pinned = ", pinned" if vip["pinned"] else ""
        here = "" if settled else f", {vip['holding'] or 'not yet on'} here"
        return bool(granted and settled), owned + pinned + here

    wait_until(look, timeout_s=timeout_s)
